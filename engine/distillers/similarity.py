"""Similarity-preserving distillation."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
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
    spot_at_feature,
)


@DISTILLERS.register(
    "sp",
    title="Copy similarities (SP)",
    source="Tung & Mori, ICCV 2019, eq. 1-4",
    presets={
        "SAKD": {"weight": 3000.0, "logits_weight": 1.0, "gamma": {"tiny_imagenet": 2.0}},
        "RepDistiller": {"weight": 3000.0, "logits_weight": 0.0},
    },
)
class SimilarityPreserving(Distiller):
    """Makes images that excite the teacher alike excite the student alike."""

    min_samples: ClassVar[int] = 2

    def __init__(self, setting: Setting, *, weight: Weight = 3000.0) -> None:
        super().__init__(setting, weight=weight)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_feature(student, teacher, -2)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) each sample's row of the squared gap of the two K x K tables, over K."""
        gap = _similarities(pair.student) - _similarities(pair.teacher)
        return gap.square().mean(dim=1)


def _similarities(feature: Tensor) -> Tensor:
    """(K, ...) -> (K, K) inner products, each row of length one."""
    flat = feature.flatten(1)
    return F.normalize(flat @ flat.T)
