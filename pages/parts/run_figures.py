"""The figures of a run, drawn with their words: what Watch and Run both show."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import RunView
from pages.charts.curve import (
    Line,
    Look,
    accuracy_figure,
    evaluated_split,
    learner_label,
    learners,
    rate_figure,
    terms_figure,
)
from pages.charts.headline import short_of
from pages.charts.segments_curves import with_borders
from pages.charts.spot import epoch_by_spot, newest_shares
from pages.charts.words import percent
from pages.parts.door import colours
from pages.parts.live_plot import live_plot


def accuracy_plot(lines: Sequence[Line], look: Look, *, key: str, keep: str) -> None:
    """Teacher, alone and taught over training."""
    said = [
        f"{learner_label(line, net)} {percent(curve.value[-1])}"
        for line in lines
        for net in learners(line.view)
        if (
            curve := line.view.figure_curve(net, line.view.headline, evaluated_split(line.view))
        ).value
    ]
    if not said and not any(line.view.evaluated for line in lines):
        st.caption("The curves begin with the first measurement.")
        return
    title = short_of(line.view.headline for line in lines)
    alt = f"{title} over training. Now: " + (", ".join(said) or "nothing measured yet") + "."
    live_plot(accuracy_figure(lines, colours(), look), key=key, alt=alt, keep=f"{keep}{look.over}")


def terms_plot(view: RunView, look: Look, *, key: str, keep: str) -> None:
    """The parts of the loss."""
    if not view.terms:
        st.caption("The curves begin with the first steps.")
        return
    alt = f"Parts of the training loss: {', '.join(view.terms)}."
    figure = with_borders(terms_figure(view, colours(), look), view, colours(), look)
    live_plot(figure, key=key, alt=alt, keep=f"{keep}{look.over}")


def rate_plot(view: RunView, look: Look, *, key: str, keep: str) -> None:
    """The learning rate."""
    if not view.rates:
        st.caption("The curve begins with the first steps.")
        return
    alt = f"Learning rate of {', '.join(view.rates)} over training."
    live_plot(rate_figure(view, colours(), look), key=key, alt=alt, keep=f"{keep}{look.over}")


def spots_plot(view: RunView, *, key: str, keep: str) -> None:
    """Epoch by spot; says so where nothing is routed."""
    shares = newest_shares(view)
    if not shares:
        st.caption("This map fills where a policy chooses, for each image, what to teach.")
        return
    newest = ", ".join(f"{spot} {percent(share, 0)}" for spot, share in shares.items())
    alt = f"Share of images taught at each spot, by epoch. Newest: {newest}."
    live_plot(epoch_by_spot(view, colours()), key=key, alt=alt, keep=keep)
    st.caption(
        "Each cell: of 100 images, how many the teacher taught at this layer in this epoch."
        " The first layer is at the bottom."
    )
