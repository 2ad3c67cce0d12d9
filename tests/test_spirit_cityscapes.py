"""The published setting of spirit distillation, on stand-ins for its two sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.api import Studio
from engine.api.plans import PRESETS, plan_preset
from engine.assembly import check_parts
from engine.data.data_root import find_root
from engine.errors import DataError
from engine.jobs.common import loaded_data
from engine.jobs.drafts import check, drafted
from engine.runs.presets import find_preset, load_presets

PRESET = find_preset(load_presets(PRESETS), "spirit-cityscapes")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    assert find_root() == tmp_path / "data"
    return tmp_path / "data"


def picture(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (len(path.stem), 90, 90)).save(path)


def cityscapes(root: Path) -> None:
    for split in ("train", "val"):
        for number in range(2):
            picture(root / f"cityscapes/leftImg8bit/{split}/ulm/{number}_leftImg8bit.png", (64, 32))
            mask = np.full((32, 64), 7 + number, dtype=np.uint8)
            mask[:16] = 23
            place = root / f"cityscapes/gtFine/{split}/ulm/{number}_gtFine_labelIds.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(place)


def kitti(root: Path) -> None:
    picture(root / "kitti/training/image_2/000000_10.png", (124, 37))
    picture(root / "kitti/training/semantic_rgb/000000_10.png", (124, 37))


def test_without_its_folders_it_is_refused_and_nothing_is_queued(
    root: Path, tmp_path: Path
) -> None:
    found = Studio(tmp_path / "workspace")
    with pytest.raises(DataError) as told:
        found.launch_preset(PRESET.name)
    assert "the data folders 'cityscapes' and 'kitti' are not in" in str(told.value)
    assert str(root) in str(told.value) and "DISTILL_DATA" in told.value.hint
    assert not found.runs()
    cityscapes(root)
    with pytest.raises(DataError, match="the data folder 'kitti' is not in"):
        plan_preset(PRESET, {})


def test_the_form_s_check_names_the_missing_folder(root: Path) -> None:
    spec = plan_without_folders()
    (error,) = check(spec.model_dump(mode="json"))["errors"]
    assert "there is no folder 'cityscapes'" in error["message"]
    assert error["where"] == "data.knobs.path"


def plan_without_folders():  # type: ignore[no-untyped-def]
    return PRESET.planned()[-1].spec


def test_its_phases_are_those_of_the_design(root: Path) -> None:
    cityscapes(root)
    kitti(root)
    alone, taught = (plan.spec for plan in plan_preset(PRESET, {"data.knobs.num_target": 2}))
    for spec in (alone, taught):
        check_parts(spec)
    assert alone.baseline_hash() == taught.baseline_hash()
    data = loaded_data(taught.data, taught.seed)
    assert data.input_shape == (3, 512, 1024) and len(data.classes) == 19
    assert data.proximity is not None and len(data.proximity) == 1
    method = drafted(taught, data)
    steps = {phase.name: phase.epochs * phase.data.steps for phase in method.plan()}
    assert steps == {"imitation": 4000, "head": 500, "fine_tuning": 1500}
    assert not [knob for knob in taught.method.knobs if knob in method.idle_knobs]
