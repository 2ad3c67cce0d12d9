"""Single images at one spot: which are taught most and least, and whether the policy asks the
teacher where the student lags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.api import Choices
from pages.charts.colour import Figure, Palette, layout

NUM_PICTURES = 12  # at each end
ALIKE = 0.005  # of P: below it images cannot be told apart
MOST_DOTS = 2000
NUM_BINS = 10
FEW_IMAGES = 50  # below which tenths say nothing


class Ends(NamedTuple):
    """Rows of the training split with their P, from 0 to 1; the most extreme first."""

    most: tuple[tuple[int, float], ...]
    least: tuple[tuple[int, float], ...]
    images: int  # that were chosen from

    @property
    def is_flat(self) -> bool:
        """Whether the policy treats all of them alike."""
        if not self.most or not self.least:
            return False
        return self.most[0][1] - self.least[0][1] < ALIKE


class Tenth(NamedTuple):
    """A tenth of the images, by their gap."""

    gap: float  # mean, nats
    probability: float  # mean, 0 to 1
    images: int


def usual_probability(choices: Choices) -> NDArray[np.float32]:
    """(N, S) how likely each image is to be taught: the mean over all epochs, else the last."""
    return choices.probability if choices.mean is None else choices.mean


def ends(choices: Choices, spot: int, label: int | None, count: int = NUM_PICTURES) -> Ends:
    """The images most and least often distilled at one spot; no image is at both ends.

    Args:
        spot: column of the tables.
        label: only images of this class; None: of all.
        count: images at each end, at most.
    """
    seen = choices.label >= 0 if label is None else choices.label == label
    rows = np.flatnonzero(seen)
    values = usual_probability(choices)[rows, spot]
    order = np.argsort(values, kind="stable")
    each = min(count, len(rows) // 2) if len(rows) > 1 else len(rows)
    least = order[:each] if len(rows) > 1 else order[:0]
    most = order[::-1][:each]

    def told(places: NDArray[np.int64]) -> tuple[tuple[int, float], ...]:
        return tuple((int(rows[place]), float(values[place])) for place in places)

    return Ends(told(most), told(least), len(rows))


def tenths(choices: Choices, spot: int, bins: int = NUM_BINS) -> list[Tenth]:
    """Images in groups of equal size from the smallest gap to the largest; means of each."""
    rows = np.flatnonzero(choices.label >= 0)
    if choices.gap is None or len(rows) < FEW_IMAGES:
        return []
    gaps, values = choices.gap[rows], choices.probability[rows, spot]
    order = np.argsort(gaps, kind="stable")
    return [
        Tenth(float(gaps[part].mean()), float(values[part].mean()), len(part))
        for part in np.array_split(order, bins)
    ]


def gap_figure(choices: Choices, spot: int, means: Sequence[Tenth], colours: Palette) -> Figure:
    """P(distil) against how far the student lags: dots are images, the line joins tenths."""
    rows = np.flatnonzero(choices.label >= 0)
    assert choices.gap is not None
    low, high = np.quantile(choices.gap[rows], [0.01, 0.99])
    if len(rows) > MOST_DOTS:  # always the same dots
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_DOTS, replace=False))
    dots: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": "An image",
        "x": [round(float(gap), 4) for gap in choices.gap[rows]],
        "y": [round(float(value), 3) for value in choices.probability[rows, spot]],
        "marker": {"color": colours.muted, "size": 4, "opacity": 0.45},
        "hovertemplate": "gap %{x:.2f} nats, P %{y:.2f}<extra></extra>",
    }
    line: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "Mean of a tenth of the images",
        "x": [tenth.gap for tenth in means],
        "y": [tenth.probability for tenth in means],
        "line": {"color": colours.taught, "width": 3},
        "marker": {"color": colours.taught, "size": 8},
        "hovertemplate": "mean gap %{x:.2f} nats, mean P %{y:.2f}<extra></extra>",
    }
    shared = layout(colours, height=320, x="CE of student − CE of teacher (nats)", y="P(taught)")
    margin = 0.05 * max(float(high - low), 1e-3)
    shared["xaxis"]["range"] = [float(low) - margin, float(high) + margin]
    shared["yaxis"]["range"] = [-0.04, 1.04]
    shared["hovermode"] = "closest"
    shared["shapes"] = [
        {
            "type": "line", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1,
            "line": {"color": colours.muted, "width": 1, "dash": "dot"},
        }
    ]  # fmt: skip
    return {"data": [dots, line], "layout": shared}


def gap_sentence(means: Sequence[Tenth]) -> str:
    """What the line says; empty where there is none."""
    if not means:
        return ""
    first, last = means[0].probability, means[-1].probability
    if abs(last - first) < 0.02:
        return f"Here it hardly matters how far the student lags: P stays near {last:.2f}."
    verb = "more" if last > first else "less"
    return (
        f"Where the student lags most, P is {last:.2f}; where it lags least, {first:.2f}:"
        f" the teacher is asked {verb} where it knows better."
    )
