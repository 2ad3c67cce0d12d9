"""Factors of inheritance and exploration."""

from __future__ import annotations

import math
from typing import Annotated, Literal

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
)
from engine.errors import SpecError
from engine.nets.staged import Trace


@DISTILLERS.register(
    "coder",
    title="Copy codes (factors of IE-KD)",
    source="Huang et al., CVPR 2021, authors' code (NormLoss, CosLoss, RecLoss)",
)
class Coder(Distiller):
    """Makes a code of the student's last map agree with the teacher's, both as unit vectors.

    The teacher's code is that of an auto-encoder which learns in a phase of its own. The
    distance of the authors' code is `l1`; `l2` is the root of the mean square over the whole
    batch, `cosine` one minus the cosine. To move away from the teacher, the first two grow and
    the cosine goes to 0, not to -1.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        codes: Annotated[int, Field(ge=1, le=4096, description="Channels of a code")] = 32,
        distance: Annotated[
            Literal["l1", "l2", "cosine"], Field(description="Between two unit codes")
        ] = "l1",
        power: Annotated[
            int,
            Field(
                ge=1,
                le=2,
                description="Of the gap between a map and what the auto-encoder makes of it",
            ),
        ] = 1,
        warm_up_epochs: Annotated[
            int, Field(ge=1, le=500, description="Epochs of the auto-encoder")
        ] = 30,
        warm_up_lr: Annotated[
            float, Field(gt=0, le=1, description="Rate of the auto-encoder")
        ] = 0.1,
        weight: Weight = 50.0,
    ) -> None:
        super().__init__(setting, weight=weight)
        (spot,) = self.spots
        self._tap, self._distance, self._power = spot.teacher, distance, power
        theirs = setting.teacher[spot.teacher].shape[0]
        ours = setting.student[spot.student].shape[0]
        self.auto_encoder = nn.Sequential(coder(theirs, codes), coder(codes, theirs))
        self.encoder = coder(ours, codes)
        self.warm_up = WarmUp(self.auto_encoder, warm_up_epochs, warm_up_lr, self.reconstruction)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        """The last map before pooling, after its norm and ReLU."""
        return (Spot(last_map(student), last_map(teacher)),)

    def reconstruction(self, student: Trace, teacher: Trace) -> Tensor:
        """(B,) mean gap between a map and what the auto-encoder makes of it."""
        feature = teacher[self._tap].detach().float()
        again: Tensor = self.auto_encoder(feature)
        return (again - feature).abs().pow(self._power).flatten(1).mean(dim=1)

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        ((s, t),) = self.spots
        ours, theirs = pooled_alike(student[s], teacher[t].detach())
        with torch.no_grad():
            code = self.auto_encoder[0](theirs)
        return (Pair(self.encoder(ours), code),)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) distance of the unit codes; with l2 one value for all, that of the batch."""
        student, teacher = (F.normalize(code.flatten(1)) for code in (pair.student, pair.teacher))
        if self._distance == "l1":
            return (student - teacher).abs().mean(dim=1)
        if self._distance == "l2":
            gap = (student - teacher).square().mean()
            return gap.clamp(min=1e-24).sqrt().expand(len(student))
        return 1 - (student * teacher).sum(dim=1)

    def repel(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) minus the distance; with cosine its size."""
        if self._distance != "cosine":
            return -self.measure(pair, batch)
        return (1 - self.measure(pair, batch)).abs()

    def apart(self, repelled: Tensor) -> Tensor:
        """With cosine the distance from orthogonal, 1 - |cos|; else that of the codes."""
        return 1 - repelled if self._distance == "cosine" else -repelled


def coder(inputs: int, outputs: int) -> nn.Sequential:
    """LeakyReLU, then three 3x3 convolutions with norm and LeakyReLU; the size stays."""
    layers: list[nn.Module] = [nn.LeakyReLU(0.1)]
    for into, out in ((inputs, inputs), (inputs, outputs), (outputs, outputs)):
        convolution = nn.Conv2d(into, out, 3, padding=1, bias=False)
        nn.init.normal_(convolution.weight, std=math.sqrt(2 / (9 * out)))
        layers += [convolution, nn.BatchNorm2d(out), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


def last_map(taps: Taps) -> str:
    """The map before pooling, after its norm and ReLU.

    Raises:
        SpecError: the net has no maps.
    """
    maps = [name for name, tap in taps.items() if tap.kind == "map"]
    if not maps:
        raise SpecError("this net has no feature maps")
    return maps[-1]
