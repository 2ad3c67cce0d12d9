"""How the student is taught: three questions for Guided, every part for Expert."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.parts.distill import draft
from pages.parts.distill.defaults import DEFAULTS
from pages.parts.distill.form import Form, needs_of
from pages.parts.distill.look_alike import look_alike
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
        if part in form.may:
            _with_or_without(part)
        if part == "method" or part in form.needs:
            form.select(kind, part, label, **_options(form, part))
            form.about(kind, part)
            if part == "distiller":
                form.mark("settings")
            form.knobs(kind, part)


def _questions(form: Form) -> None:
    is_taught = _is_taught(form)
    entries = form.entries["methods"]
    options = [name for name in entries if ("teacher" in needs_of(entries[name])) == is_taught]
    form.select("methods", "method", "How the student learns", options=options)
    form.about("methods", "method")
    look_alike(form)
    if "distiller" in form.needs:
        label = "What the student copies, besides the answers"
        form.select("distillers", "distiller", label, **_options(form, "distiller"))
        form.about("distillers", "distiller")
        form.mark("settings")
    if "policy" in form.needs:
        _where(form)


def _options(form: Form, part: str) -> dict[str, Any]:
    """The distillers that the chosen method can work with, where not all of them."""
    allowed = form.method.get("facts", {}).get("distillers", ())
    return {"options": [*allowed]} if part == "distiller" and allowed else {}


def _is_taught(form: Form) -> bool:
    """Whether a teacher helps; the other answer brings another method."""
    is_taught = st.toggle(
        "A teacher helps",
        key=draft.key_for("guided.taught", "teacher" in form.needs),
        help="Off: the student learns from the labels, alone or with others that learn too.",
    )
    if is_taught != ("teacher" in form.needs):
        now = draft.answer("method")
        draft.put_many({"method": _other_method(form, is_taught)})
        draft.put_about("taught_by", {} if is_taught else now)
        st.rerun()
    return is_taught


def _other_method(form: Form, is_taught: bool) -> dict[str, Any]:
    """With a teacher or without: the one before, else the task's first choice, else any."""
    entries = form.entries["methods"]
    fitting = [name for name in entries if ("teacher" in needs_of(entries[name])) == is_taught]
    for choice in (draft.about("taught_by"), DEFAULTS[form.task]["method"]):
        if choice.get("name") in fitting:
            return dict(choice)
    return {"name": fitting[0], "knobs": {}}


def _with_or_without(part: str) -> None:
    extras = [name for name in draft.about("extras") if name != part]
    is_wanted = st.toggle(
        f"With a {part}",
        key=draft.key_for(f"extra.{part}", part in draft.about("extras")),
        help="The method can do without; then every image is taught everywhere.",
    )
    draft.put_about("extras", [*extras, part] if is_wanted else extras)


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
