"""Why a data set cannot be used, with what helps, before anything is trained."""

from __future__ import annotations

import re

import streamlit as st

from engine.api import JobState
from pages.parts.distill.form import Form
from pages.parts.door import sentence_of

_LISTED = re.compile(r"(?P<what>\d.*?): (?P<items>.+; .+)", re.DOTALL)


def data_faults(form: Form, state: JobState) -> None:
    """The first faults, one a line, and the remedy; the checks need not tell them again."""
    form.told.add(sentence_of(state.message, state.hint))
    what, items = listed(state.message)
    is_data = state.where.startswith("data")
    title = "These images cannot be used yet." if is_data else "There are no pictures to show."
    lines = [f"**{title}** {sentence_of(what)}"]
    lines += [f"- {item}" for item in items]
    if state.hint:
        lines += ["", f":material/build: {state.hint}"]
    st.error("\n".join(lines), icon=":material/error:")


def listed(message: str) -> tuple[str, tuple[str, ...]]:
    """A message such as `2 files cannot be used: a; b.` in parts; others are left whole."""
    found = _LISTED.fullmatch(message.strip())
    if found is None:
        return message, ()
    items = found["items"].rstrip(".").split("; ")
    return f"{found['what']}:", tuple(item.removeprefix("and ") for item in items)
