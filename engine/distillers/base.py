"""The contract that each distiller keeps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.errors import SpecError
from engine.nets.staged import Kind, Norm, StagedNet, Tap, Trace
from engine.registry import Registry

Taps = Mapping[str, Tap]
Weight = Annotated[float, Field(ge=0, le=1e6, description="Weight of this loss (beta)")]
Part = Annotated[float, Field(ge=0, le=1e3, description="Weight of this part")]


class Spot(NamedTuple):
    """A place where knowledge may pass: a tap of the student and a tap of the teacher."""

    student: str
    teacher: str

    @property
    def name(self) -> str:
        return self.student if self.student == self.teacher else f"{self.student}:{self.teacher}"

    @property
    def cut(self) -> Spot:
        """Where a sample may hop between the nets: the ends of the stages that hold the taps."""
        return Spot(self.student.partition(".")[0], self.teacher.partition(".")[0])


@dataclass(frozen=True, slots=True)
class Pair:
    """The two nets' signals at one spot, ready to compare."""

    student: Tensor
    teacher: Tensor

    def select(self, rows: Tensor) -> Pair:
        """The samples at `rows` (K,), in float32 whatever the nets compute in."""
        return Pair(self.student[rows].float(), self.teacher[rows].float())

    def whole(self) -> Pair:
        """All samples in float32, without a copy where they are in it."""
        return Pair(self.student.float(), self.teacher.float())


@dataclass(frozen=True, slots=True)
class Setting:
    """What a distiller is built with: facts about the two nets and the data.

    targets: (N,) int64 class ids of the training split
    spots:   where to compare instead of the published places; empty for these
    norms:   teacher's tap -> the norm of its signal before the ReLU, where the net tells it
    head:    the teacher's classifier, frozen, where it is one linear layer
    """

    student: Taps
    teacher: Taps
    targets: Tensor
    num_classes: int
    seed: int
    spots: tuple[Spot, ...] = ()
    norms: Mapping[str, Norm] = field(default_factory=dict)
    head: nn.Linear | None = None

    @property
    def num_samples(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What must be learnt before distillation begins, in a phase of its own.

    module: of the distiller; learns in this phase
    lr:     its learning rate, constant
    loss:   (student's trace, teacher's trace) -> (B,)
    moves_student: the student learns in it too, and the module goes on learning afterwards;
            else the student's trace is empty and the module is frozen after the phase
    """

    module: nn.Module
    epochs: int
    lr: float
    loss: Callable[[Trace, Trace], Tensor]
    moves_student: bool = False


class Distiller(nn.Module):
    """Measures how far a student is from its teacher at each spot.

    project sees the whole batch; measure sees only the samples to be distilled and answers
    with one value for each of them. A distiller never runs a net, adds a task loss or sees a
    mask.

    Attributes:
        kind: of the taps that it compares.
        has_many: it takes any number of spots, else exactly one.
        min_samples: below it, nothing is measured and the loss is exactly 0.
        warm_up: what must be learnt before; None for most.
    """

    kind: ClassVar[Kind] = "map"
    has_many: ClassVar[bool] = False
    min_samples: ClassVar[int] = 1
    warm_up: WarmUp | None = None

    def __init__(self, setting: Setting, *, weight: float) -> None:
        super().__init__()
        self.weight = weight
        if setting.spots:
            self.spots = self._allowed(setting)
        else:
            self.spots = self.place(setting.student, setting.teacher)

    def _allowed(self, setting: Setting) -> tuple[Spot, ...]:
        spots = setting.spots
        if len(spots) > 1 and not self.has_many:
            raise SpecError(f"this distiller compares at one spot, not at {len(spots)}")
        for spot in spots:
            for tap, taps in ((spot.student, setting.student), (spot.teacher, setting.teacher)):
                if tap not in taps:
                    raise SpecError(f"there is no tap {tap!r}; there are: {', '.join(taps)}")
        return require_kind(spots, setting.student, setting.teacher, self.kind)

    def learning(self) -> list[nn.Parameter]:
        """The parameters that learn together with the student."""
        warm_up = self.warm_up
        frozen = warm_up is not None and not warm_up.moves_student
        early = set(warm_up.module.parameters()) if warm_up and frozen else set()
        return [p for p in self.parameters() if p not in early]

    @abstractmethod
    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        """Choose the spots, in the order of the stages.

        Raises:
            SpecError: this pair of nets offers none.
        """

    def deploy(self, student: StagedNet) -> None:
        """Change the student, once, into what is trained, evaluated and kept; most do not."""

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        """One pair for each spot, over the whole batch."""
        return tuple(Pair(student[s], teacher[t].detach()) for s, t in self.spots)

    @abstractmethod
    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """How far apart the two are for each sample, (K,) for K samples."""

    def repel(self, pair: Pair, batch: Batch) -> Tensor:
        """What goes down as a student moves away from its teacher, (K,), bounded below.

        Raises:
            SpecError: this distiller has no bounded distance; a student that ran from it
                would never arrive.
        """
        raise SpecError("this distiller has no distance to move away by")

    def apart(self, repelled: Tensor) -> Tensor:
        """The distance that a value of `repel` stands for: it grows as the student moves away."""
        return -repelled

    def remember(self, pairs: tuple[Pair, ...], batch: Batch, kept: Tensor) -> None:
        """Keep what later steps need, once a step and after its losses were measured.

        Args:
            pairs: as projected, over the whole batch.
            kept: (B, spots) bool.
        """


Measure = Callable[[Pair, Batch], Tensor]


def distil(
    distiller: Distiller,
    pairs: tuple[Pair, ...],
    batch: Batch,
    kept: Tensor,
    measure: Measure | None = None,
) -> Tensor:
    """Losses by sample and spot, not weighted; 0 where a spot is not kept.

    The mean over the batch of a column is (K / B) times the loss of the K kept samples.

    Args:
        kept: (B, spots) bool.
        measure: instead of the distiller's own.

    Returns:
        (B, spots) float32.
    """
    measure = measure or distiller.measure
    columns = []
    for pair, column in zip(pairs, kept.unbind(dim=1), strict=True):
        rows = column.nonzero(as_tuple=True)[0]
        if len(rows) < distiller.min_samples:
            losses = torch.zeros(len(column), device=kept.device)
        elif len(rows) == len(column):
            losses = measure(pair.whole(), batch)
        else:
            measured = measure(pair.select(rows), batch.select(rows))
            losses = torch.zeros(len(column), device=kept.device).index_put((rows,), measured)
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
    return require_kind(spots, student, teacher, "map")


def before_relu(stage: str, taps: Taps) -> str:
    """The tap of a stage before its ReLU where the net lets us read it, else its end."""
    return f"{stage}.pre" if f"{stage}.pre" in taps else stage


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


def require_kind(
    spots: tuple[Spot, ...], student: Taps, teacher: Taps, kind: Kind
) -> tuple[Spot, ...]:
    """The spots, if there are any and both their taps are of one kind.

    Raises:
        SpecError: else.
    """
    for spot in spots:
        for tap in (student[spot.student], teacher[spot.teacher]):
            if tap.kind != kind:
                raise SpecError(f"spot {spot.name} is a {tap.kind}; this distiller needs a {kind}")
    if not spots:
        raise SpecError("these two nets share no stage to compare")
    return spots
