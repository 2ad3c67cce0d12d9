"""Curves of a student that imitates a teacher's front, and where its phases meet."""

from __future__ import annotations

from typing import Any

from engine.api import Curve, RunView
from pages.charts.colour import MARKERS, Figure, Palette
from pages.charts.curve import Look, curves_figure, evaluated_split, step_of

TERM = "feature distance"  # among the terms of a step: on training images
FIGURE = "feature_distance"  # among the figures of an evaluation: on held-out images
TRAINING, HELD_OUT = "training images", "held-out images"


def imitation_curves(view: RunView) -> dict[str, Curve]:
    """How far the student's features are from the teacher's, as far as it was told."""
    curves = {
        TRAINING: view.terms.get(TERM, Curve()),
        HELD_OUT: view.figure_curve("student", FIGURE, evaluated_split(view)),
    }
    return {name: curve for name, curve in curves.items() if curve.value}


def imitation_figure(view: RunView, colours: Palette, look: Look | None = None) -> Figure:
    """Both distances over training, with the borders of the phases."""
    held = {
        "line": {"color": colours.taught, "width": 2, "dash": "solid"},
        "marker": {"color": colours.taught, "symbol": MARKERS["taught"], "size": 8},
    }
    training = {"line": {"color": colours.alone, "width": 2, "dash": "dot"}}
    looks = {TRAINING: training, HELD_OUT: held}
    look = look or Look()
    curves = imitation_curves(view)
    figure = curves_figure(view, curves, colours, look, "Distance", looks)
    if not look.log_y and not look.clip:
        figure["layout"]["yaxis"]["rangemode"] = "tozero"
    return with_borders(figure, view, colours, look)


def imitation_sentence(view: RunView) -> str:
    """What the two curves say of images that were not trained on; empty before they can."""
    curves = imitation_curves(view)
    if len(curves) < 2 or len(curves[HELD_OUT].value) < 2:
        return ""
    held, start = curves[HELD_OUT].value[-1], curves[HELD_OUT].value[0]
    training = curves[TRAINING].value[-1]
    gap = held - training
    said = f"On held-out images it went from {start:.2f} to {held:.2f}, on training images"
    said += f" to {training:.2f}."
    if gap > 0.05:
        return said + " The gap between them means that the imitation fits the training images."
    return said + " Both are alike, so what was learnt holds for images that were not seen too."


def with_borders(figure: Figure, view: RunView, colours: Palette, look: Look) -> Figure:
    """The figure with a line where each phase begins, and the phases' names; of one phase none."""
    if len(view.plan) < 2 or look.log_x:
        return figure
    layout = dict(figure["layout"])
    shapes: list[dict[str, Any]] = [*layout.get("shapes", ())]
    names: list[dict[str, Any]] = [*layout.get("annotations", ())]
    epoch = 0
    for place, begun in enumerate(view.plan):
        x = epoch if look.over == "epoch" else step_of(view, epoch)
        if place:
            line = {"color": colours.muted, "width": 1, "dash": "dash"}
            shapes.append(
                {"type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line}
            )
        names.append(
            {
                "x": x, "y": 1, "yref": "paper", "xanchor": "left", "yanchor": "top",
                "text": begun.phase.replace("_", " "), "showarrow": False, "xshift": 3,
                "font": {"size": 11, "color": colours.muted},
            }
        )  # fmt: skip
        epoch += begun.epochs
    layout |= {"shapes": shapes, "annotations": names}
    return {"data": figure["data"], "layout": layout}
