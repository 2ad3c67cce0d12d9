"""What data sets hold and what loaders hand to the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from engine.class_colours import VOID as VOID
from engine.registry import Registry
from engine.spec import Task


@dataclass(frozen=True, slots=True)
class Batch:
    """B samples.

    image:  (B, 3, H, W) float32, normalised, channels_last
    target: (B,) int64 class ids, or (B, H, W) int64 of every pixel, VOID where nothing is told
    index:  (B,) int64 position of each sample in its split
    """

    image: Tensor
    target: Tensor
    index: Tensor

    def select(self, rows: Tensor) -> Batch:
        """The samples at `rows` (K,), in that order."""
        return Batch(self.image[rows], self.target[rows], self.index[rows])

    def __len__(self) -> int:
        return len(self.target)


class Images(Protocol):
    """N images of one size, without a word on what they show."""

    def images(self, rows: Tensor) -> Tensor:
        """(K,) int64 rows -> (K, 3, H, W) uint8."""

    def __len__(self) -> int: ...


class Split(Images, Protocol):
    """One part of a data set: N images of one size with their classes."""

    @property
    def targets(self) -> Tensor:
        """(N,) int64 class ids; -1 where each pixel has a class of its own."""


@runtime_checkable
class MaskedSplit(Split, Protocol):
    """N images of one size with the class of every pixel."""

    def masks(self, rows: Tensor) -> Tensor:
        """(K,) int64 rows -> (K, H, W) uint8 class ids or VOID."""


def labels(split: Split, rows: Tensor) -> Tensor:
    """(K,) rows -> (K,) or, of a masked split, (K, H, W): int64 what a batch has as its target."""
    return split.masks(rows).long() if isinstance(split, MaskedSplit) else split.targets[rows]


@dataclass(frozen=True, slots=True)
class Augment:
    """What training does to an image, drawn anew at every step.

    The first two are for images with one class, the last two for images with masks.
    """

    crop_padding: int = 0  # pixels added on each side before a random crop of the old size
    reflect: bool = False  # pad with the mirrored image, not with black
    flip: bool = False  # left and right, half of the time
    scale: tuple[float, float] = (1.0, 1.0)  # from and to, before a random crop of the old size
    jitter: float = 0.0  # brightness and contrast, each by a factor of 1 - jitter to 1 + jitter


@dataclass(frozen=True, slots=True)
class DataSet:
    """Images in splits, and how to feed them to a net.

    mean, std: per channel, of pixel values from 0 to 1
    fingerprint: changes when the pixels or classes change
    task: of a set to segment all splits are masked
    proximity: images like those of the set, for methods that need no labels
    palette: (R, G, B) of each class as its masks are painted; empty where nobody says
    """

    name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    augment: Augment
    train: Split
    validation: Split
    test: Split | None
    fingerprint: str
    notes: tuple[str, ...] = field(default=())
    task: Task = "classify"
    proximity: Images | None = None
    palette: tuple[tuple[int, int, int], ...] = ()

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that exist, by name."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}


class Batches(Protocol):
    """The training batches of a run: a function of (seed, epoch, step) alone."""

    @property
    def steps(self) -> int:
        """Steps in one epoch."""

    @property
    def samples(self) -> int:
        """Samples in the split."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from its step `start` on."""


# A data set's entry builds it from (root folder, seed of the run) and its knobs.
DATASETS: Registry[DataSet] = Registry("data set")


def stratified_tenth(targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of train and of validation: a tenth of each class, at least one, drawn by seed.

    targets: (N,) -> two tensors of rows, ascending, disjoint and covering.
    """
    generator = torch.Generator().manual_seed(seed)
    held = []
    for label in sorted(set(targets.tolist())):
        rows = (targets == label).nonzero(as_tuple=True)[0]
        order = rows[torch.randperm(len(rows), generator=generator)]
        held.append(order[: max(1, len(rows) // 10)])
    validation = torch.cat(held).sort().values
    keep = torch.ones(len(targets), dtype=torch.bool)
    keep[validation] = False
    return keep.nonzero(as_tuple=True)[0], validation
