"""The runs that belong on one chart: those of an experiment, else the run alone."""

from __future__ import annotations

from collections.abc import Sequence

from engine.api import DistillError, Experiment, RunCard, Studio
from pages.charts.colour import Role
from pages.charts.curve import Line

NAMES: dict[Role, str] = {
    "alone": "Student alone",
    "taught": "Student taught",
    "teacher": "Teacher in training",
}


def lines_of(found: Studio, card: RunCard) -> list[Line]:
    """One line for each run of the card's experiment that can be read, in its order."""
    if card.experiment is None:
        return [_line(found, card.id, role_of(card), "")]
    members = card.experiment.runs
    lines = []
    for member in members:
        role: Role = "taught" if member.role == "student" else member.role
        is_only = sum(other.role == member.role for other in members) == 1
        try:
            lines.append(_line(found, member.run, role, "" if is_only else member.label))
        except DistillError:
            continue  # in the trash
    return lines


def role_of(card: RunCard) -> Role:
    """Whether this run's student is taught."""
    if card.meta.role == "teacher":
        return "teacher"
    is_alone = card.spec is not None and card.spec.method.name == "alone"
    return "alone" if is_alone or card.meta.role == "alone" else "taught"


def experiment_of(found: Studio, experiment_id: str) -> Experiment | None:
    """An experiment; None where the id, from a URL, names none."""
    try:
        return found.experiment(experiment_id)
    except DistillError:
        return None


def labels_of(experiment: Experiment) -> dict[str, str]:
    """Run -> what a switch calls it."""
    found: dict[str, str] = {}
    for member in experiment.runs:
        role: Role = "taught" if member.role == "student" else member.role
        is_only = sum(other.role == member.role for other in experiment.runs) == 1
        found[member.run] = NAMES[role] if is_only else member.label
    return found


def taught_first(lines: Sequence[Line]) -> Line | None:
    """The line whose figures a summary speaks of: the last taught one, else the last."""
    taught = [line for line in lines if line.role == "taught"]
    return (taught or list(lines) or [None])[-1]


def _line(found: Studio, run_id: str, role: Role, label: str) -> Line:
    name = f"{NAMES[role]} ({label})" if label else NAMES[role]
    return Line(run_id, name, role, found.view(run_id))
