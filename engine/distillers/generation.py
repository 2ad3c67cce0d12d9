"""Masked generative distillation."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

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
    spot_at_feature,
)
from engine.nets.staged import Trace
from engine.seeding import seed_for


@DISTILLERS.register(
    "mgd", title="Fill in features (MGD)", source="Yang et al., ECCV 2022, section 3"
)
class MaskedGeneration(Distiller):
    """Makes a few layers guess the teacher's whole last map from random parts of the student's.

    The loss is the sum of squares over a map, and its mean over the batch; the default weight
    is the paper's for it. The paper hides positions, half of them; the authors' public code for
    classification hides channels instead, 15 in a hundred.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        hidden: Annotated[
            float, Field(ge=0, lt=1, description="Share of the positions that are hidden")
        ] = 0.5,
        weight: Weight = 7e-5,
    ) -> None:
        super().__init__(setting, weight=weight)
        self.hidden = hidden
        (spot,) = self.spots
        into, out = setting.student[spot.student].shape[0], setting.teacher[spot.teacher].shape[0]
        self.align = nn.Identity() if into == out else nn.Conv2d(into, out, 1)
        self.generate = nn.Sequential(
            nn.Conv2d(out, out, 3, padding=1), nn.ReLU(), nn.Conv2d(out, out, 3, padding=1)
        )

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_feature(student, teacher, -2)

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        ((s, t),) = self.spots
        ours, theirs = pooled_alike(student[s], teacher[t].detach())
        return (Pair(self.generate(self.align(ours) * self._shown(ours)), theirs),)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) sum of the squared gaps over all elements of the map."""
        return (pair.student - pair.teacher).square().flatten(1).sum(dim=1)

    def _shown(self, feature: Tensor) -> Tensor:
        """(B, 1, H, W) 0 where the map is hidden, else 1."""
        batch, _, height, width = feature.shape
        generator = torch.Generator().manual_seed(seed_for(torch.initial_seed(), "mgd"))
        drawn = torch.rand(batch, 1, height, width, generator=generator)
        return (drawn >= self.hidden).to(feature)
