"""The experiments of the README's tables can be planned as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.api.plans import plan_preset
from engine.assembly import check_parts
from engine.runs.data_folders import KNOBS
from engine.runs.presets import Preset, read_presets
from engine.spec import parse_yaml

FILES = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.yaml"))
FILES = [path for path in FILES if "base" in parse_yaml(path.read_text())]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_run_of_a_table_can_be_built(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.pth").touch()
    (preset,) = read_presets(path)
    data = preset.base["data"]
    for folder in (data["name"], *(data.get("knobs", {}).get(k, "") for k in KNOBS)):
        (tmp_path / folder / "train").mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))
    planned = plan_preset(preset, {"teacher.weights": str(tmp_path / "weights.pth"), "seed": 1})
    assert {plan.spec.seed for plan in planned} == {1}
    for plan in planned:
        check_parts(plan.spec)


def test_settings_of_a_teacher_leave_runs_without_one_as_they_are() -> None:
    base = {
        "data": {"name": "shapes"},
        "teacher": {"name": "resnet20"},
        "student": {"name": "resnet8"},
        "method": {"name": "spot_adaptive"},
        "distiller": {"name": "kd"},
        "policy": {"name": "all"},
    }
    together = {"method": "mutual", "teacher": None, "distiller": None, "policy": None}
    runs = ({"label": "taught"}, {"label": "together", "set": together})
    preset = Preset.model_validate({"name": "x", "title": "x", "base": base, "runs": runs})
    taught, both = preset.planned({"teacher.weights": "x.pth", "schedule.epochs": 2})
    assert taught.spec.teacher is not None
    assert taught.spec.teacher.weights == "x.pth"
    assert both.spec.teacher is None
    assert taught.spec.schedule.epochs == both.spec.schedule.epochs == 2
