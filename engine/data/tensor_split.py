"""A split whose images all lie in memory, and what every stored split can do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol, Self

import torch
from torch import Tensor

from engine.data.batch import Split, stratified_tenth
from engine.seeding import seed_for

MEMORY_LIMIT = 10**9  # bytes of decoded images up to which a set is kept in memory


class Recognised(Protocol):
    """Images that can be recognised again."""

    def content(self) -> Iterator[bytes | memoryview]:
        """Bytes that change when the images or targets change."""


class Stored(Split, Recognised, Protocol):
    """A split that can be divided and recognised again."""

    def select(self, rows: Tensor) -> Self:
        """The split of the samples at `rows` (K,), in that order."""


class TensorSplit:
    """N images of one size as one tensor.

    pixels: (N, 3, H, W) uint8; targets: (N,) int64.
    """

    def __init__(self, pixels: Tensor, targets: Tensor) -> None:
        assert pixels.dtype == torch.uint8 and pixels.ndim == 4 and pixels.shape[1] == 3
        assert targets.dtype == torch.int64 and targets.shape == pixels.shape[:1]
        self.pixels = pixels
        self.targets = targets

    def images(self, rows: Tensor) -> Tensor:
        """(K,) int64 rows -> (K, 3, H, W) uint8."""
        return self.pixels[rows]

    def select(self, rows: Tensor) -> TensorSplit:
        """The split of the samples at `rows` (K,), in that order."""
        return TensorSplit(self.pixels[rows], self.targets[rows])

    def to(self, device: torch.device) -> TensorSplit:
        """The same split on another device."""
        return TensorSplit(self.pixels.to(device), self.targets.to(device))

    def content(self) -> Iterator[bytes | memoryview]:
        """The shape, the pixels and the targets."""
        yield repr(tuple(self.pixels.shape)).encode()
        yield self.pixels.contiguous().numpy().data
        yield self.targets.numpy().data

    def __len__(self) -> int:
        return len(self.targets)


def fingerprint(classes: Iterable[str], *splits: Recognised | None) -> str:
    """16 hexadecimal digits that change with the classes, the images and the targets."""
    digest = hashlib.blake2b(repr(tuple(classes)).encode(), digest_size=8)
    for split in splits:
        for part in split.content() if split is not None else ():
            digest.update(part)
    return digest.hexdigest()


def set_aside(train: Stored, run_seed: int) -> tuple[Stored, Stored]:
    """Training and validation split of a set that has no validation split of its own."""
    kept, held = stratified_tenth(train.targets, seed_for(run_seed, "validation"))
    return train.select(kept), train.select(held)
