"""Outlines of the ten shapes, and how far each point of the plane lies from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Loop = NDArray[np.float64]  # (P, 2) corners of a closed polygon; y points down, radius about one

CELLS = 320  # of the distance table, along each side
REACH = 1.6  # the table covers -REACH to REACH: beyond the soft shadow of any shape


def circle() -> list[Loop]:
    return [_arc(0.88, 0, 1, 64)]


def ring() -> list[Loop]:
    return [_arc(0.92, 0, 1, 64), _arc(0.50, 0, 1, 64)]


def square() -> list[Loop]:
    return [0.78 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])]


def triangle() -> list[Loop]:
    return [_arc(1.08, -0.25, 0.75, 3)]


def star() -> list[Loop]:
    tips, dents = _arc(1.08, -0.25, 0.75, 5), _arc(0.46, -0.15, 0.85, 5)
    return [np.stack([tips, dents], axis=1).reshape(-1, 2)]


def cross() -> list[Loop]:
    w, h = 0.30, 0.95
    right = [(w, -h), (w, -w), (h, -w), (h, w), (w, w), (w, h)]
    return [np.array(right + [(-x, y) for x, y in reversed(right)])]


def hexagon() -> list[Loop]:
    return [_arc(0.98, 0, 1, 6)]


def crescent() -> list[Loop]:
    """A disc of radius .98 at x = .22 less a disc of radius .80 at x = .68."""
    outer, inner, gap = 0.98, 0.80, 0.46
    meet = (outer**2 - inner**2 + gap**2) / (2 * gap)
    a = math.acos(meet / outer) / math.tau
    b = math.acos((meet - gap) / inner) / math.tau
    back, front = _arc(outer, a, 1 - a, 48), _arc(inner, 1 - b, b, 48)
    back[:, 0] += 0.22
    front[:, 0] += 0.22 + gap
    return [np.concatenate([back, front])]


def arrow() -> list[Loop]:
    right = [(0.85, -0.15), (0.33, -0.15), (0.33, 0.95)]
    return [np.array([(0, -1.05), *right, *((-x, y) for x, y in reversed(right))])]


def heart() -> list[Loop]:
    t = np.arange(64) * (math.tau / 64)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t) + 2.2
    return [np.stack([x, -y], axis=1) / 16.5]


OUTLINES: tuple[Callable[[], list[Loop]], ...] = (
    circle,
    ring,
    square,
    triangle,
    star,
    cross,
    hexagon,
    crescent,
    arrow,
    heart,
)
NAMES = tuple(outline.__name__ for outline in OUTLINES)


@cache
def distance_table() -> NDArray[np.float32]:
    """(10, 320, 320) signed distance of each cell's centre [shape, y, x], negative inside.

    Rounded to 1/4096, so that the last bits of a machine's sine do not matter.
    """
    centres = ((np.arange(CELLS) + 0.5) / CELLS * 2 - 1) * REACH
    table = np.stack([signed_distance(outline(), centres) for outline in OUTLINES])
    rounded: NDArray[np.float32] = (np.floor(table * 4096 + 0.5) / 4096).astype(np.float32)
    return rounded


def signed_distance(loops: list[Loop], axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """(A, A) distance of each point of the grid to the nearest edge; inside by the even-odd rule.

    axis: (A,) coordinates of the grid's columns and, the same, of its rows.
    """
    x, y = axis[None, :], axis[:, None]
    squared = np.full((len(axis), len(axis)), np.inf)
    inside = np.zeros(squared.shape, dtype=bool)
    for loop in loops:
        for (x0, y0), (x1, y1) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
            gap = np.square(x - x0 - along * dx) + np.square(y - y0 - along * dy)
            np.minimum(squared, gap, out=squared)
            if dy != 0:
                inside ^= ((y >= y0) != (y >= y1)) & (x < x0 + (y - y0) * (dx / dy))
    distance: NDArray[np.float64] = np.where(inside, -1, 1) * np.sqrt(squared)
    return distance


def _arc(radius: float, start: float, stop: float, points: int) -> Loop:
    """(P, 2) points from turn `start` on, the turn `stop` itself left out when it closes a circle.

    Turns grow clockwise on the screen, as y points down.
    """
    closed = abs(stop - start) == 1
    turns = np.linspace(start, stop, points, endpoint=not closed) * math.tau
    arc: Loop = radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return arc
