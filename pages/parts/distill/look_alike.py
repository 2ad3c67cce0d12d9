"""Spirit distillation for Guided: one question, and what becomes of the steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.charts.words import percent
from pages.parts.distill import draft
from pages.parts.distill.defaults import READERS
from pages.parts.distill.form import Form

SPIRIT = "spirit"
TARGET = "target"  # the knob `mix` of plain spirit distillation: no pictures but the target's


def look_alike(form: Form) -> None:
    """Whether the imitation also uses pictures without labels; ESD with them, SD without."""
    if draft.answer("method.name") != SPIRIT:
        return
    knobs = dict(draft.answer("method.knobs", {}))
    mix = knobs.get("mix", _default(form, "mix"))
    is_possible = has_similar(form)
    with st.container(key="similar_places"):
        is_wanted = st.toggle(
            "Also look at pictures of a similar place, without labels",
            key=draft.key_for(f"guided.similar.{is_possible}", is_possible and mix != TARGET),
            disabled=not is_possible,
            help="While the student learns the teacher's features it needs no labels, so plain"
            " pictures help. On: enhanced spirit distillation (ESD); off: spirit distillation"
            " (SD).",
        )
    if not is_possible:
        st.caption("To make this possible, name such pictures in step 4.")
    elif is_wanted != (mix != TARGET):
        knobs = {name: value for name, value in knobs.items() if name != "mix"}
        draft.put("method.knobs", knobs if is_wanted else {**knobs, "mix": TARGET})
    form.mark("method.knobs")
    _shares(form)


def short_name(knobs: Mapping[str, Any]) -> str:
    """What papers call the method with these knobs."""
    return "SD" if knobs.get("mix") == TARGET else "ESD"


def has_similar(form: Form) -> bool:
    """Whether the chosen data has pictures without labels beside those with."""
    known = form.entries["datasets"]
    entry = known.get(draft.answer("data.name"), known.get(READERS[form.task], {}))
    schemas = entry.get("knobs", {})
    chosen = draft.answer("data.knobs", {})
    if "proximity" in schemas:
        return bool(chosen.get("proximity"))
    default = schemas.get("num_proximity", {}).get("default", 0)
    return bool(chosen.get("num_proximity", default))


def _shares(form: Form) -> None:
    knobs = draft.answer("method.knobs", {})
    imitation, head = (
        float(knobs.get(name, _default(form, name) or 0))
        for name in ("imitation_share", "head_share")
    )
    rest = max(0.0, 1 - imitation - head)
    st.caption(
        f"{percent(imitation, 0)} of the steps: the student's front imitates the teacher's, no"
        f" label is read. {percent(head, 0)}: its head learns from the labels. {percent(rest, 0)}:"
        " the whole student does, gently."
    )


def _default(form: Form, knob: str) -> Any:
    return form.method.get("knobs", {}).get(knob, {}).get("default")
