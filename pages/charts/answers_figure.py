"""The confusion matrix: what is what, and what it is taken for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.charts.answers import ANY
from pages.charts.colour import Figure, Palette, layout

MOST_WRITTEN = 12  # classes up to which each cell has its count written in it
MOST_NAMED = 30  # classes up to which rows and columns have their names
LONGEST_TICK = 12  # letters
STOPS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # shares with a colour of their own


def confusion_figure(
    counts: NDArray[np.int64],
    names: Sequence[str],
    colours: Palette,
    marked: tuple[int, int] = (ANY, ANY),
) -> Figure:
    """Rows are what images show, columns what a net answers; a cell with no image is empty.

    Colours are spread as a logarithm would, so that few mistakes are seen beside many right
    answers. Each cell has its class ids as x (answer) and y (truth).

    Args:
        counts: (C, C).
        marked: truth and answer of the cell, or of the row or column, to frame.
    """
    size = len(names)
    whole = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / whole
    hover = [[""] * size for _ in range(size)]
    for row, column in np.argwhere(counts):
        hover[row][column] = _said(names, int(row), int(column), counts, float(shares[row, column]))
    shared = layout(colours, height=_height(size), x="Answer", y="Truth")
    named = list(range(size)) if size <= MOST_NAMED else []
    for axis in ("xaxis", "yaxis"):
        shared[axis] |= {
            "type": "linear",
            "showgrid": False,
            "fixedrange": True,
            "tickvals": named,
            "ticktext": [_short(names[label]) for label in named],
            "ticklen": 0,
        }
    shared["xaxis"] |= {"range": [-0.5, size - 0.5], "side": "top", "tickangle": -60}
    shared["yaxis"] |= {"range": [size - 0.5, -0.5]}
    shared["hovermode"], shared["showlegend"], shared["dragmode"] = "closest", False, False
    shared["margin"] = {"l": 8, "r": 8, "t": 8, "b": 8}
    faintest = 1 if size <= MOST_NAMED else 3  # a tiny cell needs a stronger colour to be seen
    shades = [colours.sequential[max(step, faintest)] for step in range(1, 10)]
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": list(range(size)),
        "y": list(range(size)),
        "z": [
            [round(float(share), 4) if count else None for share, count in zip(*both, strict=True)]
            for both in zip(shares, counts, strict=True)
        ],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[at, shade] for at, shade in zip(STOPS, shades, strict=True)],
        "showscale": False,
        "xgap": 1 if size <= MOST_NAMED else 0,
        "ygap": 1 if size <= MOST_NAMED else 0,
        "hovertext": hover,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "hoverongaps": False,
    }
    if size <= MOST_WRITTEN:
        trace["text"] = [[str(count) if count else "" for count in row] for row in counts.tolist()]
        trace |= {"texttemplate": "%{text}", "textfont": {"size": 12}}
    shared["shapes"] = [_border(size, colours), *_frames(marked, size, colours)]
    return {"data": [trace], "layout": shared}


def _said(
    names: Sequence[str], truth: int, answer: int, counts: NDArray[np.int64], share: float
) -> str:
    images = int(counts[truth, answer])
    noun = "image" if images == 1 else "images"
    verb = "answered right" if truth == answer else f"taken for {names[answer]}"
    return (
        f"{names[truth]} {verb}: {images:,} {noun}"
        f"<br>{100 * share:.1f} % of {int(counts[truth].sum()):,} of this class"
    )


def _height(size: int) -> int:
    return 110 + 32 * max(size, 3) if size <= MOST_WRITTEN else 560


def _border(size: int, colours: Palette) -> dict[str, Any]:
    return {"type": "rect", "x0": -0.5, "x1": size - 0.5, "y0": -0.5, "y1": size - 0.5,
            "line": {"color": colours.grid, "width": 1}}  # fmt: skip


def _frames(marked: tuple[int, int], size: int, colours: Palette) -> list[dict[str, Any]]:
    """Orange, because every cell is some blue."""
    truth, answer = marked
    if marked == (ANY, ANY) or max(marked) >= size:
        return []
    rows = (truth, truth) if truth != ANY else (0, size - 1)
    columns = (answer, answer) if answer != ANY else (0, size - 1)
    return [
        {"type": "rect", "x0": columns[0] - 0.5, "x1": columns[1] + 0.5, "y0": rows[0] - 0.5,
         "y1": rows[1] + 0.5, "line": {"color": colours.alone, "width": 3}}
    ]  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_TICK else f"{name[: LONGEST_TICK - 1]}…"
