"""Whole runs of segmenters on tiny pictures, drawn in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_masks
import torch
from safetensors.torch import load_file
from test_execution import (
    Killed,
    Script,
    assert_equal_runs,
    ended,
    events_of,
    killed_after,
    of_kind,
    told,
)

from engine.assembly import check_parts
from engine.errors import SpecError
from engine.events import ArtefactSaved, Evaluated, PhaseBegan, Prepared, StepTaken, results_of
from engine.execution import execute
from engine.measures.segmentation import SegmentationCounts
from engine.measures.segmenter_figures import figures_of
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.summary import summary_of_run
from engine.runs.view import RunView, fold
from engine.runs.worker import drive
from engine.spec import RunSpec
from engine.training.checkpoint import differing_weights

Make = Callable[[RunSpec], RunFolder]
KNOBS = {"imitation_share": 0.5, "head_share": 0.17}


@pytest.fixture(scope="module", autouse=True)
def evaluations_have_two_batches() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.assembly.EVALUATION_BATCH", tiny_masks.HELD // 2)
        yield


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.open(tmp_path_factory.mktemp("runs") / "workspace")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_masks.teacher_file(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def make(workspace: Workspace) -> Make:
    return lambda spec: workspace.create(spec, Meta(name="run"))


@pytest.fixture(scope="module")
def spec(teacher: Path) -> RunSpec:
    """Phases of three, one and two epochs of two steps."""
    return tiny_masks.spec_of(teacher, knobs=KNOBS, evaluate_every=2)


@pytest.fixture(scope="module")
def whole(make: Make, spec: RunSpec) -> RunFolder:
    """The run that nobody disturbs."""
    run = make(spec)
    assert drive(run, execute) == "finished", ended(run)
    return run


def view_of(run: RunFolder) -> RunView:
    return fold(RunView(), events_of(run))


def figures_at(run: RunFolder, weights: str = "last") -> dict[Any, dict[str, float]]:
    return {
        (one.at, one.split): dict(one.figures)
        for one in of_kind(run, Evaluated)
        if (one.net, one.weights) == ("student", weights)
    }


def test_a_run_tells_its_phases_and_the_figures_of_masks(whole: RunFolder) -> None:
    begun = of_kind(whole, PhaseBegan)
    assert [(one.phase, one.epochs, one.steps) for one in begun] == [
        ("imitation", 3, 2),
        ("head", 1, 2),
        ("fine_tuning", 2, 2),
    ]
    found = figures_at(whole)
    assert [at for at, split in found if split == "validation"] == [
        (0, 0, 0),
        (0, 2, 0),
        (0, 3, 0),
        (1, 1, 0),
        (2, 2, 0),
    ]
    assert {"miou", "pixel_accuracy", "boundary_iou", "hp60", "hp75", "variance", "loss"} <= set(
        found[(2, 2, 0), "test"]
    )
    terms = [set(one.terms) for one in of_kind(whole, StepTaken)]
    assert terms == [{"imitation", "feature distance"}] * 6 + [{"task"}] * 6


def test_the_held_out_feature_distance_belongs_to_the_imitation(whole: RunFolder) -> None:
    told_at = {at for at, found in figures_at(whole).items() if "feature_distance" in found}
    assert told_at == {((0, epoch, 0), "validation") for epoch in (0, 2, 3)}
    view = view_of(whole)
    assert view.figure("student", "feature_distance") == pytest.approx(
        figures_at(whole)[(0, 3, 0), "validation"]["feature_distance"]
    )


def test_the_headline_is_the_mean_iou(whole: RunFolder) -> None:
    view, summary = view_of(whole), summary_of_run(whole)
    assert whole.spec().headline == view.headline == summary.headline == "miou"
    found = figures_at(whole)
    assert view.figure("student", split="test") == found[(2, 2, 0), "test"]["miou"]
    assert summary.figures.last_test == found[(2, 2, 0), "test"]["miou"]
    best = max(f["miou"] for (at, split), f in found.items() if split == "validation" and any(at))
    assert summary.figures.best_validation == best


def test_a_teacher_of_other_classes_is_not_measured(whole: RunFolder) -> None:
    assert {one.net for one in of_kind(whole, Evaluated)} == {"student"}
    texts = [one.text for one in of_kind(whole, Prepared) if one.what == "teacher"]
    assert texts == ["bottleneck128: knows other classes, is not measured"]


def test_each_evaluation_leaves_what_it_stands_on(whole: RunFolder) -> None:
    names = [one.name for one in of_kind(whole, ArtefactSaved) if "segmented" in one.name]
    at = ["0-0-0", "0-2-0", "0-3-0", "1-1-0", "2-2-0"]
    expected = [f"segmented_student_validation_{one}.npz" for one in at]
    assert names == [*expected, "segmented_student_test_2-2-0.npz"]
    with np.load(whole.artefacts / names[-1]) as found:
        counts = SegmentationCounts(
            *(torch.from_numpy(found[name]) for name in ("confusion", "boundary", "image_iou"))
        )
        assert found["rows"].tolist() == [0, 1, 2, 3, 4, 5]
        assert found["masks"].shape == (6, 16, 32) and found["masks"].dtype == np.uint8
        assert found["image_miou"].shape == (6,)
    figures = figures_at(whole)[(2, 2, 0), "test"]
    assert figures_of(counts) == {name: v for name, v in figures.items() if name != "loss"}


def test_two_runs_of_one_spec_are_equal(make: Make, spec: RunSpec, whole: RunFolder) -> None:
    """Numeric test 9."""
    again = make(spec)
    assert drive(again, execute) == "finished"
    assert_equal_runs(again, whole)


@pytest.mark.parametrize("at", [(0, 1, 1), (0, 2, 2), (1, 0, 1), (2, 1, 2)])
def test_a_run_ended_after_a_step_goes_on_exactly(
    make: Make, spec: RunSpec, whole: RunFolder, at: Any
) -> None:
    run = make(spec)
    assert drive(run, told(Script({at: ["stop"]}))) == "stopped"
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


@pytest.mark.parametrize("number", [4, 9])
def test_a_run_ended_during_an_evaluation_goes_on_exactly(
    make: Make, spec: RunSpec, whole: RunFolder, number: int
) -> None:
    run = make(spec)
    assert drive(run, told(Script(ends_at=(number, "interrupt")))) == "interrupted"
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


def test_a_killed_run_goes_on_exactly(make: Make, spec: RunSpec, whole: RunFolder) -> None:
    run = make(spec)
    count = len(events_of(whole)) * 2 // 3
    with pytest.raises(Killed):
        drive(run, killed_after(count))
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


def test_measuring_by_hand_changes_nothing(make: Make, spec: RunSpec, whole: RunFolder) -> None:
    """The front's statistics stay still in the head phase, also after an evaluation."""
    run = make(spec)
    words: Any = {(0, 1, 1): ["evaluate"], (1, 0, 1): ["evaluate"], (2, 0, 1): ["evaluate"]}
    assert drive(run, told(Script(words))) == "finished"
    assert results_of(events_of(run)) == results_of(events_of(whole))
    assert differing_weights(run.checkpoints, whole.checkpoints) == ""
    by_hand = [one for one in of_kind(run, Evaluated) if one.by_hand]
    assert [one.at for one in by_hand] == [(0, 1, 1), (1, 0, 1), (2, 0, 1)]


def test_a_student_alone_takes_as_many_steps(make: Make, spec: RunSpec, whole: RunFolder) -> None:
    alone = tiny_masks.spec_of()
    assert alone.baseline_hash() == spec.baseline_hash()
    run = make(alone)
    assert drive(run, execute) == "finished"
    assert view_of(run).total_steps == view_of(whole).total_steps == 12


def test_the_proximity_pool_changes_the_imitation_only(make: Make, spec: RunSpec) -> None:
    plain = make(spec.replace(**{"method.knobs": {**KNOBS, "mix": "target"}}))
    assert drive(plain, execute) == "finished"
    rates = [one.rates for one in of_kind(plain, StepTaken)]
    assert [set(one) for one in rates] == [{"front"}] * 6 + [{"head"}] * 2 + [{"student"}] * 4


@pytest.mark.parametrize("method", ["spirit_joint", "pixel_kd"])
def test_the_baselines_run(make: Make, tmp_path: Path, method: str) -> None:
    same = tiny_masks.teacher_file(tmp_path, classes=tiny_masks.CLASSES)
    run = make(tiny_masks.spec_of(same, method, **{"schedule.epochs": 1}))
    assert drive(run, execute) == "finished", ended(run)
    measured = [(one.net, one.split) for one in of_kind(run, Evaluated)][:2]
    assert measured == [("teacher", "validation"), ("teacher", "test")]
    assert "mean IoU" in next(p.text for p in of_kind(run, Prepared) if p.what == "teacher")


def test_soft_labels_need_a_teacher_of_the_same_classes(make: Make, teacher: Path) -> None:
    run = make(tiny_masks.spec_of(teacher, "pixel_kd"))
    assert drive(run, execute) == "failed"
    assert "5 classes, the data set has 3" in ended(run).message


def test_a_student_may_start_from_weights_of_other_classes(make: Make, teacher: Path) -> None:
    """The fine-tuned teacher of the design's baselines."""
    changes = {"student.name": tiny_masks.TEACHER, "student.weights": str(teacher)}
    run = make(tiny_masks.spec_of(**changes, **{"schedule.epochs": 1}))
    assert drive(run, execute) == "finished", ended(run)
    assert (
        load_file(run.artefacts / "student_last.safetensors")["stages.logits.weight"].shape[0] == 3
    )


@pytest.mark.parametrize(
    ("changes", "told_text"),
    [
        ({"task": "classify"}, "data set tiny_masks is for task segment, this run's task is class"),
        ({"student.name": "resnet8"}, "net resnet8 is for task classify"),
        ({"data": "shapes"}, "data set shapes is for task classify"),
        ({"schedule.drop_last": True}, "schedule.drop_last has no effect with task segment"),
        ({"schedule.nesterov": True}, "schedule.nesterov has no effect .* optimizer adam"),
        ({"schedule.batch": 1}, "a batch of 1 .* norm"),
        ({"method.name": "spot_adaptive"}, "method spot_adaptive is for task classify"),
    ],
)
def test_parts_of_another_task_are_refused(changes: dict[str, Any], told_text: str) -> None:
    with pytest.raises(SpecError, match=told_text) as error:
        check_parts(tiny_masks.spec_of(**changes))
    assert error.value.where


def test_steps_are_for_segmentation() -> None:
    with pytest.raises(SpecError, match=r"schedule\.steps has no effect with task classify"):
        check_parts(tiny.spec_of(**{"schedule.steps": 5}))
