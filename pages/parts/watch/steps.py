"""What is done, what goes on, what comes."""

from __future__ import annotations

import streamlit as st

from engine.api import RunView


def steps(view: RunView) -> None:
    """Preparations and phases, ticked; then the newest notes."""
    told = [f":material/check: {one.text}" for one in view.prepared]
    phase = view.phase
    begun = [one.phase for one in view.plan]
    for name in phase.phases if phase else ():
        is_now = phase is not None and name == phase.phase and view.ended is None
        icon = "play_arrow" if is_now else "check" if name in begun else "circle"
        told.append(f":material/{icon}: {name.replace('_', ' ').capitalize()}")
    if told:
        st.markdown("**Steps**")
        st.markdown("  \n".join(told))
    for note in view.notes[-3:]:
        st.caption(f":material/{'warning' if note.level == 'warning' else 'info'}: {note.text}")
