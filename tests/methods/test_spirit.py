"""The numeric tests of the design that need no training; baselines on equal terms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import tiny_masks
import torch
import torch.nn.functional as F

from engine.data.batch import VOID
from engine.data.device_loader import evaluation_batches
from engine.errors import SpecError
from engine.events import StepTaken
from engine.measures.segmenter_figures import segmentation_figures
from engine.methods import Materials
from engine.methods.base import task_loss
from engine.methods.front import (
    DISTANCES,
    Fronts,
    cosine,
    feature_distance,
    gap_ratio,
    mean_square,
    normalised,
)
from engine.methods.pixel_kd import soft_loss
from engine.methods.spirit import Spirit
from engine.nets.freeze import freeze
from engine.spec import Schedule
from engine.training.phase import Phase

from .conftest import build, copied, differing, mask_materials, take_steps

OTHERS = len(tiny_masks.OTHER_CLASSES)
NINETEEN = Schedule(epochs=19, batch=4, steps=2, lr=0.01, optimizer="adam", weight_decay=0)


def spirit(made: Materials | None = None, **knobs: Any) -> Spirit:
    """Phases of 2, 1 and 1 epochs unless the knobs say otherwise."""
    knobs = {"imitation_share": 0.5, "head_share": 0.25} | knobs
    found = build(made or mask_materials(classes=OTHERS), "spirit", **knobs)
    assert isinstance(found, Spirit)
    return found


def phases(method: Spirit) -> dict[str, Phase]:
    return {phase.name: phase for phase in method.plan()}


def of_front(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[1].startswith("st")}


def trained(made: Materials, **knobs: Any) -> dict[str, torch.Tensor]:
    """The student after the imitation."""
    method = spirit(made, **knobs)
    take_steps(phases(method)["imitation"], 4)
    return copied(made.student)


# Phases


def test_the_phases_share_the_epochs_of_the_schedule() -> None:
    made = mask_materials(classes=OTHERS, schedule=NINETEEN)
    for knobs, expected in (
        ({"imitation_share": 0.58, "head_share": 0.16}, [11, 3, 5]),
        ({"imitation_share": 0.0, "head_share": 0.0}, [19]),
        ({"imitation_share": 0.5, "head_share": 0.5}, [9, 9, 1]),
        ({"imitation_share": 1.0, "head_share": 0.0}, [19]),
    ):
        plan = spirit(made, **knobs).plan()
        assert [phase.epochs for phase in plan] == expected
        alone = build(made, "alone").plan()
        steps = [sum(one.epochs * one.data.steps for one in each) for each in (plan, alone)]
        assert steps[0] == steps[1] == 38


def test_each_phase_moves_its_part_alone() -> None:
    """Numeric test 4: weights and buffers; BatchNorm of the front stays still in `head`."""
    made = mask_materials(classes=OTHERS)
    plan = phases(spirit(made))
    moved = {}
    for index, (name, phase) in enumerate(plan.items()):
        phase.enter()
        before = copied(made.student)
        take_steps(phase, 3, index=index)
        moved[name] = differing(made.student, before)
    assert moved["imitation"] and moved["imitation"] == of_front(moved["imitation"])
    assert moved["head"] and not of_front(moved["head"])
    front = of_front(moved["fine_tuning"])
    assert front and front < moved["fine_tuning"]
    assert any("running_mean" in name for name in front)


def test_the_front_stays_still_when_the_student_is_measured_meanwhile() -> None:
    made = mask_materials(classes=OTHERS)
    assert made.pools is not None
    data = made.pools.data
    phase = phases(spirit(made))["head"]
    lesson = phase.begin()
    before = copied(made.student)
    batches = evaluation_batches(data.validation, data, batch=3, device=torch.device("cpu"))
    segmentation_figures(made.student, batches, 3)
    for number, batch in enumerate(phase.data.epoch(0)):
        for down in lesson.step(batch, number):
            down.learner.backward(down.loss)
        lesson.learners[0].move()
    assert not of_front(differing(made.student, before))


def test_labels_are_not_read_by_the_imitation() -> None:
    """Numeric test 5."""
    plain, garbage = (
        trained(mask_materials(classes=OTHERS, garbage=garbage)) for garbage in (False, True)
    )
    assert all(torch.equal(plain[name], garbage[name]) for name in plain)


@pytest.mark.parametrize(
    ("knobs", "data"),
    [
        ({"mix": "share", "target_share": 1.0}, {}),
        ({"mix": "natural"}, {"num_proximity": 0}),
        ({"mix": "balanced"}, {"num_proximity": 0}),
    ],
)
def test_without_others_the_enhanced_form_is_the_plain_one(
    knobs: dict[str, Any], data: dict[str, Any]
) -> None:
    """Numeric test 6, bit for bit."""
    plain = trained(mask_materials(classes=OTHERS), mix="target")
    found = trained(mask_materials(classes=OTHERS, **data), **knobs)
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_other_images_make_another_student() -> None:
    plain, pooled = (trained(mask_materials(classes=OTHERS), mix=m) for m in ("target", "natural"))
    assert any(not torch.equal(plain[name], pooled[name]) for name in plain)


# The head


def test_a_copied_head_is_the_teachers_but_for_the_classifier() -> None:
    """Numeric test 3."""
    made = mask_materials(classes=OTHERS)
    assert made.teacher is not None
    before = copied(made.student)
    spirit(made).plan()[0].enter()
    ours, theirs = made.student.state_dict(), made.teacher.state_dict()
    head = [name for name in ours if name.split(".")[1] in ("aspp", "refine")]
    assert head and all(torch.equal(ours[name], theirs[name]) for name in head)
    storages = {value.untyped_storage().data_ptr() for value in theirs.values()}
    assert all(ours[name].untyped_storage().data_ptr() not in storages for name in head)
    assert {name.split(".")[1] for name in differing(made.student, before)} == {"aspp", "refine"}
    assert ours["stages.logits.weight"].shape == (3, 24, 1, 1)


def test_a_random_head_stays_as_it_is() -> None:
    made = mask_materials(classes=OTHERS)
    before = copied(made.student)
    spirit(made, head_start="random").plan()[0].enter()
    assert differing(made.student, before) == set()


def test_without_imitation_the_head_is_copied_onto_a_random_front() -> None:
    made = mask_materials(classes=OTHERS)
    plan = spirit(made, imitation_share=0.0, head_share=0.0).plan()
    assert [phase.name for phase in plan] == ["fine_tuning"]
    before = copied(made.student)
    plan[0].enter()
    assert any("aspp" in name for name in differing(made.student, before))


def test_the_cut_moves_stages_from_the_head_to_the_front() -> None:
    made = mask_materials(classes=OTHERS)
    plan = phases(spirit(made, cut="aspp"))
    plan["imitation"].enter()
    before = copied(made.student)
    take_steps(plan["imitation"], 2)
    parts = {name.split(".")[1] for name in differing(made.student, before)}
    assert "aspp" in parts and not parts & {"refine", "logits"}


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"cut": "stage9"}, "no stage of the student; it has: stem, stage1"),
        ({"cut": "stage3"}, "gives 72 x 4 x 8, the teacher's 128 x 4 x 8"),
        ({"imitation_share": 0.8, "head_share": 0.3}, "= 1.1, more than all epochs"),
    ],
)
def test_what_does_not_fit_is_refused(knobs: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told) as error:
        spirit(**knobs)
    assert error.value.where


def test_too_few_epochs_to_imitate_are_refused() -> None:
    made = mask_materials(classes=OTHERS, schedule=NINETEEN.model_copy(update={"epochs": 1}))
    with pytest.raises(SpecError, match="1 epochs are too few") as error:
        spirit(made).plan()
    assert error.value.where == "schedule.epochs"
    assert [one.name for one in spirit(made, imitation_share=0.0).plan()] == ["fine_tuning"]


def test_knobs_without_effect_are_named() -> None:
    assert set(spirit().idle_knobs) == {"target_share"}
    assert set(spirit(mix="share").idle_knobs) == set()
    made = mask_materials(classes=OTHERS, num_proximity=0)
    assert set(spirit(made, mix="share").idle_knobs) == {"mix", "target_share"}
    idle = spirit(imitation_share=0.0).idle_knobs
    assert set(idle) == {"mix", "target_share", "imitation_lr", "distance"}
    untuned = spirit(imitation_share=0.5, head_share=0.5).idle_knobs
    assert set(untuned) == {"target_share", "fine_tuning_rate", "front_rate"}


# Distances


def test_the_distance_is_the_mean_square_whatever_the_size() -> None:
    """Numeric test 10."""
    teacher = torch.rand(3, 4, 2, 5)
    assert mean_square(teacher, teacher).tolist() == [0, 0, 0]
    for shape in ((1, 2, 3, 4), (5, 1, 1, 1)):
        ones = torch.ones(shape)
        assert mean_square(ones, 0 * ones).tolist() == [1.0] * shape[0]
        assert mean_square(3 * ones, ones).tolist() == [4.0] * shape[0]
    student = torch.rand(1, 4, 2, 5, requires_grad=True)
    mean_square(student, teacher[:1]).sum().backward()
    expected = 2 * (student.detach() - teacher[:1]) / student.numel()
    assert torch.allclose(student.grad, expected)


def test_the_cosine_sees_directions_only() -> None:
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    maps = torch.stack([first, second], dim=1)[None, :, None, :]  # (1, 2, 1, 2), by place
    assert cosine(3 * maps, maps).tolist() == pytest.approx([0.0], abs=1e-6)
    assert cosine(maps.flip(1), maps).tolist() == pytest.approx([1.0])
    assert cosine(-maps, maps).tolist() == pytest.approx([2.0])


def test_each_channel_is_measured_in_its_own_unit() -> None:
    teacher = torch.tensor([[[[0.0, 2.0]], [[0.0, 200.0]], [[0.0, 0.0]]]])  # deviations 1, 100, 0
    gap = torch.tensor([1.0, 100.0, 3.0])[None, :, None, None]
    assert normalised(teacher + gap, teacher).tolist() == pytest.approx([(1 + 1 + 9) / 3])


@pytest.mark.parametrize("name", DISTANCES)
def test_a_distance_is_finite_and_leaves_the_teacher_alone(name: str) -> None:
    teacher = torch.zeros(2, 3, 4, 4)
    student = torch.zeros(2, 3, 4, 4, requires_grad=True)
    loss = DISTANCES[name](student, teacher)
    assert loss.shape == (2,)
    loss.sum().backward()
    assert torch.isfinite(student.grad).all()
    made = mask_materials(classes=OTHERS)
    told = take_steps(phases(spirit(made, distance=name))["imitation"], 2)
    steps = [event for event in told if isinstance(event, StepTaken)]
    assert all(math.isfinite(v) for event in steps for v in event.terms.values())


def test_a_silent_student_is_as_far_as_the_teacher_is_long() -> None:
    """Numeric test 11."""
    theirs = torch.rand(2, 3, 4, 4) * 50
    assert float(gap_ratio(torch.zeros_like(theirs), theirs)) == 1.0
    assert float(gap_ratio(theirs, theirs)) == 0.0
    assert float(gap_ratio(1.5 * theirs, theirs)) == pytest.approx(0.25)
    assert math.isfinite(float(gap_ratio(theirs, 0 * theirs)))


def test_a_random_front_is_nearly_silent_and_the_distance_adds_up_over_batches() -> None:
    made = mask_materials(classes=OTHERS)
    assert made.pools is not None and made.teacher is not None
    data, fronts = made.pools.data, Fronts(made.student, made.teacher, "stage4", False)
    found = [
        feature_distance(
            fronts,
            evaluation_batches(data.validation, data, batch=size, device=torch.device("cpu")),
        )
        for size in (2, 6)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert made.student.training
    with torch.no_grad():
        for stage in fronts.front:
            for parameter in stage.parameters():
                parameter.zero_()
    batches = evaluation_batches(data.validation, data, batch=6, device=torch.device("cpu"))
    assert feature_distance(fronts, batches) == pytest.approx(1.0)


def test_the_held_out_distance_is_told_while_the_front_imitates() -> None:
    made = mask_materials(classes=OTHERS)
    assert made.pools is not None
    data, method = made.pools.data, spirit(made)
    batches = [*evaluation_batches(data.validation, data, batch=6, device=torch.device("cpu"))]
    assert set(method.figures("imitation", made.student, batches)) == {"feature_distance"}
    assert method.figures("head", made.student, batches) == {}


# Labels


def test_a_batch_without_labels_costs_nothing() -> None:
    """Numeric test 12."""
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = task_loss(logits, torch.full((2, 8, 8), VOID))
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


def test_the_task_loss_is_the_mean_over_told_pixels_of_resized_logits() -> None:
    logits = torch.randn(2, 3, 4, 4)
    target = torch.randint(0, 3, (2, 8, 8))
    target[0, :3] = VOID
    large = F.interpolate(logits, (8, 8), mode="bilinear", align_corners=False)
    told = target != VOID
    expected = F.cross_entropy(large.permute(0, 2, 3, 1)[told], target[told])
    assert torch.allclose(task_loss(logits, target), expected)
    assert torch.allclose(task_loss(large, target), expected)


def test_soft_labels_of_pixels_are_those_of_images() -> None:
    ours, theirs = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2)
    flat = [one.permute(0, 2, 3, 1).reshape(-1, 3) for one in (ours, theirs)]
    log_ours, share = F.log_softmax(flat[0] / 2, dim=1), F.softmax(flat[1] / 2, dim=1)
    expected = 4 * (share * (share.log() - log_ours)).sum(dim=1).mean()
    assert torch.allclose(soft_loss(ours, theirs, 2.0), expected)
    assert soft_loss(theirs, theirs, 2.0).item() == pytest.approx(0, abs=1e-6)


def test_the_teacher_is_frozen_bit_for_bit() -> None:
    """Numeric test 1 stands in the contract tests; here with a head of other classes."""
    made = mask_materials(classes=OTHERS)
    assert made.teacher is not None
    before = copied(made.teacher)
    for index, phase in enumerate(spirit(made).plan()):
        take_steps(phase, 2, index=index)
    assert differing(made.teacher, before) == set()
    assert freeze(made.teacher) is made.teacher
