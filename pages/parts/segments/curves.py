"""How near the student's front comes to the teacher's, over training."""

from __future__ import annotations

import streamlit as st

from engine.api import RunView
from pages.charts.curve import Look
from pages.charts.segments_curves import imitation_curves, imitation_figure, imitation_sentence
from pages.parts.door import colours
from pages.parts.live_plot import live_plot

MEANING = (
    "The squared gap between the two nets' feature maps as a share of the teacher's squared maps,"
    " over all channels and places: 1 for a student that says nothing, 0 for a perfect copy."
    " The measure is ours."
)


def imitation_plot(view: RunView, look: Look, *, key: str, keep: str) -> None:
    """Distance on training images and on held-out ones; nothing where nobody imitates."""
    told = imitation_curves(view)
    if not told:
        return
    st.markdown("**How near the student's features come to the teacher's**", help=MEANING)
    now = ", ".join(f"{name} {curve.value[-1]:.2f}" for name, curve in told.items())
    live_plot(
        imitation_figure(view, colours(), look),
        key=key,
        alt=f"Distance of the student's features from the teacher's over training. Now: {now}.",
        keep=f"{keep}{look.over}",
    )
    st.caption(
        "Lower is nearer: 1 where nothing is learnt, 0 for a perfect copy. Measured while the front"
        " imitates; look for held-out images that follow the training images down."
        f" {imitation_sentence(view)}"
    )
