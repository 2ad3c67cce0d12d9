"""Headline bars, curves over the threshold, and histograms of segmenters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pages.charts.colour import Figure, Palette, layout
from pages.charts.segments import (
    Method,
    Spread,
    image_mean,
    looks_of,
    mean_overlap,
    reached,
    spread,
    variance,
)

# The headline of the abstract of arXiv 2103.13733; it names no baseline and prints no table.
MIOU_GAIN, HP_GAIN, VARIANCE_RATIO, FLOPS_RATIO = 0.014, 0.082, 0.782, 0.418
LOWEST, HIGHEST = 0.50, 0.95  # of the threshold
BINS = np.linspace(0, 1, 21)


class Bars(NamedTuple):
    """One of the four headlines.

    values:    method -> its spread over seeds, in the unit that is drawn
    reference: where the abstract's figure lies on this scale; None without a baseline
    """

    title: str
    axis: str
    values: Sequence[Spread]
    reference: float | None
    looks_for: str


def headlines(methods: Sequence[Method], baseline: int, threshold: float) -> list[Bars]:
    """The four figures of the abstract, measured here."""
    overlap = [_times(spread(one, mean_overlap), 100) for one in methods]
    high = [_times(spread(one, lambda o: reached(o, threshold)), 100) for one in methods]
    spreads = [spread(one, variance) for one in methods]
    teacher = next((one.teacher for one in methods if one.teacher), None)
    costs = [_share(one, teacher) for one in methods]
    return [
        Bars(
            "Mean overlap (mIoU)",
            "mIoU, %",
            overlap,
            _plus(overlap[baseline], 100 * MIOU_GAIN),
            "Higher is better.",
        ),
        Bars(
            f"High-precision accuracy at {threshold:.2f}",
            "Images, %",
            high,
            _plus(high[baseline], 100 * HP_GAIN),
            "Share of images that are done well; higher is better.",
        ),
        Bars(
            "Variance over images",
            "points²",
            spreads,
            VARIANCE_RATIO * spreads[baseline].mean if spreads[baseline].by_seed else None,
            "Lower is steadier, but only beside an equal or better mean.",
        ),
        Bars(
            "Computations",
            "% of the teacher's",
            costs,
            100 * FLOPS_RATIO if teacher else None,
            "Lower is cheaper; all students of one design need the same.",
        ),
    ]


def bars_figure(bars: Bars, methods: Sequence[Method], colours: Palette, shown: str) -> Figure:
    """One headline by method, with each seed, the deviation over seeds, and the abstract's line.

    Args:
        shown: the method of the run whose page this is; its name is bold.
    """
    looks = looks_of(methods, colours)
    names = [f"<b>{one.label}</b>" if one.label == shown else one.label for one in methods]
    heights = [None if math.isnan(one.mean) else one.mean for one in bars.values]
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "x": names,
            "y": heights,
            "text": ["" if one is None else f"{one:.1f}" for one in heights],
            "textposition": "inside",
            "insidetextanchor": "start",
            "textfont": {"size": 13, "color": colours.ink},
            "error_y": {
                "type": "data",
                "array": [one.deviation or 0 for one in bars.values],
                "color": colours.ink,
                "thickness": 1.5,
                "visible": any(one.deviation for one in bars.values),
            },
            "marker": {
                "color": [look.colour for look in looks],
                "opacity": 0.6,
                "line": {"color": [look.colour for look in looks], "width": 1.5},
                "pattern": {
                    "shape": [look.pattern for look in looks],
                    "size": 5,
                    "solidity": 0.15,
                    "fillmode": "overlay",
                    "fgcolor": colours.ink,
                },
            },
            "hovertemplate": "%{x}: %{y:.2f}<extra></extra>",
        }
    ]
    dots = [
        (name, value, seed, look.symbol)
        for name, one, look in zip(names, bars.values, looks, strict=True)
        for seed, value in one.by_seed.items()
        if len(one.by_seed) > 1
    ]
    if dots:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [name for name, *_ in dots],
                "y": [value for _, value, *_ in dots],
                "text": [f"seed {seed}" for _, _, seed, _ in dots],
                "marker": {
                    "color": colours.ink,
                    "size": 6,
                    "symbol": [symbol for *_, symbol in dots],
                },
                "hovertemplate": "%{x}, %{text}: %{y:.2f}<extra></extra>",
            }
        )
    shared = layout(colours, height=250, y=bars.axis)
    shared["margin"]["t"] = 22
    shared["showlegend"], shared["hovermode"] = False, "closest"
    shared["xaxis"] |= {"showgrid": False, "fixedrange": True, "type": "category"}
    top = [value for one in bars.values for value in one.by_seed.values()]
    limit = max([*top, bars.reference or 0, 1e-9])
    shared["yaxis"] |= {"range": [0, 1.15 * limit], "fixedrange": True}
    if bars.reference is not None:
        line = {"color": colours.ink, "width": 1.5, "dash": "dot"}
        y = bars.reference
        shared["shapes"] = [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}
        ]
        shared["annotations"] = [
            {
                "xref": "paper", "x": 1, "xanchor": "right", "y": y, "yanchor": "bottom",
                "text": "abstract", "showarrow": False,
                "font": {"size": 12, "color": colours.ink}, "bgcolor": colours.surface,
            }
        ]  # fmt: skip
    return {"data": data, "layout": shared}


def bars_words(bars: Bars, methods: Sequence[Method]) -> str:
    """The numbers of one headline, for those who do not see it."""
    told = ", ".join(
        f"{one.label} {value.mean:.1f}"
        for one, value in zip(methods, bars.values, strict=True)
        if value.by_seed
    )
    line = "" if bars.reference is None else f" The abstract's figure lies at {bars.reference:.1f}."
    return f"{bars.title}, {bars.axis}: {told}.{line}"


def precision_figure(methods: Sequence[Method], threshold: float, colours: Palette) -> Figure:
    """High-precision accuracy over the threshold, means over seeds."""
    xs = np.round(np.arange(LOWEST, HIGHEST + 1e-9, 0.01), 2)
    data = []
    for method, look in zip(methods, looks_of(methods, colours), strict=True):
        ys = [100 * spread(method, lambda o, x=float(x): reached(o, x)).mean for x in xs]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": method.label,
                "x": [round(100 * float(x), 1) for x in xs],
                "y": [None if math.isnan(y) else round(y, 3) for y in ys],
                "line": {"color": look.colour, "width": 2, "dash": look.dash},
                "marker": {
                    "color": look.colour, "symbol": look.symbol,
                    "size": [8 if place % 5 == 0 else 0 for place in range(len(xs))],
                },
                "hovertemplate": "%{y:.1f} %",
            }
        )  # fmt: skip
    shared = layout(colours, height=320, x="Threshold: mIoU of an image, %", y="Images above, %")
    shared["yaxis"] |= {"rangemode": "tozero"}
    shared["xaxis"] |= {"range": [100 * LOWEST - 1, 100 * HIGHEST + 1]}
    shared["shapes"] = [_upright(100 * threshold, colours)]
    return {"data": data, "layout": shared}


def histogram_figure(methods: Sequence[Method], threshold: float, colours: Palette) -> Figure:
    """How many images have which mIoU, all seeds of a method together; steps of 5 points."""
    data = []
    for method, look in zip(methods, looks_of(methods, colours), strict=True):
        values = np.concatenate([one.image_miou for one in method.by_seed.values()])
        told = values[~np.isnan(values)]
        counts = np.histogram(told, BINS)[0]
        shares = 100 * counts / max(1, len(told))
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": method.label,
                "x": [round(100 * float(edge), 1) for edge in BINS],
                "y": [*(round(float(share), 2) for share in shares), 0],
                "line": {"color": look.colour, "width": 2, "dash": look.dash, "shape": "hv"},
                "hovertemplate": "%{y:.0f} %",
            }
        )
    shared = layout(colours, height=320, x="mIoU of an image, %", y="Share of the images, %")
    shared["yaxis"] |= {"rangemode": "tozero"}
    shared["shapes"] = [_upright(100 * threshold, colours)]
    return {"data": data, "layout": shared}


def precision_words(methods: Sequence[Method], threshold: float) -> str:
    """As in `scratch 12 %, sd 30 %`."""
    told = [(one, spread(one, lambda o: reached(o, threshold))) for one in methods]
    return ", ".join(f"{one.label} {100 * value.mean:.0f} %" for one, value in told)


def histogram_words(methods: Sequence[Method]) -> str:
    """Means of the images' mIoU by method."""
    told = [(one, spread(one, image_mean)) for one in methods]
    return ", ".join(f"{one.label} {100 * value.mean:.0f} %" for one, value in told)


def _times(found: Spread, times: float) -> Spread:
    deviation = None if found.deviation is None else times * found.deviation
    return Spread(
        times * found.mean, deviation, {seed: times * v for seed, v in found.by_seed.items()}
    )


def _plus(found: Spread, gain: float) -> float | None:
    return found.mean + gain if found.by_seed else None


def _share(method: Method, teacher: int | None) -> Spread:
    if not method.multiply_adds or not teacher:
        return Spread(math.nan, None, {})
    share = 100 * method.multiply_adds / teacher
    return Spread(share, None, {0: share})


def _upright(x: float, colours: Palette) -> dict[str, Any]:
    line = {"color": colours.muted, "width": 1.5, "dash": "dash"}
    return {"type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line}
