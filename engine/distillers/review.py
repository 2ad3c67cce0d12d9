"""Knowledge review."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
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
    before_relu,
    spot_at_feature,
    spots_at_stages,
)
from engine.errors import SpecError
from engine.nets.layer import convolution
from engine.nets.staged import Trace

SIDES = (4, 2, 1)


@DISTILLERS.register(
    "reviewkd", title="Review early stages (ReviewKD)", source="Chen et al., CVPR 2021, section 3"
)
class Review(Distiller):
    """Makes what the student knows in its deep stages, brought back to its early ones, match
    the teacher's early stages.

    From the embedding back to the first stage, each level is fused with what the deeper levels
    pass on, and the mix is compared with the teacher's map before its ReLU. The embedding is a
    map of one pixel. mdistiller raises the weight from 0 over its first 20 epochs; here it is
    constant.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        width: Annotated[
            int,
            Field(
                ge=1,
                le=4096,
                description="Channels that pass between levels, if the embedding has as many",
            ),
        ] = 512,
        weight: Weight = 1.0,
    ) -> None:
        if setting.spots:
            raise SpecError(
                "this distiller compares every stage and the embedding; spots cannot be chosen"
            )
        super().__init__(setting, weight=weight)
        channels = [
            (setting.student[s].shape[0], setting.teacher[t].shape[0])
            for s, t in reversed(self.spots)
        ]
        width = min(width, channels[0][0])
        self.enter = nn.ModuleList(_layer(into, width, 1) for into, _ in channels)
        self.attend = nn.ModuleList(Attention(width) for _ in channels[1:])
        self.leave = nn.ModuleList(_layer(width, out, 3) for _, out in channels)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        stages = spots_at_stages(student, teacher)
        return (
            *(Spot(s, before_relu(t, teacher)) for s, t in stages),
            *spot_at_feature(student, teacher, -1),
        )

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        """The fused maps beside the teacher's; the deepest is made first and comes last."""
        pairs: list[Pair] = []
        passed = None
        for number, (s, t) in enumerate(reversed(self.spots)):
            ours, theirs = _as_map(student[s]), _as_map(teacher[t].detach())
            own = self.enter[number](ours)
            mixed = own if passed is None else self.attend[number - 1](own, passed)
            passed = _resized(mixed, theirs)
            pairs.insert(0, Pair(self.leave[number](passed), theirs))
        return tuple(pairs)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) mean of the mean square gaps of the map and of coarser ones, each half as heavy.

        The coarser maps have 4, 2 and 1 pixels a side, as far as the map itself has more.
        """
        ours, theirs = pair.student, pair.teacher
        sides = [side for side in SIDES if side < min(ours.shape[2:])]
        losses, total = _mean_square(ours, theirs), 1.0
        for number, side in enumerate(sides, 1):
            share = 0.5**number
            coarse = (F.adaptive_avg_pool2d(one, side) for one in (ours, theirs))
            losses, total = losses + share * _mean_square(*coarse), total + share
        return losses / total


class Attention(nn.Module):
    """Mixes one level with what the deeper ones pass on, by a weight for each pixel of both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv2d(2 * width, 2, 1), nn.Sigmoid())

    def forward(self, feature: Tensor, passed: Tensor) -> Tensor:
        """(B, C, H, W), (B, C, h, w) -> (B, C, H, W)."""
        passed = _resized(passed, feature)
        own, deeper = self.weigh(torch.cat([feature, passed], dim=1)).split(1, dim=1)
        mixed: Tensor = feature * own + passed * deeper
        return mixed


class PatientNorm(nn.BatchNorm2d):
    """A batch norm that takes one single pixel by its running statistics.

    The last batch of an epoch may be one image, whose embedding has no spread.
    """

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if feature.numel() > self.num_features:
            return super().forward(feature)
        return F.batch_norm(
            feature, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


def _layer(into: int, out: int, size: int) -> nn.Sequential:
    layer = convolution(into, out, size)
    nn.init.kaiming_uniform_(layer.weight, a=1)
    return nn.Sequential(layer, PatientNorm(out))


def _as_map(feature: Tensor) -> Tensor:
    """A vector (B, D) as a map (B, D, 1, 1)."""
    return feature[:, :, None, None] if feature.dim() == 2 else feature


def _resized(feature: Tensor, like: Tensor) -> Tensor:
    """(B, C, h, w) at the size of another map, each pixel from the nearest."""
    if feature.shape[2:] == like.shape[2:]:
        return feature
    return F.interpolate(feature, like.shape[2:], mode="nearest")


def _mean_square(ours: Tensor, theirs: Tensor) -> Tensor:
    return (ours - theirs).square().flatten(1).mean(dim=1)
