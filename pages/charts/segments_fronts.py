"""Feature maps of two fronts as small heat pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pages.charts.segments_overlay import Bytes, side_by_side

Floats = NDArray[np.float32]

TILE = 200  # pixels of a tile's width, about
TOP = 99.5  # per cent of the values that the scale ends at


def ramp(colours: Sequence[str]) -> Bytes:
    """(256, 3) from a list of colours like `#08519C`, evenly spaced."""
    stops = np.array([[int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in colours])
    places = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(places, np.arange(len(stops)), stops[:, part]) for part in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def scale_end(teacher: Floats, student: Floats) -> float:
    """The value that has the last colour, for all maps that are shown together."""
    return max(float(np.percentile(np.concatenate([teacher, student]), TOP)), 1e-9)


def front_strip(
    image: Bytes | None, teacher: Floats, student: Floats, end: float, colours: Bytes
) -> bytes:
    """Image, teacher's map, student's map and their gap, side by side, as a PNG.

    Args:
        image: (H, W, 3), or None: its tile is left out.
        teacher, student: (h, w) values of one channel, or of a mean over channels.
        end: the value of the last colour; the gap has the same scale.
        colours: (256, 3), from 0 to `end`.
    """
    height, width = teacher.shape if image is None else image.shape[:2]
    size = (TILE, max(1, round(TILE * height / width)))
    tiles = [] if image is None else [_fitted(image, size, Image.Resampling.BILINEAR)]
    for values in (teacher, student, np.abs(teacher - student)):
        level = (255 * np.clip(values / end, 0, 1)).round().astype(np.uint8)
        tiles.append(_fitted(colours[level], size, Image.Resampling.NEAREST))
    return side_by_side(tiles)


def gap_ratio(teacher: Floats, student: Floats) -> float:
    """The squared gap of the maps that are shown, as a share of the teacher's squares."""
    return float(np.square(teacher - student).sum() / max(float(np.square(teacher).sum()), 1e-12))


def _fitted(pixels: Bytes, size: tuple[int, int], way: Image.Resampling) -> Bytes:
    return np.asarray(Image.fromarray(pixels).resize(size, way))
