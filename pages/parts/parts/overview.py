"""The tab Parts: what the part that inherits holds, and what the part that explores."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from engine.api import RunCard, RunView, Studio
from pages.charts.curve import Look
from pages.charts.parts import (
    distances,
    distances_figure,
    has_two_parts,
    is_split,
    losses,
    losses_figure,
    other_net,
)
from pages.parts.door import colours
from pages.parts.live_plot import live_plot
from pages.parts.look_choices import look_choices
from pages.parts.parts.answers import answers
from pages.parts.parts.beside import weights_of
from pages.parts.parts.flat import flat
from pages.parts.parts.likeness import honesty, likeness
from pages.parts.parts.neurons import neurons
from pages.parts.parts.pictures import pictures
from pages.parts.parts.turn import Turn


def parts(found: Studio, card: RunCard, view: RunView) -> None:
    """Everything about the two parts of one student."""
    if card.spec is None or not is_split(card.spec):
        st.caption(
            "This tab is for students whose last feature map is in two parts, one that copies"
            " another net and one that must differ from it: by the method *Inheritance and"
            " exploration*, or by *Learn together* with codes."
        )
        return
    _curves(card, view, other_net(card.spec))
    if not has_two_parts(card.spec):
        st.caption("Here all channels are one part, so there is nothing to compare.")
        return
    weights = weights_of(card, view)
    if weights is None:
        st.caption("What the parts hold is measured once the student's first weights are saved.")
        return
    phase, epoch, _ = weights[1]
    whose = "" if card.spec.teacher else " Of the two nets it is the student that is measured."
    st.caption(
        f"All below is measured on the weights saved after epoch {epoch} of phase"
        f" *{view.plan[phase].phase}*, with images spread evenly over a split.{whose}"
    )
    turn = Turn()
    above = st.container()
    left, right = st.columns(2, gap="large")
    with left:
        alone = answers(found, card, weights, turn)
    with right:
        alike = likeness(found, card, weights, turn)
    if turn.is_open:  # else what the verdict needs is still being measured
        with above:
            honesty(card, view, alike, alone)
    pictures(found, card, weights, turn, can_divide=bool(alone))
    left, right = st.columns(2, gap="large")
    with left:
        neurons(found, card, weights, turn, is_pooled=bool(alone))
    with right:
        flat(found, card, weights, turn)


def _curves(card: RunCard, view: RunView, other: str) -> None:
    if not view.terms:
        st.caption("The curves begin with the first steps.")
        return
    look = look_choices("run")
    charts = [partial(_losses, card, view, net, look) for net in losses(view)]
    charts += [partial(_distances, card, view, other, look, told) for told in distances(view)]
    for start in range(0, len(charts), 2):
        for draw, place in zip(charts[start:], st.columns(2, gap="large"), strict=False):
            with place:
                draw()


def _losses(card: RunCard, view: RunView, net: str, look: Look) -> None:
    terms = losses(view)[net]
    st.markdown(f"**Parts of the loss of the {net}**")
    live_plot(
        losses_figure(view, net, colours(), look),
        key=f"run_part_losses_{net}",
        alt=f"Parts of the loss of the {net} over training: {', '.join(terms)}.",
        keep=f"{card.id}{look.over}",
    )
    st.caption(
        "What training makes small, weights included; *explore* counts negative, as moving away is"
        " rewarded. Look for a *task* that falls to the end: a larger term may hold it up."
    )


def _distances(
    card: RunCard, view: RunView, other: str, look: Look, told: Mapping[str, str]
) -> None:
    ends = [f"{label} {view.terms[name].value[-1]:.3g}" for label, name in told.items()]
    st.markdown(f"**Distance from the {other}**")
    live_plot(
        distances_figure(view, told, colours(), look),
        key=f"run_part_distances_{next(iter(told))}",
        alt=f"Distances over training, not weighted. Now: {', '.join(ends)}.",
        keep=f"{card.id}{look.over}",
    )
    st.caption(
        "As the distiller measures it, behind its encoders where it has some. Look for *inherit*"
        " that falls and *explore* that rises; whether the features do so too is told below."
    )
