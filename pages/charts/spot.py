"""Where the teacher teaches: the share of samples distilled at each spot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from engine.api import RunView
from pages.charts.colour import Figure, Palette, layout

MAX_WRITTEN = 24  # columns up to which each cell has its value written in it
MOST_CLASSES = 100  # columns of the map of classes
LONGEST_TICK = 14  # letters
FEW_EPOCHS = 12  # up to which each has its number below the lines
FEW_POINTS = 60  # up to which each point has its marker
LINE_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "x", "star")


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


def share_lines(view: RunView, colours: Palette, asked: float | None = None) -> Figure:
    """Share of samples distilled over epochs, one line a spot.

    Args:
        asked: the share that the run's rule asks for at the logits; None where it has no rule.
    """
    shares = shares_by_epoch(view)
    data = []
    for nth, spot in enumerate(spot_names(view)):
        points = [(epoch, told[spot]) for epoch, told in shares.items() if spot in told]
        colour = colours.others[nth % len(colours.others)]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(points) <= FEW_POINTS else "lines",
                "name": spot,
                "x": [epoch for epoch, _ in points],
                "y": [100 * share for _, share in points],
                "line": {"color": colour, "width": 2, "dash": LINE_DASHES[nth % len(LINE_DASHES)]},
                "marker": {"symbol": SYMBOLS[nth % len(SYMBOLS)], "size": 7, "color": colour},
                "hovertemplate": "%{y:.1f} %",
            }
        )
    planned = _planned_epochs(view)
    shared = layout(colours, height=300, x="Epoch", y="Images taught (%)")
    shared["xaxis"] |= {
        "range": [0.5, planned + 0.5],
        "dtick": 1 if planned <= FEW_EPOCHS else None,
    }
    shared["yaxis"]["range"] = [-4, 104]
    if asked is not None:
        shared["shapes"] = [_guide(asked, colours)]
        shared["annotations"] = [_guide_text(asked, colours)]
    return {"data": data, "layout": shared}


def _guide(asked: float, colours: Palette) -> dict[str, Any]:
    line = {"color": colours.muted, "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 100 * asked,
            "y1": 100 * asked, "line": line}  # fmt: skip


def _guide_text(asked: float, colours: Palette) -> dict[str, Any]:
    return {"xref": "paper", "x": 1, "xanchor": "right", "y": 100 * asked, "yanchor": "bottom",
            "text": f"rule for the logits: {100 * asked:.0f} %", "showarrow": False,
            "font": {"size": 12, "color": colours.muted}}  # fmt: skip


def _planned_epochs(view: RunView) -> int:
    return max([sum(begun.epochs for begun in view.plan), *shares_by_epoch(view), 1])


def epoch_by_spot(view: RunView, colours: Palette) -> Figure:
    """Heat map with one column for each planned epoch; it fills while the run goes on."""
    spots = spot_names(view)
    shares = shares_by_epoch(view)
    epochs = list(range(1, _planned_epochs(view) + 1))
    rows = [[shares.get(epoch, {}).get(spot) for epoch in epochs] for spot in spots]
    figure = _heat_map(rows, [str(epoch) for epoch in epochs], spots, colours)
    figure["layout"]["xaxis"]["title"]["text"] = "Epoch"
    return figure


def class_by_spot(
    view: RunView,
    colours: Palette,
    classes: Sequence[str] = (),
    chosen: tuple[str, int] | None = None,
) -> Figure:
    """Heat map of the last whole epoch: which classes are taught at which spot.

    Each cell carries [spot, class]. Of very many classes those are shown that stand out most.

    Args:
        chosen: spot and class of the cell to mark.
    """
    told = view.counted[-1]
    names = list(classes) or [f"class {row}" for row in range(len(told.samples))]
    shares = [
        [kept / seen if seen else None for kept, seen in zip(by_class, told.samples, strict=True)]
        for by_class in told.kept
    ]
    shown = standing_out(shares, MOST_CLASSES)
    rows = [[row[label] for label in shown] for row in shares]
    figure = _heat_map(rows, [names[label] for label in shown], told.spots, colours)
    figure["data"][0] |= {
        "x": list(range(len(shown))),  # two classes may share a name
        "customdata": [[[spot, label] for label in shown] for spot in told.spots],
        "hovertext": [[_said(names[label], row[label]) for label in shown] for row in shares],
        "hovertemplate": "%{y}, %{hovertext}<extra></extra>",
        "hoverongaps": True,
    }
    ticks = list(range(len(shown))) if len(shown) <= MAX_WRITTEN else []
    figure["layout"]["xaxis"] |= {
        "type": "linear",
        "range": [-0.5, len(shown) - 0.5],
        "tickvals": ticks,
        "ticktext": [_short(names[shown[place]]) for place in ticks],
    }
    figure["layout"]["dragmode"] = False
    if chosen is not None and chosen[0] in told.spots and chosen[1] in shown:
        place = shown.index(chosen[1])
        row = told.spots.index(chosen[0])
        figure["layout"]["shapes"] = [_frame(place, row, colours)]
    return figure


def standing_out(shares: Sequence[Sequence[float | None]], limit: int) -> list[int]:
    """The classes to show, in their order: all, or those farthest from the mean of a spot.

    Args:
        shares: spot x class.
    """
    num_classes = len(shares[0]) if shares else 0
    if num_classes <= limit:
        return list(range(num_classes))
    known = [[share for share in row if share is not None] for row in shares]
    means = [sum(row) / max(len(row), 1) for row in known]

    def distance(label: int) -> float:
        gaps = zip((row[label] for row in shares), means, strict=True)
        return max((abs(share - mean) for share, mean in gaps if share is not None), default=0.0)

    return sorted(sorted(range(num_classes), key=distance, reverse=True)[:limit])


def _said(name: str, share: float | None) -> str:
    return f"{name}: no image" if share is None else f"{name}: {100 * share:.0f} % taught"


def _frame(place: int, row: int, colours: Palette) -> dict[str, Any]:
    """Orange, because every cell is some blue."""
    return {"type": "rect", "x0": place - 0.5, "x1": place + 0.5, "y0": row - 0.5, "y1": row + 0.5,
            "line": {"color": colours.alone, "width": 3}}  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_TICK else f"{name[: LONGEST_TICK - 1]}…"


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
