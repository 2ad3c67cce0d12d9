"""Jobs of segmentation: what Distill shows and checks before such a run."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_masks
import torch
from PIL import Image

from engine.data.batch import VOID, Batch
from engine.jobs import teachers
from engine.jobs.drafts import check, pairs
from engine.jobs.estimates import estimate
from engine.jobs.pictures import samples
from engine.jobs.teachers import teacher_check
from engine.spec import RunSpec


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(tmp_path / "workspace"))


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return tiny_masks.teacher_file(tmp_path)


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """A teacher of the data's own classes."""
    return tiny_masks.teacher_file(tmp_path, classes=tiny_masks.CLASSES)


def plain(spec: RunSpec) -> dict[str, Any]:
    found = json.loads(spec.to_json())
    assert isinstance(found, dict)
    return found


def opened(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


# What the form shows of the data


def test_eight_pictures_come_with_their_masks_training_first() -> None:
    found = samples({"name": "tiny_masks"})
    json.dumps(found)
    assert found["labels"] == ["train"] * tiny_masks.TRAIN + ["validation"] * 3
    assert len(found["images"]) == len(found["overlays"]) == 8
    plain_one, painted = opened(found["images"][0]), opened(found["overlays"][0])
    assert plain_one.shape == painted.shape == (128, 256, 3)
    assert (found["num_proximity"], len(found["proximity"])) == (tiny_masks.PROXIMITY, 4)


def test_the_pixels_of_each_class_are_counted_in_the_training_masks() -> None:
    found = samples({"name": "tiny_masks"})
    masks = tiny_masks.pictures(tiny_masks.TRAIN, 1)[1]
    wanted = [int((masks == label).sum()) for label in range(3)]
    assert list(found["counts"].values()) == wanted
    assert found["unlabelled"] == int((masks == VOID).sum()) > 0
    assert sum(wanted) + found["unlabelled"] == masks.numel()


# What the form checks


def test_a_spec_of_spirit_is_accepted_and_the_teacher_costs_what_its_own_classes_do(
    teacher: Path, peer: Path
) -> None:
    found = check(plain(tiny_masks.spec_of(teacher)))
    assert found["errors"] == [] and found["warnings"] == []
    same = check(plain(tiny_masks.spec_of(peer)))
    five, three = (one["costs"]["teacher"]["parameters"] for one in (found, same))
    assert five - three == (24 + 1) * 2, "two more classes in a head of 24 channels"
    assert tuple(found["costs"]["student"]["input_shape"]) == tiny_masks.SHAPE


def test_soft_labels_of_a_teacher_of_other_classes_are_refused_with_a_remedy(
    teacher: Path, peer: Path
) -> None:
    found = check(plain(tiny_masks.spec_of(teacher, "pixel_kd")))
    (error,) = found["errors"]
    assert error["where"] == "teacher.weights"
    assert "has 5 classes, the data set has 3 classes" in error["message"]
    assert "Take weights of the same classes" in error["message"]
    assert check(plain(tiny_masks.spec_of(peer, "pixel_kd")))["errors"] == []


def test_only_segmenters_of_the_same_front_can_be_the_student(teacher: Path) -> None:
    found = pairs(plain(tiny_masks.spec_of(teacher)))
    assert found["ds128"] == found["bottleneck128"] == ""
    assert "must be alike" in found["ds2048"]
    assert found["resnet8"] == "It is for task classify."


@pytest.mark.parametrize("method", ["spirit", "spirit_joint", "pixel_kd", "alone"])
def test_an_estimate_counts_all_steps_of_all_phases(peer: Path, method: str) -> None:
    threads = torch.get_num_threads()
    spec = tiny_masks.spec_of("" if method == "alone" else peer, method)
    try:
        found = estimate(plain(spec))
    finally:
        torch.set_num_threads(threads)
    assert found["steps"] == 12
    assert found["seconds"] > sum(found["phases"].values()) > 0
    names = {"spirit": ["imitation", "fine_tuning"]}.get(method, ["train"])
    assert list(found["phases"]) == names


def test_a_long_step_is_timed_with_fewer_images_and_told_in_full(
    peer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = plain(tiny_masks.spec_of(peer, **{"schedule.batch": 5, "schedule.steps": 0}))
    seen: list[int] = []
    monkeypatch.setattr("engine.jobs.estimates._step_seconds", lambda *_: seen.append(1) or 0.5)
    short = estimate(spec)
    monkeypatch.setattr("engine.jobs.estimates.LONG_STEP", 0.0)
    long = estimate(spec)
    assert short["step_seconds"] == 0.5 and long["step_seconds"] == 1.25
    assert short["steps"] == long["steps"] == 6, "one step of 5 images shows all 5"


# The teacher


def test_a_teacher_of_other_classes_is_reported_and_not_measured(teacher: Path) -> None:
    found = teacher_check(plain(tiny_masks.spec_of(teacher)))
    json.dumps(found)
    assert found["classes"] == list(tiny_masks.OTHER_CLASSES)
    assert found["figures"] == {}
    assert found["report"]["matched"] == len(found["report"]["rows"]) > 5


def test_a_teacher_of_the_same_classes_is_measured_by_its_overlap(peer: Path) -> None:
    found = teacher_check(plain(tiny_masks.spec_of(peer)))
    assert 0 < found["figures"]["miou"] < 1
    assert (found["split"], found["samples"]) == ("test", tiny_masks.HELD)


def test_a_teacher_is_measured_on_some_scenes_of_a_large_split(
    peer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "MOST_SCENES", 2)
    seen: list[torch.Tensor] = []

    def figures(net: object, batches: Iterable[Batch], num_classes: int) -> dict[str, float]:
        seen.extend(batch.target for batch in batches)
        return {"miou": 0.5}

    monkeypatch.setattr(teachers, "segmentation_figures", figures)
    assert teacher_check(plain(tiny_masks.spec_of(peer)))["samples"] == 2
    masks = tiny_masks.pictures(tiny_masks.HELD, 3)[1]  # of the test split
    assert torch.equal(torch.cat(seen), masks[[0, tiny_masks.HELD // 2]].long())


def test_weights_of_another_net_are_refused(teacher: Path) -> None:
    from engine.errors import WeightsError

    spec = tiny_masks.spec_of(teacher, **{"teacher.name": "fcn_resnet50"})
    with pytest.raises(WeightsError, match="look like bottleneck128"):
        teacher_check(plain(spec))
