"""The list of parts comes from the job process: awaited here, and asked for again after a fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.api import DistillError, Studio
from pages.parts.door import sentence


def catalogue_or_wait(found: Studio) -> Mapping[str, Any] | None:
    """What can be chosen; None while that is unknown, of which the page then tells."""
    try:
        catalogue = found.catalogue()
    except DistillError as error:
        _failed(found, error)
        return None
    if catalogue is None:
        st.caption("Reading the list of methods and nets. This takes a few seconds after a start.")
        st.fragment(_look, run_every=1.0, key="catalogue")(found)
    return catalogue


def _look(found: Studio) -> None:
    try:
        is_there = found.catalogue() is not None
    except DistillError:
        is_there = True  # the page tells why
    if is_there:
        st.rerun()
    st.skeleton(height=320)


def _failed(found: Studio, error: DistillError) -> None:
    st.error(
        f"**The list of methods and nets could not be read.** {sentence(error)}",
        icon=":material/error:",
    )
    st.button("Try again", icon=":material/refresh:", on_click=_again, args=(found,))


def _again(found: Studio) -> None:
    found.catalogue(again=True)
