"""Which weights are measured, and the students beside which they are seen."""

from __future__ import annotations

import streamlit as st

from engine.api import RunCard, RunView, Studio, Weights
from pages.parts.seed_table import specs_of

OVER = ("finished", "stopped", "interrupted", "failed")


def weights_of(card: RunCard, view: RunView) -> Weights | None:
    """The newest that the student's phase saved; None where there are none yet.

    Of a run under way they stay those that were newest when the tab was opened, until a person
    asks for newer ones: the charts would never agree otherwise.
    """
    newest = _newest(card.id, view)
    kept = f"run_parts_{card.id}"
    if newest is None or card.status in OVER:
        st.session_state.pop(kept, None)
        return newest
    measured: Weights = st.session_state.setdefault(kept, newest)
    label = "Measure the newest weights"
    if newest != measured and st.button(label, icon=":material/refresh:"):
        st.session_state[kept] = measured = newest
    return measured


def alone_of(found: Studio, card: RunCard) -> Weights | None:
    """The same student, taught by nobody."""
    baseline = found.evidence(card.id).baseline
    return _newest(baseline, found.view(baseline)) if baseline else None


def soft_labels_of(found: Studio, card: RunCard) -> Weights | None:
    """The same student of this experiment, taught by soft labels at every image."""
    members = [member.run for member in card.experiment.runs] if card.experiment else []
    for run, spec in specs_of(found, members).items():
        is_kd = spec.method.name == "spot_adaptive" and spec.distiller and spec.policy
        if (
            is_kd
            and (spec.distiller.name, spec.policy.name) == ("kd", "all")
            and card.spec is not None
            and spec.baseline_hash() == card.spec.baseline_hash()
        ):
            view = found.view(run)
            return _newest(run, view) if view.ended else None
    return None


def _newest(run_id: str, view: RunView) -> Weights | None:
    last = len(view.plan[-1].phases) - 1 if view.plan else 0
    saved = [told.position for told in view.checkpoints if told.position[0] == last]
    return (run_id, saved[-1]) if saved else None
