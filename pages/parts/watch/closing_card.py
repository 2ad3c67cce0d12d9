"""What came out, from measured figures only."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import Studio
from pages.charts.cost import fewer_computations
from pages.charts.curve import Line
from pages.charts.headline import headline_of
from pages.charts.words import percent, points, times
from pages.parts import site
from pages.parts.run_lines import taught_first


def closing_card(found: Studio, lines: Sequence[Line]) -> None:
    """Fewer computations, how near the teacher, what teaching gained; and where to go now."""
    line = taught_first(lines)
    if line is None:
        return
    evidence, fewer = found.evidence(line.run_id), fewer_computations(line.view)
    parts = []
    if fewer is not None:
        parts.append(f"**{times(fewer)}** fewer computations")
    if evidence.student is not None and evidence.teacher:
        share, what = percent(evidence.student / evidence.teacher), headline_of(evidence.headline)
        name = what.short if what.short != "Accuracy" else "accuracy"
        parts.append(f"**{share}** of the teacher's {name}")
    if evidence.gain is not None:
        parts.append(f"**{points(evidence.gain)}** from teaching")
    if not parts:
        return
    with st.container(border=True, key="closing_card"):
        st.markdown("#### :material/check_circle: Done: " + ", ".join(parts))
        st.caption(f"Measured on {evidence.split} images that took no part in training.")
        with st.container(horizontal=True):
            if st.button("See the run in full", type="primary", icon=":material/description:"):
                site.go("run", run=line.run_id)
            if st.button("Make your own", icon=":material/science:"):
                site.go("distill")
