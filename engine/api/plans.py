"""The runs of a preset, as they can be started here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import WeightsError
from engine.runs.data_folders import require_folders
from engine.runs.experiment import (
    Planned,
)
from engine.runs.presets import (
    Preset,
    find_preset,
    load_presets,
)
from engine.spec import parse_spec

ENGINE = Path(__file__).resolve().parents[1]
PRESETS = ENGINE / "presets"
SHIPPED = ENGINE.parent / "assets" / "teachers"


def named_preset(name: str) -> Preset:
    """One of the presets that are shipped.

    Raises:
        SpecError: there is no such preset.
    """
    return find_preset(load_presets(PRESETS), name)


def plan_preset(preset: Preset, settings: Mapping[str, Any]) -> list[Planned]:
    """The runs of a preset; a teacher that should be shipped but is missing is trained first.

    Args:
        settings: paths that are set in every run that they concern: {"schedule.epochs": 2}.

    Raises:
        SpecError: a setting is not allowed.
        DataError: a folder that it names is not there.
        WeightsError: there is no file of the teacher's weights. Runs of a preset that need none
            would be over before a worker finds that out.
    """
    planned = preset.planned(settings)
    require_folders(plan.spec for plan in planned)
    for teacher in filter(None, (plan.spec.teacher for plan in planned)):
        is_file = not teacher.weights.startswith(("run:", "shipped:"))
        if is_file and teacher.weights != "DEFAULT" and not Path(teacher.weights).is_file():
            raise WeightsError(f"there is no file {teacher.weights}", where="teacher.weights")
    return _with_missing_teachers(planned)


def _with_missing_teachers(planned: list[Planned]) -> list[Planned]:
    """Train what should be shipped but is not there, by the recipe beside it."""
    for plan in planned:
        teacher = plan.spec.teacher
        name = teacher.weights.removeprefix("shipped:") if teacher else ""
        recipe = SHIPPED / f"{name}.yaml"
        if name and recipe.is_file() and not recipe.with_suffix(".safetensors").is_file():
            first = Planned("teacher", "teacher", {}, parse_spec(recipe.read_text()))
            rest = [_taught_by_first(one, f"shipped:{name}") for one in planned]
            return [first, *rest]
    return planned


def _taught_by_first(plan: Planned, weights: str) -> Planned:
    if plan.spec.teacher is None or plan.spec.teacher.weights != weights:
        return plan
    return plan._replace(spec=plan.spec.replace(**{"teacher.weights": "run:0"}))
