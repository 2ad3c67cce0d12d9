"""Distillation from a stronger teacher."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from engine.data.batch import Batch
from engine.distillers.base import (
    DISTILLERS,
    Distiller,
    Pair,
    Part,
    Setting,
    Spot,
    Taps,
    Weight,
    spot_at_logits,
)
from engine.distillers.kd import Temperature
from engine.nets.staged import Kind

SMALLEST = 1e-8


@DISTILLERS.register(
    "dist", title="Copy rankings (DIST)", source="Huang et al., NeurIPS 2022, eq. 8-10"
)
class Distribution(Distiller):
    """Makes the student rank classes within an image, and images within a class, as the
    teacher does; for teachers so strong that copying their answers exactly is too much.
    """

    kind: ClassVar[Kind] = "logits"
    min_samples: ClassVar[int] = 2

    def __init__(
        self,
        setting: Setting,
        *,
        within_image: Part = 1.0,
        within_class: Part = 1.0,
        temperature: Temperature = 1.0,
        weight: Weight = 1.0,
    ) -> None:
        super().__init__(setting, weight=weight)
        self.within_image, self.within_class = within_image, within_class
        self.temperature = temperature

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_logits(student, teacher)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,): 1 - correlation in each image, and the mean of it over classes in every one."""
        ours, theirs = (
            (one / self.temperature).softmax(dim=1) for one in (pair.student, pair.teacher)
        )
        image = 1 - _correlation(ours, theirs)
        across = 1 - _correlation(ours.T, theirs.T).mean()
        return (self.within_image * image + self.within_class * across) * self.temperature**2


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """(N, M), (N, M) -> (N,) Pearson correlation of the rows."""
    one, other = (rows - rows.mean(dim=1, keepdim=True) for rows in (first, second))
    return F.cosine_similarity(one, other, dim=1, eps=SMALLEST)
