"""How curves are drawn: kept in the URL, so that a link shows the same picture."""

from __future__ import annotations

import streamlit as st

from pages.charts.curve import Look


def look_choices(page: str) -> Look:
    """The choices of one page behind one small button."""
    with st.popover("Chart", icon=":material/tune:", key=f"{page}_look"):
        over = st.segmented_control(
            "Along the bottom",
            ["epoch", "step"],
            default="epoch",
            required=True,
            key=f"{page}_x",
            bind="query-params",
        )
        smoothing = st.slider(
            "Smoothing",
            0.0,
            0.95,
            0.6,
            0.05,
            key=f"{page}_smooth",
            bind="query-params",
            help="Of long curves; the curve as measured stays visible behind the smooth one.",
        )
        return Look(
            over="step" if over == "step" else "epoch",
            smoothing=smoothing,
            log_y=st.toggle("Logarithmic upwards", key=f"{page}_logy", bind="query-params"),
            log_x=st.toggle("Logarithmic sideways", key=f"{page}_logx", bind="query-params"),
            clip=st.toggle("Leave out extremes", key=f"{page}_clip", bind="query-params"),
        )
