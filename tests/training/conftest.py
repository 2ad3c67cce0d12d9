"""A phase of two numbers that learn, small enough to be followed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.training.phase import Chosen, Descend, Learner, Lesson, Phase

CLASSES = 3


@dataclass
class Numbers:
    """Batches that carry their position in their pixels."""

    steps: int = 5
    size: int = 2
    asked: list[tuple[int, int]] = field(default_factory=list)

    @property
    def samples(self) -> int:
        return self.steps * self.size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        self.asked.append((epoch, start))
        for step in range(start, self.steps):
            index = torch.arange(step * self.size, (step + 1) * self.size)
            image = torch.full((self.size, 3, 1, 1), float(1 + step + 10 * epoch))
            yield Batch(image, index % CLASSES, index)


class Pupil(nn.Module):
    """Two weights, each with a learner of its own; the first chooses where the second looks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor(1.0))
        self.second = nn.Parameter(torch.tensor(2.0))


def learner(name: str, weight: Tensor, *, lr: float = 0.01) -> Learner:
    optimizer = torch.optim.SGD([weight], lr=lr, momentum=0.9)
    return Learner(name, optimizer, lambda epoch, step: 1.0 / (1 + epoch))


def phase_of(
    pupil: Pupil,
    data: Numbers,
    *,
    epochs: int = 3,
    chooses: bool = True,
    loss: Callable[[Batch, Tensor], Tensor] | None = None,
) -> Phase:
    def begin() -> Lesson:
        first, second = learner("first", pupil.first), learner("second", pupil.second)

        def step(batch: Batch, number: int) -> Iterator[Descend | Chosen]:
            noise = torch.rand(len(batch), 2)
            if chooses:
                yield Chosen(("low", "high"), noise > 0.5, noise, noise[:, 0])
            mean = batch.image.mean() / 10
            one = (pupil.first * mean - noise.mean()).square()
            if loss is not None:
                one = loss(batch, one)
            yield Descend(first, one, {"one": one})
            if number % 2 == 0:
                two = (pupil.second + pupil.first - mean).square()
                yield Descend(second, two, {"two": two})

        return Lesson((first, second), step)

    return Phase(name="play", epochs=epochs, data=data, begin=begin)
