"""Where the teacher teaches: the share of samples distilled at each spot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from engine.api import RunView
from pages.charts.colour import Figure, Palette, layout

MAX_WRITTEN = 24  # columns up to which each cell has its value written in it


def spot_names(view: RunView) -> tuple[str, ...]:
    """The spots in the order of the network, first layer first."""
    return view.counted[-1].spots if view.counted else tuple(view.share)


def shares_by_epoch(view: RunView) -> dict[int, dict[str, float]]:
    """Epoch (from 1) -> spot -> share of samples distilled, 0 to 1; the open epoch so far."""
    found: dict[int, dict[str, float]] = {}
    open_epoch: dict[int, dict[str, list[float]]] = {}
    for spot, curve in view.share.items():
        for epoch, value in zip(curve.epoch, curve.value, strict=True):
            open_epoch.setdefault(_number(epoch), {}).setdefault(spot, []).append(value)
    for number, spots in open_epoch.items():
        found[number] = {spot: sum(told) / len(told) for spot, told in spots.items()}
    for told in view.counted:
        whole = max(sum(told.samples), 1)
        found[_number(view.epoch_of(told.at))] = {
            spot: sum(kept) / whole for spot, kept in zip(told.spots, told.kept, strict=True)
        }
    return dict(sorted(found.items()))


def newest_shares(view: RunView) -> Mapping[str, float]:
    """Spot -> share in the newest epoch; empty where nothing is routed."""
    shares = shares_by_epoch(view)
    return shares[max(shares)] if shares else {}


def epoch_by_spot(view: RunView, colours: Palette) -> Figure:
    """Heat map with one column for each planned epoch; it fills while the run goes on."""
    spots = spot_names(view)
    shares = shares_by_epoch(view)
    planned = max([sum(begun.epochs for begun in view.plan), *shares])
    epochs = list(range(1, planned + 1))
    rows = [[shares.get(epoch, {}).get(spot) for epoch in epochs] for spot in spots]
    figure = _heat_map(rows, [str(epoch) for epoch in epochs], spots, colours)
    figure["layout"]["xaxis"]["title"]["text"] = "Epoch"
    return figure


def class_by_spot(view: RunView, colours: Palette, classes: Sequence[str] = ()) -> Figure:
    """Heat map of the last whole epoch: which classes are taught at which spot."""
    told = view.counted[-1]
    names = list(classes) or [f"class {row}" for row in range(len(told.samples))]
    rows = [
        [kept / seen if seen else None for kept, seen in zip(by_class, told.samples, strict=True)]
        for by_class in told.kept
    ]
    return _heat_map(rows, names, told.spots, colours)


def _number(epoch: float) -> int:
    return max(math.ceil(epoch - 1e-9), 1)


def _heat_map(
    rows: list[list[float | None]], columns: list[str], spots: Sequence[str], colours: Palette
) -> Figure:
    scale = [[n / 9, colour] for n, colour in enumerate(colours.sequential)]
    shared = layout(colours, height=70 + 40 * max(len(spots), 2))
    shared["xaxis"] |= {"type": "category", "showgrid": False, "fixedrange": True}
    shared["yaxis"] |= {"type": "category", "showgrid": False, "fixedrange": True}
    shared["hovermode"], shared["showlegend"] = "closest", False
    trace = {
        "type": "heatmap",
        "z": rows,
        "x": columns,
        "y": list(spots),
        "zmin": 0,
        "zmax": 1,
        "colorscale": scale,
        "xgap": 2 if len(columns) <= MAX_WRITTEN else 0,  # wide gaps would hide narrow cells
        "ygap": 2,
        "hoverongaps": False,
        "hovertemplate": "%{y}, %{x}: %{z:.0%} distilled<extra></extra>",
        "colorbar": {"tickformat": ".0%", "thickness": 10, "outlinewidth": 0, "nticks": 3},
    }
    if len(columns) <= MAX_WRITTEN:
        trace["text"] = [["" if v is None else f"{100 * v:.0f}" for v in row] for row in rows]
        trace |= {"texttemplate": "%{text}", "textfont": {"size": 12}, "showscale": False}
        shared["margin"]["t"] = 8
    return {"data": [trace], "layout": shared}
