"""What there is to look at before anything was trained."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import Studio, Summary
from pages.parts.demo import demo_button
from pages.parts.look.waiting import answer_of

STREETS = {"name": "street_scenes"}


def empty(found: Studio) -> None:
    """What the page is for, how to fill it, and some pictures with their truth."""
    st.info("There is no trained net to look at yet.", icon=":material/visibility:")
    st.markdown(
        "Here you see, picture by picture, what a net says: the classes that it finds, where it is"
        " wrong, and how another net does on the same picture."
    )
    with st.container(horizontal=True):
        demo_button(found, "Run the demo")
        demo_button(found, "Run the street demo", preset="spirit-demo", key="look_streets")
    st.markdown("**What nets learn to find: drawn streets, and their truth**")
    told = answer_of("Drawing six streets", lambda: found.samples(STREETS), key="look_samples")
    if told is not None:
        pairs = zip(told["images"], told.get("overlays", ()), strict=False)
        for (plain, truth), place in zip(pairs, [*st.columns(3), *st.columns(3)], strict=False):
            with place:
                st.image(_address(plain), width="stretch", alt="A drawn street")
                st.image(_address(truth), width="stretch", alt="The class of each of its pixels")
        st.caption(f"Classes: {', '.join(told['classes'])}.")


def no_scenes_yet(found: Studio, runs: Sequence[Summary]) -> None:
    """Where all runs tell one class an image: how to see one that finds classes in pictures."""
    if any(run.headline == "miou" for run in runs):
        return
    st.divider()
    st.caption("No run so far gives a class to every pixel. The street demo does, in minutes.")
    demo_button(found, "Run the street demo", preset="spirit-demo", key="look_streets")


def _address(png: str) -> str:
    return f"data:image/png;base64,{png}"
