"""The only door to the engine for pages and other programs.

Plain data goes in and comes out: text, numbers, tuples, frozen models, NumPy arrays. Nothing
here imports torch; what needs it is done by the job process, and a caller never waits for it.
Ids, paths and files that came from a form or a URL are checked here.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from engine.api.cards import Active, Evidence, Machine, RunCard
from engine.api.plans import ENGINE, PRESETS, SHIPPED, named_preset, plan_preset
from engine.api.questions import Questions, SavedNet, Weights
from engine.class_colours import VOID, class_palette, other_palette, tinted
from engine.errors import DistillError, SpecError, WorkspaceError, in_sentences
from engine.events import CostMeasured, Evaluated, Note, Prepared, RunEnded, SpotsCounted
from engine.runs import control
from engine.runs.answers import Answers, Said
from engine.runs.choices import Choices, read_choices
from engine.runs.control import Command
from engine.runs.disk import replace_file
from engine.runs.executors.process import ProcessExecutor
from engine.runs.experiment import (
    Experiment,
    Member,
    Planned,
    create_experiment,
    expand,
    find_baseline,
    read_experiment,
)
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.heartbeat import Beat, read_heartbeat
from engine.runs.job_process import JobProcess, JobState
from engine.runs.life import Status
from engine.runs.overlaps import Overlaps
from engine.runs.presets import (
    Preset,
    figures_of,
    load_presets,
    source_of,
    tables_of,
)
from engine.runs.queue import RunQueue
from engine.runs.scheduler import Scheduler
from engine.runs.summary import Cost, Figures, Labels, Summary, summaries, summary_of_run
from engine.runs.view import Curve, RunView, fold
from engine.spec import Choice, NetChoice, RunSpec, Schedule, parse_spec, read_spec

__all__ = [
    "VOID",
    "Active",
    "Answers",
    "Beat",
    "Choice",
    "Choices",
    "Command",
    "Cost",
    "CostMeasured",
    "Curve",
    "DistillError",
    "Evaluated",
    "Evidence",
    "Experiment",
    "Figures",
    "JobState",
    "Labels",
    "Machine",
    "Member",
    "Meta",
    "NetChoice",
    "Note",
    "Overlaps",
    "Prepared",
    "Preset",
    "RunCard",
    "RunEnded",
    "RunSpec",
    "RunView",
    "Said",
    "SavedNet",
    "Schedule",
    "SpecError",
    "SpotsCounted",
    "Status",
    "Studio",
    "Summary",
    "Weights",
    "WorkspaceError",
    "class_palette",
    "in_sentences",
    "other_palette",
    "parse_spec",
    "read_spec",
    "studio",
    "tinted",
]

NEEDED_BYTES = 500_000_000  # below it a run would soon fill the disk
VIEWS_KEPT = 64


class Studio(Questions):
    """One workspace: its runs, its queue, and (where it is started) its engine.

    Args:
        path: the workspace folder.

    Raises:
        WorkspaceError: the workspace cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._workspace = Workspace.open(path)
        self._queue = RunQueue(self._workspace)
        self._jobs = JobProcess(self._workspace)
        self._scheduler: Scheduler | None = None
        self.trouble = ""  # why the engine could not be started; empty where all is well
        self._views: OrderedDict[str, tuple[RunView, int]] = OrderedDict()
        self._lock = threading.Lock()

    # The engine

    def start(self, *, demo: bool = False) -> None:
        """Start the engine thread; on an empty workspace it may begin with the demo.

        Raises:
            WorkspaceError: another server owns the workspace.
        """
        scheduler = Scheduler(self._workspace, ProcessExecutor(self._workspace))
        try:
            scheduler.start()
        except WorkspaceError as error:
            self.trouble = str(error)
            raise
        self._scheduler = scheduler
        if demo and not self._workspace.runs():
            self.launch_preset("demo")
        self.catalogue()

    def stop(self) -> None:
        """Let the workers save and end, then give the workspace back."""
        if self._scheduler is not None:
            self._scheduler.stop()
            self._scheduler = None
        self._jobs.stop()

    def is_working(self) -> bool:
        """Whether this process runs the engine of the workspace."""
        return self._scheduler is not None

    def warm_up(self) -> None:
        """Let a worker get ready, because a run is likely to be asked for soon."""
        if self._scheduler is not None:
            self._scheduler.warm_up()

    def machine(self) -> Machine:
        """Cores, memory and disk of this machine; GPUs as far as their driver shows them."""
        memory = psutil.virtual_memory()
        return Machine(
            cores=len(os.sched_getaffinity(0)),
            memory=memory.total,
            memory_free=memory.available,
            disk_free=self._workspace.free_bytes(),
            gpus=len([*Path("/dev").glob("nvidia[0-9]*")]),
            workspace=str(self._workspace.path),
        )

    # What can be chosen

    def catalogue(self, *, again: bool = False) -> Mapping[str, Any] | None:
        """Every registered part as plain data; None while it is being made.

        Args:
            again: try once more after a failure.

        {"nets" | "datasets" | "distillers" | "methods" | "policies": [{"name", "title",
        "source", "help", "aliases", "knobs": {knob: JSON schema}, "facts": {...}}]}; it is
        kept under the hash of the engine's sources.

        Raises:
            DistillError: it could not be made.
        """
        path, digest = self._workspace.path / "catalogue.json", _sources_hash()
        if (kept := _read_mapping(path)).get("hash") == digest:
            found: Mapping[str, Any] = kept["catalogue"]
            return found
        state = self._jobs.ask("catalogue", {}, again=again)
        if state.status == "failed":
            raise DistillError(state.message, hint=state.hint)
        if state.status != "done":
            return None
        replace_file(path, json.dumps({"hash": digest, "catalogue": state.value}).encode())
        made: Mapping[str, Any] = state.value
        return made

    def presets(self) -> tuple[Preset, ...]:
        """Ready-made experiments, the demo first."""
        return load_presets(PRESETS)

    def published(self, spec: RunSpec) -> tuple[dict[str, float], str]:
        """What was published of a spec's data set and pair, and of its distiller where it was.

        Returns:
            As in `SAKD: KD` -> accuracy, 0 to 1; and whose figures these are.
        """
        tables = tables_of(self.presets(), spec)
        return figures_of(tables, spec.distiller.name if spec.distiller else ""), source_of(tables)

    def shipped(self) -> tuple[str, ...]:
        """Names of the teachers that come with the program, for weights `shipped:NAME`."""
        return tuple(sorted(path.stem for path in SHIPPED.glob("*.safetensors")))

    # Asking for runs

    def launch(
        self,
        spec: RunSpec,
        *,
        name: str,
        axes: Mapping[str, Sequence[Any]] | None = None,
        with_baseline: bool = False,
        teacher_first: RunSpec | None = None,
    ) -> Experiment:
        """Queue a run, or one run for each combination of axes, and what they compare with.

        Args:
            axes: path -> values, as in {"seed": (0, 1, 2)}.
            with_baseline: add the student alone, for each seed.
            teacher_first: train this net before, and let the runs distil from it.

        Raises:
            SpecError, WorkspaceError: with a sentence; nothing is queued then.
        """
        planned: list[Planned] = []
        if teacher_first is not None:
            planned.append(Planned("teacher", "teacher", {}, teacher_first))
            spec = spec.replace(**{"teacher.weights": "run:0"})
        planned += expand(spec, axes or {}, with_baseline)
        self._require_room()
        return create_experiment(self._workspace, name, planned)

    def launch_preset(self, name: str) -> Experiment:
        """Queue a preset's runs; a teacher that should be shipped but is missing is trained."""
        self._require_room()
        preset = named_preset(name)
        planned = plan_preset(preset, {})
        return create_experiment(
            self._workspace, preset.title, planned, preset=preset.name, note=preset.note
        )

    # The life of runs

    def send(self, run_id: str, command: Command) -> None:
        """Tell a run to pause, continue, stop, stop_after_epoch, save or evaluate."""
        control.send(self._workspace.run(run_id), command)

    def resume(self, run_id: str) -> None:
        """Queue a stopped, interrupted or failed run again; it goes on where it was saved."""
        self._queue.add(run_id)

    def force_stop(self, run_id: str) -> None:
        """End the worker process of a run at once; what was not saved is lost.

        Raises:
            WorkspaceError: this process does not run the engine, or did not start the run.
        """
        if self._scheduler is None:
            raise WorkspaceError("another server runs the engine; force the stop there")
        self._scheduler.force_stop(run_id)

    def queued(self) -> tuple[str, ...]:
        """Ids of the waiting runs, first to start first."""
        return self._queue.list()

    def move_in_queue(self, run_id: str, to: int) -> None:
        self._queue.move(run_id, to)

    def unqueue(self, run_id: str) -> None:
        """Take a waiting run off the queue; it reads `stopped`."""
        self._queue.remove(run_id)

    def delete(self, run_id: str) -> None:
        """Move a run to the trash.

        Raises:
            WorkspaceError: it is running.
        """
        self._workspace.trash(run_id)

    def rename(self, run_id: str, **changes: Any) -> Meta:
        """Change name, tags or notes."""
        return self._workspace.run(run_id).update_meta(**changes)

    # Reading

    def runs(self) -> tuple[Summary, ...]:
        """Every run, newest first; unreadable ones too."""
        return summaries(self._workspace)

    def run(self, run_id: str) -> RunCard:
        """One run.

        Raises:
            WorkspaceError: there is no such run.
        """
        folder = self._workspace.run(run_id)
        spec, meta, problem, experiment = None, Meta(), "", None
        try:
            meta, spec = folder.meta(), folder.spec()
            if meta.experiment:
                experiment = read_experiment(self._workspace, meta.experiment)
        except DistillError as error:
            problem = str(error)
        return RunCard(
            id=run_id,
            status=folder.status(),
            meta=meta,
            spec=spec,
            problem=problem,
            experiment=experiment,
            environment=folder.environment(),
            size_bytes=folder.size_bytes(),
        )

    def view(self, run_id: str) -> RunView:
        """What the run's log tells so far; only what is new is read."""
        folder = self._workspace.run(run_id)
        with self._lock:
            view, offset = self._views.pop(run_id, (RunView(), 0))
            events, offset, _ = folder.log.read(offset)
            view = fold(view, events)
            self._views[run_id] = (view, offset)
            while len(self._views) > VIEWS_KEPT:
                self._views.popitem(last=False)
        return view

    def choices(self, run_id: str) -> Choices | None:
        """What the run's policy chose for each training image; None where nothing is kept yet.

        Raises:
            WorkspaceError: there is no such run, or its file cannot be read.
        """
        return read_choices(self._workspace.run(run_id))

    def active(self) -> tuple[Active, ...]:
        """Runs that a worker holds, whoever started them, then those that wait."""
        working = ("preparing", "running", "paused", "stopping")
        found = {one.id: one for one in self.runs() if one.status in (*working, "queued")}
        alive = [run_id for run_id, one in found.items() if one.status in working]
        waiting = [run_id for run_id in self.queued() if run_id in found]
        return tuple(self._active(found[run_id]) for run_id in dict.fromkeys([*alive, *waiting]))

    def experiment(self, experiment_id: str) -> Experiment | None:
        """One experiment; None where it is gone."""
        try:
            return read_experiment(self._workspace, experiment_id)
        except WorkspaceError:
            return None

    def evidence(self, run_id: str) -> Evidence:
        """Teacher, student alone and student taught on one split, last weights.

        The student alone is the one of the run's experiment with the run's seed, else the
        newest finished run of the same student, data, schedule and seed.
        """
        folder = self._workspace.run(run_id)
        own = summary_of_run(folder)
        alone = own if own.role == "alone" else None
        if own.role == "student":
            alone = self._baseline(folder, own)
        is_tested = own.figures.last_test is not None
        split = "test" if is_tested else "validation"

        def figure(one: Summary | None, name: str) -> float | None:
            return getattr(one.figures, f"{name}_{split}") if one is not None else None

        is_taught = own.role not in ("alone", "teacher")
        copied = own.labels.distiller
        tables = [one for one in tables_of(self.presets(), folder.spec()) if one[1].lists(copied)]
        spec = folder.spec()
        return Evidence(
            headline=own.headline,
            is_teacher_apart=_is_apart(spec, own),
            split=split,
            teacher=figure(own, "last" if own.role == "teacher" else "teacher"),
            alone=figure(alone, "last"),
            student=figure(own, "last") if is_taught else None,
            best=figure(own, "best"),
            baseline=alone.id if alone is not None and alone is not own else "",
            published=figures_of(tables, copied),
            published_source=source_of(tables),
        )

    def log_text(self, run_id: str, *, tail: int = 20_000) -> str:
        """The end of what the worker printed, `tail` bytes at most."""
        return self._workspace.run(run_id).log_text(tail)

    def files(self, run_id: str) -> tuple[tuple[str, int], ...]:
        """(path below the run's folder, bytes) of what the run keeps."""
        root = self._workspace.run(run_id).path
        kept = []
        for path in sorted(root.rglob("*")):
            if path.suffix in (".lock", ".tmp", ".partial") or path.name.startswith("."):
                continue  # a worker is about to replace it
            with suppress(FileNotFoundError):
                if path.is_file():
                    kept.append((str(path.relative_to(root)), path.stat().st_size))
        return tuple(kept)

    def file(self, run_id: str, name: str) -> Path:
        """One of these files.

        Raises:
            WorkspaceError: the run keeps no file of this name.
        """
        if name not in dict(self.files(run_id)):
            raise WorkspaceError(f"run {run_id} has no file {name!r}")
        return self._workspace.run(run_id).path / name

    def save_draft(self, plain: Mapping[str, Any]) -> None:
        """Keep what the Distill page holds."""
        replace_file(self._workspace.drafts / "distill.json", json.dumps(dict(plain)).encode())

    def draft(self) -> Mapping[str, Any]:
        """What save_draft kept, or nothing."""
        return _read_mapping(self._workspace.drafts / "distill.json")

    # Inside

    def _active(self, one: Summary) -> Active:
        beat = read_heartbeat(self._workspace.run(one.id))
        view = self.view(one.id)
        pace = beat.steps_per_second if beat else 0.0
        total, done = view.total_steps, view.steps_done
        left = (total - done) / pace if pace and total else None
        return Active(
            id=one.id,
            title=one.name,
            status=one.status,
            share_done=done / total if total else 0.0,
            seconds_left=left,
            samples_per_second=view.speed,
            silent_seconds=time.time() - beat.time if beat else 0.0,
        )

    def _baseline(self, folder: RunFolder, own: Summary) -> Summary | None:
        experiment = self.experiment(own.experiment)
        for member in experiment.runs if experiment else ():
            alone = self._summary(member.run) if member.role == "alone" else None
            if (
                alone is not None
                and alone.status == "finished"
                and alone.baseline_hash == own.baseline_hash
            ):
                return alone
        found = find_baseline(self._workspace, folder.spec())
        return summary_of_run(found) if found else None

    def _summary(self, run_id: str) -> Summary | None:
        try:
            return summary_of_run(self._workspace.run(run_id))
        except WorkspaceError:
            return None

    def _require_room(self) -> None:
        free = self._workspace.free_bytes()
        if free < NEEDED_BYTES:
            raise WorkspaceError(
                f"only {free / 1e9:.1f} GB are free on the disk of the workspace;"
                f" a run needs {NEEDED_BYTES / 1e9:.1f} GB.",
                hint="Delete runs or empty the trash folder of the workspace.",
            )


def _is_apart(spec: RunSpec, own: Summary) -> bool:
    """Whether a run measured its student but not its teacher, whose classes are others."""
    figures = own.figures
    is_told = (figures.last_validation, figures.last_test) != (None, None)
    has_none = (figures.teacher_validation, figures.teacher_test) == (None, None)
    return spec.task == "segment" and spec.teacher is not None and is_told and has_none


def studio(path: Path | None = None) -> Studio:
    """The studio of a workspace, one for each process and folder.

    Args:
        path: the workspace; None: DISTILL_WORKSPACE, else ./workspace.

    Raises:
        WorkspaceError: the workspace cannot be used.
    """
    return _studio_at(Workspace.open(path).path)


@cache
def _studio_at(path: Path) -> Studio:
    return Studio(path)


def _sources_hash() -> str:
    """Changes with any source of the engine, and with where data sets are looked for."""
    found = hashlib.sha256(os.environ.get("DISTILL_DATA", "").encode())
    for path in sorted(ENGINE.rglob("*.py")):
        found.update(f"{path.relative_to(ENGINE)} {path.stat().st_mtime_ns}".encode())
    return found.hexdigest()[:16]


def _read_mapping(path: Path) -> dict[str, Any]:
    """A JSON file that may be missing or spoilt: then nothing."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
