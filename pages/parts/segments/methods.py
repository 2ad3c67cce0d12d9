"""The segmenters of a run's experiment by method, as far as they were measured on one split."""

from __future__ import annotations

from collections.abc import Sequence

from engine.api import DistillError, Overlaps, RunCard, RunView, Studio
from pages.charts.segments import Method
from pages.parts.run_lines import NAMES, role_of

SPLITS = ("test", "validation")


def split_of(view: RunView) -> str:
    """The split that a run's last weights were measured on: test, else validation."""
    told = {one.split for one in view.evaluated if (one.net, one.weights) == ("student", "last")}
    return next((split for split in SPLITS if split in told), "")


def methods_of(found: Studio, card: RunCard, split: str) -> tuple[list[Method], str, int]:
    """The methods, which of them is this run's, and how many runs are not measured there yet."""
    members = [
        (one.run, _method_name(one.label) or NAMES["alone" if one.role == "alone" else "taught"])
        for one in (card.experiment.runs if card.experiment else ())
        if one.role != "teacher" or one.run == card.id
    ] or [(card.id, "this run")]
    kept: dict[str, dict[int, Overlaps]] = {}
    facts: dict[str, tuple[int | None, int | None, bool]] = {}
    missing, own = 0, ""
    for run, name in members:
        try:
            other = card if run == card.id else found.run(run)
            view = found.view(run)
            overlaps = _last(found, run, view, split)
        except DistillError:
            continue  # in the trash, or unreadable
        own = name if run == card.id else own
        if other.spec is None or other.spec.task != "segment":
            continue
        if overlaps is None:
            missing += 1
            continue
        kept.setdefault(name, {})[other.spec.seed] = overlaps
        student, teacher = (view.costs.get(role) for role in ("student", "teacher"))
        facts[name] = (
            student.multiply_adds if student else None,
            teacher.multiply_adds if teacher else None,
            role_of(other) == "alone",
        )
    made = [
        Method(name, dict(sorted(by_seed.items())), *facts[name]) for name, by_seed in kept.items()
    ]
    return made, own, missing


def _method_name(label: str) -> str:
    """`sd` of `sd, seed 0`."""
    parts: Sequence[str] = label.split(", ")
    return ", ".join(part for part in parts if not part.startswith("seed "))


def _last(found: Studio, run: str, view: RunView, split: str) -> Overlaps | None:
    for one in reversed(view.evaluated):
        if (one.net, one.weights, one.split) == ("student", "last", split):
            return found.overlaps(run, "student", split, one.at)
    return None
