"""Jobs asked for one after another, so that the quick ones are seen first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.api import JobState
from pages.parts.door import sentence_of

POLL = 0.7  # seconds between two looks at the job


class Turn:
    """The jobs of one drawing of the page: none is asked for before the one before it is over.

    is_open: whether the next job may be asked for.
    """

    def __init__(self) -> None:
        self.is_open = True
        self._faults: set[str] = set()

    def ask(self, what: str, job: Callable[..., JobState], *args: Any) -> Any:
        """What a job found, or None: then it is said that it works, or why it cannot.

        Args:
            what: the job does, as in `Comparing the maps`.
        """
        if not self.is_open:
            return None
        state = job(*args)
        if state.status == "done":
            return state.value
        if state.status == "failed":
            self._tell(f"{state.message} {state.hint}")
            return None
        self.is_open = False

        def look() -> None:
            if job(*args).status in ("done", "failed"):
                st.rerun()
            st.status(what, type="step")

        st.fragment(look, run_every=POLL, key="run_parts")()
        return None

    def _tell(self, fault: str) -> None:
        """Each fault once, though several charts may have it."""
        if fault not in self._faults:
            self._faults.add(fault)
            st.warning(sentence_of(fault), icon=":material/broken_image:")
