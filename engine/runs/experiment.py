"""Several runs asked for as one: seeds, policies, baselines, a teacher to train first."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from engine.errors import WorkspaceError
from engine.runs.disk import replace_file
from engine.runs.folder import Meta, RunFolder, Workspace, is_id, new_id
from engine.runs.life import OVER
from engine.runs.queue import RunQueue
from engine.runs.summary import Figures, Summary, summaries, summary_of_run
from engine.runs.view import RunView, fold
from engine.spec import Frozen, Knob, NetChoice, RunSpec

MemberRole = Literal["alone", "student", "teacher"]
Value = Knob | None

_DISTANCE = "feature_distance"
_BY_SEED = ("miou", "hp60", "hp75", "variance", _DISTANCE)

# What a student that nobody teaches does not have.
_TAUGHT = ("teacher", "distiller", "policy")


class Planned(NamedTuple):
    """A run before it exists. A net's weights `run:0` mean the first planned run's."""

    label: str
    role: MemberRole
    axes: Mapping[str, Value]
    spec: RunSpec


class Member(Frozen):
    """One run of an experiment."""

    run: str  # id
    role: MemberRole
    label: str = ""
    waits_for: tuple[str, ...] = ()  # ids of runs whose weights it takes
    axes: Mapping[str, Value] = {}


class Experiment(Frozen):
    """Runs that belong together; its status and figures are those of its runs."""

    id: str
    name: str
    preset: str = ""
    note: str = ""
    created: float  # seconds since 1970
    runs: tuple[Member, ...]


def expand(
    base: RunSpec, axes: Mapping[str, Sequence[Value]], with_baseline: bool
) -> list[Planned]:
    """The runs of a grid: each combination of the axes' values, the last axis fastest.

    Args:
        base: what the runs share.
        axes: path as in `RunSpec.replace` -> values.
        with_baseline: whether to add, before them, the same student taught by nobody: one run
            for each seed, and for whatever else a baseline must have in common.

    Raises:
        SpecError: a value is not allowed.
    """
    grid = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    planned = [_planned(base.replace(**values), values) for values in grid]
    if not with_baseline:
        return planned
    baselines: dict[str, Planned] = {}
    for taught in planned:
        if taught.role == "student":
            baselines.setdefault(taught.spec.baseline_hash(), _baseline(taught))
    return [*baselines.values(), *planned]


def label_of(axes: Mapping[str, Value]) -> str:
    """As in `adaptive, seed 1`."""
    return ", ".join(_words(path, value) for path, value in axes.items())


def create_experiment(
    workspace: Workspace,
    name: str,
    planned: Sequence[Planned],
    *,
    preset: str = "",
    note: str = "",
    owner: str = "",
    tags: Sequence[str] = (),
    is_queued: bool = True,
) -> Experiment:
    """Make the runs' folders and put them into the queue in the order of `planned`.

    Args:
        is_queued: False leaves the queue alone; the caller drives the runs.

    Raises:
        WorkspaceError: the disk is full or read-only; then no run is left behind.
    """
    created = time.time()
    experiment_id = new_id()
    members: list[Member] = []
    try:
        for plan in planned:
            meta = Meta(
                name=f"{name}: {plan.label}" if plan.label else name,
                tags=tuple(tags),
                owner=owner,
                experiment=experiment_id,
                role=plan.role,
            )
            spec = _with_real_ids(plan.spec, [member.run for member in members])
            needed = _unfinished(workspace, spec)
            run_id = workspace.create(spec, meta).id
            members.append(
                Member(
                    run=run_id, role=plan.role, label=plan.label, waits_for=needed, axes=plan.axes
                )
            )
        experiment = Experiment(
            id=experiment_id,
            name=name,
            preset=preset,
            note=note,
            created=created,
            runs=tuple(members),
        )
        replace_file(_path(workspace, experiment_id), experiment.model_dump_json(indent=2).encode())
    except WorkspaceError:
        for member in members:
            shutil.rmtree(workspace.run(member.run).path, ignore_errors=True)
        raise
    for member in members if is_queued else ():
        RunQueue(workspace).add(member.run)
    return experiment


def read_experiment(workspace: Workspace, experiment_id: str) -> Experiment:
    """One experiment.

    Raises:
        WorkspaceError: there is none with this id, or it cannot be read.
    """
    if not is_id(experiment_id) or not _path(workspace, experiment_id).exists():
        raise WorkspaceError(f"there is no experiment {experiment_id!r} in {workspace.path}")
    try:
        return Experiment.model_validate_json(_path(workspace, experiment_id).read_bytes())
    except ValidationError as error:
        why = error.errors()[0]["msg"].lower()
        raise WorkspaceError(f"experiment {experiment_id} cannot be read: {why}") from None


def experiments(workspace: Workspace) -> tuple[Experiment, ...]:
    """All that can be read, newest first."""
    found: list[Experiment] = []
    for path in sorted(workspace.experiments.glob("*.json"), reverse=True):
        try:
            found.append(read_experiment(workspace, path.stem))
        except WorkspaceError:
            continue  # its runs are listed all the same
    return tuple(found)


def waits_for(workspace: Workspace, folder: RunFolder) -> tuple[str, ...]:
    """Ids of the runs that must be finished before this one begins.

    Raises:
        WorkspaceError: the run or its experiment cannot be read.
    """
    experiment_id = folder.meta().experiment
    if not experiment_id:
        return ()
    members = read_experiment(workspace, experiment_id).runs
    return next((member.waits_for for member in members if member.run == folder.id), ())


def figures(workspace: Workspace, experiment: Experiment) -> Mapping[str, Any]:
    """What an experiment found: means over seeds, last weights.

    Measured on the test split where a student was, else on validation; None where not measured
    there. Accuracy of teacher, student alone and student taught; of several settings those of the
    experiment's first student count. Of segmenters the figures of every setting, by its label:
    see `segmenters`.
    """
    rows = _rows(workspace, experiment)
    if any(row.summary.headline == "miou" for row in rows):
        return segmenters(workspace, rows)
    found: dict[str, float | None] = {}
    for split in ("test", "validation"):
        found = {
            "teacher": _mean(_teacher_figures(rows, split)),
            "alone": _mean(_student_figures(rows, "alone", split)),
            "student": _mean(_student_figures(rows, "student", split)),
        }
        if any(found[role] is not None for role in ("student", "alone")):
            break
    return found


def segmenters(workspace: Workspace, rows: Iterable[_Row]) -> dict[str, dict[str, Any]]:
    """As in `sd` -> `miou` -> mean over the seeds of its last weights.

    Each setting also has `miou_std`, the deviation over seeds (of a sample; 0 for one), and
    `by_seed`: figure -> its values in the order of the runs. All are of the test split, as soon as
    one run was measured there, but for the feature distance, which is of the validation split. A
    figure that a run has not measured is left out.
    """
    told = [(_setting(row.member), _last_figures(workspace.run(row.summary.id))) for row in rows]
    is_tested = any("test" in splits for _, splits in told)
    found: dict[str, dict[str, list[float]]] = {}
    for setting, splits in told:
        here = found.setdefault(setting, {})
        for name, value in splits.get("test" if is_tested else "validation", {}).items():
            here.setdefault(name, []).append(value)
    return {
        label: {
            **{name: fmean(values) for name, values in told.items()},
            **({"miou_std": _deviation(told["miou"])} if "miou" in told else {}),
            "by_seed": {name: told[name] for name in _BY_SEED if name in told},
        }
        for label, told in found.items()
    }


def find_baseline(workspace: Workspace, spec: RunSpec) -> RunFolder | None:
    """The newest finished run of the same student, alone, under the same conditions."""
    wanted = spec.baseline_hash()
    for summary in summaries(workspace):
        if (
            summary.status == "finished"
            and summary.labels.method == "alone"
            and summary.baseline_hash == wanted
        ):
            return workspace.run(summary.id)
    return None


def _planned(spec: RunSpec, axes: Mapping[str, Value]) -> Planned:
    role: MemberRole = "alone" if spec.method.name == "alone" else "student"
    return Planned(label_of(axes) or role, role, axes, spec)


def _baseline(taught: Planned) -> Planned:
    spec = taught.spec.replace(method="alone", teacher=None, distiller=None, policy=None)
    axes = shared_axes(taught.axes)
    return Planned(", ".join(filter(None, ["alone", label_of(axes)])), "alone", axes, spec)


def shared_axes(axes: Mapping[str, Any]) -> dict[str, Any]:
    """Those that mean something to a student taught by nobody."""
    of_teaching = (*_TAUGHT, "method")
    return {path: axes[path] for path in axes if path.split(".")[0] not in of_teaching}


def _words(path: str, value: Value) -> str:
    name = path.rsplit(".", 1)[-1]
    if value is None:
        return f"no {name}"
    return f"{name} {value}" if not isinstance(value, str) else value


def with_weights(spec: RunSpec, renamed: Mapping[str, str]) -> RunSpec:
    """A spec in which `run:OLD` became `run:NEW`."""
    changes = {
        f"{part}.weights": f"run:{renamed[net.weights.removeprefix('run:')]}"
        for part, net in _nets(spec)
        if net.weights.startswith("run:") and net.weights.removeprefix("run:") in renamed
    }
    return spec.replace(**changes) if changes else spec


def _with_real_ids(spec: RunSpec, earlier: Sequence[str]) -> RunSpec:
    for _, net in _nets(spec):
        index = net.weights.removeprefix("run:")
        if net.weights.startswith("run:") and index.isdecimal() and int(index) >= len(earlier):
            raise WorkspaceError(
                f"weights {net.weights!r} mean a run that is not planned before this one"
            )
    return with_weights(spec, {str(index): run_id for index, run_id in enumerate(earlier)})


def _unfinished(workspace: Workspace, spec: RunSpec) -> tuple[str, ...]:
    """The runs whose weights a spec takes and that are not over.

    A run just made counts as not over, though nobody has queued it yet.
    """
    names = [
        net.weights.removeprefix("run:") for _, net in _nets(spec) if net.weights.startswith("run:")
    ]
    folders = [workspace.run(name) for name in dict.fromkeys(names)]
    return tuple(
        folder.id
        for folder in folders
        if folder.log.last_life()[0] is None or folder.status() not in OVER
    )


def _nets(spec: RunSpec) -> Iterable[tuple[str, NetChoice]]:
    yield "student", spec.student
    if spec.teacher is not None:
        yield "teacher", spec.teacher


def _path(workspace: Workspace, experiment_id: str) -> Path:
    return workspace.experiments / f"{experiment_id}.json"


class _Row(NamedTuple):
    member: Member
    summary: Summary


def _rows(workspace: Workspace, experiment: Experiment) -> list[_Row]:
    rows: list[_Row] = []
    for member in experiment.runs:
        try:
            rows.append(_Row(member, summary_of_run(workspace.run(member.run))))
        except WorkspaceError:
            continue  # in the trash
    return rows


def _alike(rows: Iterable[_Row], role: MemberRole) -> list[Figures]:
    """The figures of those runs of a role that differ from its first in their seed only."""
    chosen = [row for row in rows if row.member.role == role]
    settings = [{p: v for p, v in row.member.axes.items() if p != "seed"} for row in chosen]
    return [
        row.summary.figures
        for row, setting in zip(chosen, settings, strict=True)
        if setting == settings[0]
    ]


def _student_figures(rows: Iterable[_Row], role: MemberRole, split: str) -> list[float | None]:
    return [getattr(found, f"last_{split}") for found in _alike(rows, role)]


def _teacher_figures(rows: Sequence[_Row], split: str) -> list[float | None]:
    """As its students' runs measured it; before that, as its own run did."""
    measured = [getattr(found, f"teacher_{split}") for found in _alike(rows, "student")]
    if any(value is not None for value in measured):
        return measured
    return [getattr(found, f"best_{split}") for found in _alike(rows, "teacher")]


def _setting(member: Member) -> str:
    """A member's label without its seed."""
    own = member.label.removesuffix(label_of(member.axes)).rstrip(", ")
    rest = {path: value for path, value in member.axes.items() if path != "seed"}
    return ", ".join(filter(None, [own, label_of(rest)])) or member.role


def _last_figures(folder: RunFolder) -> dict[str, dict[str, float]]:
    """Split -> what the student's last weights reached there, and its last feature distance."""
    view = fold(RunView(), folder.log.read()[0])
    told = [e for e in view.evaluated if (e.net, e.weights) == ("student", "last")]
    distances = [e.figures[_DISTANCE] for e in told if _DISTANCE in e.figures]
    distance = {_DISTANCE: distances[-1]} if distances else {}
    return {e.split: {**e.figures, **distance} for e in told}


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
