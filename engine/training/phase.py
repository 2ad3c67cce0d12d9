"""What the training loop can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from engine.data.batch import Batch, Batches

Rate = Callable[[int, int], float]  # (epoch, step) -> what the base rate is multiplied by


class Learner:
    """One optimiser and the parameters that it alone may move.

    This is the only place that touches gradients.

    Args:
        name: unique in its lesson.
        optimizer: its groups' rates are the base rates.
        rate: (epoch, step) -> factor of the base rates.
    """

    def __init__(self, name: str, optimizer: Optimizer, rate: Rate) -> None:
        self.name = name
        self.optimizer = optimizer
        self._rate = rate
        self._base = [float(group["lr"]) for group in optimizer.param_groups]
        self._is_pending = False

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def set_rate(self, epoch: int, step: int) -> float:
        """Set and return the learning rate of one step (of the first group)."""
        factor = self._rate(epoch, step)
        for group, base in zip(self.optimizer.param_groups, self._base, strict=True):
            group["lr"] = base * factor
        return self._base[0] * factor

    def backward(self, loss: Tensor) -> None:
        """Gradients of a scalar loss for this learner's own parameters, and no others.

        One that the loss does not reach has a gradient of 0: whether weight decay wears a
        parameter down must not depend on what the batch was.
        """
        if not self._is_pending:
            self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss, inputs=self.parameters)
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._is_pending = True

    def move(self) -> None:
        """Step the optimiser if gradients wait."""
        if self._is_pending:
            self.optimizer.step()
            self._is_pending = False


@dataclass(frozen=True, slots=True)
class Descend:
    """A step's wish: this learner goes down this loss.

    loss:  scalar
    terms: name -> scalar, for the charts
    move:  at once, not at the end of the step
    """

    learner: Learner
    loss: Tensor
    terms: Mapping[str, Tensor]
    move: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """A step's report: what the policy chose.

    kept:        (B, S) bool, the spots at which a sample was distilled
    probability: (B, S) P(distil), 0 to 1
    gap:         (B,) cross-entropy of the student less that of the teacher, in nats
    """

    spots: tuple[str, ...]
    kept: Tensor
    probability: Tensor
    gap: Tensor


# (batch, number of the step in its phase) -> what to do; a function of these and the weights
Step = Callable[[Batch, int], Iterator["Descend | Chosen"]]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a phase does at each step, and who learns from it."""

    learners: tuple[Learner, ...]
    step: Step

    def __post_init__(self) -> None:
        owned = [id(p) for learner in self.learners for p in learner.parameters]
        assert len(owned) == len(set(owned)), "each parameter belongs to exactly one learner"


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A named part of a run.

    enter: changes values when the phase begins, never names or shapes; runs once.
    begin: freezes, builds optimisers, changes no weight; may run again on resume.
    is_measured: whether it moves the nets that are evaluated.
    """

    name: str
    epochs: int
    data: Batches
    begin: Callable[[], Lesson]
    enter: Callable[[], None] = field(default=_nothing)
    is_measured: bool = True
