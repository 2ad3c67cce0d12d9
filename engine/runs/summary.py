"""What the Runs table needs of one run, without reading its log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from engine.errors import WorkspaceError
from engine.events import RunEnded, RunResumed, RunStarted
from engine.runs.disk import replace_file
from engine.runs.folder import Role, RunFolder, Workspace
from engine.runs.life import ACTIVE, OVER, Status
from engine.runs.view import RunView, fold
from engine.spec import HEADLINES, Choice, Frozen


class Labels(Frozen):
    """Registered names of the parts; empty where a run has none."""

    data: str = ""
    teacher: str = ""
    student: str = ""
    method: str = ""
    policy: str = ""
    distiller: str = ""


class Figures(Frozen):
    """What stands for the nets of a run (see `headline`), from 0 to 1; None where not measured."""

    teacher_validation: float | None = None
    teacher_test: float | None = None
    last_validation: float | None = None  # of the student
    last_test: float | None = None
    best_validation: float | None = None
    best_test: float | None = None


class Cost(Frozen):
    """Counts for one image."""

    parameters: int
    multiply_adds: int


class Summary(Frozen):
    """One row of the Runs table."""

    id: str
    status: Status
    name: str = ""
    tags: tuple[str, ...] = ()
    owner: str = ""
    experiment: str = ""
    role: Role = ""
    created: float = 0.0  # seconds since 1970
    seconds: float = 0.0  # between the starts of its workers and their ends
    labels: Labels = Labels()
    seed: int = 0
    headline: str = HEADLINES["classify"]  # what `figures` are
    epochs_done: int = 0
    epochs_planned: int = 0  # of the phases known so far, at least the schedule's
    progress: float = 0.0  # share of all steps of the plan
    figures: Figures = Figures()
    costs: Mapping[str, Cost] = {}  # teacher, student
    message: str = ""  # why it ended
    hash: str = ""
    baseline_hash: str = ""
    size_bytes: int = 0
    log_bytes: int = 0  # of the log that this was made from


def summaries(workspace: Workspace) -> tuple[Summary, ...]:
    """Of all runs, newest first."""
    return _index(workspace.path).summaries()


def summary_of_run(folder: RunFolder) -> Summary:
    """Of one run, as the table shows it."""
    return _index(folder.workspace.path).summary(folder)


def summary_of(folder: RunFolder, view: RunView, log_bytes: int) -> Summary:
    """From a folded log.

    Args:
        folder: of the run.
        view: its log, folded.
        log_bytes: how much of the log that was.

    Raises:
        WorkspaceError: the spec or the meta data cannot be read.
    """
    spec, meta = folder.spec(), folder.meta()
    planned = max(spec.schedule.epochs, sum(begun.epochs for begun in view.plan))
    return Summary(
        id=folder.id,
        status=folder.status(),
        name=meta.name,
        tags=meta.tags,
        owner=meta.owner,
        experiment=meta.experiment,
        role=meta.role,
        created=meta.created,
        seconds=_seconds(folder, view),
        labels=Labels(
            data=spec.data.name,
            teacher=_name(spec.teacher),
            student=spec.student.name,
            method=spec.method.name,
            policy=_name(spec.policy),
            distiller=_name(spec.distiller),
        ),
        seed=spec.seed,
        headline=spec.headline,
        epochs_done=int(view.epoch_of(view.at)),
        epochs_planned=planned,
        progress=view.steps_done / view.total_steps if view.total_steps else 0.0,
        figures=_figures(view),
        costs={
            role: Cost(parameters=cost.parameters, multiply_adds=cost.multiply_adds)
            for role, cost in view.costs.items()
        },
        message=view.ended.message if view.ended else "",
        hash=spec.hash(),
        baseline_hash=spec.baseline_hash(),
        size_bytes=folder.size_bytes(),
        log_bytes=log_bytes,
    )


def write_summary(folder: RunFolder, view: RunView) -> None:
    """Keep a summary beside the run; only the holder of the run's lock does so.

    Raises:
        WorkspaceError: the disk is full, or the spec cannot be read.
    """
    summary = summary_of(folder, view, folder.log.size_bytes())
    folder.artefacts.mkdir(exist_ok=True)
    replace_file(
        folder.artefacts / "summary.json", summary.model_dump_json().encode(), is_lasting=False
    )


class _Known(NamedTuple):
    stamp: tuple[int, ...]
    summary: Summary
    view: RunView | None  # of a run that goes on, to fold only what is new


class _Index:
    """The summaries of one workspace, each made anew when its log or meta data changed."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, _Known] = {}

    def summaries(self) -> tuple[Summary, ...]:
        folders = self._workspace.runs()
        found = tuple(self.summary(folder) for folder in folders)
        for gone in self._known.keys() - {folder.id for folder in folders}:
            self._known.pop(gone, None)
        return found

    def summary(self, folder: RunFolder) -> Summary:
        known = self._known.get(folder.id)
        try:
            stamp = _stamp(folder)
            if known is None or known.stamp != stamp:
                known = _summarised(folder, stamp, known)
                self._known[folder.id] = known
        except WorkspaceError as error:
            return Summary(id=folder.id, status="unreadable", name=folder.id, message=str(error))
        summary = known.summary
        if summary.status in OVER - {"interrupted"}:
            return summary
        return summary.model_copy(update={"status": folder.status()})


@lru_cache(maxsize=4)
def _index(path: Path) -> _Index:
    return _Index(Workspace(path))


def _stamp(folder: RunFolder) -> tuple[int, ...]:
    found: list[int] = []
    for name in ("events.jsonl", "meta.json", "spec.json"):
        try:
            stat = (folder.path / name).stat()
        except FileNotFoundError:
            continue
        found += [stat.st_mtime_ns, stat.st_size]
    return tuple(found)


def _summarised(folder: RunFolder, stamp: tuple[int, ...], known: _Known | None) -> _Known:
    stored = _stored(folder)
    if stored is not None:
        return _Known(stamp, stored, None)
    view, offset = RunView(), 0
    if known is not None and known.view is not None:
        view, offset = known.view, known.summary.log_bytes
    events, offset, _ = folder.log.read(offset)
    view = fold(view, events)
    summary = summary_of(folder, view, offset)
    return _Known(stamp, summary, view if summary.status in ACTIVE else None)


def _stored(folder: RunFolder) -> Summary | None:
    """The summary that the worker wrote, if the log has not grown since."""
    try:
        stored = Summary.model_validate_json((folder.artefacts / "summary.json").read_bytes())
    except (OSError, ValidationError):
        return None
    if stored.log_bytes != folder.log.size_bytes():
        return None
    folder.spec()
    meta: dict[str, Any] = folder.meta().model_dump(exclude={"notes"})
    return stored.model_copy(update=meta)


def _seconds(folder: RunFolder, view: RunView) -> float:
    """The last worker's end is the log's last change where nothing tells it."""
    total, since = 0.0, None
    for event in view.life:
        if isinstance(event, RunStarted | RunResumed):
            since = event.time
        elif isinstance(event, RunEnded) and since is not None:
            total, since = total + event.time - since, None
    if since is not None:
        total += max(0.0, folder.log.path.stat().st_mtime - since)
    return total


def _figures(view: RunView) -> Figures:
    best = view.figure("student", split="validation", weights="best")
    if best is None:
        best = max(_epoch_ends(view), default=None)
    return Figures(
        teacher_validation=view.figure("teacher", split="validation"),
        teacher_test=view.figure("teacher", split="test"),
        last_validation=view.figure("student", split="validation", weights="last"),
        last_test=view.figure("student", split="test", weights="last"),
        best_validation=best,
        best_test=view.figure("student", split="test", weights="best"),
    )


def _epoch_ends(view: RunView) -> Iterator[float]:
    """The student's figures of which the best is kept: those of untrained weights are not."""
    for event in view.evaluated:
        is_of_student = (event.net, event.split, event.weights) == ("student", "validation", "last")
        is_of_epoch = not event.by_hand and event.at > (0, 0, 0)
        if is_of_student and is_of_epoch and view.headline in event.figures:
            yield event.figures[view.headline]


def _name(choice: Choice | None) -> str:
    return choice.name if choice else ""
