"""Curves over training: the headline, loss parts, learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from engine.api import Curve, RunView
from pages.charts.colour import Figure, Palette, Role, layout, style
from pages.charts.headline import headline_of, short_of

MAX_POINTS = 600  # of one curve in the browser: as many as its chart has pixels
FEW_POINTS = 60  # up to which each point has its marker and none is smoothed away
DISTANCE = " distance"  # ends the name of what is told beside the terms of a loss


@dataclass(frozen=True, slots=True)
class Line:
    """One run on a chart."""

    run_id: str
    label: str
    role: Role
    view: RunView


@dataclass(frozen=True, slots=True)
class Look:
    """How a person wants curves drawn."""

    over: Literal["epoch", "step"] = "epoch"
    smoothing: float = 0.0  # 0: as measured; towards 1: smoother
    log_x: bool = False
    log_y: bool = False
    clip: bool = False  # leave the highest and lowest hundredth outside the picture


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Moving average with forgetting, corrected for its start (as in TensorBoard)."""
    mean, seen, result = 0.0, 0.0, []
    for value in values:
        mean = weight * mean + (1 - weight) * value
        seen = weight * seen + (1 - weight)
        result.append(mean / seen)
    return result


def thinned(
    xs: Sequence[float], ys: Sequence[float], limit: int = MAX_POINTS
) -> tuple[list[float], list[float]]:
    """At most `limit` points: the lowest and the highest of each bucket, so no peak is lost."""
    if len(xs) <= limit:
        return list(xs), list(ys)
    width = math.ceil(len(xs) / (limit // 2))
    kept: list[int] = []
    for start in range(0, len(xs), width):
        bucket = range(start, min(start + width, len(xs)))
        low, high = min(bucket, key=ys.__getitem__), max(bucket, key=ys.__getitem__)
        kept += sorted({low, high})
    return [xs[row] for row in kept], [ys[row] for row in kept]


def clipped_range(values: Sequence[float]) -> list[float] | None:
    """The range of the middle 98 %, with a margin; None where there is little to go by."""
    if len(values) < 10:
        return None
    ordered = sorted(values)
    low = ordered[math.floor(0.01 * (len(ordered) - 1))]
    high = ordered[math.ceil(0.99 * (len(ordered) - 1))]
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return [low - margin, high + margin]


def evaluated_split(view: RunView) -> str:
    """The split that the student is followed on: validation where there is one."""
    splits = {told.split for told in view.evaluated if told.net == "student"}
    return next((split for split in ("validation", "test", "train") if split in splits), "")


def accuracy_figure(lines: Sequence[Line], colours: Palette, look: Look | None = None) -> Figure:
    """The headline of teacher, student alone and student taught over training, in per cent."""
    look = look or Look()
    data: list[dict[str, Any]] = []
    nth: dict[str, int] = {}
    end = max((_last_x(line.view, look) for line in lines), default=1.0)
    for value, label in _teachers(lines):
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": label,
                "x": [_first_x(look), end],
                "y": [100 * value, 100 * value],
                "hovertemplate": "%{y:.1f} %",
                **style("teacher", 0, colours),
            }
        )
    for line in lines:
        for net in learners(line.view):
            curve = line.view.figure_curve(net, line.view.headline, evaluated_split(line.view))
            looks = style(line.role, nth.get(line.role, 0), colours)
            nth[line.role] = nth.get(line.role, 0) + 1
            percents = Curve(curve.at, curve.epoch, tuple(100 * value for value in curve.value))
            label, group = learner_label(line, net), f"{line.run_id} {net}"
            data += _traces(line.view, percents, label, looks, look, "%{y:.1f} %", group)
    names = {line.view.headline for line in lines}
    title = headline_of(names.pop()).title if len(names) == 1 else short_of(names)
    return _figure(data, colours, look, f"{title}, %", end, height=340)


def learners(view: RunView) -> tuple[str, ...]:
    """The nets that learn in a run, the student first; several where nets teach each other."""
    told = [event.net for event in view.evaluated if event.net != "teacher"]
    return tuple(dict.fromkeys(["student", *told]))


def learner_label(line: Line, net: str) -> str:
    """What a legend calls one net of a run."""
    return line.label if net == "student" else f"{line.label}: {net}"


def terms_figure(view: RunView, colours: Palette, look: Look | None = None) -> Figure:
    """The parts of the training loss; not the distances that are told beside them."""
    terms = {name: curve for name, curve in view.terms.items() if not name.endswith(DISTANCE)}
    return curves_figure(view, terms, colours, look or Look(), "Loss (nats)")


def rate_figure(view: RunView, colours: Palette, look: Look | None = None) -> Figure:
    """Learning rate of each learner."""
    unsmoothed = Look(over=look.over, log_y=look.log_y) if look else Look()
    return curves_figure(view, view.rates, colours, unsmoothed, "Learning rate")


def curves_figure(
    view: RunView,
    curves: Mapping[str, Curve],
    colours: Palette,
    look: Look,
    title: str,
    looks: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Figure:
    """Several quantities of one unit over training.

    Args:
        looks: name -> line, as Plotly writes it, for curves that always look the same.
    """
    wheel = (colours.ink, *colours.others)
    data: list[dict[str, Any]] = []
    for nth, (name, curve) in enumerate(curves.items()):
        dash = ("solid", "dash", "dot", "dashdot", "longdash")[nth % 5]
        usual = {"line": {"color": wheel[nth % len(wheel)], "width": 2, "dash": dash}}
        drawn = looks.get(name, usual)
        data += _traces(view, curve, name.replace("_", " "), drawn, look, "%{y:.4g}")
    return _figure(data, colours, look, title, _last_x(view, look), height=260)


def _traces(
    view: RunView,
    curve: Curve,
    label: str,
    looks: Mapping[str, Any],
    look: Look,
    hover: str,
    group: str = "",
) -> list[dict[str, Any]]:
    xs = _xs(view, curve, look)
    has_markers = "marker" in looks and len(xs) <= FEW_POINTS
    shared = {
        "type": "scatter",
        "mode": "lines+markers" if has_markers else "lines",
        "name": label,
        "legendgroup": group or label,
        "hovertemplate": hover,
        **looks,
    }
    is_smooth = look.smoothing > 0 and len(xs) > FEW_POINTS
    x, y = thinned(xs, smoothed(curve.value, look.smoothing) if is_smooth else curve.value)
    drawn = [{**shared, "x": x, "y": y}]
    if is_smooth:
        x, y = thinned(xs, curve.value)
        ghost = {"mode": "lines", "opacity": 0.25, "showlegend": False, "hoverinfo": "skip"}
        shared.pop("hovertemplate")
        drawn.insert(0, {**shared, **ghost, "x": x, "y": y})
    return drawn


def _figure(
    data: list[dict[str, Any]], colours: Palette, look: Look, title: str, end: float, *, height: int
) -> Figure:
    shared = layout(colours, height=height, x=look.over.capitalize(), y=title)
    if look.log_x:
        shared["xaxis"]["type"] = "log"
    else:
        shared["xaxis"]["range"] = [0, 1.02 * end]  # the plan's end: it does not grow
    values = [value for trace in data for value in trace["y"]]
    if look.log_y:
        shared["yaxis"]["type"] = "log"
    elif look.clip and (limits := clipped_range(values)):
        shared["yaxis"]["range"] = limits
    return {"data": data, "layout": shared}


def _teachers(lines: Sequence[Line]) -> list[tuple[float, str]]:
    """Each different teacher once."""
    found: dict[float, str] = {}
    for line in lines:
        split = evaluated_split(line.view)
        value = line.view.figure("teacher", split=split) or line.view.figure("teacher")
        if value is not None:
            found.setdefault(value, "Teacher")
    return list(found.items())


def _xs(view: RunView, curve: Curve, look: Look) -> Sequence[float]:
    if look.over == "epoch":
        return curve.epoch
    return [step_of(view, epoch) for epoch in curve.epoch]


def step_of(view: RunView, epoch: float) -> float:
    """Steps since the run's start after some epochs of all phases."""
    steps, left = 0.0, epoch
    for begun in view.plan:
        here = min(left, begun.epochs)
        steps, left = steps + here * begun.steps, left - here
    return round(steps)


def _first_x(look: Look) -> float:
    return 1.0 if look.log_x else 0.0


def _last_x(view: RunView, look: Look) -> float:
    """Where the plan ends: the axis does not grow while a run goes on."""
    phase = view.phase
    if phase is None:
        return 1.0
    if look.over == "step":
        return float(view.total_steps)
    return float(sum(begun.epochs for begun in view.plan))
