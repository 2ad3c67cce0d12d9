"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import TrainingError
from engine.events import At, Event
from engine.seeding import seed_for
from engine.training.phase import Chosen, Lesson, Phase
from engine.training.tally import Tally

TELLINGS_PER_EPOCH = 50


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step is complete; here a run may be saved, paused or stopped. Never logged."""

    at: At
    samples: int


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """All steps of an epoch are told; `at` is the start of the next one. Never logged.

    table: the epoch's choices by sample (label (N,), kept and probability (N, S)), or empty
    """

    at: At
    table: Mapping[str, Tensor]


def fit(
    phase: Phase, lesson: Lesson, tally: Tally, *, at: At, seed: int
) -> Iterator[Event | Stepped | EpochEnded]:
    """Train one phase from a position on, telling what happens.

    The loop advances only as its events are drawn; to stop it, stop drawing.

    Args:
        tally: the open sums at that position.
        at: (phase index, epoch, steps taken in it).
        seed: the run's.

    Raises:
        TrainingError: a loss is not finite; at most one step is taken after it.
    """
    index, first_epoch, first_step = at
    steps = phase.data.steps
    every = max(1, steps // TELLINGS_PER_EPOCH)
    watch = _FiniteWatch(phase.name)
    for epoch in range(first_epoch, phase.epochs):
        start = first_step if epoch == first_epoch else 0
        rates: dict[str, float] = {}
        for step, batch in enumerate(phase.data.epoch(epoch, start), start):
            torch.manual_seed(seed_for(seed, "step", phase.name, epoch, step))
            rates = {one.name: one.set_rate(epoch, step) for one in lesson.learners}
            for item in lesson.step(batch, epoch * steps + step):
                if isinstance(item, Chosen):
                    tally.choose(batch, item)
                    continue
                item.learner.backward(item.loss)
                tally.add(item.terms)
                watch.add(item.loss, item.terms)
                if item.move:
                    item.learner.move()
            for learner in lesson.learners:
                learner.move()
            tally.stepped()
            watch.look(epoch, step)
            here = (index, epoch, step + 1)
            if (step + 1) % every == 0 or step + 1 == steps:
                watch.settle()  # what is not finite must not be told
                yield from tally.tell(here, rates)
            yield Stepped(here, len(batch))
        following = (index, epoch + 1, 0)
        table: Mapping[str, Tensor] = {}
        if tally.has_choices:
            counted, table = tally.close_epoch(following)
            yield counted
        yield EpochEnded(following, table)


class _FiniteWatch:
    """Looks at every loss; on an accelerator one step late, so that it is not held up."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._losses: list[tuple[Tensor, Mapping[str, Tensor]]] = []
        self._late: Callable[[], None] | None = None

    def add(self, loss: Tensor, terms: Mapping[str, Tensor]) -> None:
        self._losses.append((loss.detach(), {name: v.detach() for name, v in terms.items()}))

    def look(self, epoch: int, step: int) -> None:
        """The losses of one step are complete."""
        losses, self._losses = self._losses, []
        flag = torch.stack([torch.isfinite(loss) for loss, _ in losses]).all()
        if flag.device.type == "cuda":
            copied = torch.empty_like(flag, device="cpu").pin_memory()
            copied.copy_(flag, non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()
            late, self._late = self._late, lambda: self._check(copied, done, losses, epoch, step)
            if late is not None:
                late()
        else:
            self._check(flag, None, losses, epoch, step)

    def settle(self) -> None:
        """Check what was looked at late; waits for the device."""
        late, self._late = self._late, None
        if late is not None:
            late()

    def _check(
        self,
        flag: Tensor,
        done: torch.cuda.Event | None,
        losses: list[tuple[Tensor, Mapping[str, Tensor]]],
        epoch: int,
        step: int,
    ) -> None:
        if done is not None:
            done.synchronize()
        if bool(flag):
            return
        terms = {name: value for _, found in losses for name, value in found.items()}
        bad = [name for name, value in terms.items() if not bool(torch.isfinite(value).all())]
        raise TrainingError(
            f"The loss is not finite in phase {self._phase}, epoch {epoch + 1}, step {step + 1}"
            f" (term: {', '.join(bad) or 'their sum'}).",
            hint="The last good checkpoint is kept: lower the learning rate and start again.",
        )
