"""The engine as pages meet it: an error becomes a sentence, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.api import DistillError, RunCard, Studio, WorkspaceError, studio
from pages.charts.colour import Palette, palette
from pages.parts import site


def open_studio() -> Studio:
    """The studio of this server; where there is none the page says why and ends."""
    try:
        found = studio()
    except WorkspaceError as error:
        st.error(f"**The workspace cannot be used.** {error}", icon=":material/folder_off:")
        st.stop()
    if not found.is_working():
        st.warning(
            "**Another server runs this workspace.** Everything here can be read;"
            " runs start only there.",
            icon=":material/lock:",
        )
    return found


def open_run(found: Studio, run_id: str) -> RunCard:
    """One run; where there is none the page says so and ends."""
    try:
        return found.run(run_id)
    except DistillError as error:
        st.info(f"**This run cannot be shown.** {error}", icon=":material/search_off:")
        site.link("runs", "All runs")
        st.stop()


def attempt(act: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
    """Do something for a person; what stands against it is told in a toast."""
    try:
        act(*args, **kwargs)
    except DistillError as error:
        st.toast(str(error), icon=":material/warning:", duration="long")
        return False
    return True


def outcome(act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `act` gives; None where something stands against it, which a toast tells."""
    found: list[Any] = []
    attempt(lambda: found.append(act(*args, **kwargs)))
    return found[0] if found else None


def colours() -> Palette:
    """The colours of the theme that the browser shows."""
    return palette(st.context.theme.type)


def is_expert() -> bool:
    """Whether the person asked for every knob."""
    return st.session_state.get("mode") == "expert"
