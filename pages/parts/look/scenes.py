"""What a segmenter says about a picture, beside the truth and another net."""

from __future__ import annotations

import streamlit as st

from engine.api import RunCard, RunView, Studio


def scenes(found: Studio, card: RunCard, view: RunView) -> None:
    """Picture, truth, two nets and where they are wrong."""
    st.caption("Predictions are drawn once the first weights are saved.")
