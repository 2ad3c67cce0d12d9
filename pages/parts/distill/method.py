"""How the student is taught: three questions for Guided, every part for Expert."""

from __future__ import annotations

import streamlit as st

from pages.parts.distill import draft
from pages.parts.distill.form import Form, needs_of
from pages.parts.door import is_expert


def method(form: Form) -> None:
    """Method, distiller and policy."""
    st.subheader("3 · Method")
    if is_expert():
        _parts(form)
    else:
        _questions(form)


def _parts(form: Form) -> None:
    for kind, part, label in (
        ("methods", "method", "Method"),
        ("distillers", "distiller", "What is copied"),
        ("policies", "policy", "Where it is taught"),
    ):
        if part == "method" or part in form.needs:
            form.select(kind, part, label)
            form.about(kind, part)
            if part == "distiller":
                form.mark("settings")
            form.knobs(kind, part)


def _questions(form: Form) -> None:
    if "teacher" in form.needs or draft.answer("method.name") == "alone":
        _with_or_without_teacher(form)
    form.mark("method")
    if "distiller" in form.needs:
        form.select("distillers", "distiller", "What the student copies, besides the answers")
        form.about("distillers", "distiller")
        form.mark("settings")
    if "policy" in form.needs:
        _where(form)


def _with_or_without_teacher(form: Form) -> None:
    is_taught = st.toggle(
        "A teacher helps",
        key=draft.key_for("guided.taught", "teacher" in form.needs),
        help="Off: the student learns from the labels alone, as a baseline.",
    )
    if is_taught != ("teacher" in form.needs):
        taught = (
            name for name, entry in form.entries["methods"].items() if "teacher" in needs_of(entry)
        )
        name = next(taught, "alone") if is_taught else "alone"
        draft.put_many({"method.name": name, "method.knobs": {}})
        st.rerun()


def _where(form: Form) -> None:
    if len(draft.about("policies")) > 1:
        titles = [form.entries["policies"][name]["title"] for name in draft.about("policies")]
        st.caption(f":material/alt_route: One run for each policy: {', '.join(titles)}.")
        form.mark("policy")
        return
    is_learned = st.toggle(
        "Choose where to teach, for each image",
        key=draft.key_for("guided.learned", draft.answer("policy.name") == "learned"),
        help="Spot-adaptive: a small policy learns at which layers teaching helps an image.",
    )
    if is_learned != (draft.answer("policy.name") == "learned"):
        draft.put("policy", {"name": "learned" if is_learned else "all", "knobs": {}})
    form.mark("policy")
