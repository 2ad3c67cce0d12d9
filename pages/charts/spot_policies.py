"""Policies side by side: accuracy and share taught, means over seeds with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.api import RunSpec, RunView
from pages.charts.colour import DASHES, MARKERS, OTHER_MARKERS, Figure, Palette, layout
from pages.charts.curve import evaluated_split
from pages.charts.seeds import APART
from pages.charts.spot import newest_shares, spot_names

ORDER = ("learned", "all", "random", "reversed", "none")  # as they are drawn; others after them
LINES = ("solid", "dash", "dot", "dashdot", "longdash")
PATTERNS = ("", "/", "x", ".", "\\", "+")

Policies = Mapping[str, Sequence[RunView]]  # what people read -> one view a seed


class Spread(NamedTuple):
    """Over seeds. spread is the standard deviation (n - 1), None for one seed."""

    mean: float
    spread: float | None
    seeds: int


def over_seeds(values: Iterable[float]) -> Spread:
    """Mean and spread of at least one value."""
    known = list(values)
    spread = statistics.stdev(known) if len(known) > 1 else None
    return Spread(statistics.fmean(known), spread, len(known))


def same_but_policy(spec: RunSpec) -> dict[str, Any]:
    """What two runs must have in common for their policies to be compared."""
    return spec.model_dump(exclude=set(APART) | {"policy"})


def named(specs: Mapping[str, RunSpec]) -> dict[str, list[str]]:
    """Policy as people read it -> its runs, in the order in which they are drawn.

    Two settings of one policy get their knobs beside the name.

    Args:
        specs: run -> its spec.
    """
    knobs: dict[str, list[str]] = {}
    for spec in specs.values():
        if spec.policy is not None:
            said = knobs.setdefault(spec.policy.name, [])
            if _knobs(spec) not in said:
                said.append(_knobs(spec))
    found: dict[str, list[str]] = {}
    for name in sorted(knobs, key=lambda name: (_place(name), name)):
        for said_here in knobs[name]:
            label = f"{name} ({said_here})" if len(knobs[name]) > 1 else name
            found[label] = [
                run
                for run, spec in specs.items()
                if spec.policy is not None and (spec.policy.name, _knobs(spec)) == (name, said_here)
            ]
    return found


def mean_curve(views: Sequence[RunView]) -> list[tuple[float, Spread]]:
    """Epoch -> accuracy of the student on the split that it is followed on, over seeds."""
    values: dict[float, list[float]] = {}
    for view in views:
        curve = view.figure_curve("student", "accuracy", evaluated_split(view))
        for epoch, value in zip(curve.epoch, curve.value, strict=True):
            values.setdefault(epoch, []).append(value)
    return [(epoch, over_seeds(values[epoch])) for epoch in sorted(values)]


def mean_shares(views: Sequence[RunView]) -> dict[str, Spread]:
    """Spot -> share taught in the newest epoch, over seeds."""
    values: dict[str, list[float]] = {}
    for view in views:
        for spot, share in newest_shares(view).items():
            values.setdefault(spot, []).append(share)
    return {spot: over_seeds(shares) for spot, shares in values.items()}


def policies_figure(policies: Policies, colours: Palette) -> Figure:
    """Accuracy over epochs: a line a policy, a band of one standard deviation around it."""
    data: list[dict[str, Any]] = []
    for nth, (label, views) in enumerate(policies.items()):
        curve, colour = mean_curve(views), _colour(nth, colours)
        wide = [(epoch, told) for epoch, told in curve if told.spread]
        if wide:
            data.append(_band(label, wide, colour))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(curve) <= 60 else "lines",
                "name": label,
                "legendgroup": label,
                "x": [epoch for epoch, _ in curve],
                "y": [100 * told.mean for _, told in curve],
                "line": {"color": colour, "width": 2, "dash": LINES[nth % len(LINES)]},
                "marker": {"color": colour, "size": 7, "symbol": _symbol(nth)},
                "hovertemplate": "%{y:.1f} %",
            }
        )
    teacher = _teacher([view for views in policies.values() for view in views])
    ends = [max(trace["x"]) for trace in data if trace["x"]]
    if teacher is not None and ends:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Teacher",
                "x": [0, max(ends)],
                "y": [100 * teacher, 100 * teacher],
                "line": {"color": colours.teacher, "width": 2, "dash": DASHES["teacher"]},
                "hovertemplate": "%{y:.1f} %",
            }
        )
    shared = layout(colours, height=360, x="Epoch", y="Accuracy (%)")
    return {"data": data, "layout": shared}


def policy_shares_figure(policies: Policies, colours: Palette) -> Figure:
    """Share taught at each spot, one bar a policy; whiskers are one standard deviation."""
    views = [view for members in policies.values() for view in members]
    spots = max((spot_names(view) for view in views), key=len, default=())
    data = []
    for nth, (label, members) in enumerate(policies.items()):
        shares = mean_shares(members)
        data.append(
            {
                "type": "bar",
                "name": label,
                "x": list(spots),
                "y": [100 * shares[spot].mean if spot in shares else None for spot in spots],
                "error_y": {
                    "type": "data",
                    "array": [
                        100 * (shares[spot].spread or 0.0) if spot in shares else 0.0
                        for spot in spots
                    ],
                    "color": colours.ink,
                    "thickness": 1,
                    "width": 3,
                },
                "marker": {
                    "color": _colour(nth, colours),
                    "pattern": {
                        "shape": PATTERNS[nth % len(PATTERNS)],
                        "size": 6,
                        "fillmode": "overlay",
                    },
                },
                "hovertemplate": "%{y:.0f} %",
            }
        )
    shared = layout(colours, height=320, y="Images taught (%)")
    shared["xaxis"]["type"] = "category"
    shared["yaxis"]["range"] = [0, 105]
    shared["barmode"] = "group"
    return {"data": data, "layout": shared}


def _band(label: str, curve: Sequence[tuple[float, Spread]], colour: str) -> dict[str, Any]:
    low = [100 * (told.mean - (told.spread or 0.0)) for _, told in curve]
    high = [100 * (told.mean + (told.spread or 0.0)) for _, told in curve]
    epochs = [epoch for epoch, _ in curve]
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": label,
        "legendgroup": label,
        "showlegend": False,
        "x": epochs + epochs[::-1],
        "y": high + low[::-1],
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.16)",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _colour(nth: int, colours: Palette) -> str:
    return (colours.taught, *colours.others)[nth % (1 + len(colours.others))]


def _symbol(nth: int) -> str:
    return (MARKERS["taught"], *OTHER_MARKERS)[nth % (1 + len(OTHER_MARKERS))]


def _teacher(views: Sequence[RunView]) -> float | None:
    for view in views:
        value = view.figure("teacher", split=evaluated_split(view))
        if value is not None:
            return value
    return None


def _knobs(spec: RunSpec) -> str:
    assert spec.policy is not None
    told = ", ".join(f"{name} {value}" for name, value in sorted(spec.policy.knobs.items()))
    return told or "defaults"


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)
