"""Neuron selectivity transfer."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

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


@DISTILLERS.register(
    "nst",
    title="Copy selectivity (NST)",
    source="Huang & Wang, 2017, eq. 4, polynomial kernel",
    presets={
        "SAKD": {"weight": 50.0, "logits_weight": 1.0, "gamma": {"tiny_imagenet": 2.0}},
        "RepDistiller": {"weight": 50.0, "logits_weight": 0.0},
    },
)
class NeuronSelectivity(Distiller):
    """Makes the student's channels select the same places as the teacher's, as distributions.

    The squared inner products of channels are summed through H*W x H*W tables or C x C tables,
    whichever is smaller; the value is that of the direct form.
    """

    has_many: ClassVar[bool] = True

    def __init__(self, setting: Setting, *, weight: Weight = 50.0) -> None:
        super().__init__(setting, weight=weight)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spots_at_stages(student, teacher)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) squared maximum mean discrepancy of the two sets of channels."""
        student, teacher = pooled_alike(pair.student, pair.teacher)
        ours, theirs = (F.normalize(one.flatten(2), dim=2) for one in (student, teacher))
        return _kernel(theirs, theirs) + _kernel(ours, ours) - 2 * _kernel(ours, theirs)


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    """(K, C, N), (K, D, N) -> (K,) mean over all pairs of channels of their squared product."""
    if min(first.shape[1], second.shape[1]) <= first.shape[2]:
        return (first @ second.transpose(1, 2)).square().mean(dim=(1, 2))
    one, other = first.transpose(1, 2) @ first, second.transpose(1, 2) @ second
    return (one * other).sum(dim=(1, 2)) / (first.shape[1] * second.shape[1])
