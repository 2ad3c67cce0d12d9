"""The bars of what was measured, and of what others published."""

from __future__ import annotations

import plotly.graph_objects as go

from engine.api import Evidence
from pages.charts.colour import LIGHT
from pages.charts.evidence import bars_figure


def test_published_figures_are_bars_of_their_own_with_their_source_and_as_printed() -> None:
    evidence = Evidence(
        split="test",
        teacher=0.7,
        alone=None,
        student=0.6512,
        best=None,
        baseline="",
        published={"SAKD: AT standard": 0.7106, "SAKD: AT adaptive": 0.7124},
        published_source="SAKD, CIFAR-100",
    )
    trace = bars_figure(evidence, LIGHT)["data"][0]
    assert trace["y"] == [
        "Teacher",
        "Student taught",
        "Published by SAKD<br>AT standard",
        "Published by SAKD<br>AT adaptive",
    ]
    assert trace["text"] == ["70.0 %", "65.1 %", "71.06 %", "71.24 %"]
    assert trace["marker"]["color"][2:] == [LIGHT.muted] * 2
    assert LIGHT.muted not in trace["marker"]["color"][:2]
    go.Figure(bars_figure(evidence, LIGHT))
