"""Which ways images took through both nets: one code a route, one digit a spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.api import SpotsCounted
from pages.charts.colour import Figure, Palette, layout

MOST_ROUTES = 16


class Route(NamedTuple):
    """One bar; the code of all that are not shown one by one is empty."""

    code: str  # one digit a spot, first layer first: 1 taught, 0 not
    words: str
    images: int
    share: float  # 0 to 1


def routes_of(told: SpotsCounted, most: int = MOST_ROUTES) -> list[Route]:
    """The routes of one epoch, the most frequent first; the rest as one."""
    whole = sum(told.samples)
    ordered = sorted(told.routes.items(), key=lambda item: (-item[1], item[0]))
    found = [
        Route(code, in_words(code, told.spots), images, images / max(whole, 1))
        for code, images in ordered[:most]
    ]
    rest = whole - sum(route.images for route in found)
    if rest > 0:
        found.append(Route("", "others", rest, rest / whole))
    return found


def in_words(code: str, spots: Sequence[str]) -> str:
    """`1101` at stage1, stage2, stage3 and logits is `not stage3`."""
    taught = [spot for spot, digit in zip(spots, code, strict=True) if digit == "1"]
    spared = [spot for spot, digit in zip(spots, code, strict=True) if digit == "0"]
    if not spared:
        return "everywhere"
    if not taught:
        return "nowhere"
    if len(taught) == 1:
        return f"only {taught[0]}"
    if len(spared) == 1:
        return f"all but {spared[0]}"
    return " + ".join(taught)


def routes_figure(routes: Sequence[Route], colours: Palette) -> Figure:
    """Bars, the most frequent route on top; each says its share."""
    labels = [f"{route.words} <b>{route.code}</b>".strip() for route in routes]
    trace: dict[str, Any] = {
        "type": "bar",
        "orientation": "h",
        "y": [route.code or "others" for route in routes],
        "x": [100 * route.share for route in routes],
        "text": [_percent(route.share) for route in routes],
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [[route.words, route.images] for route in routes],
        "hovertemplate": "%{customdata[0]}: %{customdata[1]:,} images<extra></extra>",
        "marker": {
            "color": [colours.taught if route.code else colours.muted for route in routes],
            "pattern": {
                "shape": ["" if route.code else "/" for route in routes],
                "fillmode": "overlay",
            },
        },
    }
    shared = layout(colours, height=60 + 28 * max(len(routes), 2), x="Share of images")
    longest = max((route.share for route in routes), default=1.0)
    shared["margin"]["t"] = 8
    shared["xaxis"] |= {
        "range": [0, 128 * longest],
        "fixedrange": True,
        "showgrid": False,
        "showticklabels": False,  # each bar says its share
    }
    shared["yaxis"] |= {
        "type": "category",
        "autorange": "reversed",
        "showgrid": False,
        "fixedrange": True,
        "tickvals": [route.code or "others" for route in routes],
        "ticktext": labels,
    }
    shared["hovermode"], shared["showlegend"] = "closest", False
    return {"data": [trace], "layout": shared}


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else "< 0.1 %"


def route_rows(routes: Sequence[Route]) -> list[Mapping[str, Any]]:
    """The same as a table."""
    return [
        {
            "Code": route.code or "-",
            "Taught at": route.words,
            "Images": route.images,
            "Share (%)": round(100 * route.share, 1),
        }
        for route in routes
    ]
