"""Training batches of a set to segment: a few labelled images, and a pool of others beside them.

A phase draws from endless streams of its own: every image is shown once before any is shown
again, and a batch is full however few images there are. What a step shows is a function of
(seed, purpose, epoch, step) alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.data.batch import VOID, Batch, Batches, DataSet, Images, MaskedSplit
from engine.data.device_loader import Normalise
from engine.data.joint_augment import JointAugment
from engine.seeding import seed_for

NATURAL = -1.0  # a share of target images: what it is among all images


@dataclass(frozen=True, slots=True)
class Pools:
    """Draws the batches of the phases of one run.

    batch: images a step. steps: in an epoch; 0: as many as show each labelled image once.
    """

    data: DataSet
    batch: int
    steps: int
    seed: int
    device: torch.device

    def labelled(self, purpose: str) -> Batches:
        """Training images with their masks.

        Args:
            purpose: of the phase; two purposes draw independently.
        """
        return _Drawn(self, purpose, [_Joined([self.data.train])], 1.0, is_labelled=True)

    def pooled(self, purpose: str, target_share: float = NATURAL) -> Batches:
        """Training images beside those of the proximity pool, without labels.

        The `index` of a proximity image follows those of the training images.

        Args:
            target_share: of the training images in the long run, 0 to 1. NATURAL: all images are
                shuffled together. 1, or no proximity images: as if there were no pool.
        """
        target, other = self.data.train, self.data.proximity
        if other is None or len(other) == 0 or target_share == 1:
            parts, target_share = [_Joined([target])], 1.0
        elif target_share == NATURAL:
            parts, target_share = [_Joined([target, other])], 1.0
        else:
            parts = [_Joined([target]), _Joined([other], first=len(target))]
        return _Drawn(self, purpose, parts, target_share, is_labelled=False)


class _Joined:
    """Images that are shuffled together.

    first: the number of the first among all images of a phase.
    """

    def __init__(self, pools: Sequence[Images], first: int = 0) -> None:
        self._pools, self.first = pools, first

    def __len__(self) -> int:
        return sum(map(len, self._pools))

    def images(self, rows: Tensor) -> Tensor:
        """(K,) rows, counted through all pools -> (K, 3, H, W) uint8."""
        places, found = [], []
        first = 0
        for pool in self._pools:
            here = ((rows >= first) & (rows < first + len(pool))).nonzero()[:, 0]
            if len(here):
                places.append(here)
                found.append(pool.images(rows[here] - first))
            first += len(pool)
        return torch.cat(found)[torch.cat(places).argsort()]


class _Drawn:
    """Batches from one part, or from two of which the first has `share` of every batch."""

    def __init__(
        self,
        pools: Pools,
        purpose: str,
        parts: Sequence[_Joined],
        share: float,
        *,
        is_labelled: bool,
    ) -> None:
        data = pools.data
        self.samples = sum(map(len, parts))
        self.steps = pools.steps or math.ceil(len(data.train) / pools.batch)
        self._parts, self._share, self._is_labelled = parts, share, is_labelled
        self._train, self._batch, self._device = data.train, pools.batch, pools.device
        self._seed, self._purpose = pools.seed, purpose
        self._augment = JointAugment(data.augment, data.input_shape[1:])
        self._normalise = Normalise(data, pools.device)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from its step `start` on."""
        for step in range(start, self.steps):
            before = (epoch * self.steps + step) * self._batch
            edges = zip(self._taken(before), self._taken(before + self._batch), strict=True)
            rows = [self._rows(number, *edge) for number, edge in enumerate(edges)]
            yield self._made(rows, seed_for(self._seed, "augment", self._purpose, epoch, step))

    def _taken(self, images: int) -> tuple[int, ...]:
        """How many of so many images come from each part."""
        of_first = math.floor(self._share * images + 1e-9)
        return (of_first, images - of_first)[: len(self._parts)]

    def _rows(self, number: int, begin: int, end: int) -> Tensor:
        """Places `begin` to `end` in the stream of one part: (end - begin,) rows of it."""
        size = len(self._parts[number])
        turns = range(begin // size, math.ceil(end / size))
        shuffled = [torch.randperm(size, generator=self._generator(number, turn)) for turn in turns]
        stream = torch.cat([torch.empty(0, dtype=torch.int64), *shuffled])
        return stream[begin - turns.start * size :][: end - begin]

    def _generator(self, number: int, turn: int) -> torch.Generator:
        seed = seed_for(self._seed, "order", self._purpose, number, turn)
        return torch.Generator().manual_seed(seed)

    def _made(self, rows: Sequence[Tensor], seed: int) -> Batch:
        drawn = [(part, chosen) for part, chosen in zip(self._parts, rows, strict=True)]
        raw = torch.cat([part.images(chosen) for part, chosen in drawn if len(chosen)])
        image, mask = self._augment(raw.to(self._device), self._masks(raw, rows), seed)
        index = torch.cat([chosen + part.first for part, chosen in drawn])
        return Batch(self._normalise(image), mask.long(), index.to(self._device))

    def _masks(self, raw: Tensor, rows: Sequence[Tensor]) -> Tensor:
        """(B, H, W) uint8; without labels all are VOID, and no mask is read."""
        if not self._is_labelled:
            return raw.new_full((len(raw), *raw.shape[2:]), VOID).to(self._device)
        assert isinstance(self._train, MaskedSplit)
        return self._train.masks(rows[0]).to(self._device)
