"""What a classifier answers, picture by picture."""

from __future__ import annotations

import streamlit as st

from engine.api import RunCard, RunView, Studio


def answers(found: Studio, card: RunCard, view: RunView) -> None:
    """The answers of a run's nets are shown here: worst and best pictures, confusions, bars."""
    st.caption("Pictures of classification runs are not shown here yet.")
