"""A student whose last map is in two parts: loss parts and distances over training."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from engine.api import RunSpec, RunView
from pages.charts.colour import Figure, Palette
from pages.charts.curve import DISTANCE, Look, curves_figure

RATIO = 0.5  # share of the channels that inherit, where the knob `ratio` is not set
OF_THE_POLICY = "routed"
MOST_TIMES = 20  # as large as the smallest may a distance be, to be seen beside it


def is_split(spec: RunSpec) -> bool:
    """Whether a run's student has channels that inherit or explore."""
    if spec.method.name == "mutual":
        return any(spec.method.knobs.get(f"{part}_weight") for part in ("inherit", "explore"))
    return spec.method.name == "inherit_explore"


def has_two_parts(spec: RunSpec) -> bool:
    """Whether there are channels of both kinds."""
    return is_split(spec) and 0 < float(spec.method.knobs.get("ratio", RATIO)) < 1


def other_net(spec: RunSpec) -> str:
    """What the net is called that a part copies and another avoids."""
    return "teacher" if spec.teacher is not None else "other net"


def num_classes(environment: Mapping[str, Any]) -> int:
    """Of the data set that a run saw; at least two."""
    return max(2, len(environment.get("classes", ())))


def losses(view: RunView) -> dict[str, dict[str, str]]:
    """Net -> term of its loss -> its name in the log; the student first."""
    found: dict[str, dict[str, str]] = {}
    for name in view.terms:
        net, _, term = name.rpartition(": ")
        if not term.endswith(DISTANCE) and term != OF_THE_POLICY:
            found.setdefault(net or "student", {})[term] = name
    return found


def distances(view: RunView) -> list[dict[str, str]]:
    """A chart -> what its legend says, as in `explore` or `peer: explore` -> the name in the log.

    All are one chart where their sizes allow it: the two parts may be measured in two ways.
    """
    told = {name.removesuffix(DISTANCE): name for name in view.terms if name.endswith(DISTANCE)}
    size = {label: fmean(view.terms[name].value) for label, name in told.items()}
    if not told or max(size.values()) <= MOST_TIMES * min(size.values()):
        return [told] if told else []
    ends = ("inherit", "explore")
    return [{label: told[label] for label in told if label.endswith(end)} for end in ends]


def losses_figure(view: RunView, net: str, colours: Palette, look: Look) -> Figure:
    """The parts of one net's loss, weights included."""
    curves = {term: view.terms[name] for term, name in losses(view)[net].items()}
    looks = {term: _look(term, colours) for term in curves}
    return curves_figure(view, curves, colours, look, "Loss (nats)", looks)


def distances_figure(
    view: RunView, told: Mapping[str, str], colours: Palette, look: Look
) -> Figure:
    """How far parts are from what they are compared with, not weighted.

    Args:
        told: one of `distances`.
    """
    curves = {label: view.terms[name] for label, name in told.items()}
    looks = {label: _look(label, colours) for label in curves}
    return curves_figure(view, curves, colours, look, "Distance", looks)


def _look(label: str, colours: Palette) -> dict[str, Any]:
    """A part has one colour everywhere; of further nets the lines are finer dots."""
    net, _, term = label.rpartition(": ")
    known = {
        "task": (colours.ink, "solid"),
        "inherit": (colours.others[0], "solid"),
        "explore": (colours.others[1], "dash"),
        "reconstruction": (colours.muted, "dashdot"),
    }
    colour, dash = known.get(term, (colours.others[2], "dot"))
    if net:
        return {"line": {"color": colour, "width": 2, "dash": "dot"}}
    return {"line": {"color": colour, "width": 2, "dash": dash}}
