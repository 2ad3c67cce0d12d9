"""Factor transfer."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
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
    spot_at_feature,
)
from engine.nets.staged import Trace


@DISTILLERS.register(
    "ft",
    title="Copy factors (FT)",
    source="Kim et al., NeurIPS 2018",
    presets={
        "SAKD": {
            "weight": 200.0,
            "logits_weight": 1.0,
            "gamma": {"tiny_imagenet": 2.0},
            "warm_up_lr": {"ResNet50-vgg8": 0.05},
        },
        "RepDistiller": {
            "weight": 200.0,
            "logits_weight": 0.0,
            "warm_up_lr": {"vgg13-vgg8": 0.05, "ResNet50-vgg8": 0.05},
        },
    },
)
class FactorTransfer(Distiller):
    """Makes a translation of the student agree with a paraphrase of the teacher.

    The paraphraser, an auto-encoder of the teacher's last map, learns in a phase of its own.
    This is the form of RepDistiller and of the spot-adaptive authors: factors are unit maps
    of the mean square over channels, compared by the mean absolute gap or its square.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        factor_rate: Annotated[
            float, Field(gt=0, le=1, description="Channels of a factor over the teacher's")
        ] = 0.5,
        warm_up_epochs: Annotated[
            int, Field(ge=1, le=500, description="Epochs of the paraphraser")
        ] = 30,
        warm_up_lr: Annotated[
            float, Field(gt=0, le=1, description="Rate of the paraphraser")
        ] = 0.01,
        gap_power: Annotated[
            int, Field(ge=1, le=2, description="Exponent of the gap between the factors")
        ] = 1,
        weight: Weight = 200.0,
    ) -> None:
        super().__init__(setting, weight=weight)
        self.gap_power = gap_power
        (spot,) = self.spots
        self._tap = spot.teacher
        channels = setting.teacher[spot.teacher].shape[0]
        width = max(1, round(channels * factor_rate))
        self.paraphraser = nn.Sequential(
            _convolutions(channels, width), _transposed(width, channels)
        )
        self.translator = _convolutions(setting.student[spot.student].shape[0], width, norm=True)
        self.warm_up = WarmUp(self.paraphraser, warm_up_epochs, warm_up_lr, self.reconstruction)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_feature(student, teacher, -2)

    def reconstruction(self, student: Trace, teacher: Trace) -> Tensor:
        """(B,) mean square error of the auto-encoder."""
        feature = teacher[self._tap].float()
        again: Tensor = self.paraphraser(feature)
        return (again - feature).square().flatten(1).mean(dim=1)

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        ((s, t),) = self.spots
        with torch.no_grad():
            factor = self.paraphraser[0](teacher[t])
        return (Pair(self.translator(student[s]), factor),)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) mean absolute gap between the two unit maps, or its square."""
        student, teacher = pooled_alike(pair.student, pair.teacher)
        gap = _unit_map(student) - _unit_map(teacher)
        return gap.abs().pow(self.gap_power).mean(dim=1)


def _unit_map(factor: Tensor) -> Tensor:
    """(K, C, H, W) -> (K, H*W), each row of length one."""
    return F.normalize(factor.square().mean(dim=1).flatten(1))


def _convolutions(channels: int, width: int, *, norm: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for into, out in ((channels, channels), (channels, width), (width, width)):
        layers.append(nn.Conv2d(into, out, 3, padding=1))
        if norm:
            layers.append(nn.BatchNorm2d(out))
        layers.append(nn.LeakyReLU(0.1))
    return nn.Sequential(*layers)


def _transposed(width: int, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for into, out in ((width, width), (width, channels), (channels, channels)):
        layers += [nn.ConvTranspose2d(into, out, 3, padding=1), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)
