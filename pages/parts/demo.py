"""The demo: one click from anywhere."""

from __future__ import annotations

import streamlit as st

from engine.api import Experiment, Studio
from pages.parts import site
from pages.parts.door import outcome


def demo_button(found: Studio, label: str, *, is_main: bool = False) -> None:
    """Queue the demo and open it; where it runs or waits already, just open it."""
    if st.button(
        label,
        type="primary" if is_main else "secondary",
        icon=":material/play_arrow:",
        disabled=not found.is_working(),
        help="Trains a tiny student twice on drawn shapes: alone, and taught. No download.",
    ):
        experiment = _going_on(found) or outcome(found.launch_preset, "demo")
        if experiment is not None:
            site.go("watch", experiment=experiment.id)


def _going_on(found: Studio) -> Experiment | None:
    for run in found.active():
        experiment = found.run(run.id).experiment
        if experiment is not None and experiment.preset == "demo":
            return experiment
    return None
