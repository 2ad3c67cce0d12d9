"""What trains now, on every page: progress, time left, Pause and Stop; a toast at the end."""

from __future__ import annotations

import streamlit as st

from engine.api import Active, DistillError, Studio, WorkspaceError, studio
from pages.charts.words import STATUS_ICONS, duration, percent, status_text
from pages.parts import site
from pages.parts.controls import forget_stops, pause_button, stop_choices
from pages.parts.door import tell_now, tell_trouble

TICK = 2.0  # seconds, while something trains
IDLE_TICK = 5.0  # seconds: runs that a terminal started appear


def status_strip() -> None:
    """Draw the strip where the caller stands (the sidebar)."""
    try:
        found = studio()
    except WorkspaceError:
        return  # the page says why
    tell_trouble(found)
    st.fragment(_strip, run_every=TICK if found.active() else IDLE_TICK, key="strip")(found)


def _strip(found: Studio) -> None:
    tell_now()
    active = found.active()
    _toasts(found, {run.id for run in active})
    alive = [run for run in active if run.status != "queued"]
    forget_stops([run.id for run in alive])
    waiting = len(active) - len(alive)
    with st.container(key="strip", gap="xsmall"):
        if not alive:
            text = f"{waiting} waiting" if waiting else "Nothing is training"
            st.caption(f":material/circle: {text}")
        for run in alive:
            _active(found, run)
        if alive and waiting:
            st.caption(f"{STATUS_ICONS['queued']} {waiting} more waiting")


def _active(found: Studio, run: Active) -> None:
    site.link("watch", run.title, run=run.id)
    left = f" · ≈ {duration(run.seconds_left)} left" if run.seconds_left is not None else ""
    st.progress(
        min(max(run.share_done, 0.0), 1.0),
        text=f"{status_text(run.status)} · {percent(run.share_done, 0)}{left}",
    )
    with st.container(horizontal=True, gap="xsmall"):
        pause_button(found, run.id, run.status, place="strip")
        stop_choices(found, run.id, run.status, place="strip")


def _toasts(found: Studio, active: set[str]) -> None:
    """Say once that a run ended which this browser tab saw running."""
    ended = st.session_state.get("seen_active", set()) - active
    st.session_state["seen_active"] = active
    for run_id in sorted(ended - st.session_state.setdefault("toasted", set())):
        st.session_state["toasted"].add(run_id)
        try:
            card = found.run(run_id)
        except DistillError:
            continue  # deleted meanwhile
        st.toast(f"**{card.meta.name}**: {card.status}", icon=STATUS_ICONS.get(card.status))
