"""From names to parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from engine.assembly import check_parts, is_same_family, make_teacher, weights_source
from engine.errors import SpecError, WeightsError
from engine.spec import NetChoice


def source(weights: str, runs: Path) -> str:
    return weights_source(NetChoice(name="resnet8", weights=weights), runs)


def test_weights_of_a_run_are_its_best(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "20260101-000000-abcdef" / "artefacts"
    path.mkdir(parents=True)
    with pytest.raises(WeightsError, match="has no finished student"):
        source("run:20260101-000000-abcdef", tmp_path / "runs")
    (path / "student_best.safetensors").touch()
    found = source("run:20260101-000000-abcdef", tmp_path / "runs")
    assert found == str(path / "student_best.safetensors")


@pytest.mark.parametrize("name", ["../elsewhere", "..", "", "/"])
def test_weights_of_a_run_lie_inside_the_workspace(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path / "elsewhere", tmp_path, tmp_path / "runs"):
        (folder / "artefacts").mkdir(parents=True, exist_ok=True)
        (folder / "artefacts" / "student_best.safetensors").touch()
    with pytest.raises(WeightsError):
        source(f"run:{name}", tmp_path / "runs")


def test_other_weights_are_taken_as_they_are_named(tmp_path: Path) -> None:
    assert source("none", tmp_path) == "none"
    assert source("DEFAULT", tmp_path) == "DEFAULT"
    assert source("/a/b.pt", tmp_path) == "/a/b.pt"
    with pytest.raises(WeightsError, match="no weights 'socks' are shipped; there are: "):
        source("shipped:socks", tmp_path)


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        *(("resnet56", "resnet20", True), ("resnet110", "resnet32", True)),
        *(("resnet32x4", "resnet8x4", True), ("vgg13", "vgg8", True)),
        *(("wrn_40_2", "wrn_16_2", True), ("resnet32x4", "resnet32", False)),
        *(("vgg13", "MobileNetV2", False), ("ResNet50", "MobileNetV2", False)),
        *(("ResNet50", "vgg8", False), ("wrn_40_2", "ShuffleNetV1", False)),
    ],
)
def test_published_pairs_are_of_one_family_or_not(
    teacher: str, student: str, expected: bool
) -> None:
    spec = tiny.spec_of("x").replace(**{"teacher.name": teacher, "student.name": student})
    assert is_same_family(spec) == expected


def test_nobody_is_of_no_family() -> None:
    assert not is_same_family(tiny.spec_of())


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"data.knobs.size": 3}, "tiny.size"),
        ({"student": "nonsense"}, "student"),
        ({"distiller": None}, "distiller"),
        ({"policy": None}, "policy"),
        ({"method": "alone"}, "teacher"),
        ({"method": "alone", "teacher": None}, "distiller"),
    ],
)
def test_a_part_that_does_not_fit_is_told_with_its_place(
    changes: dict[str, Any], where: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check_parts(tiny.spec_of("x").replace(**changes))
    assert caught.value.where == where


def test_a_teacher_is_frozen_where_it_is_built(tmp_path: Path) -> None:
    spec = tiny.spec_of(tiny.teacher_file(tmp_path))
    data = tiny.tiny(tmp_path, 0)
    loaded = make_teacher(spec, data, runs=tmp_path, device=torch.device("cpu"))
    assert loaded is not None and loaded.report is not None
    assert not any(p.requires_grad for p in loaded.net.parameters())
    assert not loaded.net.train().training
    assert make_teacher(tiny.spec_of(), data, runs=tmp_path, device=torch.device("cpu")) is None
