"""The contract that each distiller keeps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.errors import SpecError
from engine.nets.staged import Tap, Trace
from engine.registry import Registry

Taps = Mapping[str, Tap]
Weight = Annotated[float, Field(ge=0, le=1e6, description="Weight of this loss (beta)")]


class Spot(NamedTuple):
    """A place where knowledge may pass: a tap of the student and a tap of the teacher."""

    student: str
    teacher: str

    @property
    def name(self) -> str:
        return self.student if self.student == self.teacher else f"{self.student}:{self.teacher}"


@dataclass(frozen=True, slots=True)
class Pair:
    """The two nets' signals at one spot, ready to compare."""

    student: Tensor
    teacher: Tensor

    def select(self, rows: Tensor) -> Pair:
        """The samples at `rows` (K,), in float32 whatever the nets compute in."""
        return Pair(self.student[rows].float(), self.teacher[rows].float())


@dataclass(frozen=True, slots=True)
class Setting:
    """What a distiller is built with: facts about the two nets and the data."""

    student: Taps
    teacher: Taps
    num_samples: int
    num_classes: int
    seed: int


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What a distiller must learn from the teacher before distillation begins.

    module: learns in this phase and is frozen after it
    lr:     its learning rate, constant
    loss:   teacher's trace -> (B,)
    """

    module: nn.Module
    epochs: int
    lr: float
    loss: Callable[[Trace], Tensor]


class Distiller(nn.Module):
    """Measures how far a student is from its teacher at each spot.

    project sees the whole batch; measure sees only the samples to be distilled and answers
    with one value for each of them. A distiller never runs a net, adds a task loss or sees a
    mask.

    Attributes:
        min_samples: below it, nothing is measured and the loss is exactly 0.
        warm_up: what must be learnt before; None for most.
    """

    min_samples: ClassVar[int] = 1
    warm_up: WarmUp | None = None

    def __init__(self, setting: Setting, *, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.spots = self.place(setting.student, setting.teacher)

    def learning(self) -> list[nn.Parameter]:
        """The parameters that learn together with the student."""
        early = set(self.warm_up.module.parameters()) if self.warm_up else set()
        return [p for p in self.parameters() if p not in early]

    @abstractmethod
    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        """Choose the spots, in the order of the stages.

        Raises:
            SpecError: this pair of nets offers none.
        """

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        """One pair for each spot, over the whole batch."""
        return tuple(Pair(student[s], teacher[t].detach()) for s, t in self.spots)

    @abstractmethod
    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """How far apart the two are for each sample, (K,) for K samples."""


def distil(distiller: Distiller, pairs: tuple[Pair, ...], batch: Batch, kept: Tensor) -> Tensor:
    """Losses by sample and spot, not weighted; 0 where a spot is not kept.

    The mean over the batch of a column is (K / B) times the loss of the K kept samples.

    Args:
        kept: (B, spots) bool.

    Returns:
        (B, spots) float32.
    """
    columns = []
    for pair, column in zip(pairs, kept.unbind(dim=1), strict=True):
        rows = column.nonzero(as_tuple=True)[0]
        losses = torch.zeros(len(column), device=kept.device)
        if len(rows) >= distiller.min_samples:
            measured = distiller.measure(pair.select(rows), batch.select(rows))
            losses = losses.index_put((rows,), measured)
        columns.append(losses)
    return torch.stack(columns, dim=1)


DISTILLERS: Registry[Distiller] = Registry("distiller")


# Where the published distillers look. A net's features f0, f1, ... are its cuts: f0 the stem,
# then the stages, the embedding last.


def cuts_of(taps: Taps) -> tuple[str, ...]:
    """The stages of a net but the logits, in order."""
    return tuple(name for name, tap in taps.items() if "." not in name and tap.kind != "logits")


def spots_at_stages(student: Taps, teacher: Taps) -> tuple[Spot, ...]:
    """Stage by stage from f1 on, as far as both nets have maps before their last feature."""
    ours, theirs = cuts_of(student), cuts_of(teacher)
    last = min(len(ours), len(theirs)) - 2
    spots = tuple(Spot(ours[i], theirs[i]) for i in range(1, last + 1))
    return _require_kind(spots, student, teacher, "map")


def spot_at_feature(student: Taps, teacher: Taps, index: int) -> tuple[Spot, ...]:
    """The feature with one index in both nets; negative counts from the embedding, -1.

    Raises:
        SpecError: one of the nets has no such feature.
    """
    ours, theirs = cuts_of(student), cuts_of(teacher)
    fewest = min(len(ours), len(theirs))
    if not -fewest <= index < fewest:
        raise SpecError(f"feature {index} does not exist: these nets share {fewest} features")
    return (Spot(ours[index], theirs[index]),)


def spot_at_logits(student: Taps, teacher: Taps) -> tuple[Spot, ...]:
    """The logits of both nets."""
    ours = next(name for name, tap in student.items() if tap.kind == "logits")
    theirs = next(name for name, tap in teacher.items() if tap.kind == "logits")
    if student[ours].shape != teacher[theirs].shape:
        raise SpecError(
            f"the teacher knows {teacher[theirs].shape[0]} classes,"
            f" the student {student[ours].shape[0]}"
        )
    return (Spot(ours, theirs),)


def _require_kind(
    spots: tuple[Spot, ...], student: Taps, teacher: Taps, kind: str
) -> tuple[Spot, ...]:
    for spot in spots:
        for tap in (student[spot.student], teacher[spot.teacher]):
            if tap.kind != kind:
                raise SpecError(f"spot {spot.name} is a {tap.kind}; this distiller needs a {kind}")
    if not spots:
        raise SpecError("these two nets share no stage to compare")
    return spots
