"""The row of numbers of the run that is watched."""

from __future__ import annotations

import streamlit as st

from engine.api import Active, Curve, Evidence, RunCard, RunView
from pages.charts.curve import DISTANCE, evaluated_split
from pages.charts.headline import ACCURACY, headline_of
from pages.charts.words import amount, percent, points
from pages.parts.run_lines import role_of

HELP = {
    "Student": "Share of images that the student gets right: held-out images while it trains, test"
    " images at the end.",
    "Teacher": "The same for the teacher.",
    "Student alone": "The same student without a teacher, at its end.",
    "Gain": "Student taught minus the same student alone, in percentage points.",
    "Gap closed": "The gain as a share of the distance between the student alone and the teacher.",
    "Feature distance": "How far the student's features are from the teacher's on held-out images:"
    " 1 at the start, 0 for a perfect copy. Ours.",
    "Loss": "What training makes small, in nats.",
}


def numbers(card: RunCard, view: RunView, evidence: Evidence, mine: Active | None) -> None:
    """The headline of each net first, then how far and how fast it is."""
    figures = {**_accuracies(card, view, evidence), **_training(view, mine)}
    words = headline_of(card.spec.headline if card.spec else view.headline)
    if words is not ACCURACY:
        of = f"{words.title} of each net: held-out images while it trains, test images at the end"
        st.caption(f"{of}.", help=f"{words.meaning} {evidence_note(evidence)}")
    with st.container(horizontal=True, key="kpis", gap="small"):
        for label, value in figures.items():
            about = HELP.get(label, "")
            if words is not ACCURACY:
                about = about.replace("Share of images that the student gets right", words.title)
            st.metric(label, value, help=about or None, width=132)


def evidence_note(evidence: Evidence) -> str:
    """Why there is no figure of the teacher, where there is none."""
    if not evidence.is_teacher_apart:
        return ""
    return "The teacher knows other classes than these images show, so it has no figure here."


def _accuracies(card: RunCard, view: RunView, evidence: Evidence) -> dict[str, str]:
    is_whole = card.status == "finished"
    is_teacher = role_of(card) == "teacher"
    now = view.figure("student", split=evaluated_split(view), weights="last")
    if is_whole and evidence.student is not None:
        now = evidence.student
    figures = {"Teacher" if is_teacher else "Student": "-" if now is None else percent(now)}
    if evidence.teacher is not None and not is_teacher:
        figures["Teacher"] = percent(evidence.teacher)
    if evidence.baseline and evidence.alone is not None:
        figures["Student alone"] = percent(evidence.alone)
    if is_whole and evidence.gain is not None:  # before its end a run has a worse epoch
        figures["Gain"] = points(evidence.gain)
    if is_whole and evidence.recovered is not None:
        figures["Gap closed"] = percent(evidence.recovered, 0)
    return figures


def _newest_term(view: RunView) -> Curve | None:
    """The first of the terms that were told last: those of an earlier phase are over."""
    terms = [curve for name, curve in view.terms.items() if not name.endswith(DISTANCE)]
    last = max((curve.at[-1] for curve in terms if curve.at), default=None)
    return next((curve for curve in terms if curve.at and curve.at[-1] == last), None)


def _training(view: RunView, mine: Active | None) -> dict[str, str]:
    figures = {}
    distance = view.figure("student", "feature_distance")
    if distance is not None and view.ended is None:
        figures["Feature distance"] = f"{distance:.2f}"
    epochs = sum(begun.epochs for begun in view.plan)
    loss = view.terms.get("loss") or _newest_term(view)
    if epochs and view.ended is None:
        figures["Epoch"] = f"{min(int(view.epoch_of(view.at)) + 1, epochs)} of {epochs}"
    if loss and loss.value:
        figures["Loss"] = f"{loss.value[-1]:.3g}"
    if mine and mine.samples_per_second:
        figures["Speed"] = f"{amount(mine.samples_per_second)} img/s"
    return figures
