"""Probabilistic knowledge transfer."""

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
from engine.nets.staged import Kind

SMALLEST = 1e-7


@DISTILLERS.register(
    "pkt",
    title="Copy neighbourhoods (PKT)",
    source="Passalis & Tefas, ECCV 2018, eq. 3-7",
    presets={
        "SAKD": {"weight": 30000.0, "logits_weight": 1.0, "gamma": {"tiny_imagenet": 2.0}},
        "RepDistiller": {"weight": 30000.0, "logits_weight": 0.0},
    },
)
class ProbabilisticTransfer(Distiller):
    """Makes each image have the same likely neighbours for the student as for the teacher.

    An embedding of zeros has finite gradients here; in the public code they are NaN.
    """

    kind: ClassVar[Kind] = "vector"
    min_samples: ClassVar[int] = 2

    def __init__(self, setting: Setting, *, weight: Weight = 30000.0) -> None:
        super().__init__(setting, weight=weight)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_feature(student, teacher, -1)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) mean over neighbours of p_t log((p_t + eps) / (p_s + eps)), in nats."""
        ours, theirs = _neighbours(pair.student), _neighbours(pair.teacher)
        return (theirs * ((theirs + SMALLEST) / (ours + SMALLEST)).log()).mean(dim=1)


def _neighbours(embedding: Tensor) -> Tensor:
    """(K, D) -> (K, K): cosines mapped to 0..1, each row of sum one, the diagonal included."""
    unit = F.normalize(embedding.flatten(1))
    likely = (unit @ unit.T + 1) / 2
    return likely / likely.sum(dim=1, keepdim=True)
