"""Which pictures are shown in which order, and how well nets fit them."""

from __future__ import annotations

import io
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image

from engine.api import VOID, Choice

Shares = Sequence[float | None]  # overlap by class, 0 to 1; None where the truth lacks the class
Order = Literal["worst", "gap", "order"]

PIXELS_AT_ONCE = 600_000  # of the pictures that are asked for together
MOST_AT_ONCE = 16
# Settings of a data set that change which images are trained on, and how, but no held-out image.
ABOUT_TRAINING = {
    *("num_target", "num_train", "num_proximity", "proximity", "drawn_by", "seed"),
    *("flip", "smallest", "largest", "jitter", "memory"),
}


def mean_of(shares: Shares) -> float | None:
    """The mean over the classes that are there."""
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def ordered(
    first: Sequence[Shares], second: Sequence[Shares], by: Order, label: int | None = None
) -> list[int]:
    """Rows of pictures, first to be shown first.

    Args:
        first, second: of net A and B for every picture; empty where they are not known.
        by: worst overlap of A; B's lead over A; or the data set's own order.
        label: only pictures whose truth has this class, ordered by its overlap.
    """
    rows = [row for row, shares in enumerate(first) if label is None or shares[label] is not None]
    if by == "order" or (by == "gap" and not second):
        return rows
    values = {row: _value(first[row], label) for row in rows}
    if by == "gap":
        values = {row: _minus(values[row], _value(second[row], label)) for row in rows}
    last = [row for row in rows if values[row] is None]
    return [*sorted(set(rows) - set(last), key=lambda row: (values[row], row)), *last]


def iou_rows(
    classes: Sequence[str], first: Shares | None, second: Shares | None
) -> list[dict[str, Any]]:
    """A line for each class that the truth of a picture holds, in per cent; the mean is last."""
    told = [one for one in (first, second) if one]
    if not told:
        return []
    lines = [(name, label) for label, name in enumerate(classes) if told[0][label] is not None]
    rows = [{"Class": name, **_both(first, second, label)} for name, label in lines]
    means = [mean_of(one) if one else None for one in (first, second)]
    return [*rows, {"Class": "Mean", **_line(means[0], means[1], bool(first), bool(second))}]


def group_of(rows: Sequence[int], place: int, pixels: int) -> list[int]:
    """The rows that are asked for together with the one at a place."""
    size = max(1, min(MOST_AT_ONCE, PIXELS_AT_ONCE // max(pixels, 1)))
    start = place // size * size
    return list(rows[start : start + size])


def shares_pictures(one: Choice, other: Choice) -> bool:
    """Whether two choices of a data set hold the same images back."""
    kept = (
        {name: value for name, value in choice.knobs.items() if name not in ABOUT_TRAINING}
        for choice in (one, other)
    )
    return one.name == other.name and next(kept) == next(kept)


def mask_png(deflated: bytes, width: int, height: int, palette: Sequence[Sequence[int]]) -> bytes:
    """A mask as a PNG of class numbers with the classes' colours; 255 is no class, and black."""
    labels = np.frombuffer(zlib.decompress(deflated), dtype=np.uint8).reshape(height, width)
    image = Image.fromarray(labels)
    tones = [tone for colour in palette for tone in colour]
    image.putpalette(tones + [0] * (3 * (VOID + 1) - len(tones)))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def unique_names(named: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Id -> name; where several share a name, the end of the id tells them apart."""
    counts = Counter(name for _, name in named)
    return {one: name if counts[name] == 1 else f"{name} · {one[-6:]}" for one, name in named}


def picture_words(place: int, count: int, means: Mapping[str, float | None]) -> str:
    """What a picture's alternative text begins with."""
    told = [
        f"{name} overlaps the truth by {100 * value:.0f} %"
        for name, value in means.items()
        if value is not None
    ]
    return ", ".join([f"Picture {place} of {count}", *told])


def _value(shares: Shares, label: int | None) -> float | None:
    return mean_of(shares) if label is None else shares[label]


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _both(first: Shares | None, second: Shares | None, label: int) -> dict[str, Any]:
    one, other = (shares[label] if shares else None for shares in (first, second))
    return _line(one, other, bool(first), bool(second))


def _line(
    one: float | None, other: float | None, has_first: bool, has_second: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if has_first:
        found["A"] = _percent(one)
    if has_second:
        found["B"] = _percent(other)
    if has_first and has_second:
        gap = _minus(other, one)
        found["B - A"] = None if gap is None else round(100 * gap, 1)
    return found


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
