"""The runs that wait, in their order, which can be changed."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import Active, Studio
from pages.parts.door import attempt


def waiting(found: Studio, active: Sequence[Active]) -> None:
    """The queue, where there is one."""
    runs = [run for run in active if run.status == "queued"]
    if runs:
        st.markdown("**Queue**")
    for place, run in enumerate(runs):
        with st.container(
            horizontal=True,
            wrap=False,
            horizontal_alignment="distribute",
            vertical_alignment="center",
            gap="xsmall",
        ):
            st.markdown(f"{place + 1}. {run.title}")
            up, down = (
                (found.move_in_queue, run.id, place - 1),
                (found.move_in_queue, run.id, place + 1),
            )
            _button("up", run.id, "Earlier", "arrow_upward", up, is_off=place == 0)
            _button("down", run.id, "Later", "arrow_downward", down, is_off=place == len(runs) - 1)
            _button("remove", run.id, "Take off the queue", "close", (found.unqueue, run.id))


def _button(
    name: str, run_id: str, about: str, icon: str, act: tuple[object, ...], *, is_off: bool = False
) -> None:
    st.button(
        "",
        key=f"queue_{name}_{run_id}",
        icon=f":material/{icon}:",
        help=about,
        type="tertiary",
        on_click=attempt,
        args=act,
        disabled=is_off,
    )
