"""Labels and the teacher's features at once: a baseline of spirit distillation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field
from torch import nn

from engine.data.batch import Batch
from engine.methods.base import METHODS, Materials, Method, task_loss
from engine.methods.front import (
    DISTANCES,
    Cut,
    Distance,
    HeadStart,
    feature_distance,
    fronts_of,
    gap_ratio,
)
from engine.nets.staged import StagedNet
from engine.training.phase import Descend, Learner, Lesson, Phase


@METHODS.register(
    "spirit_joint",
    title="Imitation and labels at once",
    source="ours, a baseline of spirit distillation",
    needs=("teacher",),
    task="segment",
    teacher_classes="any",
)
class SpiritJoint(Method):
    """Goes down cross-entropy + weight * imitation of the teacher's front, in one phase.

    What spirit distillation gains beside it is due to its order, not to the teacher.
    """

    def __init__(
        self,
        materials: Materials,
        *,
        weight: Annotated[float, Field(ge=0, le=1e3, description="Of the imitation")] = 1.0,
        distance: Distance = "mse",
        head_start: HeadStart = "copy",
        cut: Cut = "",
    ) -> None:
        self._materials, self._weight = materials, weight
        self._fronts = fronts_of(materials, cut, head_start)
        self._measure = DISTANCES[distance]
        self.modules = nn.ModuleDict({"student": materials.student})
        self.nets = {"student": materials.student}

    def plan(self) -> tuple[Phase, ...]:
        materials = self._materials
        return (
            Phase(
                name="train",
                epochs=materials.schedule.epochs,
                data=materials.data,
                begin=self._begin,
                enter=self._fronts.start_head,
            ),
        )

    def figures(self, phase: str, net: StagedNet, batches: Iterable[Batch]) -> dict[str, float]:
        """`feature_distance`: R on the held-out images."""
        return {"feature_distance": feature_distance(self._fronts, batches)}

    def _begin(self) -> Lesson:
        student = self._materials.student.train()
        learner = self._materials.learner("student", list(student.parameters()))
        return Lesson((learner,), lambda batch, number: self._step(batch, learner))

    def _step(self, batch: Batch, learner: Learner) -> Iterator[Descend]:
        cut = self._fronts.cut
        with self._materials.autocast():
            theirs = self._fronts.theirs(batch.image)
            ours = self._fronts.ours(batch.image)
            logits = self._materials.student.resume(ours, after=cut, until="logits")
        theirs, ours = theirs.float(), ours.float()
        task = task_loss(logits.float(), batch.target)
        imitation = self._weight * self._measure(ours, theirs).mean()
        ratio = gap_ratio(ours.detach(), theirs)
        terms = {"task": task, "imitation": imitation, "feature distance": ratio}
        yield Descend(learner, task + imitation, terms)
