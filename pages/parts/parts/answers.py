"""What each part knows by itself."""

from __future__ import annotations

import streamlit as st

from engine.api import RunCard, Studio, Weights
from pages.charts.parts import num_classes, other_net
from pages.charts.parts_bars import Figures, answers_figure, answers_sentence
from pages.charts.words import percent
from pages.parts.door import colours
from pages.parts.live_plot import live_plot
from pages.parts.parts.turn import Turn


def answers(found: Studio, card: RunCard, weights: Weights, turn: Turn) -> Figures:
    """Accuracy with one part, the other, both: gives them, or nothing where they are not known."""
    st.markdown("**What each part knows by itself**")
    told = turn.ask("Asking each part alone", found.part_answers, weights)
    if told is None or card.spec is None:
        return {}
    figures: Figures = told["figures"]
    other = other_net(card.spec)
    shares = [
        f"{name} {percent(one['accuracy'])} right, {percent(one['agreement'])} as the {other}"
        for name, one in figures.items()
    ]
    live_plot(
        answers_figure(figures, other, colours()),
        key="run_part_answers",
        alt=f"Each part alone, and both: {'; '.join(shares)}.",
        keep=card.id,
    )
    said = answers_sentence(figures, num_classes(card.environment))
    st.caption(
        "Logits are the sum of what each part says and a bias, so one part can be left out exactly;"
        f" {told['images']} images. Look for parts that both know something, and for *both* above"
        f" each of them. {said}"
    )
    return figures
