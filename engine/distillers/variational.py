"""Variational information distillation."""

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
    spots_at_stages,
)
from engine.nets.staged import Trace

SMALLEST_VARIANCE = 1e-5
FIRST_VARIANCE = 5.0


@DISTILLERS.register(
    "vid",
    title="Copy information (VID)",
    source="Ahn et al., CVPR 2019, eq. 5-6",
    presets={
        "SAKD": {
            "weight": 1.0,
            "logits_weight": 1.0,
            "gamma": {"cifar100": 2.0, "tiny_imagenet": 2.0},
        },
        "RepDistiller": {"weight": 1.0, "logits_weight": 0.0},
    },
)
class VariationalInformation(Distiller):
    """Makes the student's features tell as much as possible about the teacher's.

    A small net predicts the teacher's map from the student's; each channel has a variance that
    is learnt, so that channels that cannot be predicted count less.
    """

    has_many: ClassVar[bool] = True

    def __init__(self, setting: Setting, *, weight: Weight = 1.0) -> None:
        super().__init__(setting, weight=weight)
        channels = [
            (setting.student[s].shape[0], setting.teacher[t].shape[0]) for s, t in self.spots
        ]
        self.regressors = nn.ModuleList(_regressor(into, out) for into, out in channels)
        first = math.log(math.expm1(FIRST_VARIANCE - SMALLEST_VARIANCE))
        self.log_scales = nn.ParameterList(torch.full((out,), first) for _, out in channels)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spots_at_stages(student, teacher)

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        """The student's side holds the predicted mean and, as further channels, the variance."""
        pairs = []
        for (s, t), regress, scale in zip(
            self.spots, self.regressors, self.log_scales, strict=True
        ):
            ours, theirs = pooled_alike(student[s], teacher[t].detach())
            mean = regress(ours)
            variance = (F.softplus(scale) + SMALLEST_VARIANCE)[None, :, None, None]
            pairs.append(Pair(torch.stack([mean.float(), variance.expand_as(mean)], 1), theirs))
        return tuple(pairs)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) mean negative log likelihood of the teacher's map, less a constant, in nats."""
        mean, variance = pair.student.unbind(dim=1)
        loss = (mean - pair.teacher).square() / variance + variance.log()
        return loss.flatten(1).mean(dim=1) / 2


def _regressor(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(out, out, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(out, out, 1, bias=False),
    )
