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
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from engine.errors import DistillError, SpecError, WeightsError, WorkspaceError
from engine.events import At, CostMeasured, Evaluated, Note, Prepared, RunEnded, SpotsCounted
from engine.runs import control
from engine.runs.answers import Answers, Said, read_answers, saved_weights, share_done
from engine.runs.choices import Choices, read_choices
from engine.runs.control import Command
from engine.runs.data_folders import require_folders
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
from engine.runs.overlaps import Overlaps, read_overlaps, told_overlaps
from engine.runs.presets import (
    Preset,
    figures_of,
    find_preset,
    load_presets,
    source_of,
    tables_of,
)
from engine.runs.queue import RunQueue
from engine.runs.scheduler import Scheduler
from engine.runs.summary import Cost, Figures, Labels, Summary, summaries, summary_of_run
from engine.runs.uploads import keep_upload
from engine.runs.view import Curve, RunView, fold
from engine.spec import Choice, NetChoice, RunSpec, Schedule, parse_spec, read_spec

__all__ = [
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
    "Schedule",
    "SpecError",
    "SpotsCounted",
    "Status",
    "Studio",
    "Summary",
    "Weights",
    "WorkspaceError",
    "parse_spec",
    "read_spec",
    "studio",
]

ENGINE = Path(__file__).resolve().parent
PRESETS = ENGINE / "presets"
SHIPPED = ENGINE.parent / "assets" / "teachers"
NEEDED_BYTES = 500_000_000  # below it a run would soon fill the disk
VIEWS_KEPT = 64

Weights = tuple[str, At]  # of a run, as its checkpoint was saved at a position
SavedNet = tuple[str, str, At]  # of a run its `student`, where it was saved, or its `teacher`


@dataclass(frozen=True, slots=True)
class Active:
    """A run that a worker holds now, or that waits in the queue."""

    id: str
    title: str
    status: Status
    share_done: float  # 0 to 1
    seconds_left: float | None  # None: not yet known
    samples_per_second: float
    silent_seconds: float  # since the worker's last sign of life


@dataclass(frozen=True, slots=True)
class Evidence:
    """The headline of each net, from 0 to 1, on one split; None where nothing was measured.

    gain: student - alone. recovered: gain / (teacher - alone), where the teacher is better.
    published: as in `SAKD: AT adaptive` -> what was printed for this data set, pair and distiller.
    """

    split: str
    teacher: float | None
    alone: float | None
    student: float | None
    best: float | None  # the student at its best epoch
    baseline: str  # id of the run that `alone` comes from
    published: Mapping[str, float]
    published_source: str
    headline: str = "accuracy"  # which figure these are
    is_teacher_apart: bool = False  # it knows other classes, so it has no figure

    @property
    def gain(self) -> float | None:
        return None if self.student is None or self.alone is None else self.student - self.alone

    @property
    def recovered(self) -> float | None:
        if self.gain is None or self.teacher is None or self.alone is None:
            return None
        gap = self.teacher - self.alone
        return self.gain / gap if gap > 0 else None


@dataclass(frozen=True, slots=True)
class RunCard:
    """One run as its page shows it."""

    id: str
    status: Status
    meta: Meta
    spec: RunSpec | None  # None: the folder cannot be read, `problem` says why
    problem: str
    experiment: Experiment | None
    environment: Mapping[str, Any]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine offers; sizes in bytes."""

    cores: int
    memory: int
    memory_free: int
    disk_free: int
    gpus: int
    workspace: str


class Studio:
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

    # Short work that needs torch: ask again at the next tick, never wait

    def folders(self) -> JobState:
        """The data sets found below DISTILL_DATA.

        value: [{"name", "path", "data", "splits", "num_classes"}]
        """
        return self._jobs.ask("folders", {})

    def check(self, plain: Mapping[str, Any]) -> JobState:
        """Whether a spec can run, and what it costs.

        value: {"errors": [{"where", "message"}], "warnings": [{"where", "message"}],
        "spots": [{"name"}], "costs": {"teacher" | "student": CostMeasured as a mapping},
        "data": {"name", "classes", "input_shape", "splits": {split: images}, "notes"}}
        """
        return self._jobs.ask("check", {"spec": dict(plain)})

    def pairs(self, plain: Mapping[str, Any]) -> JobState:
        """Which nets can be the student of the spec's teacher, method and distiller.

        value: {net: "" or the reason why it cannot}
        """
        return self._jobs.ask("pairs", {"spec": dict(plain)})

    def estimate(self, plain: Mapping[str, Any]) -> JobState:
        """How long a spec takes, from a few seconds of real steps.

        value: {"step_seconds", "seconds", "steps", "memory_bytes", "disk_bytes", "device"}
        """
        return self._jobs.ask("estimate", {"spec": dict(plain)})

    def check_teacher(self, plain: Mapping[str, Any]) -> JobState:
        """The import report of the spec's teacher, and its accuracy on the spec's data.

        value: {"net": the choice with the knobs that fit, "report": {"rows": [{"status", "key",
        "stored", "shape", "stored_shape"}], "matched", "missing", "unexpected", "wrong_shape",
        "renamed"}, "facts", "figures": {"accuracy", "loss"}, "split", "samples"}
        """
        return self._jobs.ask("teacher_check", {"spec": dict(plain)})

    def samples(self, plain: Mapping[str, Any]) -> JobState:
        """Eight images of a data set with their class names, and its class counts.

        value: {"images": [PNG in base64], "labels": [...], "counts": {class: images}, "name",
        "classes", "input_shape", "splits", "notes"}
        """
        return self._jobs.ask("samples", {"data": dict(plain)})

    def pictures(
        self, run_id: str, rows: Sequence[int], split: str = "train", side: int = 96
    ) -> JobState:
        """Small pictures of some images of a run's data set, by their rows in a split.

        Args:
            side: about how many pixels the longer side has.

        value: {row as text: path of a PNG file}

        Raises:
            WorkspaceError: there is no such run, or it cannot be read.
        """
        folder = self._workspace.run(run_id)
        spec = folder.spec()
        params = {
            "data": spec.data.model_dump(),
            "seed": spec.seed,
            "rows": [int(row) for row in rows],
            "fingerprint": str(folder.environment().get("data set", "")),
            "split": split,
            "side": side,
        }
        state = self._jobs.ask("pictures", params)
        if state.status == "done" and not all(Path(path).exists() for path in state.value.values()):
            state = self._jobs.ask("pictures", params, again=True)
        return state

    # What the nets answer. Weights are a run and the position that its student was saved at.

    def saved_weights(self, run_id: str) -> Mapping[str, At]:
        """`best` and `last` -> where these weights of a run's student were saved, as far as told.

        Raises:
            WorkspaceError: there is no such run.
        """
        return saved_weights(self._workspace.run(run_id))

    def answers(self, weights: Weights, split: str) -> JobState:
        """What student and teacher answer for the images of a split; kept once it is known.

        value: while it runs the share of the images that is done, 0 to 1; then Answers. They
        come without the teacher where it cannot be asked, and `message` says why.

        Raises:
            WorkspaceError: there is no such run, or it cannot be read.
        """
        run_id, at = weights
        folder = self._workspace.run(run_id)
        found = read_answers(folder, at, split)
        if found is not None and (found.teacher is not None or folder.spec().teacher is None):
            return JobState("done", found)
        params = {"weights": (run_id, at), "split": split}
        state = self._jobs.ask("answers", params)
        if state.status == "failed":
            return state
        if state.status == "done":
            if found is not None and state.value["fault"]:
                return JobState("done", found, state.value["fault"])
            self._jobs.ask("answers", params, again=True)
        return JobState("running", share_done(folder, at, split))

    def own_answers(self, weights: Weights, pictures: Sequence[tuple[str, bytes]]) -> JobState:
        """What student and teacher say of a person's own pictures, as (name, bytes of the file).

        value: [{"name", "fault": a sentence or nothing, "image": what the nets see, PNG in base64,
        "size": [width, height] of the file, "said": {"student" | "teacher": [[class id,
        probability], ...], the likeliest first}, "classes", "teacher_fault"}]

        Raises:
            WorkspaceError: there is no such run; the disk is full.
        """
        run_id, at = weights
        self._workspace.run(run_id)
        kept = [
            {"name": name, "path": str(keep_upload(self._workspace, data))}
            for name, data in pictures
        ]
        return self._jobs.ask("own_answers", {"weights": (run_id, at), "pictures": kept})

    # What segmenters see. A net is a run's student, where it was saved, or its teacher.

    def look_overlaps(self, run_id: str, split: str, net: SavedNet) -> JobState:
        """How well a net segments each picture of a split of a run's data set.

        value: {"images", "classes": of the net, "is_same": whether these are the data set's; if
        so "image_iou": [[0 to 1, None where the truth lacks the class] of each picture],
        "class_iou" of all pictures, "miou"}

        Raises:
            WorkspaceError: there is no such run; so for the two jobs below.
        """
        folder, of = self._workspace.run(run_id), self._workspace.run(net[0])
        here, there = (one.environment().get("data set", "") for one in (folder, of))
        kept = read_overlaps(of, net[1], split, net[2]) if here == there else None
        if kept is not None:
            classes = folder.environment().get("classes", ())
            return JobState("done", told_overlaps(kept.image_iou, kept.iou, classes))
        return self._jobs.ask(
            "look_overlaps", {"run": run_id, "split": split, "net": self._net(net)}
        )

    def look_masks(
        self, run_id: str, split: str, rows: Sequence[int], nets: Sequence[SavedNet]
    ) -> JobState:
        """Pictures of a run's data set, what is true there, and what nets see there, as files.

        value: {"size": [height, width], "classes", "palette", "nets": [{"classes", "is_same"}],
        "scenes": {row as text: {"image", "truth", "masks": paths, "iou": of each net [0 to 1 or
        None, of each class], or None}}}; a mask is one byte a pixel, deflated by zlib
        """
        self._workspace.run(run_id)
        params = {
            "run": run_id,
            "split": split,
            "rows": [int(row) for row in rows],
            "nets": [self._net(net) for net in nets],
        }
        state = self._jobs.ask("look_masks", params)
        if state.status == "done" and not _are_there(state.value["scenes"].values()):
            state = self._jobs.ask("look_masks", params, again=True)
        return state

    def keep_picture(self, data: bytes) -> str:
        """Keep a person's own picture for `look_own`; gives the name that it is asked for by.

        Raises:
            WorkspaceError: the disk is full or read-only.
        """
        return keep_upload(self._workspace, data).name

    def look_own(
        self, run_id: str, nets: Sequence[SavedNet], pictures: Sequence[tuple[str, str]]
    ) -> JobState:
        """What nets see in a person's own pictures.

        Args:
            pictures: as their owner calls them, and as `keep_picture` does.

        value: as of `look_masks`, but "scenes" is a list, each with its "name" and own "size" and
        without truth; with "fault", a sentence, where the picture cannot be used

        Raises:
            WorkspaceError: there is no such run.
        """
        self._workspace.run(run_id)
        folder = self._workspace.path / "uploads"
        params = {
            "run": run_id,
            "nets": [self._net(net) for net in nets],
            "pictures": [
                {"name": name, "path": str(folder / Path(kept).name)} for name, kept in pictures
            ],
        }
        state = self._jobs.ask("look_own", params)
        if state.status == "done" and not _are_there(
            one for one in state.value["scenes"] if not one["fault"]
        ):
            state = self._jobs.ask("look_own", params, again=True)
        return state

    # What the two parts of a student hold. Weights are a run and the position that its
    # checkpoint was saved at; each of these jobs takes seconds, so ask for one after another.

    def part_answers(self, weights: Weights) -> JobState:
        """How often each part of a student alone is right.

        value: {"images", "figures": {"inherit" | "explore" | "both": {"accuracy", "agreement":
        with the teacher}}}, shares from 0 to 1

        Raises:
            WorkspaceError: there is no such run; so for the jobs below.
        """
        return self._of_weights("part_answers", weights)

    def part_pictures(self, weights: Weights, fails: str) -> JobState:
        """Where the teacher, the student and its parts find the class of some images.

        Args:
            fails: "inherit" or "explore", which is wrong alone where both parts together are
                right; "both", which are wrong; "" for the first images.

        value: {"images": how many are such, "shown": [{"row" in the split, "label", "said":
        {"teacher", "both", and but for the first images "inherit", "explore": class}, "image":
        PNG in base64 with five tiles: image, teacher, whole student, inherit, explore}]}
        """
        return self._of_weights("part_pictures", weights, fails=fails)

    def part_likeness(self, weights: Weights, of: Weights | None = None) -> JobState:
        """Linear CKA between the last maps of the teacher and of a student's parts.

        Args:
            of: another run, whose student is divided by the same channels.

        value: {"images", "raw", "codes": {"teacher, inherit" | "teacher, explore" |
        "inherit, explore": 0 to 1, or None}}; no codes where no encoder learnt, or `of` is given
        """
        if of is not None:
            self._workspace.run(of[0])
        return self._of_weights("part_likeness", weights, of=of)

    def part_neurons(self, weights: Weights) -> JobState:
        """How many directions of a map hold nearly all of the loss's gradients.

        value: {"images", "left_out": shares of their energy that may be missing, "counts":
        {"teacher" | "inherit" | "explore": one number for each share}, "sizes": {...: values}}
        """
        return self._of_weights("part_neurons", weights)

    def student_flatness(self, weights: Weights, sigma: float) -> JobState:
        """The loss of a run's student when N(0, sigma^2) is added to its weights.

        value: {"images", "mean", "std" over five draws in nats; None where it overflows}
        """
        return self._of_weights("student_flatness", weights, sigma=sigma)

    # Segmenters

    def overlaps(self, run_id: str, net: str, split: str, at: At) -> Overlaps | None:
        """What an evaluation left: overlaps by image and a few masks; None where it left nothing.

        Raises:
            WorkspaceError: there is no such run, or its file cannot be read.
        """
        return read_overlaps(self._workspace.run(run_id), net, split, at)

    def scenes(self, run_id: str, split: str, rows: Sequence[int]) -> JobState:
        """Some images of a run's split with their true masks.

        value: {row as text: {"image": path of a PNG, "truth": path of a grey PNG of class ids,
        255 where nobody says}}

        Raises:
            WorkspaceError: there is no such run, or it cannot be read.
        """
        folder = self._workspace.run(run_id)
        spec = folder.spec()
        params = {
            "data": spec.data.model_dump(),
            "seed": spec.seed,
            "split": split,
            "rows": [int(row) for row in rows],
            "fingerprint": str(folder.environment().get("data set", "")),
        }
        state = self._jobs.ask("scene_pictures", params)
        paths = [path for pair in (state.value or {}).values() for path in pair.values()]
        if state.status == "done" and not all(Path(path).exists() for path in paths):
            state = self._jobs.ask("scene_pictures", params, again=True)
        return state

    def scene_features(self, weights: Weights) -> JobState:
        """Feature maps of the teacher's and the student's front on a few held-out images.

        value: {"split", "rows", "cut", "size": [h, w], "distance": [R of each image], "channels",
        "path": of an .npz with `teacher` and `student` (images, 1 + channels, h, w): the mean
        over all channels first}

        Raises:
            WorkspaceError: there is no such run.
        """
        return self._of_weights("scene_features", weights)

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

    def continue_longer(self, run_id: str, epochs: int) -> Experiment:
        """A new run that starts from a finished one's student."""
        folder = self._workspace.run(run_id)
        longer = folder.spec().replace(
            **{"student.weights": f"run:{run_id}", "schedule.epochs": epochs}
        )
        return self.launch(longer, name=f"{folder.meta().name} +{epochs} epochs")

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

    def heartbeat(self, run_id: str) -> Beat | None:
        """What the run's worker last said of itself."""
        return read_heartbeat(self._workspace.run(run_id))

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
        alone = own if own.role == "alone" else self._baseline(folder, own)
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

    def _net(self, net: SavedNet) -> list[Any]:
        run_id, role, at = net
        self._workspace.run(run_id)
        return [run_id, role, list(at)]

    def _of_weights(self, kind: str, weights: Weights, **more: Any) -> JobState:
        run_id, at = weights
        self._workspace.run(run_id)
        return self._jobs.ask(kind, {"weights": (run_id, at), **more})

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


def _are_there(scenes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the files of all pictures are where a job has left them."""
    paths = [path for one in scenes for path in (one["image"], *one["masks"])]
    return all(Path(path).exists() for path in paths)


def named_preset(name: str) -> Preset:
    """One of the presets that are shipped.

    Raises:
        SpecError: there is no such preset.
    """
    return find_preset(load_presets(PRESETS), name)


def plan_preset(preset: Preset, settings: Mapping[str, Any]) -> list[Planned]:
    """The runs of a preset; a teacher that should be shipped but is missing is trained first.

    Args:
        settings: paths that are set in every run that they concern: {"schedule.epochs": 2}.

    Raises:
        SpecError: a setting is not allowed.
        DataError: a folder that it names is not there.
        WeightsError: there is no file of the teacher's weights. Runs of a preset that need none
            would be over before a worker finds that out.
    """
    planned = preset.planned(settings)
    require_folders(plan.spec for plan in planned)
    for teacher in filter(None, (plan.spec.teacher for plan in planned)):
        is_file = not teacher.weights.startswith(("run:", "shipped:"))
        if is_file and teacher.weights != "DEFAULT" and not Path(teacher.weights).is_file():
            raise WeightsError(f"there is no file {teacher.weights}", where="teacher.weights")
    return _with_missing_teachers(planned)


def _with_missing_teachers(planned: list[Planned]) -> list[Planned]:
    """Train what should be shipped but is not there, by the recipe beside it."""
    for plan in planned:
        teacher = plan.spec.teacher
        name = teacher.weights.removeprefix("shipped:") if teacher else ""
        recipe = SHIPPED / f"{name}.yaml"
        if name and recipe.is_file() and not recipe.with_suffix(".safetensors").is_file():
            first = Planned("teacher", "teacher", {}, parse_spec(recipe.read_text()))
            rest = [_taught_by_first(one, f"shipped:{name}") for one in planned]
            return [first, *rest]
    return planned


def _taught_by_first(plan: Planned, weights: str) -> Planned:
    if plan.spec.teacher is None or plan.spec.teacher.weights != weights:
        return plan
    return plan._replace(spec=plan.spec.replace(**{"teacher.weights": "run:0"}))


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
