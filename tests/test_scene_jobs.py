"""Images with their masks, and feature maps of two fronts: the jobs and what reads their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_masks
import torch
from PIL import Image

from engine.assembly import load_data
from engine.errors import DataError, SpecError, WeightsError, WorkspaceError
from engine.execution import execute
from engine.jobs.front_maps import scene_features
from engine.jobs.serve import answer
from engine.jobs.truths import scene_pictures
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.overlaps import read_overlaps
from engine.runs.view import RunView, fold
from engine.runs.worker import drive

AT = (2, 1, 0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(autouse=True)
def workspace(place: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(place / "workspace"))
    return Workspace.open()


@pytest.fixture(scope="module")
def run(place: Path) -> RunFolder:
    """A spirit run of three phases of an epoch each."""
    spec = tiny_masks.spec_of(
        tiny_masks.teacher_file(place),
        knobs={"imitation_share": 0.34, "head_share": 0.34},
        **{"schedule.epochs": 3},
    )
    folder = Workspace.open(place / "workspace").create(spec, Meta())
    assert drive(folder, execute) == "finished"
    return folder


def asked(**changes: Any) -> dict[str, Any]:
    data = tiny_masks.spec_of().data.model_dump()
    return {"data": data, "seed": 3, "split": "test", "rows": [0, 4], "fingerprint": "", **changes}


def test_images_and_true_masks_come_as_files_of_one_size() -> None:
    found = scene_pictures(**json.loads(json.dumps(asked())))
    data = load_data(tiny_masks.spec_of().data, 3)
    assert data.test is not None and set(found) == {"0", "4"}
    for row in (0, 4):
        image, truth = (Image.open(found[str(row)][name]) for name in ("image", "truth"))
        assert image.mode == "RGB" and truth.mode == "L" and image.size == truth.size == (32, 16)
        assert np.array_equal(
            np.asarray(image), data.test.images(torch.tensor([row]))[0].permute(1, 2, 0).numpy()
        )
        assert np.array_equal(np.asarray(truth), data.test.masks(torch.tensor([row]))[0].numpy())


def test_large_images_are_shrunk_and_no_class_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.jobs.truths.LONGEST", 20)
    found = scene_pictures(**asked(seed=4, rows=[1]))["1"]
    with Image.open(found["image"]) as image, Image.open(found["truth"]) as truth:
        assert image.size == truth.size == (20, 10)
        assert set(np.unique(np.asarray(truth)).tolist()) <= {0, 1, 2, 255}


def test_files_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = scene_pictures(**asked())
    monkeypatch.setattr("engine.jobs.truths._keep", lambda *_: pytest.fail("drawn again"))
    assert scene_pictures(**asked()) == before


@pytest.mark.parametrize(
    "changes", [{"fingerprint": "another"}, {"rows": [99]}, {"rows": [-1]}, {"split": "none"}]
)
def test_images_of_another_data_set_are_not_shown(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="have changed since this run"):
        scene_pictures(**asked(**changes))


def test_images_without_masks_are_refused() -> None:
    with pytest.raises(SpecError, match="have no masks"):
        scene_pictures(**asked(data=tiny.spec_of().data.model_dump()))


def test_an_evaluation_is_read_as_it_was_kept(run: RunFolder) -> None:
    found = read_overlaps(run, "student", "test", AT)
    assert found is not None
    figures = fold(RunView(), run.log.read()[0]).evaluated[-1].figures
    assert np.nanmean(found.iou) == pytest.approx(figures["miou"])
    assert np.nanmean(found.image_miou) == pytest.approx(figures["image_miou"])
    assert found.rows.tolist() == list(range(6)) and found.masks.shape == (6, 16, 32)
    assert read_overlaps(run, "student", "test", (9, 9, 9)) is None
    assert read_overlaps(run, "../../student", "test", AT) is None


def test_an_evaluation_whose_file_is_spoilt_says_so(run: RunFolder) -> None:
    name = run.artefacts / "segmented_spoilt_test_2-1-0.npz"
    name.write_bytes(b"PK no zip")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_overlaps(run, "spoilt", "test", AT)
    with np.load(run.artefacts / "segmented_student_test_2-1-0.npz") as stored:
        np.savez(name, **{**stored, "rows": stored["rows"][:2]})
    with pytest.raises(WorkspaceError, match="do not belong together"):
        read_overlaps(run, "spoilt", "test", AT)


def test_a_class_that_is_nowhere_has_no_overlap(run: RunFolder) -> None:
    name = run.artefacts / "segmented_void_test_2-1-0.npz"
    counts = np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]])
    with np.load(run.artefacts / "segmented_student_test_2-1-0.npz") as stored:
        np.savez(name, **{**stored, "confusion": counts})
    found = read_overlaps(run, "void", "test", AT)
    assert found is not None
    assert found.iou[:2] == pytest.approx([3 / 6, 4 / 7]) and np.isnan(found.iou[2])


def test_feature_maps_of_both_fronts_are_kept_with_their_distance(run: RunFolder) -> None:
    told = answer("scene_features", {"weights": [run.id, list(AT)]})["value"]
    json.dumps(told)
    assert told["split"] == "test" and told["rows"] == [0, 1, 3, 4] and len(told["channels"]) == 8
    with np.load(told["path"]) as maps:
        teacher, student = maps["teacher"], maps["student"]
    assert teacher.shape == student.shape == (4, 9, *told["size"])
    assert all(ratio > 0 for ratio in told["distance"])
    whole = scene_features((run.id, AT))
    assert whole["distance"] == told["distance"]


def test_the_distance_of_the_maps_is_that_of_the_log(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All channels, all images: R must be what the method says of these weights."""
    from engine.jobs.common import runs_folder, student_of

    monkeypatch.setattr("engine.jobs.front_maps.CHANNELS", 10**6)
    told = scene_features((run.id, AT))
    with np.load(told["path"]) as maps:
        teacher, student = maps["teacher"].astype(float), maps["student"].astype(float)
    assert teacher.shape[1] == 1 + student_of(run.id, AT).taps()[told["cut"]].shape[0]
    assert teacher[:, 0] == pytest.approx(teacher[:, 1:].mean(axis=1), abs=1e-5)
    gap = np.square(teacher[:, 1:] - student[:, 1:]).sum(axis=(1, 2, 3))
    size = np.square(teacher[:, 1:]).sum(axis=(1, 2, 3))
    assert told["distance"] == pytest.approx((gap / size).tolist(), rel=1e-4)
    assert runs_folder() == run.path.parent


def test_maps_of_weights_that_were_overwritten_are_refused(run: RunFolder) -> None:
    with pytest.raises(WeightsError, match="newer weights"):
        scene_features((run.id, (0, 1, 0)))


def test_a_student_alone_has_no_maps_to_compare(workspace: Workspace) -> None:
    folder = workspace.create(tiny_masks.spec_of(**{"schedule.epochs": 1}), Meta())
    assert drive(folder, execute) == "finished"
    with pytest.raises(SpecError, match="no teacher"):
        scene_features((folder.id, (0, 1, 0)))
