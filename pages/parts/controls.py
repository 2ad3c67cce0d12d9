"""The buttons that steer a run."""

from __future__ import annotations

import time

import streamlit as st

from engine.api import Status, Studio
from pages.parts.door import attempt, tell_later

PATIENCE = 10.0  # seconds after which a stop without effect may be forced


def pause_button(found: Studio, run_id: str, status: Status, *, place: str) -> None:
    """Pause, or Continue where it is paused."""
    is_paused = status == "paused"
    st.button(
        "Continue" if is_paused else "Pause",
        key=f"{place}_pause_{run_id}",
        icon=":material/play_arrow:" if is_paused else ":material/pause:",
        on_click=attempt,
        args=(found.send, run_id, "continue" if is_paused else "pause"),
        disabled=status not in ("running", "paused"),
    )


def stop_choices(found: Studio, run_id: str, status: Status, *, place: str) -> None:
    """Stop, with the choice of how; ten seconds after it was asked for in vain, Force stop."""
    asked = st.session_state.setdefault("stop_asked", {})
    if status == "stopping" and time.time() - asked.get(run_id, time.time()) > PATIENCE:
        st.button(
            "Force stop",
            key=f"{place}_force_{run_id}",
            icon=":material/dangerous:",
            help="Ends the worker at once. What was not saved is lost; the last save stays.",
            on_click=attempt,
            args=(found.force_stop, run_id),
        )
        return
    label = "Stopping" if status == "stopping" else "Stop"
    with st.popover(label, icon=":material/stop:", key=f"{place}_stops_{run_id}"):
        st.caption("What is trained so far is kept, and the run can be resumed.")
        for text, command in (("After this epoch", "stop_after_epoch"), ("Now, and save", "stop")):
            st.button(
                text,
                key=f"{place}_{command}_{run_id}",
                on_click=_stop,
                args=(found, run_id, command),
                width="stretch",
            )
        st.caption("To keep it running, click elsewhere.")


def _stop(found: Studio, run_id: str, command: str) -> None:
    if attempt(found.send, run_id, command):
        tell_later("Stopping: it finishes the step it is in.", ":material/stop_circle:")
        if command == "stop":
            st.session_state["stop_asked"][run_id] = time.time()
