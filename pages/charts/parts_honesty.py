"""Whether the features themselves explore, or only what is measured of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from engine.api import RunView
from pages.charts.curve import DISTANCE

EXPLORE = f"explore{DISTANCE}"
GREW = 0.05  # of its start: below it a distance stayed
FELL = 0.02  # of CKA: below it two students cannot be told apart


class Verdict(NamedTuple):
    """What a person should know of the exploration term."""

    kind: Literal["warning", "info", "success"]
    text: str


def verdict(
    view: RunView,
    own: Mapping[str, float | None],
    alone: Mapping[str, float | None] | None,
    *,
    has_codes: bool,
    is_empty: bool,
    other: str,
) -> Verdict | None:
    """Sets the distance that was trained beside the CKA of the features; None: nothing to say.

    Args:
        own: linear CKA of this run's raw features, as in `teacher, explore`.
        alone: the same of a student that nobody taught; None where there is none.
        has_codes: the distance is measured behind an encoder that learns.
        is_empty: the part that explores is by itself no better than guessing.
        other: what the other net is called.
    """
    ends = _ends(view.terms[EXPLORE].value) if EXPLORE in view.terms else None
    here = own.get("teacher, explore")
    if ends is None or here is None:
        return None
    begun, ended = ends
    moved = f"from {begun:.3g} to {ended:.3g}"
    if ended < (1 + GREW) * begun:
        return Verdict(
            "info",
            f"The distance of exploration did not grow ({moved}): the term had no effect that"
            f" shows. CKA of the exploring features with the {other}: {here:.2f}.",
        )
    plain = (alone or {}).get("teacher, explore")
    if plain is None:
        return Verdict(
            "info",
            f"The distance of exploration grew ({moved}). Whether the features moved or only what"
            " is measured of them cannot be told without the same student alone: run that too."
            f" CKA of the exploring features with the {other}: {here:.2f}.",
        )
    beside = (
        f"CKA of the exploring features with the {other} is {here:.2f}, and {plain:.2f} for the"
        " same channels of the student alone"
    )
    if here <= plain - FELL and is_empty:
        return Verdict(
            "warning",
            f"**The part that explores moved away by telling nothing:** its distance grew ({moved})"
            f" and {beside}, but by itself it is no better than guessing.",
        )
    if here <= plain - FELL:
        return Verdict(
            "success",
            f"The features themselves explore: the distance grew ({moved}), and {beside}.",
        )
    means = (
        "**The exploration term was satisfied by its encoder alone:**"
        if has_codes
        else "**The exploration term is satisfied, but the features are as alike as before:**"
    )
    return Verdict(
        "warning",
        f"{means} its distance grew ({moved}), but {beside}. The features are no further from the"
        f" {other} than if nothing had pushed them away.",
    )


def _ends(values: Sequence[float]) -> tuple[float, float] | None:
    """Means of the first and of the last tenth; None where there are too few."""
    tenth = len(values) // 10
    if not tenth:
        return None
    return statistics.fmean(values[:tenth]), statistics.fmean(values[-tenth:])
