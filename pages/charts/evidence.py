"""Four-way evidence: teacher, student alone, student taught, published."""

from __future__ import annotations

from typing import Any

from engine.api import Evidence
from pages.charts.colour import Figure, Palette, layout
from pages.charts.headline import headline_of
from pages.charts.words import percent, points


def bars_figure(evidence: Evidence, colours: Palette) -> Figure:
    """The headlines as bars with their values; what was not measured has no bar."""
    measured = [
        ("Teacher", evidence.teacher, colours.teacher, "/"),
        ("Student alone", evidence.alone, colours.alone, "x"),
        ("Student taught", evidence.student, colours.taught, ""),
    ]
    shown = [(label, v, percent(v), colour, mark) for label, v, colour, mark in measured if v]
    for name, value in evidence.published.items():
        by, _, row = name.partition(": ")
        label = f"Published by {by}<br>{row}"
        shown.append((label, value, percent(value, 2), colours.muted, "."))
    trace: dict[str, Any] = {
        "type": "bar",
        "orientation": "h",
        "y": [label for label, *_ in shown],
        "x": [100 * value for _, value, *_ in shown],
        "text": [text for _, _, text, *_ in shown],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {
            "color": [colour for *_, colour, _ in shown],
            "pattern": {"shape": [mark for *_, mark in shown], "size": 5, "fillmode": "overlay"},
        },
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
    shared = layout(
        colours, height=80 + 46 * max(len(shown), 2), x=f"{headline_of(evidence.headline).title}, %"
    )
    shared["margin"]["t"] = 8
    shared["yaxis"] |= {"autorange": "reversed", "showgrid": False, "fixedrange": True}
    shared["xaxis"] |= {"range": [0, 118], "tickvals": [0, 25, 50, 75, 100], "fixedrange": True}
    shared["hovermode"], shared["showlegend"] = "closest", False
    return {"data": [trace], "layout": shared}


def sentence(evidence: Evidence) -> str:
    """What was measured, in words."""
    words, split = headline_of(evidence.headline), evidence.split
    if evidence.student is None and evidence.alone is not None:
        return f"Without a teacher, the student {words.told_of(evidence.alone, split)}."
    if evidence.student is None and evidence.teacher is not None:
        return f"The teacher {words.told_of(evidence.teacher, split)}."
    if evidence.student is None:
        return "Nothing has been measured yet."
    said = [f"The student {words.told_of(evidence.student, split)}."]
    if evidence.alone is None:
        said.append("The same student without a teacher was not measured.")
    elif evidence.gain is not None:
        alone = words.told_again(evidence.alone)
        said.append(f"Alone it {alone}, so teaching brings {points(evidence.gain)}.")
    if evidence.teacher is not None:
        said.append(f"The teacher {words.told_again(evidence.teacher)}.")
    elif evidence.is_teacher_apart:
        said.append("The teacher knows other classes, so it has no figure of its own here.")
    if evidence.recovered is not None and evidence.recovered <= 0:
        said.append("None of the gap to the teacher is closed.")
    elif evidence.recovered is not None:
        said.append(f"{percent(evidence.recovered, 0)} of the gap to the teacher is closed.")
    return " ".join(said)
