"""Colours of classes that stay apart for colour-blind readers too, and masks painted in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RGB = tuple[int, int, int]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

APART = 16.0  # CIE 1976 distance, in the worst of four ways of seeing
VOID = 255  # in a mask: nobody says what this pixel shows
OPACITY = 0.6  # of a class's colour over a picture
EDGE = 0.45  # what remains of a colour where two classes meet
GREY = 128
LEVELS = (25, 75, 130, 185, 235)  # of each tone of a colour that may be taken

_GRID = tuple((red, green, blue) for red in LEVELS for green in LEVELS for blue in LEVELS)

# How linear RGB looks to people who lack red, green or blue cones: Machado, Oliveira and
# Fernandes, IEEE TVCG 15(6), 2009, severity 1.
_LACKING = np.array(
    [
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ]
)
_SEEN = np.concatenate([np.eye(3)[None], _LACKING])
# Linear sRGB to CIE XYZ over its white point D65 (IEC 61966-2-1).
_XYZ = np.array(
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ]
)


def class_palette(given: Sequence[Sequence[int]], count: int) -> tuple[RGB, ...]:
    """A colour for each of `count` classes; those given are kept where they stay apart.

    A colour that is too like one before it is replaced by the one farthest from all others.
    """
    plain = tuple((int(red), int(green), int(blue)) for red, green, blue in given)
    return _apart(plain if len(plain) == count else (), count)


def other_palette(names: Sequence[str], known: Mapping[str, RGB]) -> tuple[RGB, ...]:
    """Colours of another net's classes: a class of the same name has the same colour."""
    same = {name.lower(): colour for name, colour in known.items()}
    kept = [same.get(name.lower()) for name in names]
    taken = [*same.values()]
    for place, colour in enumerate(kept):
        if colour is None:
            kept[place] = _farthest(taken)
            taken.append(kept[place] or (0, 0, 0))
    return tuple(colour for colour in kept if colour is not None)


def distance(one: RGB, other: RGB) -> float:
    """How far two colours are apart for whom they are nearest."""
    return float(np.linalg.norm(_lab([one]) - _lab([other]), axis=-1).min())


def tinted(image: Bytes | None, mask: Bytes, colours: Sequence[RGB]) -> Bytes:
    """A mask over its image.

    Args:
        image: (H, W, 3); None: over nothing, colours only.
        mask: (H, W) class ids; VOID shows the image in grey stripes.
        colours: of each class.

    Returns:
        (H, W, 3) uint8; where two classes meet the colour is darker, so that areas are told
        apart without it too.
    """
    table = np.full((256, 3), GREY, dtype=np.float32)
    table[: len(colours)] = np.array(colours, dtype=np.float32).reshape(-1, 3)
    if image is None:
        painted = table[mask]
    else:
        painted = (table * np.float32(OPACITY))[mask]
        painted += image * np.float32(1 - OPACITY)
    void = mask == VOID
    if void.any():
        down, across = np.indices(mask.shape)
        stripes = np.where((down + across) // 3 % 2, 1.15, 0.8).astype(np.float32)[..., None]
        under = GREY if image is None else image.mean(axis=2, keepdims=True)
        painted = np.where(void[..., None], under * stripes, painted)
    painted[_edges(mask)] *= EDGE
    return painted.clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _apart(given: tuple[RGB, ...], count: int) -> tuple[RGB, ...]:
    kept: dict[int, RGB] = {}
    for place, colour in enumerate(given):
        if all(distance(colour, other) >= APART for other in kept.values()):
            kept[place] = colour
    for place in range(count):
        if place not in kept:
            kept[place] = _farthest([*kept.values()])
    return tuple(kept[place] for place in range(count))


def _farthest(taken: Sequence[RGB]) -> RGB:
    """The colour whose nearest among those taken is farthest."""
    black_and_white: list[RGB] = [(0, 0, 0), (255, 255, 255)]  # void and paper
    gaps = _candidates()[:, :, None] - _lab([*black_and_white, *taken])[:, None]
    nearest = np.linalg.norm(gaps, axis=-1).min(axis=(0, 2))
    return _GRID[int(nearest.argmax())]


@lru_cache(maxsize=1)
def _candidates() -> Floats:
    return _lab(_GRID)


def _lab(colours: Sequence[RGB]) -> Floats:
    """(N) colours -> (4, N, 3) CIE L*a*b* as seen with all cones and with one kind lacking."""
    share = np.array(colours, dtype=np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("vij,nj->vni", _SEEN, linear), 0, 1)
    xyz = seen @ _XYZ.T
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _edges(mask: Bytes) -> NDArray[np.bool_]:
    """(H, W) pixels whose right or lower neighbour is of another class."""
    found = np.zeros(mask.shape, dtype=bool)
    found[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    found[:-1] |= mask[:-1] != mask[1:]
    return found
