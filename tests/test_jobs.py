"""Short work that needs torch, asked for directly and through the process."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from PIL import Image

import engine
from engine.errors import DataError
from engine.jobs import drafts
from engine.jobs import pictures as shown
from engine.jobs.common import small
from engine.jobs.estimates import estimate
from engine.jobs.serve import answer
from engine.jobs.teachers import teacher_check
from engine.spec import RunSpec


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(tmp_path / "workspace"))
    return tmp_path


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return tiny.teacher_file(tmp_path)


def plain(spec: RunSpec) -> dict[str, Any]:
    found = json.loads(spec.to_json())
    assert isinstance(found, dict)
    return found


def test_the_catalogue_lists_every_part_as_plain_data() -> None:
    found = json.loads(json.dumps(drafts.catalogue()))
    assert set(found) == {"nets", "datasets", "distillers", "methods", "policies"}
    for entries in found.values():
        assert entries
        for entry in entries:
            assert entry["title"] and entry["source"]
    assert not any(entry["name"].startswith("tiny") for entry in found["nets"])


def test_a_spec_that_can_run_has_no_errors_and_names_its_spots(teacher: Path) -> None:
    found = drafts.check(plain(tiny.spec_of(teacher, distiller="at")))
    json.dumps(found)
    assert found["errors"] == found["warnings"] == []
    assert [spot["name"] for spot in found["spots"]] == ["stage1", "stage2", "logits"]
    assert set(found["costs"]) == {"teacher", "student"}
    assert found["costs"]["student"]["latency"] == 0
    assert found["data"]["splits"] == {"train": 50, "validation": 20, "test": 20}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"schedule.epochs": 3, "data": "nonsense"}, "data"),
        ({"student": "nonsense"}, "student"),
        ({"distiller.knobs.power": 99}, "at.power"),
        ({"method": "alone"}, "teacher"),
        ({"teacher.weights": "none"}, "teacher.weights"),
        ({"teacher.weights": "/nowhere.pt"}, "teacher.weights"),
        ({"student.weights": "run:../../etc"}, "student.weights"),
    ],
)
def test_a_spec_that_cannot_run_is_told_with_its_place(
    teacher: Path, changes: dict[str, Any], where: str
) -> None:
    spec = tiny.spec_of(teacher, distiller="at").replace(**changes)
    (error,) = drafts.check(plain(spec))["errors"]
    assert error["where"] == where
    assert error["message"]


def test_a_setting_of_the_wrong_kind_is_told_too(teacher: Path) -> None:
    spec = plain(tiny.spec_of(teacher))
    spec["schedule"]["epochs"] = 0
    (error,) = drafts.check(spec)["errors"]
    assert error == {
        "where": "schedule.epochs",
        "message": "schedule.epochs = 0 is outside [1, 2000]",
    }


def test_what_is_allowed_but_odd_is_warned_of(teacher: Path) -> None:
    spec = tiny.spec_of(teacher, distiller="at").replace(
        **{"student.name": tiny.TEACHER, "schedule.batch": 99}
    )
    found = drafts.check(plain(spec))
    assert [one["where"] for one in found["warnings"]] == ["student.name", "schedule.batch"]


@pytest.mark.slow
def test_a_knob_that_its_neighbours_make_idle_is_warned_of(teacher: Path) -> None:
    spec = tiny.spec_of(teacher, distiller="kd", policy="all")
    idle = spec.replace(**{"method.knobs": {"gamma": 2.0, "temperature": 2.0, "task_weight": 2.0}})
    found = drafts.check(plain(idle))
    told = {warning["where"]: warning["message"] for warning in found["warnings"]}
    assert "does not learn" in told["method.knobs.gamma"]
    assert "works on the logits" in told["method.knobs.temperature"]
    assert "method.knobs.task_weight" not in told


def test_every_listed_net_is_judged_as_a_student() -> None:
    spec = tiny.spec_of("x", distiller="at").replace(**{"data": "shapes", "teacher.name": "vgg8"})
    found = drafts.pairs(plain(spec))
    assert found["resnet8"] == found["vgg13"] == ""
    assert set(found) == {entry["name"] for entry in drafts.catalogue()["nets"]}


@pytest.mark.parametrize("distiller", ["at", "ft"])
def test_an_estimate_counts_all_steps_of_the_plan(teacher: Path, distiller: str) -> None:
    threads = torch.get_num_threads()
    try:
        found = estimate(plain(tiny.spec_of(teacher, distiller=distiller)))
    finally:
        torch.set_num_threads(threads)
    assert found["steps"] == {"at": 10, "ft": 15}[distiller]
    assert 0 < found["step_seconds"] < 1
    assert found["seconds"] >= 10 * found["step_seconds"] * 0.9
    assert found["device"] == "cpu"


def test_a_teacher_that_is_still_to_be_trained_is_timed_as_if_it_were() -> None:
    threads = torch.get_num_threads()
    try:
        found = estimate(plain(tiny.spec_of("none", distiller="at")))
    finally:
        torch.set_num_threads(threads)
    assert found["steps"] == 10 and found["seconds"] > 0


def test_a_precision_that_is_left_open_can_be_checked(teacher: Path) -> None:
    spec = tiny.spec_of(teacher, distiller="at").replace(precision="auto")
    assert drafts.check(plain(spec))["errors"] == []


def test_a_peer_that_is_made_for_another_task_is_refused() -> None:
    together = {"method": {"name": "mutual", "knobs": {"peers": "bottleneck128"}}}
    (error,) = drafts.check(plain(tiny.spec_of().replace(**together)))["errors"]
    assert error["where"] == "method.knobs.peers"
    assert "bottleneck128 does not classify" in error["message"]


def test_an_estimate_of_a_very_short_run_is_not_zero(teacher: Path) -> None:
    spec = tiny.spec_of(teacher, distiller="at")
    short = spec.replace(**{"schedule.epochs": 1, "schedule.batch": 50})
    assert estimate(plain(short))["step_seconds"] > 0


def test_an_estimate_trains_nothing_that_is_kept(teacher: Path) -> None:
    before = teacher.read_bytes()
    estimate(plain(tiny.spec_of(teacher, distiller="at")))
    assert teacher.read_bytes() == before


def test_a_teacher_is_reported_with_its_accuracy(teacher: Path) -> None:
    found = teacher_check(plain(tiny.spec_of(teacher)))
    json.dumps(found)
    assert found["report"]["matched"] == len(found["report"]["rows"]) > 5
    assert found["report"]["missing"] == found["report"]["unexpected"] == 0
    assert (found["split"], found["samples"]) == ("test", tiny.HELD)
    assert 0 <= found["figures"]["accuracy"] <= 1


def test_samples_show_every_class() -> None:
    found = shown.samples({"name": "tiny"})
    assert len(found["images"]) == len(found["labels"]) == 8
    assert set(found["labels"]) == set(tiny.CLASSES)
    assert found["counts"] == {"red": 13, "green": 13, "blue": 12, "grey": 12}
    assert base64.b64decode(found["images"][0]).startswith(b"\x89PNG")


def pictures(rows: list[int], fingerprint: str = "", seed: int = 0) -> dict[str, str]:
    return shown.pictures({"name": "tiny", "knobs": {}}, seed, rows, fingerprint)


def test_pictures_are_files_of_the_images_in_these_rows() -> None:
    found = pictures([3, 0])
    json.dumps(found)
    assert set(found) == {"0", "3"}
    with Image.open(found["3"]) as image:
        assert image.size == (96, 96)  # 8 pixels, twelve times as large
        middle = image.getpixel((6, 6))
    assert middle == tuple(tiny.split(tiny.TRAIN, 1).images(torch.tensor([3]))[0, :, 0, 0].tolist())


def test_pictures_that_are_there_are_not_drawn_again() -> None:
    path = Path(pictures([1])["1"])
    path.write_bytes(b"kept")
    assert path.read_bytes() == Path(pictures([1, 2])["1"]).read_bytes() == b"kept"
    assert pictures([1], seed=1)["1"] != str(path)  # another seed may divide the images otherwise


def test_a_large_image_becomes_small() -> None:
    assert small(Image.new("RGB", (640, 320))).size == (96, 48)


@pytest.mark.parametrize(("rows", "fingerprint"), [([0], "another"), ([50], ""), ([-1], "")])
def test_pictures_of_data_that_has_changed_are_refused(rows: list[int], fingerprint: str) -> None:
    with pytest.raises(DataError, match="have changed since this run"):
        pictures(rows, fingerprint)


def test_a_cost_has_no_time() -> None:
    found = drafts.cost({"name": tiny.STUDENT}, 10, (3, 16, 16))
    assert found["multiply_adds"] > 0 and found["latency"] == 0


def test_an_answer_is_a_value_or_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(answer("folders", {})) == {"value"}
    told = answer("samples", {"data": {"name": "nonsense"}})
    assert "nonsense" in told["message"] and told["where"] == "data"
    assert answer("nonsense", {})["message"].startswith("KeyError")
    assert set(answer("check", {"speck": {}})) == {"message", "hint", "where"}


@pytest.mark.slow
def test_the_process_answers_line_by_line_and_ends_with_its_input(tmp_path: Path) -> None:
    asked = [{"kind": "folders", "params": {}}, {"kind": "nonsense", "params": {}}]
    done = subprocess.run(
        [sys.executable, "-m", "engine", "jobs"],
        input="".join(json.dumps(one) + "\n" for one in asked),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(engine.__file__).parents[1],
        env={**os.environ, "DISTILL_DATA": str(tmp_path)},
    )
    assert done.returncode == 0
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first == {"value": []}
    assert set(second) == {"message", "hint", "where"}
