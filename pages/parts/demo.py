"""The demos: one click from anywhere."""

from __future__ import annotations

import streamlit as st

from engine.api import Experiment, Studio
from pages.parts import site
from pages.parts.door import outcome

TOLD = {
    "demo": "Trains a tiny student twice on drawn shapes: alone, and taught. No download.",
    "spirit-demo": "Trains a tiny student to find road, sky, cars and more in drawn streets, from"
    " four labelled pictures: alone, and taught in two ways, three times each. No download.",
}


def demo_button(
    found: Studio,
    label: str,
    *,
    is_main: bool = False,
    preset: str = "demo",
    key: str | None = None,
) -> None:
    """Queue a demo and open it; where it runs or waits already, just open it.

    Nothing is drawn where there is no such preset.
    """
    if preset not in {one.name for one in found.presets()}:
        return
    if st.button(
        label,
        type="primary" if is_main else "secondary",
        icon=":material/play_arrow:",
        disabled=not found.is_working(),
        help=TOLD[preset],
        key=key,
    ):
        experiment = _going_on(found, preset) or outcome(found.launch_preset, preset)
        if experiment is not None:
            site.go("watch", experiment=experiment.id)


def _going_on(found: Studio, preset: str) -> Experiment | None:
    for run in found.active():
        experiment = found.run(run.id).experiment
        if experiment is not None and experiment.preset == preset:
            return experiment
    return None
