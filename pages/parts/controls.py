"""The buttons that steer a run."""

from __future__ import annotations

import time
from collections.abc import Collection

import streamlit as st

from engine.api import Command, Status, Studio
from pages.parts.door import attempt, tell_later

PATIENCE = 10.0  # seconds after which a stop without effect may be forced
ASKED = {  # command -> label, icon, what is said when it was sent
    "save": ("Save now", ":material/save:", "It saves after this step."),
    "evaluate": ("Evaluate now", ":material/speed:", "It evaluates after this step."),
    "stop": ("Now, and save", ":material/stop:", "Stopping: it finishes the step it is in."),
    "stop_after_epoch": (
        "After this epoch",
        ":material/last_page:",
        "It stops at the end of this epoch.",
    ),
}


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
    asked = _stops_asked().get(run_id)
    if asked is not None and time.time() - asked > PATIENCE:
        _force(found, run_id, place)
    elif asked is not None:
        st.button("Stopping", key=f"{place}_stopping_{run_id}", icon="spinner", disabled=True)
    elif status == "stopping":  # it waits for the end of its epoch
        _stop_button(found, run_id, "stop", place)
    elif st.session_state.get(f"{place}_stops") != run_id:
        st.button(
            "Stop",
            key=f"{place}_ask_{run_id}",
            icon=":material/stop:",
            on_click=_ask_how,
            args=(place, run_id),
            shortcut=shortcut,
        )
    else:
        _stop_button(found, run_id, "stop_after_epoch", place)
        _stop_button(found, run_id, "stop", place)
        st.button(
            "Keep running",
            key=f"{place}_keep_{run_id}",
            type="tertiary",
            on_click=_ask_how,
            args=(place, ""),
        )


def forget_stops(alive: Collection[str]) -> None:
    """Drop what was asked of runs that have ended: resumed, they begin anew."""
    asked = _stops_asked()
    for run_id in set(asked) - set(alive):
        del asked[run_id]


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


def _stops_asked() -> dict[str, float]:
    """Run -> when this browser tab asked it to stop at once; seconds since 1970."""
    found: dict[str, float] = st.session_state.setdefault("stops_asked", {})
    return found


def _stop_button(found: Studio, run_id: str, command: Command, place: str) -> None:
    label, icon, said = ASKED[command]
    st.button(
        label,
        key=f"{place}_{command}_{run_id}",
        icon=icon,
        on_click=_stop,
        args=(found, run_id, command, said, place),
        help="What is trained so far is kept, and the run can be resumed.",
    )


def _force(found: Studio, run_id: str, place: str) -> None:
    st.button(
        "Force stop",
        key=f"{place}_force_{run_id}",
        icon=":material/dangerous:",
        help="Ends the worker at once. What was not saved is lost; the last save stays.",
        on_click=attempt,
        args=(found.force_stop, run_id),
    )


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
    if not _send(found, run_id, command, said):
        return
    if command == "stop":
        _stops_asked()[run_id] = time.time()
    if shown := st.session_state.get("watch_shown"):
        st.query_params["run"] = shown
