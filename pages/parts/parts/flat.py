"""How flat the minimum is that the student found."""

from __future__ import annotations

import streamlit as st

from engine.api import RunCard, Studio, Weights
from pages.charts.parts_flat import (
    SIGMAS,
    Disturbed,
    Slope,
    flatness_figure,
    flatness_sentence,
)
from pages.parts.door import colours
from pages.parts.live_plot import live_plot
from pages.parts.parts.beside import alone_of
from pages.parts.parts.turn import Turn


def flat(found: Studio, card: RunCard, weights: Weights, turn: Turn) -> None:
    """Loss against the strength of the noise, a job a point: the curves grow."""
    if not turn.is_open:
        return
    st.markdown("**Flatness of the minimum**")
    above = st.container()
    students = {"this student": ("taught", weights)}
    if alone := alone_of(found, card):
        students["the student alone"] = ("alone", alone)
    points: dict[str, list[Disturbed]] = {label: [] for label in students}
    images = 0
    for sigma in SIGMAS:
        for label, (_, its) in students.items():
            if told := turn.ask("Disturbing the weights", found.student_flatness, its, sigma):
                points[label].append(Disturbed(sigma, told["mean"], told["std"]))
                images = told["images"]
    slopes = [Slope(label, students[label][0], known) for label, known in points.items() if known]
    if not slopes:
        return
    said = flatness_sentence(slopes)
    with above:
        live_plot(
            flatness_figure(slopes, colours()),
            key="run_part_flatness",
            alt=f"Loss against the strength of noise on the weights. {said}",
            keep=card.id,
        )
        st.caption(
            f"Loss on {images} training images when every weight gets normal noise; mean of five"
            " draws, whiskers one standard deviation. Look for the line that rises later: its"
            f" minimum is flatter. Only students of one design compare. {said}"
        )
