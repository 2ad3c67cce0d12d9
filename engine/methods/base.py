"""What a method gets, and what it owes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from engine.data.batch import VOID, Batch, Batches
from engine.data.pool_loader import Pools
from engine.distillers.base import Distiller, Setting, Spot
from engine.nets.staged import StagedNet, Tap
from engine.registry import Registry
from engine.spec import Schedule
from engine.training.phase import Descend, Learner, Lesson, Phase
from engine.training.schedule import rate_factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What a run lays out for its method; all nets are on the run's device.

    teacher:   frozen, or None where the method needs none
    data:      the training batches of a method with one phase
    pools:     draws the batches of a method with several; only where pixels have the classes
    targets:   (N,) int64 class ids of the training split
    distiller: builds the chosen distiller, or None where the method needs none
    policy:    (width, spots) -> the chosen policy, or None
    peer:      (design, what it is called in this run) -> one more net with random weights, and
               its taps; no design means the student's
    """

    student: StagedNet
    teacher: StagedNet | None
    student_taps: Mapping[str, Tap]
    teacher_taps: Mapping[str, Tap]
    is_same_family: bool
    data: Batches
    targets: Tensor
    num_classes: int
    distiller: Callable[[Setting], Distiller] | None
    policy: Callable[..., Any] | None
    schedule: Schedule
    seed: int
    device: torch.device
    precision: torch.dtype
    peer: Callable[[str, str], tuple[StagedNet, Mapping[str, Tap]]]
    pools: Pools | None = None

    def setting(self, spots: tuple[Spot, ...] = ()) -> Setting:
        """What distillers are built with; `spots` where the published ones are not wanted."""
        teacher = self.teacher
        head = None if teacher is None else teacher.stages["logits"]
        return Setting(
            student=self.student_taps,
            teacher=self.teacher_taps,
            targets=self.targets,
            num_classes=self.num_classes,
            seed=self.seed,
            spots=spots,
            norms={} if teacher is None else teacher.norms(),
            head=head if isinstance(head, nn.Linear) else None,
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """Around nets and adapters; losses, policy and measures stay float32."""
        enabled = self.precision is not torch.float32
        return torch.autocast(self.device.type, dtype=self.precision, enabled=enabled)

    def rate(self, epoch: int, step: int) -> float:
        """The schedule's factor of the base rate."""
        return rate_factor(self.schedule, epoch, step, self.data.steps)

    def learner(
        self,
        name: str,
        parameters: list[nn.Parameter],
    ) -> Learner:
        """A learner that follows the run's schedule."""
        return Learner(name, optimizer_of(self.schedule, [{"params": parameters}]), self.rate)


class Method:
    """Arranges who learns what from whom.

    Attributes:
        modules: everything with state but the frozen teacher; checkpoints hold it.
        nets: what is evaluated and exported, by name.
        designs: name of each of them but the student -> its design; empty: the student's.
        spots: the names of what a policy decides about, in order; empty where none does.
    """

    modules: nn.ModuleDict
    nets: Mapping[str, StagedNet]
    designs: Mapping[str, str] = MappingProxyType({})
    spots: tuple[str, ...] = ()

    @abstractmethod
    def plan(self) -> tuple[Phase, ...]:
        """All phases of the run, in order."""

    def figures(self, phase: str, net: StagedNet, batches: Iterable[Batch]) -> dict[str, float]:
        """More figures of one of the nets, in a phase, beside those of its task; here none.

        Args:
            batches: those of the split on which it is measured.
        """
        return {}

    @property
    def idle_knobs(self) -> Mapping[str, str]:
        """The knobs that change nothing beside the other parts chosen, each with its reason."""
        return {}


METHODS: Registry[Method] = Registry("method")


def optimizer_of(schedule: Schedule, groups: list[dict[str, Any]]) -> Optimizer:
    """The schedule's optimiser; a group may have an `lr` of its own."""
    if schedule.optimizer == "adam":
        return torch.optim.Adam(
            groups,
            lr=schedule.lr,
            betas=(schedule.momentum, 0.999),
            weight_decay=schedule.weight_decay,
            fused=True,  # of many small tensors a tenth of a step otherwise
        )
    return torch.optim.SGD(
        groups,
        lr=schedule.lr,
        momentum=schedule.momentum,
        nesterov=schedule.nesterov,
        weight_decay=schedule.weight_decay,
    )


def task_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy in nats: a scalar, the mean over images, or over the pixels that are not VOID.

    A batch that is VOID everywhere gives 0.

    Args:
        logits: (B, classes), or (B, classes, h, w), resized to the target: bilinear, corners not
            aligned.
        target: (B,) or (B, H, W).
    """
    if target.ndim == 1:
        return F.cross_entropy(logits, target)
    if logits.shape[2:] != target.shape[1:]:
        size = target.shape[1:]
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
    total = F.cross_entropy(logits, target, ignore_index=VOID, reduction="sum")
    return total / (target != VOID).sum().clamp(min=1)


def constant(epoch: int, step: int) -> float:
    """The rate of a learner that keeps its base rate."""
    return 1.0


def warm_up_phase(materials: Materials, distiller: Distiller) -> tuple[Phase, ...]:
    """The phase before distillation, where a distiller needs one."""
    warm_up, teacher, student = distiller.warm_up, materials.teacher, materials.student
    if warm_up is None or teacher is None:
        return ()

    def begin() -> Lesson:
        warm_up.module.requires_grad_(True).train()
        student.train()
        learning = list(warm_up.module.parameters())
        if warm_up.moves_student:
            learning += _until(student, distiller.spots[-1].cut.student)
        optimizer = torch.optim.SGD(learning, lr=warm_up.lr, momentum=0.9, weight_decay=5e-4)
        learner = Learner("factor", optimizer, constant)

        def step(batch: Batch, number: int) -> Iterator[Descend]:
            with materials.autocast():
                with torch.no_grad():
                    theirs = teacher.trace(batch.image, inside=True)
                ours = student.trace(batch.image, inside=True) if warm_up.moves_student else {}
                losses = warm_up.loss(ours, theirs)
            loss = losses.mean()
            yield Descend(learner, loss, {"reconstruction": loss})

        return Lesson((learner,), step)

    phase = Phase(
        name="factor",
        epochs=warm_up.epochs,
        data=materials.data,
        begin=begin,
        is_measured=False,
    )
    return (phase,)


def _until(net: StagedNet, last: str) -> list[nn.Parameter]:
    """The parameters of all stages up to one."""
    stages = net.names[: net.names.index(last) + 1]
    return [p for name in stages for p in net.stages[name].parameters()]


def begin_distilling(distiller: Distiller) -> None:
    """Put a distiller in the state that it has while the student learns."""
    distiller.train()
    if distiller.warm_up is not None and not distiller.warm_up.moves_student:
        distiller.warm_up.module.requires_grad_(False).eval()


def per_batch(losses: Tensor) -> Tensor:
    """(B, spots) -> the sum over spots of the mean over the batch."""
    return losses.sum(dim=1).mean()
