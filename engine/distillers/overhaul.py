"""A comprehensive overhaul of feature distillation."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
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
    before_relu,
    spots_at_stages,
)
from engine.errors import SpecError
from engine.nets.layer import convolution, initialise
from engine.nets.staged import Norm, Trace

RARE = 1e-3  # a channel that is negative less often than this has its margin from its scale


@DISTILLERS.register(
    "ofd", title="Copy what fires (OFD)", source="Heo et al., ICCV 2019, section 3"
)
class Overhaul(Distiller):
    """Makes the student's neurons fire as strongly as the teacher's do, and stay silent where
    the teacher's are, however silent.

    Compares maps before the ReLU, each map counting twice as much as the one before. A margin
    for each channel, the mean of its negative values, takes the place of what the teacher has
    below it; it comes from the teacher's batch norm. This is mdistiller's form: the paper's
    loss, divided by the batch. A student whose norm comes after the map is not put through it.
    """

    has_many: ClassVar[bool] = True

    def __init__(self, setting: Setting, *, weight: Weight = 1e-3) -> None:
        super().__init__(setting, weight=weight)
        for _, tap in self.spots:
            if tap not in setting.norms:
                raise SpecError(
                    f"this distiller needs the batch norm before the ReLU of {tap}, which this"
                    " teacher does not tell",
                    hint="Take a ResNet, WRN or VGG for small images, MobileNetV2 or ShuffleNetV1.",
                )
        self.aims = nn.ModuleList(Aim(setting.norms[t]) for _, t in self.spots)
        self.connectors = nn.ModuleList(
            _connector(setting.student[s].shape[0], setting.teacher[t].shape[0])
            for s, t in self.spots
        )

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return tuple(
            Spot(before_relu(s, student), before_relu(t, teacher))
            for s, t in spots_at_stages(student, teacher)
        )

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        """Maps in the teacher's channels, multiplied by the root of their share of the loss."""
        pairs = []
        for number, (s, t) in enumerate(self.spots):
            ours, theirs = pooled_alike(student[s], teacher[t].detach())
            root = 2.0 ** ((number + 1 - len(self.spots)) / 2)
            ours, aim = self.connectors[number](ours).float(), self.aims[number](theirs.float())
            pairs.append(Pair(root * ours, root * aim))
        return tuple(pairs)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) sum of the squared gaps, where the aim is positive or the student above it."""
        gap = pair.student - pair.teacher
        counts = (pair.teacher > 0) | (gap > 0)
        return (gap.square() * counts).flatten(1).sum(dim=1)

    def repel(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) minus the mean absolute gap of both as unit vectors, at most 2 / root of their size.

        What is measured has no upper bound.
        """
        ours, theirs = (F.normalize(one.flatten(1)) for one in (pair.student, pair.teacher))
        return -(ours - theirs).abs().mean(dim=1)


class Aim(nn.Module):
    """What the teacher's map is after its norm, and no less than the margin of each channel."""

    gain: Tensor  # (C, 1, 1), as the others
    offset: Tensor
    margin: Tensor

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        for name, values in (
            ("gain", norm.gain),
            ("offset", norm.offset),
            ("margin", margins(norm.scale, norm.shift)),
        ):
            self.register_buffer(name, values[:, None, None].clone(), persistent=False)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return torch.maximum(feature * self.gain + self.offset, self.margin)


def margins(scale: Tensor, shift: Tensor) -> Tensor:
    """(C,), (C,) -> (C,) the mean of the negative values of normal signals.

    Where they are rare it is 3 scales below 0.
    """
    spread, centre = scale.double().abs(), shift.double()
    share = torch.special.ndtr(-centre / spread)
    density = (-(centre / spread).square() / 2).exp() / math.sqrt(2 * math.pi)
    mean = centre - spread * density / share
    return torch.where(share > RARE, mean, -3 * spread).float()


def _connector(into: int, out: int) -> nn.Sequential:
    connector = nn.Sequential(convolution(into, out, 1), nn.BatchNorm2d(out))
    initialise(connector)
    return connector
