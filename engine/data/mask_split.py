"""Splits with the class of every pixel, and pools of plain images, in memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


class TensorImages:
    """N images of one size as one tensor, without labels.

    pixels: (N, 3, H, W) uint8.
    """

    def __init__(self, pixels: Tensor) -> None:
        assert pixels.dtype == torch.uint8 and pixels.ndim == 4 and pixels.shape[1] == 3
        self.pixels = pixels

    def images(self, rows: Tensor) -> Tensor:
        """(K,) int64 rows -> (K, 3, H, W) uint8."""
        return self.pixels[rows]

    def content(self) -> Iterator[bytes | memoryview]:
        """The shape and the pixels."""
        yield repr(tuple(self.pixels.shape)).encode()
        yield self.pixels.contiguous().numpy().data

    def __len__(self) -> int:
        return len(self.pixels)


class MaskTensorSplit(TensorImages):
    """N images with a mask each.

    pixels: (N, 3, H, W) uint8; labels: (N, H, W) uint8, classes or VOID.
    """

    def __init__(self, pixels: Tensor, labels: Tensor) -> None:
        super().__init__(pixels)
        assert labels.dtype == torch.uint8 and labels.shape == (len(pixels), *pixels.shape[2:])
        self.labels = labels

    @property
    def targets(self) -> Tensor:
        """(N,) int64, all -1: no image is of one class."""
        return torch.full((len(self),), -1)

    def masks(self, rows: Tensor) -> Tensor:
        """(K,) int64 rows -> (K, H, W) uint8."""
        return self.labels[rows]

    def select(self, rows: Tensor) -> MaskTensorSplit:
        """The split of the samples at `rows` (K,), in that order."""
        return MaskTensorSplit(self.pixels[rows], self.labels[rows])

    def content(self) -> Iterator[bytes | memoryview]:
        """The shape, the pixels and the masks."""
        yield from super().content()
        yield self.labels.contiguous().numpy().data
