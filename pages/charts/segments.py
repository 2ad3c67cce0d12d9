"""Segmenters of one experiment side by side: what was measured, by method, over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.api import Overlaps
from pages.charts.colour import MARKERS, OTHER_MARKERS, Palette
from pages.charts.words import percent

POINT = 0.01  # one percentage point as a share
USUAL_THRESHOLD = 0.75
LOWER_THRESHOLD = 0.60
FLOOR = 0.05  # share of images: below it a threshold tells the methods hardly apart
PATTERNS = ("", "/", "x", ".", "\\", "-")
LINES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """The runs of an experiment that differ in their seed only, each on one split.

    by_seed:       seed -> what its last evaluation left
    multiply_adds: of the student, for one image; None where not counted
    teacher:       the same of its teacher
    is_alone:      the student had no teacher
    """

    label: str
    by_seed: Mapping[int, Overlaps]
    multiply_adds: int | None = None
    teacher: int | None = None
    is_alone: bool = False


class Spread(NamedTuple):
    """Mean over seeds; deviation (n - 1), None for one seed; by seed."""

    mean: float
    deviation: float | None
    by_seed: Mapping[int, float]


class Looks(NamedTuple):
    """How a method is drawn everywhere: colour, and what else tells it apart."""

    colour: str
    pattern: str
    dash: str
    symbol: str


def mean_overlap(one: Overlaps) -> float:
    """mIoU of the whole split; NaN where nothing can be told."""
    told = one.iou[~np.isnan(one.iou)]
    return float(told.mean()) if len(told) else math.nan


def reached(one: Overlaps, threshold: float) -> float:
    """High-precision accuracy: the share of images whose mIoU is at least the threshold."""
    told = one.image_miou[~np.isnan(one.image_miou)]
    return float((told >= threshold).mean()) if len(told) else math.nan


def variance(one: Overlaps) -> float:
    """Population variance of the images' mIoU, in points squared."""
    told = one.image_miou[~np.isnan(one.image_miou)] / POINT
    return float(told.var()) if len(told) else math.nan


def image_mean(one: Overlaps) -> float:
    """The mean of the images' mIoU."""
    told = one.image_miou[~np.isnan(one.image_miou)]
    return float(told.mean()) if len(told) else math.nan


def spread(method: Method, measure: Callable[[Overlaps], float]) -> Spread:
    """A measure over the seeds of a method; seeds where it cannot be told are left out."""
    found = {seed: measure(one) for seed, one in method.by_seed.items()}
    return spread_of({seed: value for seed, value in found.items() if not math.isnan(value)})


def spread_of(by_seed: Mapping[int, float]) -> Spread:
    values = list(by_seed.values())
    mean = statistics.fmean(values) if values else math.nan
    return Spread(mean, statistics.stdev(values) if len(values) > 1 else None, by_seed)


def usual_baseline(methods: Sequence[Method]) -> int:
    """The place of the student alone, else of the first method."""
    return next((place for place, one in enumerate(methods) if one.is_alone), 0)


def looks_of(methods: Sequence[Method], colours: Palette) -> list[Looks]:
    """The first alone and the first taught in the colours of their roles, then others."""
    found: list[Looks] = []
    free = iter([*colours.others, *colours.others])
    seen: set[bool] = set()
    for place, method in enumerate(methods):
        colour = colours.alone if method.is_alone else colours.taught
        symbol = MARKERS["alone" if method.is_alone else "taught"]
        if method.is_alone in seen:
            colour, symbol = next(free), OTHER_MARKERS[place % len(OTHER_MARKERS)]
        seen.add(method.is_alone)
        found.append(
            Looks(colour, PATTERNS[place % len(PATTERNS)], LINES[place % len(LINES)], symbol)
        )
    return found


def variance_ratio(method: Method, baseline: Method) -> Spread:
    """Variance as a share of the baseline's, seed by seed; seeds that one lacks are left out."""
    mine, its = spread(method, variance).by_seed, spread(baseline, variance).by_seed
    return spread_of({seed: mine[seed] / its[seed] for seed in mine if its.get(seed, 0) > 0})


def variance_words(methods: Sequence[Method], baseline: int) -> list[str]:
    """Whether the variance fell, of each method in words: measured, never presumed."""
    against, said = methods[baseline], []
    for method in methods:
        if method is against:
            continue
        ratio = variance_ratio(method, against)
        if not ratio.by_seed:
            said.append(f"**{method.label}** and {against.label} have no seed in common.")
            continue
        fell = sum(value < 1 for value in ratio.by_seed.values())
        seeds, share = len(ratio.by_seed), percent(ratio.mean, 0)
        if fell == seeds:
            how = "it fell" if seeds == 1 else f"it fell with each of {seeds} seeds"
            only = "; one seed tells little" if seeds == 1 else ""
            text = f"variance {share} of {against.label}'s: {how}{only}."
        elif fell == 0:
            text = f"variance {share} of {against.label}'s: **it did not fall**."
        else:
            text = (
                f"variance {share} of {against.label}'s on average: it fell with {fell} of {seeds}"
                " seeds only, so **no fall can be claimed**."
            )
        said.append(f"**{method.label}**: {text}")
    return said


def variance_rows(methods: Sequence[Method], baseline: int) -> list[dict[str, str]]:
    """Mean and variance of the images' mIoU, and the ratio, as a table."""
    rows = []
    for place, method in enumerate(methods):
        ratio = variance_ratio(method, methods[baseline])
        rows.append(
            {
                "Method": method.label,
                "Mean, %": written(spread(method, image_mean), 100),
                "Variance, points²": written(spread(method, variance), 1),
                "Ratio": "baseline" if place == baseline else written(ratio, 100, " %"),
            }
        )
    return rows


def class_rows(methods: Sequence[Method], names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a class: overlap of each method in per cent, means over seeds."""
    tables = [np.array([one.iou for one in method.by_seed.values()]) for method in methods]
    rows: list[dict[str, Any]] = []
    for label, name in enumerate(names):
        row: dict[str, Any] = {"Class": name}
        for method, table in zip(methods, tables, strict=True):
            told = table[:, label][~np.isnan(table[:, label])]
            row[method.label] = 100 * float(told.mean()) if len(told) else None
        rows.append(row)
    return rows


def summary_words(methods: Sequence[Method], baseline: int, shown: str) -> str:
    """What the headline says of one method."""
    mine = next((one for one in methods if one.label == shown), methods[-1])
    own = spread(mine, mean_overlap)
    if math.isnan(own.mean):
        return "Nothing can be told of these images."
    seeds = len(own.by_seed)
    over = f", mean of {seeds} seeds" if seeds > 1 else ""
    said = f"{mine.label} reaches a mean overlap (mIoU) of {percent(own.mean)}{over}"
    against = methods[baseline]
    common = {
        seed: value - base
        for seed, value in own.by_seed.items()
        if (base := spread(against, mean_overlap).by_seed.get(seed)) is not None
    }
    if mine is against or not common:
        return f"{said}."
    gain = 100 * statistics.fmean(common.values())
    return f"{said}: {gain:+.1f} points against {against.label}."


def floor_words(methods: Sequence[Method], threshold: float) -> str:
    """Where a threshold is so high that hardly any image reaches it."""
    best = max((spread(one, lambda o: reached(o, threshold)).mean for one in methods), default=0)
    if math.isnan(best) or best >= FLOOR or threshold <= LOWER_THRESHOLD:
        return ""
    return (
        f"Hardly any image reaches {percent(threshold, 0)} with any method, so this threshold tells"
        f" nothing here; at {percent(LOWER_THRESHOLD, 0)} it is "
        + ", ".join(
            f"{one.label} {percent(spread(one, lambda o: reached(o, LOWER_THRESHOLD)).mean, 0)}"
            for one in methods
        )
        + "."
    )


def written(found: Spread, times: float, unit: str = "") -> str:
    """As in `45.0 ± 2.1 (3)`."""
    if not found.by_seed:
        return "-"
    mean = f"{times * found.mean:.1f}{unit}"
    if found.deviation is None:
        return f"{mean} (one seed)"
    return f"{mean} ± {times * found.deviation:.1f} ({len(found.by_seed)})"
