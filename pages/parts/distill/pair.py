"""Who teaches whom."""

from __future__ import annotations

import json
from collections.abc import Mapping

import streamlit as st

from pages.parts.distill import draft
from pages.parts.distill.form import Form
from pages.parts.distill.weights import weights
from pages.parts.door import is_expert


def pair(form: Form) -> None:
    """Teacher with its weights, and student; impossible pairs come last, with the reason."""
    st.subheader("2 · Pair")
    teacher, student = st.columns(2)
    with teacher:
        if "teacher" in form.needs:
            form.select("nets", "teacher", "Teacher (large)")
            if is_expert():
                form.knobs("nets", "teacher")
        else:
            st.caption("This method needs no teacher.")
    with student:
        _student(form, _reasons(form))
    if "teacher" in form.needs:
        weights(form)


def _student(form: Form, reasons: Mapping[str, str]) -> None:
    entries = form.entries["nets"]
    options = sorted(entries, key=lambda name: bool(reasons.get(name)))
    form.select(
        "nets",
        "student",
        "Student (small)",
        options=options,
        words=lambda name: f"✕ {name}: not with this teacher" if reasons.get(name) else
        entries[name]["title"],
    )  # fmt: skip
    if reason := reasons.get(draft.answer("student.name")):
        st.error(f"This pair cannot be taught this way. {reason}", icon=":material/block:")
    if is_expert():
        form.knobs("nets", "student")


def _reasons(form: Form) -> Mapping[str, str]:
    """Net -> why it cannot be the student; empty until that is known."""
    if "teacher" not in form.needs:
        return {}
    spec, _ = draft.validated(form.plain())
    if spec is None:
        return {}
    plain = json.loads(spec.to_json())
    form.found.check(plain)  # first in the line: it decides whether the run may be queued
    state = form.ask("Looking for nets that fit", form.found.pairs, plain)
    return state.value if state.status == "done" else {}
