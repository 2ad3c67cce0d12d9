"""Which published figures stand beside a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.api import RunSpec, Studio
from engine.api.plans import PRESETS
from engine.runs.folder import Meta, Workspace
from engine.runs.presets import find_preset, load_presets
from tests.pages.canned import whole


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


@pytest.fixture
def spec() -> RunSpec:
    preset = find_preset(load_presets(PRESETS), "sakd-cifar100-resnet56-resnet20")
    return preset.planned()[-1].spec.replace(**{"teacher.weights": "/a.pth"})


def finished(tmp_path: Path, spec: RunSpec, role: str = "student") -> str:
    folder = Workspace.open(tmp_path).create(spec, Meta(name="x", role=role))
    folder.log.append(whole("taught" if spec.teacher else "alone"))
    return folder.id


def test_a_run_of_a_published_pair_has_its_figures_beside_its_own(
    studio: Studio, tmp_path: Path, spec: RunSpec
) -> None:
    found = studio.evidence(finished(tmp_path, spec))
    assert found.student == 0.9763
    assert found.published == pytest.approx(
        {
            "RepDistiller: teacher": 0.7234,
            "RepDistiller: student alone": 0.6906,
            "RepDistiller: KD": 0.7066,
            "RepDistiller: AT": 0.7055,
            "SAKD: AT standard": 0.7106,
            "SAKD: AT adaptive": 0.7124,
        }
    )
    assert "CIFAR-100, 240 epochs, one seed, best test epoch" in found.published_source
    assert "RepDistiller" in found.published_source


@pytest.mark.parametrize(
    "changes", [{"data": "cifar10"}, {"student.name": "resnet14"}, {"distiller": "dkd"}]
)
def test_another_data_set_pair_or_distiller_has_none(
    studio: Studio, tmp_path: Path, spec: RunSpec, changes: dict[str, str]
) -> None:
    found = studio.evidence(finished(tmp_path, spec.replace(**changes)))
    assert (found.published, found.published_source) == ({}, "")


def test_the_student_alone_has_no_pair_and_so_no_published_figures(
    studio: Studio, tmp_path: Path, spec: RunSpec
) -> None:
    alone = spec.replace(method="alone", teacher=None, distiller=None, policy=None)
    assert studio.evidence(finished(tmp_path, alone, "alone")).published == {}


def test_a_pair_s_figures_are_known_before_a_distiller_is_found_that_has_some(
    studio: Studio, spec: RunSpec
) -> None:
    figures, source = studio.published(spec.replace(distiller="dkd"))
    assert list(figures) == [
        "RepDistiller: teacher",
        "RepDistiller: student alone",
        "RepDistiller: KD",
    ]
    assert "CIFAR-100" in source
    assert studio.published(spec.replace(data="cifar10")) == ({}, "")
