"""Knowledge distillation on soft labels."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from engine.data.batch import Batch
from engine.distillers.base import (
    DISTILLERS,
    Distiller,
    Pair,
    Setting,
    Spot,
    Taps,
    Weight,
    spot_at_logits,
)
from engine.nets.staged import Kind

Temperature = Annotated[
    float, Field(gt=0, le=100, description="Divides the logits: higher is softer")
]


@DISTILLERS.register(
    "kd",
    title="Copy answers (KD)",
    source="Hinton et al., 2015",
    presets={"RepDistiller": {"weight": 0.9, "task_weight": 0.1, "temperature": 4.0}},
)
class KnowledgeDistillation(Distiller):
    """Makes the student's answers as sure and as doubtful as the teacher's."""

    kind: ClassVar[Kind] = "logits"

    def __init__(
        self, setting: Setting, *, temperature: Temperature = 4.0, weight: Weight = 1.0
    ) -> None:
        super().__init__(setting, weight=weight)
        self.temperature = temperature

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_logits(student, teacher)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) temperature squared times KL(teacher || student) in nats."""
        ours = F.log_softmax(pair.student / self.temperature, dim=1)
        theirs = F.log_softmax(pair.teacher / self.temperature, dim=1)
        divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=1)
        return divergence * self.temperature**2
