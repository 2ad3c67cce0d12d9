"""FitNets hints."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from engine.data.batch import Batch
from engine.distillers.adapter import adapter
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


@DISTILLERS.register(
    "fitnet",
    title="Copy features (FitNets)",
    source="Romero et al., ICLR 2015",
    presets={
        "SAKD": {"weight": 1.0, "logits_weight": 1.0, "gamma": {"tiny_imagenet": 2.0}},
        "RepDistiller": {"weight": 100.0, "logits_weight": 0.0},
    },
)
class Hint(Distiller):
    """Makes a translation of the student's feature map equal to the teacher's.

    The default weight is the spot-adaptive authors'; RepDistiller uses 100.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        hint: Annotated[
            int, Field(ge=0, le=5, description="Feature to copy: 0 is the stem, 2 the second stage")
        ] = 2,
        weight: Weight = 1.0,
    ) -> None:
        self.hint = hint
        super().__init__(setting, weight=weight)
        (spot,) = self.spots
        self.regressor = adapter(setting.student[spot.student], setting.teacher[spot.teacher])

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_feature(student, teacher, self.hint)

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        ((s, t),) = self.spots
        return (Pair(self.regressor(student[s]), teacher[t].detach()),)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) mean square gap over all elements of the feature."""
        return (pair.student - pair.teacher).square().flatten(1).mean(dim=1)
