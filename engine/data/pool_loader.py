"""Training batches of a set to segment: a few labelled images, and a pool of others beside them.

A phase draws from an endless stream of its own: every image is shown once before any is shown
again, and a batch is full however few images there are. What a step shows is a function of
(seed, purpose, epoch, step) alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.data.batch import Batch, Batches, DataSet, Images, labels
from engine.data.device_loader import Normalise
from engine.data.joint_augment import JointAugment
from engine.data.mask_split import without_labels
from engine.seeding import seed_for

NATURAL = -1.0  # a share of target images: that among all images


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
        return _Drawn(self, purpose, (_Part((self.data.train,), 1.0),), is_labelled=True)

    def pooled(self, purpose: str, target_share: float = NATURAL) -> Batches:
        """Training images among those of the proximity pool, without labels.

        The `index` of a proximity image follows those of the training images.

        Args:
            target_share: of the training images in the long run, 0 to 1. NATURAL: all images are
                one pool. 1, or no proximity images: the batches are those of no pool at all.
        """
        target, other = self.data.train, self.data.proximity
        if other is None or len(other) == 0 or target_share == 1:
            parts: tuple[_Part, ...] = (_Part((target,), 1.0),)
        elif target_share == NATURAL:
            parts = (_Part((target, other), 1.0),)
        else:
            parts = (_Part((target,), target_share), _Part((other,), 1 - target_share, len(target)))
        return _Drawn(self, purpose, parts, is_labelled=False)


@dataclass(frozen=True, slots=True)
class _Part:
    """Images that are shuffled together.

    share: of each batch, in the long run. first: number of the first image.
    """

    pools: tuple[Images, ...]
    share: float
    first: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.pools))

    def images(self, rows: Tensor) -> Tensor:
        """(K,) rows, counted through all pools -> (K, 3, H, W) uint8."""
        found: list[Tensor] = []
        places: list[Tensor] = []
        first = 0
        for pool in self.pools:
            here = ((rows >= first) & (rows < first + len(pool))).nonzero()[:, 0]
            found.append(pool.images(rows[here] - first))
            places.append(here)
            first += len(pool)
        return torch.cat(found)[torch.cat(places).argsort()]


class _Drawn:
    def __init__(
        self, pools: Pools, purpose: str, parts: tuple[_Part, ...], *, is_labelled: bool
    ) -> None:
        data, batch = pools.data, pools.batch
        self.samples = sum(map(len, parts))
        self.steps = pools.steps or -(-len(data.train) // batch)
        self._purpose, self._parts, self._is_labelled = purpose, parts, is_labelled
        self._train, self._batch, self._seed = data.train, batch, pools.seed
        self._device = pools.device
        self._augment = JointAugment(data.augment, data.input_shape[1:])
        self._normalise = Normalise(data, pools.device)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from its step `start` on."""
        for step in range(start, self.steps):
            taken = (epoch * self.steps + step) * self._batch
            rows = [
                self._rows(number, part.share, len(part), taken)
                for number, part in enumerate(self._parts)
            ]
            yield self._made(rows, seed_for(self._seed, "augment", self._purpose, epoch, step))

    def _made(self, rows: list[Tensor], seed: int) -> Batch:
        drawn = zip(self._parts, rows, strict=True)
        raw = torch.cat([part.images(chosen) for part, chosen in drawn if len(chosen)])
        raw = raw.to(self._device)
        masks = without_labels(raw)
        if self._is_labelled:
            masks = labels(self._train, rows[0]).to(self._device)
        image, target = self._augment(raw, masks, seed)
        offsets = (part.first for part in self._parts)
        index = torch.cat([chosen + first for chosen, first in zip(rows, offsets, strict=True)])
        return Batch(self._normalise(image), target, index.to(self._device))

    def _rows(self, number: int, share: float, size: int, taken: int) -> Tensor:
        """What the step after `taken` images shows of one part: (K,) rows of it."""
        # Rounded to the next image each time, so that the shares add up to the batch.
        edges = [share * at if number == 0 else at - _others(self._parts, at) for at in (0,)]
        del edges
        raise NotImplementedError
