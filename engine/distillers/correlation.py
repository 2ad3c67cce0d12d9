"""Correlation congruence, in the form that the benchmarks compute."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

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
from engine.nets.staged import Kind, Trace


@DISTILLERS.register(
    "cc",
    title="Copy correlations (CC)",
    source="Peng et al., ICCV 2019",
    presets={
        "SAKD": {"weight": 0.02, "logits_weight": 1.0, "gamma": {"tiny_imagenet": 2.0}},
        "RepDistiller": {"weight": 0.02, "logits_weight": 0.0},
    },
)
class CorrelationCongruence(Distiller):
    """Makes the gaps to the teacher small in neighbouring images of a batch together.

    What the public code computes is not a difference of correlation matrices but products of
    neighbouring gaps, in the order of the batch; so is this. Both embeddings learn, in plain
    and in routed distillation alike; in the authors' routed code the teacher's does not.
    """

    kind: ClassVar[Kind] = "vector"
    min_samples: ClassVar[int] = 2

    def __init__(
        self,
        setting: Setting,
        *,
        width: Annotated[int, Field(ge=1, le=4096, description="Of the embeddings")] = 128,
        weight: Weight = 0.02,
    ) -> None:
        super().__init__(setting, weight=weight)
        (spot,) = self.spots
        self.embed_student = nn.Linear(setting.student[spot.student].shape[0], width)
        self.embed_teacher = nn.Linear(setting.teacher[spot.teacher].shape[0], width)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_feature(student, teacher, -1)

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        ((s, t),) = self.spots
        return (Pair(self.embed_student(student[s]), self.embed_teacher(teacher[t].detach())),)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,): the K - 1 products, each scaled by K / (K - 1), and 0 for the last sample."""
        gap = (pair.student - pair.teacher).abs()
        products = (gap[:-1] * gap[1:]).sum(dim=1)
        return torch.cat([products, products.new_zeros(1)]) * (len(gap) / (len(gap) - 1))
