"""Knowledge distillation through singular value decomposition."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from engine.data.batch import Batch
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
from engine.distillers.flow import refuse_spots, require_equal_channels
from engine.errors import SpecError
from engine.nets.staged import Trace

SPARE_VECTORS = 3  # of the student, to choose from
WIDTH = 8.0  # of the radial basis function, twice its variance
CLOSEST = 1e-5  # squared singular values nearer than this, over the largest, count as equal


@DISTILLERS.register("kdsvd", title="Copy singular vectors (KDSVD)", source="Lee et al., ECCV 2018")
class SingularVectors(Distiller):
    """Makes the main channel mixes of neighbouring maps relate as they do in the teacher.

    A map is a matrix of H*W positions by C channels; its right singular vectors are its main
    mixes of channels. Two neighbouring maps are related by the radial basis function of the gap
    between each entry of the one's vector and each of the other's; each relation is a spot,
    named by the earlier map. Both nets need the same numbers of channels.

    This is RepDistiller's form, but for two things. A vector's sign is free and changes the
    value: ours has a positive sum, whatever the machine. And the gradient of a vector takes
    equal singular values for what they are, where the public code divides by their gap.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        num_vectors: Annotated[
            int, Field(ge=1, le=8, description="Singular vectors of each of the teacher's maps")
        ] = 1,
        weight: Weight = 1.0,
    ) -> None:
        refuse_spots(setting)
        super().__init__(setting, weight=weight)
        self.num_vectors = num_vectors
        self._chain = (*self.spots, spots_at_stages(setting.student, setting.teacher)[-1])
        fewest = min(
            min(channels, height * width)
            for s, t in self._chain
            for channels, height, width in (setting.student[s].shape, setting.teacher[t].shape)
        )
        if num_vectors > fewest:
            raise SpecError(f"the smallest of these maps has {fewest} vectors, not {num_vectors}")

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        spots = spots_at_stages(student, teacher)
        if len(spots) < 2:
            raise SpecError("this distiller compares neighbouring stages; these nets share one")
        require_equal_channels(spots, student, teacher)
        return spots[:-1]

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        """The relations (B, C, D, vectors) between neighbouring maps of C and D channels.

        In float32 also where the nets compute in less.
        """
        with torch.autocast(student[self.spots[0].student].device.type, enabled=False):
            mixes = [self._mixes(student[s], teacher[t].detach()) for s, t in self._chain]
            return tuple(
                Pair(
                    _relation(before.student, after.student),
                    _relation(before.teacher, after.teacher),
                )
                for before, after in pairwise(mixes)
            )

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) sum of the squared gaps of the two relations."""
        return (pair.student - pair.teacher).square().flatten(1).sum(dim=1)

    def _mixes(self, student: Tensor, teacher: Tensor) -> Pair:
        """Maps -> (B, C, vectors) of both, weighed by the teacher's singular values."""
        count = self.num_vectors
        theirs, values = leading_vectors(teacher.float(), count)
        ours, _ = leading_vectors(student.float(), count + SPARE_VECTORS)
        scale = F.normalize(values, dim=1)[:, None, :]
        return Pair(_aligned(ours, theirs) * scale, theirs * scale)


def leading_vectors(feature: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first right singular vectors of each map's H*W x C matrix.

    The vectors move as perturbation of the first order tells: towards each other vector by
    1 / gap of their squared singular values. Where the gap is nil they could turn by any
    amount, and the gradient is 0.

    Args:
        feature: (B, C, H, W) float32.

    Returns:
        (B, C, count) unit vectors whose entries sum to no less than 0, and (B, count) singular
        values without gradient; fewer where the matrix has fewer.
    """
    matrix = feature.flatten(2).transpose(1, 2)
    with torch.no_grad():
        # A map that is not finite gives vectors that are not, not an error of the routine.
        _, values, rows = torch.linalg.svd(matrix.nan_to_num(0, 0, 0), full_matrices=False)
        vectors = of_one_sign(rows.transpose(1, 2))
        first, squares = vectors[:, :, :count], values.square()[:, None, :]
        closest = (CLOSEST * squares[:, :, :1]).clamp(min=1e-12)
        within = _inverse(squares[:, :, :count] - squares.transpose(1, 2), closest)
        beyond = _inverse(squares[:, :, :count], closest)
    turned = matrix.transpose(1, 2) @ (matrix @ first)
    parts = vectors.transpose(1, 2) @ turned
    change = vectors @ (parts * within) + (turned - vectors @ parts) * beyond
    return first + change - change.detach(), values[:, :count]


def of_one_sign(vectors: Tensor) -> Tensor:
    """(B, C, R), each vector turned so that its entries sum to no less than 0."""
    return torch.where(vectors.sum(dim=1, keepdim=True) < 0, -vectors, vectors)


def _inverse(gap: Tensor, closest: Tensor) -> Tensor:
    """1 / gap where the gap is wide, 0 where it is 0."""
    return gap / (gap.square() + closest.square())


def _aligned(ours: Tensor, theirs: Tensor) -> Tensor:
    """For each of their vectors (B, C, k) the nearest of ours (B, C, n), whatever its sign."""
    cosine = ours.detach().transpose(1, 2) @ theirs
    nearest = cosine.abs().argmax(dim=1, keepdim=True)
    chosen = ours.gather(2, nearest.expand(-1, ours.shape[1], -1))
    return chosen * cosine.gather(1, nearest).sign()


def _relation(before: Tensor, after: Tensor) -> Tensor:
    """(B, C, vectors), (B, D, vectors) -> (B, C, D, vectors)."""
    return (-(before[:, :, None] - after[:, None]).square() / WIDTH).exp()
