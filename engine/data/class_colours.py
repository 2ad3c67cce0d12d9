"""A colour for every class of a set to segment."""

from __future__ import annotations

from collections.abc import Sequence

from engine.data.class_list import RGB

# "Muted" of Paul Tol's colour schemes (SRON/EPS/TN/09-002), made for colour-blind readers.
MUTED: tuple[RGB, ...] = (
    *((51, 34, 136), (136, 204, 238), (68, 170, 153), (17, 119, 51), (153, 153, 51)),
    *((221, 204, 119), (204, 102, 119), (136, 34, 85), (170, 68, 153), (221, 221, 221)),
)
SHADES = (1.0, 0.6, 0.8, 0.4)  # of a further round through the ten


def class_colours(palette: Sequence[RGB], count: int) -> tuple[RGB, ...]:
    """(R, G, B) of `count` classes: those of the set where it has its own, else ten and shades."""
    return tuple(palette) if len(palette) == count else tuple(map(_colour, range(count)))


def _colour(label: int) -> RGB:
    red, green, blue = MUTED[label % len(MUTED)]
    shade = SHADES[label // len(MUTED) % len(SHADES)]
    return int(red * shade), int(green * shade), int(blue * shade)
