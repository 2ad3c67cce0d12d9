"""How alike the parts are to the other net and to each other; and whether exploration is real."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from engine.api import RunCard, RunView, Studio, Weights
from pages.charts.parts import num_classes, other_net
from pages.charts.parts_bars import (
    Figures,
    Likeness,
    Owner,
    guesses,
    likeness_figure,
    likeness_words,
)
from pages.charts.parts_honesty import verdict
from pages.parts.door import colours
from pages.parts.live_plot import live_plot
from pages.parts.parts.beside import alone_of, soft_labels_of
from pages.parts.parts.turn import Turn

OTHERS: tuple[tuple[str, Owner, Callable[[Studio, RunCard], Weights | None]], ...] = (
    ("student alone", "alone", alone_of),
    ("soft labels", "kd", soft_labels_of),
)
ICONS = {
    "warning": ":material/visibility_off:",
    "info": ":material/info:",
    "success": ":material/check_circle:",
}


def likeness(found: Studio, card: RunCard, weights: Weights, turn: Turn) -> list[Likeness]:
    """CKA of this student's features and codes, beside students that were not split."""
    if not turn.is_open:
        return []
    st.markdown("**How alike the maps are**")
    what = "Comparing the maps"
    told: list[Likeness] = []
    if own := turn.ask(what, found.part_likeness, weights):
        told.append(Likeness("this run, features", "features", own["raw"]))
        if own["codes"]:
            told.append(Likeness("this run, codes", "codes", own["codes"]))
        for label, owner, find in OTHERS:
            of = find(found, card) if turn.is_open else None
            if of and (value := turn.ask(what, found.part_likeness, weights, of)):
                told.append(Likeness(label, owner, value["raw"]))
    if told and card.spec is not None:
        other = other_net(card.spec)
        live_plot(
            likeness_figure(told, other, colours()),
            key="run_part_likeness",
            alt=likeness_words(told, other),
            keep=card.id,
        )
        aim = (
            "below the other students' bars, which are cut by the same channels"
            if told[-1].owner in ("alone", "kd")
            else "below *inherits*"
        )
        st.caption(
            f"Linear CKA of the maps over {own['images']} images: 1 where two maps see them"
            " the same way, turned or scaled, 0 where they have nothing in common. Look for"
            f" *explores* {aim}."
        )
    return told


def honesty(card: RunCard, view: RunView, told: list[Likeness], alone: Figures) -> None:
    """Whether the features moved away, or only what an encoder makes of them."""
    by_owner = {one.owner: one.values for one in told}
    if "features" not in by_owner or card.spec is None:
        return
    is_frozen = card.spec.method.knobs.get("exploration_encoder") == "frozen"
    found = verdict(
        view,
        by_owner["features"],
        by_owner.get("alone"),
        has_codes="codes" in by_owner and not is_frozen,
        is_empty=bool(alone) and guesses(alone, "explore", num_classes(card.environment)),
        other=other_net(card.spec),
    )
    if found is not None:
        {"warning": st.warning, "info": st.info, "success": st.success}[found.kind](
            found.text, icon=ICONS[found.kind]
        )
