"""Colours of classes where nobody has chosen any."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

RGB = tuple[int, int, int]

# "muted" of Paul Tol's colour schemes (SRON/EPS/TN/09-002), made for colour-blind readers.
_MUTED: tuple[RGB, ...] = (
    *((51, 34, 136), (136, 204, 238), (204, 102, 119), (221, 204, 119), (17, 119, 51)),
    *((170, 68, 153), (68, 170, 153), (136, 34, 85), (153, 153, 51), (221, 221, 221)),
)
_GOLDEN = 0.618034  # of a turn: hues so far apart never meet
_LEVELS = ((0.85, 0.55), (0.35, 1.0), (0.75, 0.85), (0.55, 0.4))  # saturation and brightness


def palette_of(count: int, chosen: Sequence[RGB] = ()) -> tuple[RGB, ...]:
    """(R, G, B) of so many classes: the chosen ones if there are as many, else colours apart.

    The first ten are told apart by colour-blind readers; of more, names must help.
    """
    if len(chosen) == count:
        return tuple(chosen)
    return tuple(_colour(label) for label in range(count))


def _colour(label: int) -> RGB:
    if label < len(_MUTED):
        return _MUTED[label]
    saturation, brightness = _LEVELS[label % len(_LEVELS)]
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN % 1, saturation, brightness)
    return round(red * 255), round(green * 255), round(blue * 255)
