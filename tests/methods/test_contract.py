"""What every registered method and policy keeps, without being named."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import tiny
import tiny_masks
import torch

from engine.distillers import DISTILLERS
from engine.events import SpotsChosen, StepTaken
from engine.methods import METHODS, POLICIES, Materials, Method

from .conftest import build, copied, differing, materials_for, take_steps

DEPLOYS = ("simkd",)  # distillers that change the student for good


def cases() -> list[Any]:
    found = []
    for method in METHODS:
        needs = method.facts["needs"]
        allowed = method.facts.get("distillers") or [entry.name for entry in DISTILLERS]
        distillers = allowed if "distiller" in needs else [None]
        policies = [entry.name for entry in POLICIES] if "policy" in needs else [None]
        if "policy" in method.facts.get("may", ()):
            policies = [None, "learned"]
        for distiller, policy in itertools.product(distillers, policies):
            name = "-".join(filter(None, (method.name, distiller, policy)))
            found.append(pytest.param((method.name, distiller, policy), id=name))
    return found


@pytest.fixture(params=cases())
def case(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def given(case: Any) -> Materials:
    return materials_for(*case)


@pytest.fixture
def method(case: Any, given: Materials) -> Method:
    return build(given, case[0])


def test_the_plan_is_known_before_the_first_step(method: Method) -> None:
    plan = method.plan()
    assert plan
    names = [phase.name for phase in plan]
    assert len(set(names)) == len(names)
    assert all(phase.epochs >= 1 and phase.data.steps >= 1 for phase in plan)
    assert plan[-1].is_measured
    again = method.plan()
    assert [(one.name, one.epochs) for one in again] == [(one.name, one.epochs) for one in plan]


def test_the_teacher_is_the_same_bit_for_bit_after_every_phase(
    method: Method, given: Materials
) -> None:
    if given.teacher is None:
        pytest.skip("nobody teaches")
    before = copied(given.teacher)
    for index, phase in enumerate(method.plan()):
        take_steps(phase, 2, index=index)
        assert differing(given.teacher, before) == set(), phase.name
        assert all(p.grad is None for p in given.teacher.parameters())
        assert not given.teacher.training


def test_each_parameter_has_one_learner_and_the_teacher_has_none(
    method: Method, given: Materials
) -> None:
    own = {id(p) for p in method.modules.parameters()}
    for phase in method.plan():
        lesson = phase.begin()
        owned = [id(p) for learner in lesson.learners for p in learner.parameters]
        assert len(set(owned)) == len(owned)
        assert set(owned) <= own, "what learns is kept in checkpoints"
        assert len({learner.name for learner in lesson.learners}) == len(lesson.learners)
    if given.teacher is not None:
        assert own.isdisjoint(id(p) for p in given.teacher.parameters())


def test_beginning_a_phase_changes_no_weight(method: Method) -> None:
    before = copied(method.modules)
    for phase in method.plan():
        phase.begin()
        assert differing(method.modules, before) == set()


def test_entering_and_training_change_no_name_and_no_shape(method: Method) -> None:
    before = {name: value.shape for name, value in method.modules.state_dict().items()}
    for index, phase in enumerate(method.plan()):
        take_steps(phase, 1, index=index)
    assert {name: value.shape for name, value in method.modules.state_dict().items()} == before


def test_the_student_moves_and_keeps_the_names_of_the_plain_net(
    method: Method, given: Materials, case: Any
) -> None:
    before = copied(given.student)
    for index, phase in enumerate(method.plan()):
        take_steps(phase, 1, index=index)
    assert any(name.endswith("weight") for name in differing(given.student, before))
    of_masks = METHODS[case[0]].facts.get("task") == "segment"
    maker = tiny_masks if of_masks else tiny
    plain = maker.net(maker.STUDENT).state_dict()
    deployed = method.nets["student"].state_dict()
    if case[1] in DEPLOYS:
        assert set(deployed) != set(plain)
        return
    assert [(k, v.shape) for k, v in deployed.items()] == [(k, v.shape) for k, v in plain.items()]


def test_spots_are_named_and_every_choice_speaks_of_them(method: Method, case: Any) -> None:
    assert len(set(method.spots)) == len(method.spots)
    assert bool(method.spots) == (case[2] is not None)
    chosen = [
        event
        for index, phase in enumerate(method.plan())
        for event in take_steps(phase, 2, index=index)
        if isinstance(event, SpotsChosen)
    ]
    assert bool(chosen) == bool(method.spots)
    assert all(tuple(event.share) == method.spots for event in chosen)
    assert all(0 <= share <= 1 for event in chosen for share in event.share.values())


def test_the_same_seed_gives_the_same_losses_and_weights(case: Any) -> None:
    def trained() -> tuple[list[Any], dict[str, torch.Tensor]]:
        made = build(materials_for(*case), case[0])
        told = []
        for index, phase in enumerate(made.plan()):
            told += take_steps(phase, 3, index=index)
        return told, copied(made.modules)

    (first, weights), (second, others) = trained(), trained()
    assert first == second
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    steps = [event for event in first if isinstance(event, StepTaken)]
    assert all(math.isfinite(value) for event in steps for value in event.terms.values())


def test_a_copy_made_of_the_modules_goes_on_alike(case: Any, given: Materials) -> None:
    first = build(given, case[0])
    for index, phase in enumerate(first.plan()):
        take_steps(phase, 2, index=index)
    other = build(given, case[0])
    other.modules.load_state_dict(first.modules.state_dict())


@pytest.mark.parametrize("name", [entry.name for entry in POLICIES])
def test_a_policy_decides_for_each_sample_and_spot(name: str) -> None:
    torch.manual_seed(1)
    policy = POLICIES[name].make(10, 3, False)
    decision = policy(torch.randn(40, 10))
    assert decision.route.shape == decision.kept.shape == decision.probability.shape == (40, 3)
    assert decision.kept.dtype == torch.bool
    assert set(decision.route.unique().tolist()) <= {0.0, 1.0}
    assert ((decision.probability >= 0) & (decision.probability <= 1)).all()
    assert not decision.probability.requires_grad
    assert decision.route.requires_grad == policy.learns == any(True for _ in policy.parameters())


@pytest.mark.parametrize("name", [entry.name for entry in POLICIES])
def test_a_policy_draws_from_a_generator_of_its_own(name: str) -> None:
    policy = POLICIES[name].make(10, 3, True)
    features = torch.randn(40, 10)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = policy(features)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(policy(features).kept, first.kept), "one step, one draw"
    torch.manual_seed(6)
    other = policy(features).kept
    assert name in ("all", "none") or len(other) == 40


@pytest.mark.parametrize("name", [entry.name for entry in POLICIES])
def test_as_often_as_a_policy_says_so_a_sample_is_kept(name: str) -> None:
    torch.manual_seed(2)
    policy = POLICIES[name].make(4, 2, False)
    decision = policy(torch.randn(20_000, 4))
    share, expected = decision.kept.float().mean(dim=0), decision.probability.mean(dim=0)
    assert torch.allclose(share, expected, atol=3 * 0.5 / math.sqrt(20_000))
