"""Soft labels for every pixel: a baseline of spirit distillation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.methods.base import METHODS, Materials, Method, task_loss
from engine.training.phase import Descend, Learner, Lesson, Phase


@METHODS.register(
    "pixel_kd",
    title="Soft labels of every pixel",
    source="Hinton et al., arXiv:1503.02531, at each pixel",
    needs=("teacher",),
    task="segment",
)
class PixelKD(Method):
    """Labels, and the classes that a teacher of the same classes finds likely at each pixel."""

    def __init__(
        self,
        materials: Materials,
        *,
        weight: Annotated[float, Field(ge=0, le=1e3, description="Of the soft labels")] = 1.0,
        temperature: Annotated[float, Field(gt=0, le=100, description="Divides the logits")] = 2.0,
    ) -> None:
        assert materials.teacher
        self._materials, self._teacher = materials, materials.teacher
        self._weight, self._temperature = weight, temperature
        self.modules = nn.ModuleDict({"student": materials.student})
        self.nets = {"student": materials.student}

    def plan(self) -> tuple[Phase, ...]:
        data, epochs = self._materials.data, self._materials.schedule.epochs
        return (Phase(name="train", epochs=epochs, data=data, begin=self._begin),)

    def _begin(self) -> Lesson:
        student = self._materials.student.train()
        learner = self._materials.learner("student", list(student.parameters()))
        return Lesson((learner,), lambda batch, number: self._step(batch, learner))

    def _step(self, batch: Batch, learner: Learner) -> Iterator[Descend]:
        with self._materials.autocast():
            with torch.no_grad():
                theirs = self._teacher(batch.image)
            ours = self._materials.student(batch.image)
        task = task_loss(ours.float(), batch.target)
        soft = self._weight * soft_loss(ours.float(), theirs.float(), self._temperature)
        yield Descend(learner, task + soft, {"task": task, "soft labels": soft})


def soft_loss(ours: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    """(B, classes, H, W) twice -> temperature² KL(theirs || ours) in nats: the mean over pixels.

    Pixels without a label count too: the teacher has a word on each.
    """
    log_ours = F.log_softmax(ours / temperature, dim=1)
    log_theirs = F.log_softmax(theirs / temperature, dim=1)
    each = F.kl_div(log_ours, log_theirs, reduction="none", log_target=True).sum(dim=1)
    return temperature**2 * each.mean()
