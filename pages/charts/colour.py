"""Colours and line styles. A role always looks the same: colour, dash and marker together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["teacher", "alone", "taught"]
Figure = dict[str, Any]  # as Plotly writes it: {"data": [...], "layout": {...}}


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme; `others` are for whatever has no role."""

    ink: str
    muted: str
    grid: str
    surface: str
    teacher: str
    alone: str
    taught: str
    others: tuple[str, ...]
    sequential: tuple[str, ...]  # from no to all


_BLUES = (
    "#F7FBFF", "#DEEBF7", "#C6DBEF", "#9ECAE1", "#6BAED6",
    "#4292C6", "#2171B5", "#08519C", "#08306B", "#041E42",
)  # fmt: skip

LIGHT = Palette(
    ink="#1F2933",
    muted="#5B6672",
    grid="#E3E7EC",
    surface="#FFFFFF",
    teacher="#0072B2",
    alone="#D55E00",
    taught="#009E73",
    others=("#A65E8A", "#B07A00", "#2A8FC7", "#000000", "#8C6D1F"),
    sequential=_BLUES,
)
DARK = Palette(
    ink="#F1F1EF",
    muted="#B4B4AE",
    grid="#3A3A37",
    surface="#171614",
    teacher="#56B4E9",
    alone="#FF8C42",
    taught="#3DDC97",
    others=("#E79BC4", "#F0C24B", "#8FD3FF", "#F2F2F2", "#D9B44A"),
    sequential=_BLUES[::-1],
)
DASHES = {"teacher": "dash", "alone": "dashdot", "taught": "solid"}
MARKERS = {"teacher": "square", "alone": "triangle-up", "taught": "circle"}
OTHER_MARKERS = ("diamond", "cross", "square", "x", "star")


def palette(theme: str | None) -> Palette:
    """The colours of Streamlit's theme, `light` or `dark`."""
    return DARK if theme == "dark" else LIGHT


def style(role: Role, nth: int, colours: Palette) -> dict[str, Any]:
    """Line and marker of the nth curve of a role; the first of a role has the role's colour."""
    colour = getattr(colours, role)
    marker = MARKERS[role]
    if nth > 0 and role == "taught":
        colour = colours.others[(nth - 1) % len(colours.others)]
        marker = OTHER_MARKERS[(nth - 1) % len(OTHER_MARKERS)]
    return {
        "line": {"color": colour, "width": 2, "dash": DASHES[role]},
        "marker": {"color": colour, "symbol": marker, "size": 7},
        "opacity": 1.0 if nth == 0 or role == "taught" else 0.55,
    }


def layout(colours: Palette, *, height: int, x: str = "", y: str = "") -> dict[str, Any]:
    """What all figures share: no background, quiet grid, legend above."""

    def axis(title: str) -> dict[str, Any]:
        return {
            "title": {"text": title, "standoff": 8},
            "gridcolor": colours.grid,
            "linecolor": colours.grid,
            "zeroline": False,
            "automargin": True,
            "fixedrange": False,
        }

    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 52, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": colours.ink, "size": 13, "family": "Source Sans, sans-serif"},
        "hoverlabel": {"font": {"size": 13}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": axis(x),
        "yaxis": axis(y),
        "hovermode": "x unified",
        "showlegend": True,
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": colours.muted, "activecolor": colours.ink},
    }
