"""Batches on the device: ordered, augmented and normalised, each a function of its place.

Every random draw is made on the CPU from (seed, purpose, epoch, step), so that a run draws the
same on every device, and an epoch that begins in its middle gives the same batches.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from engine.data.batch import Augment, Batch, Batches, DataSet, Split, labels
from engine.data.mask_split import TensorImages
from engine.data.tensor_split import TensorSplit
from engine.errors import SpecError
from engine.seeding import seed_for

# Two cores stay with the run and the dashboard; more than eight readers outrun any disk.
NUM_WORKERS = max(0, min(8, (os.cpu_count() or 1) - 2))


def training_batches(
    data: DataSet,
    *,
    batch: int,
    seed: int,
    device: torch.device,
    drop_last: bool = False,
    augment: bool = True,
    num_workers: int = NUM_WORKERS,
) -> Batches:
    """The batches of a run's training split.

    Args:
        batch: samples a batch; the last of an epoch may have fewer unless it is dropped.
        seed: the run's seed.
        augment: False trains on the images as they are.
        num_workers: processes that decode images of a set too large for memory; 0 decodes in this
            process.

    Raises:
        SpecError: the batch is larger than the split, and incomplete batches are dropped.
    """
    view = data.augment if augment else Augment()
    return _TrainingBatches(data, batch, seed, device, drop_last, view, num_workers)


def evaluation_batches(
    split: Split, data: DataSet, *, batch: int, device: torch.device, num_workers: int = NUM_WORKERS
) -> Iterator[Batch]:
    """All samples of a split in their order, as they are."""
    rows = _by_step(torch.arange(len(split)), batch)
    normalise = Normalise(data, device)
    for chosen, raw in zip(rows, _raw_batches(split, rows, num_workers), strict=True):
        image = normalise(raw.to(device))
        yield Batch(image, labels(split, chosen).to(device), chosen.to(device))


def augmented(raw: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """(B, 3, H, W) uint8 -> the same shape: each image shifted and mirrored by its own draw.

    generator: on the CPU; it gives the shifts down, the shifts across, then the flips.
    """
    size, pad = len(raw), augment.crop_padding
    height, width = raw.shape[2:]
    shift = torch.randint(-pad, pad + 1, (2, size, 1), generator=generator).to(raw.device)
    flipped = torch.rand(size, 1, generator=generator).to(raw.device) < 0.5
    down = torch.arange(height, device=raw.device) + shift[0]  # (B, H)
    across = torch.arange(width, device=raw.device).expand(size, -1)
    if augment.flip:
        across = torch.where(flipped, across.flip(1), across)
    across = across + shift[1]  # (B, W)
    places = _inside(down, height)[:, :, None] * width + _inside(across, width)[:, None, :]
    places = places.flatten(1)[:, None].expand(-1, 3, -1)
    moved = raw.flatten(2).gather(2, places).view_as(raw)
    if pad and not augment.reflect:
        seen_down, seen_across = _is_inside(down, height), _is_inside(across, width)
        moved = moved * (seen_down[:, None, :, None] & seen_across[:, None, None, :])
    return moved


class _TrainingBatches:
    def __init__(
        self,
        data: DataSet,
        batch: int,
        seed: int,
        device: torch.device,
        drop_last: bool,
        augment: Augment,
        num_workers: int,
    ) -> None:
        split = data.train
        self.samples = len(split)
        self.steps = self.samples // batch if drop_last else -(-self.samples // batch)
        if self.steps == 0:
            raise SpecError(
                f"a batch of {batch} is larger than the training split of {self.samples} images,"
                " and incomplete batches are dropped",
                hint=f"Choose a batch of at most {self.samples}.",
            )
        # A small set moves to the device once; what is too large for memory is copied by batch.
        self._split = split.to(device) if isinstance(split, TensorSplit) else split
        self._batch, self._seed, self._device = batch, seed, device
        self._augment, self._num_workers = augment, num_workers
        self._normalise = Normalise(data, device)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from its step `start` on."""
        order = self._order(epoch).to(self._split.targets.device)
        rows = _by_step(order, self._batch)[start : self.steps]
        raws = _raw_batches(self._split, rows, self._num_workers)
        for step, (chosen, raw) in enumerate(zip(rows, raws, strict=True), start):
            moved = raw.to(self._device)
            if self._augment.crop_padding or self._augment.flip:
                moved = augmented(moved, self._augment, self._generator("augment", epoch, step))
            target = self._split.targets[chosen].to(self._device)
            yield Batch(self._normalise(moved), target, chosen.to(self._device))

    def _order(self, epoch: int) -> Tensor:
        """(N,) rows in the order of this epoch."""
        return torch.randperm(self.samples, generator=self._generator("order", epoch))

    def _generator(self, *purpose: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(seed_for(self._seed, *purpose))


class Normalised(Protocol):
    """What says how a net's images are normalised: per channel, of pixel values from 0 to 1."""

    @property
    def mean(self) -> tuple[float, float, float]: ...

    @property
    def std(self) -> tuple[float, float, float]: ...


class Normalise:
    """(B, 3, H, W) uint8 -> float32, less the mean, over the deviation, channels_last."""

    def __init__(self, data: Normalised, device: torch.device) -> None:
        # A pixel value, not its 255th, is what is stored: 128 then maps to 0 to the last bit.
        self._mean = torch.tensor(data.mean, dtype=torch.float64).mul(255).float().to(device)
        self._std = torch.tensor(data.std, dtype=torch.float64).mul(255).float().to(device)

    def __call__(self, raw: Tensor) -> Tensor:
        image = raw.to(torch.float32, memory_format=torch.channels_last)
        return image.sub_(self._mean[:, None, None]).div_(self._std[:, None, None])


class _RowsOfSplit(Dataset[Tensor]):
    def __init__(self, split: Split) -> None:
        self._split = split

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self._split.images(rows)


def _raw_batches(split: Split, rows: Sequence[Tensor], num_workers: int) -> Iterable[Tensor]:
    """The uint8 images of each of the `rows`, read ahead by processes where that helps."""
    if isinstance(split, TensorSplit | TensorImages) or num_workers == 0:
        return (split.images(chosen) for chosen in rows)
    return DataLoader(
        _RowsOfSplit(split),
        batch_size=None,
        sampler=rows,
        num_workers=num_workers,
        multiprocessing_context="forkserver",
        generator=torch.Generator(),  # else it draws from the global one
    )


def _by_step(rows: Tensor, batch: int) -> list[Tensor]:
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]


def _inside(place: Tensor, size: int) -> Tensor:
    """Places beyond an edge, mirrored at the edge's pixel; mirroring keeps all within 0..size-1."""
    return (size - 1) - ((size - 1) - place.abs()).abs()


def _is_inside(place: Tensor, size: int) -> Tensor:
    return (place >= 0) & (place < size)
