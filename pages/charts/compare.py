"""Several runs side by side: what differs, and cost against the headline."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from engine.api import RunSpec, Summary
from pages.charts.colour import MARKERS, Figure, Palette, layout
from pages.charts.headline import short_of
from pages.charts.table import accuracy, role, split_of, title
from pages.charts.words import amount

Against = Literal["MACs", "Parameters"]
FIELDS: Mapping[str, str] = {"MACs": "multiply_adds", "Parameters": "parameters"}


def flattened(plain: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """{"schedule": {"lr": .1}} -> {"schedule.lr": .1}"""
    found: dict[str, Any] = {}
    for name, value in plain.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping):
            found |= flattened(value, f"{path}.")
        else:
            found[path] = list(value) if isinstance(value, tuple) else value
    return found


def differences(specs: Mapping[str, RunSpec]) -> list[dict[str, str]]:
    """One row for each setting that is not the same in all runs; a column for each label."""
    flat = {label: flattened(spec.model_dump()) for label, spec in specs.items()}
    paths = dict.fromkeys(path for settings in flat.values() for path in settings)
    rows = []
    for path in paths:
        values = {label: written(settings.get(path)) for label, settings in flat.items()}
        if len(set(values.values())) > 1:
            rows.append({"Setting": path.replace(".knobs.", "."), **values})
    return rows


def written(value: Any) -> str:
    """A setting as people write it."""
    if value is None:
        return "-"
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 0 and 0.0 are the same setting
    return value if isinstance(value, str) else json.dumps(value)


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats: none is both cheaper (x) and better (y)."""
    best, kept = float("-inf"), []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if y > best:
            kept.append((x, y))
            best = y
    return kept


def pareto_figure(rows: Sequence[Summary], colours: Palette, against: Against = "MACs") -> Figure:
    """The headline against cost; each point carries its run's id.

    An arrow leads from the student alone to the same student taught.
    Teachers stand beside their students, where they were measured on the same split.
    """
    measured = [row for row in rows if accuracy(row) is not None and "student" in row.costs]
    points = {row.id: (_cost(row, "student", against), 100 * _value(row)) for row in measured}
    data: list[dict[str, Any]] = []
    teachers = {
        (_cost(row, "teacher", against), 100 * value): row.labels.teacher
        for row in measured
        if "teacher" in row.costs and (value := _teacher(row)) is not None
    }
    steps = frontier([*points.values(), *teachers])
    if len(steps) > 1:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Frontier",
                "x": [x for x, _ in steps],
                "y": [y for _, y in steps],
                "line": {"color": colours.muted, "width": 1, "dash": "dot", "shape": "hv"},
                "hoverinfo": "skip",
            }
        )
    groups = {"alone": "Student alone", "taught": "Student taught", "teacher": "Trained teacher"}
    for name, label in groups.items():
        members = [row for row in measured if role(row) == name]
        if members:
            data.append(
                _dots(
                    label,
                    [points[row.id] for row in members],
                    [title(row) for row in members],
                    getattr(colours, name),
                    MARKERS[name],
                    [row.id for row in members],
                )
            )
    if teachers:
        data.append(
            _dots(
                "Teacher",
                list(teachers),
                list(teachers.values()),
                colours.teacher,
                MARKERS["teacher"],
                [""] * len(teachers),
            )
        )
    unit = "Multiply-adds for one image" if against == "MACs" else "Parameters"
    name = short_of(row.headline for row in measured)
    shared = layout(colours, height=380, x=unit, y=f"{name} (%)")
    shared["xaxis"] |= {"type": "log", **_ticks([x for trace in data for x in trace["x"]])}
    shared["hovermode"] = "closest"
    shared["annotations"] = _arrows(measured, points, colours)
    return {"data": data, "layout": shared}


def _ticks(costs: Sequence[float]) -> dict[str, Any]:
    """1, 2 and 5 of each power of ten around the costs, written as people do."""
    if not costs:
        return {}
    powers = range(math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs))) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return {"tickvals": values, "ticktext": [amount(value) for value in values]}


def _dots(
    label: str,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    colour: str,
    symbol: str,
    ids: Sequence[str],
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label,
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "text": list(names),
        "customdata": list(ids),
        "marker": {"color": colour, "symbol": symbol, "size": 11},
        "hovertemplate": "%{text}<br>%{y:.2f} % at %{x:.3s}<extra></extra>",
    }


def _arrows(
    rows: Sequence[Summary], points: Mapping[str, tuple[float, float]], colours: Palette
) -> list[dict[str, Any]]:
    """From a student alone to the same student taught; same seed and schedule."""
    alone = {row.baseline_hash: row for row in rows if role(row) == "alone"}
    arrows = []
    for row in rows:
        start = alone.get(row.baseline_hash)
        if role(row) != "taught" or start is None or split_of(start) != split_of(row):
            continue
        (x, y), (x0, y0) = points[row.id], points[start.id]
        if x != x0 or abs(y - y0) < 1e-9:
            continue
        arrows.append(
            {
                "x": math.log10(x), "y": y, "ax": math.log10(x0), "ay": y0,
                "xref": "x", "yref": "y", "axref": "x", "ayref": "y",
                "showarrow": True, "arrowhead": 2, "arrowwidth": 1.5,
                "arrowcolor": colours.taught, "standoff": 7, "startstandoff": 7, "text": "",
            }
        )  # fmt: skip
    return arrows


def _cost(row: Summary, net: str, against: Against) -> float:
    return float(getattr(row.costs[net], FIELDS[against]))


def _value(row: Summary) -> float:
    return accuracy(row) or 0.0


def _teacher(row: Summary) -> float | None:
    figures = row.figures
    return figures.teacher_test if split_of(row) == "test" else figures.teacher_validation
