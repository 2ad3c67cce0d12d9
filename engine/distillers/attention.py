"""Attention transfer."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from engine.data.batch import Batch
from engine.distillers.adapter import pooled_alike
from engine.distillers.base import (
    DISTILLERS,
    Distiller,
    Pair,
    Setting,
    Spot,
    Taps,
    Weight,
    spots_at_stages,
)


@DISTILLERS.register(
    "at",
    title="Copy attention (AT)",
    source="Zagoruyko & Komodakis, ICLR 2017, eq. 2",
    presets={
        "SAKD": {
            "weight": 1000.0,
            "logits_weight": 1.0,
            "gamma": {"cifar100": 2.0, "tiny_imagenet": 2.0},
        },
        "RepDistiller": {"weight": 1000.0, "logits_weight": 0.0},
    },
)
class AttentionTransfer(Distiller):
    """Makes the student look where the teacher looks.

    The paper takes the norm of the gap; we take its mean square, as its own later code and
    the benchmarks do. The weight 1000 belongs to the mean square.
    """

    has_many: ClassVar[bool] = True

    def __init__(
        self,
        setting: Setting,
        *,
        power: Annotated[int, Field(ge=1, le=8, description="Exponent of the activations")] = 2,
        weight: Weight = 1000.0,
    ) -> None:
        super().__init__(setting, weight=weight)
        self.power = power

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spots_at_stages(student, teacher)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) mean square gap between the two attention maps."""
        student, teacher = pooled_alike(pair.student, pair.teacher)
        gap = self.attention(student) - self.attention(teacher)
        return gap.square().mean(dim=1)

    def repel(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) minus the gap, which is at most 2 / (H * W)."""
        return -self.measure(pair, batch)

    def attention(self, feature: Tensor) -> Tensor:
        """(K, C, H, W) -> (K, H*W), each row of length one."""
        is_even = self.power % 2 == 0
        strength = (feature if is_even else feature.abs()).pow(self.power)
        return F.normalize(strength.mean(dim=1).flatten(1))
