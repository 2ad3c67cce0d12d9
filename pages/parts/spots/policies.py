"""The same pair under other policies, where the experiment holds them."""

from __future__ import annotations

import streamlit as st

from engine.api import RunCard, RunSpec, Studio
from pages.charts.seeds import groups_of
from pages.charts.spot_policies import (
    named,
    policies_figure,
    policy_shares_figure,
    same_but_policy,
)
from pages.parts.door import colours
from pages.parts.live_plot import live_plot
from pages.parts.seed_table import seed_table, specs_of


def policies(found: Studio, card: RunCard) -> None:
    """Accuracy over epochs, share by spot, and the table of paired differences."""
    st.markdown("**Policies compared**")
    taught, alone = _runs(found, card)
    views = {
        label: [view for view in map(found.view, runs) if view.counted]
        for label, runs in named(taught).items()
    }
    views = {label: begun for label, begun in views.items() if begun}
    if len(views) < 2:
        st.caption(
            "No other policy was run on this pair. Only beside others can be seen whether choosing"
            " helps: press *Use as a start* above, choose the voice Expert, and under Budget"
            " several *Policies to compare* (learned, all, random) and at least three *Seeds*."
        )
        return
    seeds = ", ".join(f"{label} {len(begun)}" for label, begun in views.items())
    live_plot(
        policies_figure(views, colours()),
        key="run_policies",
        alt=f"Accuracy over the epochs by policy; runs: {seeds}.",
        keep=card.id,
    )
    st.caption(
        f"Lines are means over seeds ({seeds}), bands one standard deviation (n - 1). Look for"
        " lines that lie apart all the way; *all* is ordinary distillation. The table below tells"
        " which differences are larger than the noise."
    )
    live_plot(
        policy_shares_figure(views, colours()),
        key="run_policy_shares",
        alt="Share of images taught at each spot in the newest epoch, by policy.",
        keep=card.id,
    )
    st.caption(
        "Images taught at each spot in the newest epoch. Policies that teach equally much can"
        " still teach other images: compare learned with random where their bars are level."
    )
    specs = {**alone, **taught}
    rows = [row for row in found.runs() if row.id in specs]
    seed_table(groups_of(specs, rows[::-1]), key="run_seeds", wanted=("all", "alone"))


def _runs(found: Studio, card: RunCard) -> tuple[dict[str, RunSpec], dict[str, RunSpec]]:
    """The experiment's runs that differ from this one in policy and seed only, and its students
    alone: run -> spec."""
    if card.spec is None:
        return {}, {}
    members = [member.run for member in card.experiment.runs] if card.experiment else []
    taught, alone = {card.id: card.spec}, {}
    for run, spec in specs_of(found, members).items():
        if same_but_policy(spec) == same_but_policy(card.spec):
            taught[run] = spec
        elif spec.method.name == "alone" and spec.student == card.spec.student:
            alone[run] = spec
    return taught, alone
