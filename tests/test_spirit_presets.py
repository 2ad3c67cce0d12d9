"""The experiments of spirit distillation: equal terms, and what the demo must show."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest

import engine
from engine.assembly import check_parts, load_data, make_method, make_net, make_teacher
from engine.events import CostMeasured
from engine.runs.experiment import Planned
from engine.runs.folder import Workspace
from engine.runs.presets import find_preset, load_presets, read_presets

ROOT = Path(engine.__file__).parents[1]
PRESETS = load_presets(ROOT / "engine" / "presets")
DEMO, STREET = (find_preset(PRESETS, name) for name in ("spirit-demo", "spirit-street"))
CAMVID = read_presets(ROOT / "benchmarks" / "camvid_spirit.yaml")[0]
FEW = {"data.knobs.num_target": 2, "data.knobs.num_proximity": 2, "seed": 0}


def settings(planned: list[Planned]) -> list[str]:
    """The labels without seeds, each once."""
    return list(dict.fromkeys(plan.label.split(",")[0] for plan in planned))


def steps(plan: Planned) -> int:
    """Of all phases of a run."""
    import torch

    spec, cpu = plan.spec, torch.device("cpu")
    data = load_data(spec.data, spec.seed)
    student = make_net(spec.student, data, runs=Path("none"), seed=0).net
    teacher = make_teacher(spec, data, runs=Path("none"), device=cpu)
    method = make_method(spec, data, student, teacher.net if teacher else None, device=cpu)
    assert not [knob for knob in spec.method.knobs if knob in method.idle_knobs], plan.label
    return sum(phase.epochs * phase.data.steps for phase in method.plan())


def test_the_demo_is_three_students_with_three_seeds() -> None:
    planned = DEMO.planned()
    assert settings(planned) == ["scratch", "sd", "esd"]
    assert [plan.spec.seed for plan in planned] == [0, 1, 2] * 3
    sd, esd = (plan.spec for plan in DEMO.planned({"seed": 0})[1:])
    mixed = esd.model_dump()
    mixed["method"]["knobs"]["mix"] = "target"
    assert mixed == sd.model_dump(), "they differ in one word"


@pytest.mark.parametrize("preset", [DEMO, STREET], ids=lambda preset: preset.name)
def test_all_learn_for_equally_many_steps(preset: object) -> None:
    planned = preset.planned(FEW)
    for plan in planned:
        check_parts(plan.spec)
    known = [
        plan for plan in planned if not (plan.spec.teacher and "run:" in plan.spec.teacher.weights)
    ]
    assert len({steps(plan) for plan in known}) == 1
    assert len({plan.spec.schedule.model_dump_json() for plan in planned}) == 1


def test_one_experiment_has_every_baseline() -> None:
    planned = STREET.planned()
    assert settings(planned) == [
        "teacher tuned",
        "scratch",
        "copied head",
        "soft labels",
        "joint",
        "sd",
        "esd",
        "esd balanced",
    ]
    assert planned[0].spec.student.weights == "shipped:street_bottleneck128"
    assert {p.spec.teacher.weights for p in planned if p.label.startswith("soft")} == {"run:0"}


def test_labels_of_the_photographs_are_not_those_of_their_teacher() -> None:
    teacher, *rest = CAMVID.planned()
    assert teacher.spec.data.knobs["part"] == "46-90"
    assert {plan.spec.data.knobs["part"] for plan in rest} == {"1-45"}
    assert settings(rest) == ["scratch", "sd", "esd"]
    assert len(rest) == 27


@pytest.mark.slow
def test_the_demo_shows_what_it_is_for(tmp_path: Path) -> None:
    """The numeric test 15 of the design among others, on the preset's own three seeds."""
    command = [sys.executable, "-m", "engine", "run", "spirit-demo", "--json"]
    ended = subprocess.run(
        [*command, "--workspace", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert answer["status"] == "finished" and len(answer["runs"]) == 9
    scratch, sd, esd = (answer["figures"][name] for name in ("scratch", "sd", "esd"))
    assert esd["miou"] > sd["miou"] > scratch["miou"] + 0.01
    assert scratch["miou"] > 1 / 7
    distances = zip(
        esd["by_seed"]["feature_distance"], sd["by_seed"]["feature_distance"], strict=True
    )
    assert all(0 < near < far < 1 for near, far in distances)
    assert "feature_distance" not in scratch
    for found in (scratch, sd, esd):
        assert found["miou"] == pytest.approx(fmean(found["by_seed"]["miou"]))
        assert found["variance"] > 0
    folder = Workspace.open(tmp_path).run(answer["run"])
    costs = {
        event.net: event.multiply_adds
        for event in folder.log.read()[0]
        if isinstance(event, CostMeasured)
    }
    assert costs["student"] <= 0.42 * costs["teacher"]
