"""The student without a teacher: what every gain is measured against."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from engine.data.batch import Batch
from engine.methods.base import METHODS, Materials, Method, task_loss
from engine.training.phase import Descend, Lesson, Phase


@METHODS.register(
    "alone",
    title="Alone (no teacher)",
    source="the baseline of every table",
    needs=(),
    task="any",
)
class Alone(Method):
    """Trains the student on the labels only."""

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self.modules = nn.ModuleDict({"student": materials.student})
        self.nets = {"student": materials.student}

    def plan(self) -> tuple[Phase, ...]:
        data, schedule = self._materials.data, self._materials.schedule
        return (Phase(name="train", epochs=schedule.epochs, data=data, begin=self._begin),)

    def _begin(self) -> Lesson:
        student = self._materials.student.train()
        learner = self._materials.learner("student", list(student.parameters()))

        def step(batch: Batch, number: int) -> Iterator[Descend]:
            with self._materials.autocast():
                logits = student(batch.image)
            task = task_loss(logits.float(), batch.target)
            yield Descend(learner, task, {"task": task})

        return Lesson((learner,), step)
