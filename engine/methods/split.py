"""A net's features in two parts, by channels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from engine.distillers.base import Taps
from engine.errors import SpecError
from engine.nets.staged import Tap, Trace

Order = Literal["natural", "random"]
PartName = Literal["inherit", "explore"]


class Split(nn.Module):
    """Which channels of which taps inherit, and which explore; indices are kept with a run.

    Args:
        taps: of the student.
        names: the taps that are split.
        ratio: share of the channels that inherit; each part has one channel or more unless it
            is 0 or 1.
        order: natural takes the first channels, random draws them.
        seed: of the draw.

    Raises:
        SpecError: a tap has too few channels.
    """

    def __init__(
        self, taps: Taps, names: Iterable[str], *, ratio: float, order: Order, seed: int
    ) -> None:
        super().__init__()
        self._names = tuple(dict.fromkeys(names))
        generator = torch.Generator().manual_seed(seed)
        for place, name in enumerate(self._names):
            count = taps[name].shape[0]
            inherits = math.floor(round(ratio * count, 9))  # 0.29 * 100 is 28.999999999999996
            if 0 < ratio < 1:
                inherits = min(max(inherits, 1), count - 1)
                if count < 2:
                    raise SpecError(f"{name} has one channel: it cannot be split")
            channels = torch.arange(count)
            if order == "random":
                channels = torch.randperm(count, generator=generator)
            self.register_buffer(f"inherit{place}", channels[:inherits].sort().values)
            self.register_buffer(f"explore{place}", channels[inherits:].sort().values)

    def channels(self, part: PartName, tap: str) -> Tensor:
        """(C',) int64, ascending."""
        found: Tensor = getattr(self, f"{part}{self._names.index(tap)}")
        return found

    def taps(self, part: PartName, taps: Taps) -> dict[str, Tap]:
        """The taps of the student as one part has them."""
        narrowed = {
            name: Tap((len(self.channels(part, name)), *tap.shape[1:]), tap.kind, tap.after)
            for name, tap in taps.items()
            if name in self._names
        }
        return {**taps, **narrowed}

    def see(self, part: PartName, trace: Trace) -> Mapping[str, Tensor]:
        """What one part of the student gives at its taps, (B, C', H, W)."""
        return {name: trace[name][:, self.channels(part, name)] for name in self._names}
