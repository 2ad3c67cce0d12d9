"""How fast the loss rises when the weights are disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pages.charts.colour import Figure, Palette, layout, style

SIGMAS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05)


class Disturbed(NamedTuple):
    """Loss in nats at one strength, over draws; None where it overflowed."""

    sigma: float
    mean: float | None
    std: float | None


class Slope(NamedTuple):
    """One student; its points by rising sigma, the first at 0."""

    label: str
    role: Literal["taught", "alone"]
    points: Sequence[Disturbed]


def flatness_figure(slopes: Sequence[Slope], colours: Palette) -> Figure:
    """Loss against sigma, a line a student; whiskers are one standard deviation over draws."""
    data: list[dict[str, Any]] = []
    for slope in slopes:
        known = [point for point in slope.points if point.mean is not None]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": slope.label,
                "x": [point.sigma for point in known],
                "y": [point.mean for point in known],
                "error_y": {"type": "data", "array": [point.std for point in known]},
                "hovertemplate": "%{y:.3f} nats",
                **style(slope.role, 0, colours),
            }
        )
    shared = layout(colours, height=320, x="Sigma of the noise on every weight", y="Loss (nats)")
    shared["xaxis"]["range"] = [-0.02 * SIGMAS[-1], 1.04 * SIGMAS[-1]]
    shared["yaxis"]["rangemode"] = "tozero"
    return {"data": data, "layout": shared}


def flatness_sentence(slopes: Sequence[Slope]) -> str:
    """How much each rises at the strongest noise that all were measured at; empty before that."""
    rises = [_rises(slope) for slope in slopes]
    shared = set.intersection(*map(set, rises)) if rises else set()
    if not shared:
        return ""
    sigma = max(shared)
    said = [f"{slope.label} by {rise[sigma]}" for slope, rise in zip(slopes, rises, strict=True)]
    return f"At sigma {sigma:g} the loss rises, in nats: {', '.join(said)}."


def _rises(slope: Slope) -> dict[float, str]:
    """Sigma -> loss above that without noise, with its spread, where both are known."""
    known = {point.sigma: point for point in slope.points if point.mean is not None}
    start = known.pop(0.0, None)
    if start is None:
        return {}
    return {
        sigma: f"{point.mean - start.mean:.2f} ± {point.std:.2f}" for sigma, point in known.items()
    }
