"""What pages are told of runs and of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.runs.experiment import (
    Experiment,
)
from engine.runs.folder import Meta
from engine.runs.life import Status
from engine.spec import RunSpec


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
