"""The buttons that steer a run."""

from __future__ import annotations

import time

import streamlit as st

from engine.api import Command, Status, Studio
from pages.parts.door import attempt, tell_later

PATIENCE = 10.0  # seconds after which a stop without effect may be forced
STOPPING = "Stopping: it finishes the step it is in."
ENDING = "It stops at the end of this epoch."


def pause_button(
    found: Studio, run_id: str, status: Status, *, place: str, shortcut: str | None = None
) -> None:
    """Pause, or Continue where it is paused."""
    is_paused = status == "paused"
    said = "It goes on." if is_paused else "Pausing: it finishes the step it is in."
    st.button(
        "Continue" if is_paused else "Pause",
        key=f"{place}_pause_{run_id}",
        icon=":material/play_arrow:" if is_paused else ":material/pause:",
        on_click=_send,
        args=(found, run_id, "continue" if is_paused else "pause", said),
        disabled=status not in ("running", "paused"),
        shortcut=shortcut,
    )


def stop_choices(
    found: Studio, run_id: str, status: Status, *, place: str, shortcut: str | None = None
) -> None:
    """Stop, which asks how; ten seconds after it was asked for in vain, Force stop."""
    if status == "stopping":
        _stopping(found, run_id, place)
    elif st.session_state.get(f"{place}_stops") != run_id:
        st.button(
            "Stop",
            key=f"{place}_stop_{run_id}",
            icon=":material/stop:",
            on_click=_ask_how,
            args=(place, run_id),
            shortcut=shortcut,
        )
    else:
        for text, icon, command, said in (
            ("After this epoch", ":material/last_page:", "stop_after_epoch", ENDING),
            ("Now, and save", ":material/stop:", "stop", STOPPING),
        ):
            st.button(
                text,
                key=f"{place}_{command}_{run_id}",
                icon=icon,
                on_click=_stop,
                args=(found, run_id, command, said, place),
                help="What is trained so far is kept, and the run can be resumed.",
            )
        st.button(
            "Keep running",
            key=f"{place}_keep_{run_id}",
            type="tertiary",
            on_click=_ask_how,
            args=(place, ""),
        )


def ask_button(
    found: Studio, run_id: str, status: Status, command: Command, *, shortcut: str | None = None
) -> None:
    """Save now, or Evaluate now; what comes of it shows at the next tick."""
    label, icon, said = ASKED[command]
    st.button(
        label,
        key=f"watch_{command}_{run_id}",
        icon=icon,
        on_click=_send,
        args=(found, run_id, command, said),
        disabled=status != "running",
        shortcut=shortcut,
    )


ASKED = {
    "save": ("Save now", ":material/save:", "It saves after this step."),
    "evaluate": ("Evaluate now", ":material/speed:", "It evaluates after this step."),
}


def _stopping(found: Studio, run_id: str, place: str) -> None:
    since = st.session_state.setdefault("stopping_since", {}).setdefault(run_id, time.time())
    if time.time() - since > PATIENCE:
        st.button(
            "Force stop",
            key=f"{place}_force_{run_id}",
            icon=":material/dangerous:",
            help="Ends the worker at once. What was not saved is lost; the last save stays.",
            on_click=attempt,
            args=(found.force_stop, run_id),
        )
    else:
        st.button("Stopping", key=f"{place}_stop_{run_id}", icon="spinner", disabled=True)


def _ask_how(place: str, run_id: str) -> None:
    st.session_state[f"{place}_stops"] = run_id


def _send(found: Studio, run_id: str, command: Command, said: str) -> bool:
    is_sent = attempt(found.send, run_id, command)
    if is_sent:
        tell_later(said, ":material/send:")
    return is_sent


def _stop(found: Studio, run_id: str, command: Command, said: str, place: str) -> None:
    """Stop it, and stay with it: Watch would go on to the next run of the experiment."""
    _ask_how(place, "")
    if _send(found, run_id, command, said) and (shown := st.session_state.get("watch_shown")):
        st.query_params["run"] = shown
