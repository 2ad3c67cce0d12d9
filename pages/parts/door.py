"""The engine as pages meet it: an error becomes a sentence, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.api import DistillError, RunCard, Studio, WorkspaceError, in_sentences, studio
from pages.charts.colour import Palette, palette
from pages.parts import site


def sentence(error: DistillError) -> str:
    """The engine's words, beginning as a sentence does."""
    return sentence_of(str(error))


def sentence_of(message: str, hint: str = "") -> str:
    """The same for the engine's words without their error; empty where there are none."""
    text = in_sentences(message.strip(), hint)
    return text[:1].upper() + text[1:]


def open_studio() -> Studio:
    """The studio of this server; where there is none the page says why and ends."""
    try:
        found = studio()
    except WorkspaceError as error:
        st.error(
            f"**The workspace cannot be used.** {sentence(error)}", icon=":material/folder_off:"
        )
        st.stop()
    return found


def tell_trouble(found: Studio) -> None:
    """Say why nothing can be started here, where it cannot."""
    if not found.is_working():
        why = sentence_of(found.trouble) or "No engine runs in this server."
        st.warning(
            f"{why} Everything can be read here; runs start only there."
            if found.trouble
            else f"{why} Everything can be read here, but no run starts.",
            icon=":material/lock:",
        )


def open_run(found: Studio, run_id: str) -> RunCard:
    """One run; where there is none the page says so and ends."""
    try:
        return found.run(run_id)
    except DistillError as error:
        st.info(f"**This run cannot be shown.** {sentence(error)}.", icon=":material/search_off:")
        site.link("runs", "All runs")
        st.stop()


def outcome(act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `act` gives, or True; None where something stands against it, which a toast tells."""
    try:
        found = act(*args, **kwargs)
    except DistillError as error:
        st.toast(sentence(error), icon=":material/warning:", duration="long")
        return None
    return True if found is None else found


def attempt(act: Callable[..., Any], *args: Any) -> bool:
    """The same for a button's callback, which may not draw: the next tick tells."""
    try:
        act(*args)
    except DistillError as error:
        tell_later(sentence(error), ":material/warning:")
        return False
    return True


def tell_later(text: str, icon: str) -> None:
    """A toast at the next tick."""
    st.session_state.setdefault("to_tell", []).append((text, icon))


def tell_now() -> None:
    """What callbacks had to tell."""
    for text, icon in st.session_state.pop("to_tell", []):
        st.toast(text, icon=icon)


def colours() -> Palette:
    """The colours of the theme that the browser shows."""
    return palette(st.context.theme.type)


def is_expert() -> bool:
    """Whether the person asked for every knob."""
    return st.session_state.get("mode") == "expert"
