"""Flow between neighbouring features."""

from __future__ import annotations

from itertools import pairwise
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
    WarmUp,
    Weight,
    cuts_of,
    require_kind,
    spots_at_stages,
)
from engine.errors import SpecError
from engine.nets.staged import Trace


@DISTILLERS.register(
    "fsp",
    title="Copy the flow (FSP)",
    source="Yim et al., CVPR 2017, eq. 1-2",
    presets={"RepDistiller": {"weight": 0.0, "logits_weight": 0.0}},
)
class FlowOfSolution(Distiller):
    """Makes the student turn one feature into the next as the teacher does.

    A flow matrix holds the inner products of the channels of two neighbouring features, from
    the stem to the last map; each is a spot, named by the later feature. Both nets need the
    same numbers of channels. In the paper the student learns this alone, before the labels;
    here it goes on beside them. The loss is the mean over the matrix, as in RepDistiller; in
    the paper it is the sum.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        warm_up_epochs: Annotated[
            int, Field(ge=0, le=500, description="Epochs of this loss alone; 0: no such phase")
        ] = 30,
        warm_up_lr: Annotated[
            float, Field(gt=0, le=1, description="Rate of this loss alone")
        ] = 0.05,
        weight: Weight = 50.0,
    ) -> None:
        refuse_spots(setting)
        super().__init__(setting, weight=weight)
        self._chain = (_stems(setting.student, setting.teacher), *self.spots)
        if warm_up_epochs:
            nothing = nn.Module()
            self.warm_up = WarmUp(
                nothing, warm_up_epochs, warm_up_lr, self.all_flows, moves_student=True
            )

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        spots = spots_at_stages(student, teacher)
        require_equal_channels((_stems(student, teacher), *spots), student, teacher)
        return spots

    def all_flows(self, student: Trace, teacher: Trace) -> Tensor:
        """(B,) the sum of what is measured at all spots."""
        pairs = self.project(student, teacher)
        return torch.stack([_mean_square(pair) for pair in pairs]).sum(dim=0)

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        """The flow matrices of both nets."""
        return tuple(
            Pair(
                _flow(student[before.student], student[after.student]),
                _flow(teacher[before.teacher].detach(), teacher[after.teacher].detach()),
            )
            for before, after in pairwise(self._chain)
        )

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) mean square gap of the two flow matrices."""
        return _mean_square(pair)


def refuse_spots(setting: Setting) -> None:
    """For distillers that compare neighbouring features.

    Raises:
        SpecError: the setting tells where to compare.
    """
    if setting.spots:
        raise SpecError("this distiller compares neighbouring stages; spots cannot be chosen")


def require_equal_channels(spots: tuple[Spot, ...], student: Taps, teacher: Taps) -> None:
    """Raise SpecError unless the maps of each spot have equal numbers of channels."""
    for spot in require_kind(spots, student, teacher, "map"):
        ours, theirs = student[spot.student].shape[0], teacher[spot.teacher].shape[0]
        if ours != theirs:
            raise SpecError(
                "this distiller needs nets with equal numbers of channels:"
                f" at {spot.name} the student has {ours}, the teacher {theirs}"
            )


def _stems(student: Taps, teacher: Taps) -> Spot:
    return Spot(cuts_of(student)[0], cuts_of(teacher)[0])


def _flow(before: Tensor, after: Tensor) -> Tensor:
    """(B, C, H, W), (B, D, h, w) -> (B, C, D), mean products over the positions of the smaller.

    In float32 also where the nets compute in less.
    """
    with torch.autocast(before.device.type, enabled=False):
        one, other = (m.flatten(2) for m in pooled_alike(before.float(), after.float()))
        return one @ other.transpose(1, 2) / one.shape[2]


def _mean_square(pair: Pair) -> Tensor:
    return (pair.student - pair.teacher).square().mean(dim=(1, 2))
