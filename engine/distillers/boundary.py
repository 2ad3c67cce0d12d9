"""Activation boundaries."""

from __future__ import annotations

from typing import Annotated, ClassVar

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
    WarmUp,
    Weight,
    before_relu,
    spots_at_stages,
)
from engine.nets.staged import Trace

SCALE = 3e-3


@DISTILLERS.register(
    "ab",
    title="Copy boundaries (AB)",
    source="Heo et al., AAAI 2019",
    presets={
        "RepDistiller": {
            "weight": 0.0,
            "logits_weight": 0.0,
            "warm_up_lr": dict.fromkeys(
                (
                    *("vgg13-MobileNetV2", "ResNet50-MobileNetV2", "wrn_40_2-ShuffleNetV1"),
                    *("resnet32x4-ShuffleNetV1", "resnet32x4-ShuffleNetV2"),
                ),
                0.01,
            ),
        }
    },
)
class ActivationBoundaries(Distiller):
    """Makes the student's neurons fire where the teacher's fire, however strongly.

    Compares signals before the ReLU, where the net lets us read them, each map counting twice
    as much as the one before. The paper learns this way only before anything else is taught;
    here the term goes on beside the labels. RepDistiller turns it off after the first phase,
    as weight 0 does. The scale, 3 / 1000 of the sum of all elements, is RepDistiller's too; it
    reaches the teacher's size by a strided connector, we pool the larger map.
    """

    has_many: ClassVar[bool] = True

    def __init__(
        self,
        setting: Setting,
        *,
        margin: Annotated[
            float, Field(gt=0, le=100, description="How far beyond the boundary to push")
        ] = 1.0,
        warm_up_epochs: Annotated[
            int, Field(ge=0, le=500, description="Epochs of this loss alone; 0: no such phase")
        ] = 30,
        warm_up_lr: Annotated[
            float, Field(gt=0, le=1, description="Rate of this loss alone")
        ] = 0.05,
        weight: Weight = 1.0,
    ) -> None:
        super().__init__(setting, weight=weight)
        self.margin = margin
        self.connectors = nn.ModuleList(
            _connector(setting.student[s].shape[0], setting.teacher[t].shape[0])
            for s, t in self.spots
        )
        if warm_up_epochs:
            self.warm_up = WarmUp(
                self.connectors, warm_up_epochs, warm_up_lr, self.all_maps, moves_student=True
            )

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return tuple(
            Spot(before_relu(s, student), before_relu(t, teacher))
            for s, t in spots_at_stages(student, teacher)
        )

    def all_maps(self, student: Trace, teacher: Trace) -> Tensor:
        """(B,) the sum of what is measured at all spots."""
        pairs = self.project(student, teacher)
        return torch.stack([_missing(pair) for pair in pairs]).sum(dim=0)

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        """The student's map, and on the teacher's side the boundary that it should pass.

        The boundary is plus the margin where the teacher's neuron fires, else minus the margin.
        Both are multiplied by the root of the map's share of the loss.
        """
        pairs = []
        for number, ((s, t), connect) in enumerate(zip(self.spots, self.connectors, strict=True)):
            ours, theirs = pooled_alike(student[s], teacher[t].detach())
            fires = theirs > 0
            root = (SCALE * 2.0 ** (number + 1 - len(self.spots))) ** 0.5
            boundary = self.margin * (2 * fires - 1)
            pairs.append(Pair(root * connect(ours).float(), root * boundary.float()))
        return tuple(pairs)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) sum of the squares by which neurons miss their boundary."""
        return _missing(pair)


def _missing(pair: Pair) -> Tensor:
    """(K,) sum of the squares by which neurons miss their boundary."""
    missing = (pair.teacher - pair.student) * pair.teacher.sign()
    return missing.clamp(min=0).square().flatten(1).sum(dim=1)


def _connector(into: int, out: int) -> nn.Module:
    """To the teacher's channels; nothing where they agree, as in RepDistiller."""
    if into == out:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(into, out, 1, bias=False), nn.BatchNorm2d(out))
