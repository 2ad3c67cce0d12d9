"""Small modules that translate one net's features into the shape of another's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import SpecError
from engine.nets.staged import Tap


def adapter(source: Tap, target: Tap) -> nn.Module:
    """A translator between two taps, as in the spot-adaptive authors' code.

    Maps: convolution with bias, BatchNorm, ReLU; vectors: one linear layer. Never the
    identity, also where the shapes agree. The ReLU cannot give the negative values that some
    nets' features have; it is kept for parity.

    Raises:
        SpecError: one is a map and the other is not.
    """
    if source.kind == target.kind == "map":
        return nn.Sequential(
            _resize(source.shape, target.shape), nn.BatchNorm2d(target.shape[0]), nn.ReLU()
        )
    if len(source.shape) == len(target.shape) == 1:
        return nn.Linear(source.shape[0], target.shape[0])
    raise SpecError(f"a {source.kind} of the one net cannot become a {target.kind} of the other")


def _resize(source: tuple[int, ...], target: tuple[int, ...]) -> nn.Module:
    """A convolution from (C, H, W) to (C', H', W'), where both sides change alike."""
    tall, wide = (_one_side(i, o) for i, o in zip(source[1:], target[1:], strict=True))
    if tall[0] != wide[0]:
        raise SpecError(f"a map of {source[1:]} cannot become one of {target[1:]}")
    make = nn.ConvTranspose2d if tall[0] else nn.Conv2d
    return make(
        source[0],
        target[0],
        kernel_size=(tall[1], wide[1]),
        stride=(tall[2], wide[2]),
        padding=(tall[3], wide[3]),
    )


def _one_side(size_in: int, size_out: int) -> tuple[bool, int, int, int]:
    """(is transposed, kernel, stride, padding) along one axis."""
    if size_in == 2 * size_out:
        return False, 3, 2, 1
    if 2 * size_in == size_out:
        return True, 4, 2, 1
    if size_in >= size_out:
        return False, 1 + size_in - size_out, 1, 0
    stride = size_out // size_in
    return True, size_out - stride * (size_in - 1), stride, 0


def pooled_alike(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps (K, C, H, W) at the size of the smaller one, by adaptive average pooling."""
    tall = min(student.shape[2], teacher.shape[2])
    wide = min(student.shape[3], teacher.shape[3])
    return _pooled(student, tall, wide), _pooled(teacher, tall, wide)


def _pooled(feature: Tensor, tall: int, wide: int) -> Tensor:
    if feature.shape[2:] == (tall, wide):
        return feature
    return F.adaptive_avg_pool2d(feature, (tall, wide))
