"""Relational knowledge distillation."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
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
    spot_at_feature,
)
from engine.nets.staged import Kind

SMALLEST = 1e-12  # squared distance at which the root still has a gradient


@DISTILLERS.register(
    "rkd",
    title="Copy relations (RKD)",
    source="Park et al., CVPR 2019, eq. 4-7",
    presets={
        "SAKD": {
            "weight": 1.0,
            "logits_weight": 1.0,
            "gamma": {"cifar100": 2.0, "tiny_imagenet": 2.0},
        },
        "RepDistiller": {"weight": 1.0, "logits_weight": 0.0},
    },
)
class RelationalKnowledge(Distiller):
    """Makes images that lie close together for the teacher lie close for the student.

    Distances are divided by their mean over the pairs that are apart; where no pair is, by the
    smallest number that keeps them finite, where the public code divides by 0.
    """

    kind: ClassVar[Kind] = "vector"
    min_samples: ClassVar[int] = 2

    def __init__(
        self,
        setting: Setting,
        *,
        distance_weight: Annotated[float, Field(ge=0, le=1e4, description="Of distances")] = 25.0,
        angle_weight: Annotated[float, Field(ge=0, le=1e4, description="Of angles")] = 50.0,
        weight: Weight = 1.0,
    ) -> None:
        super().__init__(setting, weight=weight)
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_feature(student, teacher, -1)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) each sample's share of the loss over all pairs and triples of the K samples."""
        student, teacher = pair.student.flatten(1), pair.teacher.flatten(1)
        far = F.smooth_l1_loss(distances(student), distances(teacher), reduction="none")
        bent = F.smooth_l1_loss(angles(student), angles(teacher), reduction="none")
        return self.distance_weight * far.mean(dim=1) + self.angle_weight * bent.mean(dim=(1, 2))


def distances(embedding: Tensor) -> Tensor:
    """(K, D) -> (K, K) Euclidean distances over their mean, diagonal 0."""
    square = embedding.square().sum(dim=1)
    gap = square[:, None] + square[None, :] - 2 * embedding @ embedding.T
    far = gap.clamp(min=SMALLEST).sqrt()
    far = far * (1 - torch.eye(len(embedding), device=embedding.device))
    apart = far > 0
    mean = far.sum() / apart.sum().clamp(min=1)
    return far / mean.clamp(min=SMALLEST)


def angles(embedding: Tensor) -> Tensor:
    """(K, D) -> (K, K, K): cosine of the angle at sample i between samples j and k."""
    side = F.normalize(embedding[None, :, :] - embedding[:, None, :], dim=2)
    return side @ side.transpose(1, 2)
