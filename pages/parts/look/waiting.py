"""A job whose answer a page draws: asked for, waited for without holding anything up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.api import JobState
from pages.parts.door import sentence_of

POLL = 0.5  # seconds between two looks at the job


def answer_of(what: str, job: Callable[[], JobState], *, key: str) -> Any:
    """What a job found, or None: then it is said that it works, or why it cannot.

    Args:
        what: the job does, as in `Reading the pictures`.
    """
    state = job()
    if state.status == "done":
        return state.value
    if state.status == "failed":
        st.warning(sentence_of(state.message, state.hint), icon=":material/broken_image:")
        return None

    def look() -> None:
        if job().status in ("done", "failed"):
            st.rerun()
        st.status(what, type="step")

    st.fragment(look, run_every=POLL, key=key)()
    return None
