"""How many directions of a map the loss depends on."""

from __future__ import annotations

import streamlit as st

from engine.api import RunCard, Studio, Weights
from pages.charts.parts import num_classes, other_net
from pages.charts.parts_bars import neurons_figure, neurons_words
from pages.parts.door import colours
from pages.parts.live_plot import live_plot
from pages.parts.parts.turn import Turn


def neurons(found: Studio, card: RunCard, weights: Weights, turn: Turn, *, is_pooled: bool) -> None:
    """Active neurons of the teacher's map and of each part.

    Args:
        is_pooled: mean pooling and one linear layer follow the student's map.
    """
    if not turn.is_open or card.spec is None:
        return
    st.markdown("**Active neurons**")
    told = turn.ask("Counting active neurons", found.part_neurons, weights)
    if told is None:
        return
    other, counts = other_net(card.spec), told["counts"]
    sizes = [f"{told['sizes'][name]:,}" for name in counts]
    live_plot(
        neurons_figure(counts, told["left_out"], other, colours()),
        key="run_part_neurons",
        alt=neurons_words(counts, other),
        keep=card.id,
    )
    bound = (
        " Only pooling and one linear layer follow this map: so the counts tell of that layer and"
        " of the mistakes, not of what the map holds, and are never more than"
        f" {num_classes(card.environment) - 1}, the classes less one."
        if is_pooled
        else ""
    )
    st.caption(
        f"Directions of a map that hold nearly all of the loss's gradients, over {told['images']}"
        f" images; the maps of {other} and parts hold {', '.join(sizes)} values. Look for a part"
        f" that has as many as the {other} though it is smaller.{bound}"
    )
