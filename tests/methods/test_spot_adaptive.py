"""Numeric tests 1 to 9, 13 to 16 and 18 to 20 of the design of spot-adaptive distillation."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.batch import Batch
from engine.distillers import DISTILLERS
from engine.distillers.base import Spot
from engine.errors import SpecError
from engine.methods import Materials
from engine.methods.base import begin_distilling
from engine.methods.spot_adaptive import SpotAdaptive
from engine.methods.spot_graft import Graft
from engine.methods.spot_policy import Decision, Learned
from engine.nets import taps_of
from engine.nets.freeze import freeze
from engine.nets.staged import StagedNet
from engine.seeding import seed_for
from engine.training.phase import Chosen, Descend, Lesson

from .conftest import FewBatches, build, copied, differing, materials, take_steps
from .dense_graft import routed

SPOTS = (Spot("stage1", "stage1"), Spot("stage2", "stage2"), Spot("stage3", "stage3"))
DRAW = 11  # the seed of a step taken by hand
ALL_DISTILLERS = [entry.name for entry in DISTILLERS]


def grown(net: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Norms with statistics and shifts, so that no two layers are alike."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            with torch.no_grad():
                module.bias.uniform_(0, 0.3, generator=generator)
    return net


@pytest.fixture
def student() -> StagedNet:
    return grown(tiny.net("tiny_net_4_3", seed=1), 1).eval()


@pytest.fixture
def teacher() -> StagedNet:
    return freeze(grown(tiny.net("tiny_net_6_3", seed=2), 2))


@pytest.fixture
def graft(student: StagedNet, teacher: StagedNet) -> Graft:
    torch.manual_seed(3)
    return grown(Graft(SPOTS, student.taps(), teacher.taps()), 3).eval()


def method_of(made: Materials, **knobs: Any) -> SpotAdaptive:
    found = build(made, **knobs)
    assert isinstance(found, SpotAdaptive)
    return found


def lesson_of(method: SpotAdaptive) -> Lesson:
    return method.plan()[-1].begin()


def stepped(method: SpotAdaptive, batch: Batch, *, number: int = 0) -> list[Any]:
    """One step by hand: losses are asked for, nothing moves."""
    lesson = lesson_of(method)
    torch.manual_seed(DRAW)
    return [*lesson.step(batch, number)]


def parts(items: list[Any]) -> tuple[Chosen, list[Descend]]:
    return items[0], [item for item in items if isinstance(item, Descend)]


def route_through(
    graft: Graft, student: StagedNet, teacher: StagedNet, image: Tensor, route: Tensor
) -> Tensor:
    return graft(student, graft.lecture(teacher, image, is_routed=True), image, route)


# 1 to 4: the routed net


def test_a_route_of_zeros_is_the_student_and_of_ones_the_teacher(
    graft: Graft, student: StagedNet, teacher: StagedNet
) -> None:
    image = tiny.batch_of(5).image
    with torch.no_grad():
        assert torch.equal(
            route_through(graft, student, teacher, image, torch.zeros(5, 4)), student(image)
        )
        assert torch.equal(
            route_through(graft, student, teacher, image, torch.ones(5, 4)), teacher(image)
        )


@pytest.mark.parametrize("training", [False, True])
def test_rows_do_not_touch_each_other(
    graft: Graft, student: StagedNet, teacher: StagedNet, training: bool
) -> None:
    image = tiny.batch_of(6).image
    route = (torch.arange(6) % 2).float()[:, None].expand(-1, 4)
    with torch.no_grad():
        routed = route_through(graft.train(training), student, teacher, image, route)
        assert torch.equal(routed[0::2], student(image)[0::2])
        assert torch.equal(routed[1::2], teacher(image)[1::2])


def test_one_feature_spot_gives_the_two_hybrids(student: StagedNet, teacher: StagedNet) -> None:
    spot = Spot("stage2", "stage2")
    graft = Graft((spot,), student.taps(), teacher.taps()).eval()
    image = tiny.batch_of(4).image
    with torch.no_grad():
        ours = student.resume(image, after=None, until="stage2")
        theirs = teacher.resume(image, after=None, until="stage2")
        down = student.resume(graft.down[0](theirs), after="stage2", until="logits")
        up = teacher.resume(graft.up[0](ours), after="stage2", until="logits")
        for route, expected in (((1.0, 0.0), down), ((0.0, 1.0), up)):
            rows = torch.tensor([route]).expand(4, -1)
            found = route_through(graft, student, teacher, image, rows)
            assert torch.allclose(found, expected, atol=1e-5)


def test_every_route_is_what_following_it_backwards_gives(
    graft: Graft, student: StagedNet, teacher: StagedNet
) -> None:
    codes = [*itertools.product((0, 1), repeat=4)]
    image = tiny.batch_of(1).image
    ends = ("stage1", "stage2", "stage3", "logits")

    def output(net: StagedNet, segment: int, code: tuple[int, ...]) -> Tensor:
        """What one net's segment gives, from the signal that the code leads into it."""
        after = ends[segment - 1] if segment else None
        return net.resume(given(net, segment, code), after=after, until=ends[segment])

    def given(net: StagedNet, segment: int, code: tuple[int, ...]) -> Tensor:
        if segment == 0:
            return image
        source = teacher if code[segment - 1] else student
        signal = output(source, segment - 1, code)
        if source is net:
            return signal
        adapters = graft.up if net is teacher else graft.down
        return adapters[segment - 1](signal)

    with torch.no_grad():
        images = image.expand(16, -1, -1, -1)
        found = route_through(graft, student, teacher, images, torch.tensor(codes).float())
        for row, code in enumerate(codes):
            expected = output(teacher if code[-1] else student, 3, code)
            assert torch.allclose(found[row], expected[0], atol=1e-5), code


def test_segments_in_sequence_are_the_whole_net(teacher: StagedNet) -> None:
    image = tiny.batch_of(3).image
    with torch.no_grad():
        for cut in teacher.cuts:
            hidden = teacher.resume(image, after=None, until=cut)
            assert torch.equal(teacher.resume(hidden, after=cut, until="logits"), teacher(image))


def test_spots_out_of_order_are_refused(student: StagedNet, teacher: StagedNet) -> None:
    crossed = (Spot("stage1", "stage2"), Spot("stage2", "stage1"))
    with pytest.raises(SpecError, match="follow the stages"):
        Graft(crossed, student.taps(), teacher.taps())


# The lean routed pass against the plain one


def grads_of(
    run: Any, graft: Graft, route: Tensor, target: Tensor
) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Logits, gradients of route and adapters, and the adapters' statistics after the pass."""
    twin = copy.deepcopy(graft).train()
    leaf = route.clone().requires_grad_(True)
    logits = run(twin, leaf)
    inputs = [leaf, *twin.parameters()]
    found = torch.autograd.grad(
        F.cross_entropy(logits, target), inputs, allow_unused=True, materialize_grads=True
    )
    names = [name for name, _ in twin.named_parameters()]
    return logits.detach(), found[0], dict(zip(names, found[1:], strict=True)), copied(twin)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("spots", [(), SPOTS[:1], SPOTS[1:], SPOTS])
def test_the_lean_pass_gives_the_gradients_of_the_plain_one(
    student: StagedNet, teacher: StagedNet, spots: tuple[Spot, ...], share: float
) -> None:
    torch.manual_seed(3)
    graft = grown(Graft(spots, student.taps(), teacher.taps()), 3)
    batch = tiny.batch_of(12)
    draw = torch.rand(12, len(spots) + 1, generator=torch.Generator().manual_seed(4))
    route = (draw < share).float()

    def lean(twin: Graft, leaf: Tensor) -> Tensor:
        return route_through(twin, student, teacher, batch.image, leaf)

    def plain(twin: Graft, leaf: Tensor) -> Tensor:
        return routed(twin, student, teacher, batch.image, leaf)

    (logits, by_route, by_adapter, left), (*expected, right) = (
        grads_of(run, graft, route, batch.target) for run in (lean, plain)
    )
    assert torch.allclose(logits, expected[0], atol=1e-5)
    assert torch.allclose(by_route, expected[1], atol=1e-6, rtol=1e-4)
    assert by_route.abs().sum() > 0
    for name, gradient in expected[2].items():
        assert torch.allclose(by_adapter[name], gradient, atol=1e-6, rtol=1e-4), name
    assert all(torch.allclose(left[name], right[name]) for name in right)
    assert all(p.grad is None for net in (student, teacher) for p in net.parameters())


@pytest.mark.parametrize(
    ("route", "runs"),
    [
        ([[1, 1, 1, 1]] * 6, 1),  # nobody leaves the teacher
        ([[1, 1, 1, 1]] * 5 + [[1, 0, 1, 1]], 2),  # one image does: the last map and logits
        ([[0, 1, 1, 1]] * 6, 2),
    ],
)
def test_the_teacher_runs_again_only_for_those_who_left_it(
    graft: Graft,
    student: StagedNet,
    teacher: StagedNet,
    monkeypatch: pytest.MonkeyPatch,
    route: list[list[int]],
    runs: int,
) -> None:
    seen: list[int] = []
    stage = teacher.get_submodule("stages.stage3.relu")
    forward = stage.forward

    def counted(feature: Tensor) -> Tensor:
        seen.append(len(feature))
        return forward(feature)

    monkeypatch.setattr(stage, "forward", counted)
    image = tiny.batch_of(6).image
    route_through(graft, student, teacher, image, torch.tensor(route).float())
    left = sum(row[:2] != [1, 1] for row in route)
    assert len(seen) == runs
    assert seen[1:] == ([left] if left else [])


# 5: the policy


def policy_of(bias: tuple[float, float], temperature: float = 5.0) -> Learned:
    policy = Learned(1, 1, False, gumbel_temperature=temperature)
    with torch.no_grad():
        policy.head.weight.zero_()
        policy.head.bias.copy_(torch.tensor(bias))
    return policy


@pytest.mark.parametrize("temperature", [0.3, 5.0, 40.0])
def test_a_choice_is_as_probable_as_the_sigmoid_says(temperature: float) -> None:
    torch.manual_seed(4)
    decision = policy_of((1.0, 0.0), temperature)(torch.zeros(200_000, 1))
    expected = 1 / (1 + math.exp(-1))
    assert decision.kept.float().mean().item() == pytest.approx(expected, abs=0.003)
    assert torch.allclose(decision.probability, torch.tensor(expected))


def test_the_gradient_is_that_of_the_soft_choice() -> None:
    temperature = 2.0
    policy = Learned(2, 1, False, gumbel_temperature=temperature)
    policy.head = torch.nn.Identity()
    scores = torch.randn(500, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    torch.manual_seed(8)
    decision = policy(scores)
    decision.route.sum().backward()
    generator = torch.Generator().manual_seed(seed_for(8, "policy"))
    noise = -torch.empty(500, 1, 2).exponential_(generator=generator).log()
    soft = ((scores.detach() + noise[:, 0]) / temperature).softmax(dim=1)[:, 0]
    expected = soft * (1 - soft) / temperature
    assert torch.allclose(scores.grad[:, 0], expected, atol=1e-6)
    assert torch.allclose(scores.grad[:, 1], -expected, atol=1e-6)
    assert scores.grad.abs().max() <= 1 / (4 * temperature) + 1e-7
    assert torch.equal(decision.kept[:, 0], soft > 0.5)
    assert torch.equal(decision.route, decision.kept.float()), "zeros and ones to the last bit"


# 6, 13, 14: the objective


def test_the_gradient_of_the_route_is_that_of_finite_differences() -> None:
    method = method_of(materials(student="tiny_net_4_3", teacher="tiny_net_6_3"), gamma=2.0)
    student, teacher = method._materials.student.eval(), method._teacher
    graft, batch = method.graft.eval(), tiny.batch_of(4)
    student_task = torch.tensor(1.0)

    def objective(route: Tensor) -> Tensor:
        routed = route_through(graft, student, teacher, batch.image, route)
        return method.objective(F.cross_entropy(routed, batch.target), student_task, route)

    route = torch.rand(4, 4, generator=torch.Generator().manual_seed(1)) * 0.3 + 0.1
    route.requires_grad_(True)
    (found,) = torch.autograd.grad(objective(route), route)
    small = 0.02
    with torch.no_grad():
        for row, spot in itertools.product(range(4), range(4)):
            step = torch.zeros(4, 4)
            step[row, spot] = small
            slope = (objective(route + step) - objective(route - step)) / (2 * small)
            assert found[row, spot].item() == pytest.approx(slope.item(), rel=1e-2, abs=2e-4)


def test_the_gradient_at_the_logits_is_the_gap_of_the_logits_and_the_hinge() -> None:
    method = method_of(materials())
    batch = tiny.batch_of(4)
    student, teacher = method._materials.student.eval(), method._teacher
    for chosen in (0.0, 1.0):
        route = torch.zeros(4, len(method.spots))
        route[:, -1] = chosen
        route.requires_grad_(True)
        routed = route_through(method.graft.eval(), student, teacher, batch.image, route)
        routed.retain_grad()
        task = F.cross_entropy(routed, batch.target)
        method.objective(task, task.detach(), route).backward()
        with torch.no_grad():
            ours = student.resume(batch.image, after=None, until="logits")
            between = teacher.resume(  # the features come from the student
                method.graft.up[-1](
                    student.resume(batch.image, after=None, until=method.graft.spots[-1].student)
                ),
                after=method.graft.spots[-1].teacher,
                until="logits",
            )
            by_hand = (routed.grad * (between - ours)).sum(dim=1) - float(chosen == 0)
        assert torch.allclose(route.grad[:, -1], by_hand, atol=1e-5)


@pytest.mark.parametrize(
    ("chosen", "value", "slope"), [(0, 4.0, -1.0), (3, 1.0, -1.0), (4, 0.0, None), (6, 0.0, 0.0)]
)
def test_the_hinge_asks_for_half_of_the_batch(
    chosen: int, value: float, slope: float | None
) -> None:
    method = method_of(materials())
    route = torch.zeros(8, len(method.spots))
    route[:chosen, -1] = 1
    route[:, 0] = 1  # feature spots have no quota
    route.requires_grad_(True)
    zero = torch.zeros(())
    hinge = method.objective(zero, zero, route)
    assert hinge.item() == value
    hinge.backward()
    if slope is not None:
        assert route.grad[:, -1].tolist() == [slope] * 8
    assert route.grad[:, 0].tolist() == [0.0] * 8


def test_no_quota_means_no_hinge() -> None:
    method = method_of(materials(), quota=0.0)
    zero = torch.zeros(())
    assert method.objective(zero, zero, torch.zeros(8, 3)).item() == 0


@pytest.mark.parametrize(("routed", "w"), [(2.0, 3.0), (0.5, 1 / 3), (1.0, 1.0)])
def test_gamma_punishes_a_routed_net_that_is_worse(routed: float, w: float) -> None:
    task, route = torch.tensor(routed, requires_grad=True), torch.ones(2, 3)
    for gamma, factor in ((3.0, w), (1.0, 1.0)):
        method = method_of(materials(), gamma=gamma)
        loss = method.objective(task, torch.tensor(1.0), route)
        assert loss.item() == pytest.approx(factor * routed)
        (slope,) = torch.autograd.grad(loss, task)
        assert slope.item() == pytest.approx(factor)


# 7 and 8: one step


def test_one_step_moves_student_policy_and_the_crossed_adapters_alone() -> None:
    made = materials(batches=FewBatches(batch=16))
    method = method_of(made)
    before, taught = copied(method.modules), copied(made.teacher)
    take_steps(method.plan()[-1], 1)
    moved = differing(method.modules, before)
    assert {name.split(".")[0] for name in moved} == {"student", "policy", "graft"}
    assert {name for name in before if name.startswith(("policy", "graft.up.0"))} <= moved
    assert differing(made.teacher, taught) == set()


def test_the_students_loss_gives_no_gradient_to_policy_and_adapters() -> None:
    method = method_of(materials(distiller="fitnet"))
    _, (own, routed) = parts(stepped(method, tiny.batch_of()))
    own.loss.backward()
    for name in ("policy", "graft"):
        assert all(p.grad is None for p in method.modules[name].parameters())
    assert any(p.grad is not None for p in method.modules["distiller"].parameters())
    method.modules.zero_grad(set_to_none=True)
    routed.learner.backward(routed.loss)
    assert all(p.grad is None for p in method.modules["student"].parameters())
    assert all(p.grad is None for p in method.modules["distiller"].parameters())
    assert any(p.grad is not None for p in method.modules["policy"].parameters())


def test_the_student_moves_the_same_with_and_without_the_routed_pass() -> None:
    def moved(every: int) -> dict[str, Tensor]:
        made = materials(distiller="fitnet")
        method = method_of(made, policy_every=every, policy_lr=1e-12, adapter_lr=1e-12)
        lesson = lesson_of(method)
        torch.manual_seed(2)
        for item in lesson.step(tiny.batch_of(), 1):  # of every second step this is none
            if isinstance(item, Descend):
                item.learner.backward(item.loss)
        for learner in lesson.learners:
            learner.move()
        return copied(made.student)

    routed, plain = moved(1), moved(2)
    assert all(torch.equal(routed[name], plain[name]) for name in plain)


def test_the_students_statistics_see_a_batch_once() -> None:
    made = materials()
    plain = tiny.net(tiny.STUDENT, seed=1).train()
    method, batch = method_of(made), tiny.batch_of()
    plain(batch.image)
    stepped(method, batch)
    expected = dict(plain.named_buffers())
    for name, found in made.student.named_buffers():
        assert torch.equal(found, expected[name]), name
    assert made.student.training


def test_the_policy_sees_detached_embeddings_of_teacher_and_student(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = materials()
    method, batch, seen = method_of(made), tiny.batch_of(), []
    real = method.policy.forward

    def watching(features: Tensor) -> Decision:
        seen.append(features)
        return real(features)

    monkeypatch.setattr(method.policy, "forward", watching)
    stepped(method, batch)
    with torch.no_grad():
        theirs = made.teacher.trace(batch.image)["embedding"]
        ours = tiny.net(tiny.STUDENT, seed=1).train().trace(batch.image)["embedding"]
    (features,) = seen
    assert torch.equal(features, torch.cat([theirs, ours], dim=1))
    assert not features.requires_grad


def test_the_student_is_back_in_training_mode_after_an_error_in_the_routed_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = materials()
    method = method_of(made)

    def failing(*given: Any) -> Tensor:
        assert not made.student.training
        raise RuntimeError("no memory")

    monkeypatch.setattr(method.graft, "forward", failing)
    with pytest.raises(RuntimeError, match="no memory"):
        stepped(method, tiny.batch_of())
    assert made.student.training


# 9: the loss


def fixed(method: SpotAdaptive, monkeypatch: pytest.MonkeyPatch, kept: Tensor) -> None:
    decision = Decision(kept.float(), kept, kept.float())
    monkeypatch.setattr(method.policy, "forward", lambda features: decision)


@pytest.mark.parametrize("name", ALL_DISTILLERS)
def test_nothing_kept_leaves_the_task_loss_exactly(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, batch = method_of(materials(distiller=name, policy="none")), tiny.batch_of()
    student = copy.deepcopy(method.nets["student"])  # as it is deployed
    _, (own,) = parts(stepped(method, batch))
    assert torch.equal(own.loss, own.terms["task"])
    expected = F.cross_entropy(student.train()(batch.image), batch.target).item()
    assert own.terms["task"].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ALL_DISTILLERS)
def test_everything_kept_is_ordinary_distillation(name: str) -> None:
    made = materials(distiller=name, policy="all")
    method, batch = method_of(made, logits_weight=0.7, task_weight=0.3), tiny.batch_of()
    twin = copy.deepcopy(method.distiller)  # a step may move what is remembered
    student = copy.deepcopy(method.nets["student"]).train()
    _, (own,) = parts(stepped(method, batch))
    begin_distilling(twin)
    with torch.no_grad():
        theirs = made.teacher.trace(batch.image, inside=True)
        ours = student.trace(batch.image, inside=True)
        task = F.cross_entropy(ours["logits"], batch.target).item()
        torch.manual_seed(DRAW)
        pairs = twin.project(ours, theirs)
        feature = sum(float(twin.measure(pair, batch).mean()) for pair in pairs)
        soft = 16 * F.kl_div(
            (ours["logits"] / 4).log_softmax(1),
            (theirs["logits"] / 4).softmax(1),
            reduction="batchmean",
        )
    weight = method.distiller.weight
    if method.spots == ("logits",):
        expected = 0.3 * task + weight * feature
    else:
        expected = 0.3 * task + 0.7 * float(soft) + weight * feature
    assert own.loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ALL_DISTILLERS)
def test_each_spot_has_the_choice_that_belongs_to_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = materials(distiller=name, policy="all")
    method, batch = method_of(made), tiny.batch_of()
    for column, spot in enumerate(method.spots):
        kept = torch.zeros(6, len(method.spots), dtype=torch.bool)
        kept[:, column] = True
        fixed(method, monkeypatch, kept)
        twin = copy.deepcopy(method.distiller)
        student = copy.deepcopy(method.nets["student"]).train()
        _, (own,) = parts(stepped(method, batch))
        begin_distilling(twin)
        with torch.no_grad():
            torch.manual_seed(DRAW)
            pairs = twin.project(
                student.trace(batch.image, inside=True),
                made.teacher.trace(batch.image, inside=True),
            )
        if spot == "logits":
            assert own.terms["logits"] > 0
            assert "feature" not in own.terms or own.terms["feature"] == 0
        else:
            measured = twin.measure(pairs[column], batch).mean()
            weighted = method.distiller.weight * measured.item()
            assert own.terms["feature"].item() == pytest.approx(weighted, rel=1e-5)
            assert own.terms["logits"] == 0


# 15 and 16: the start, and how it wears off


def test_a_pair_of_one_family_begins_as_ordinary_distillation() -> None:
    batch = tiny.batch_of(200)
    method = method_of(materials(is_same_family=True, batches=FewBatches(batch=200)))
    chosen, _ = parts(stepped(method, batch))
    assert (chosen.probability > 0.999).all()
    assert chosen.kept.float().mean() > 1 - 1e-3 - 0.005
    other = method_of(materials(is_same_family=False))
    chosen, _ = parts(stepped(other, tiny.batch_of()))
    assert (chosen.probability < 0.95).all()


def test_while_all_is_kept_the_student_learns_as_with_ordinary_distillation() -> None:
    def moved(policy: str) -> dict[str, Tensor]:
        made = materials(policy=policy, is_same_family=True)
        knobs = {"warm_start": 50.0} if policy == "learned" else {}
        made = materials(policy=policy, policy_knobs=knobs, is_same_family=True)
        take_steps(method_of(made).plan()[-1], 3)
        return copied(made.student)

    learned, plain = moved("learned"), moved("all")
    assert all(torch.equal(learned[name], plain[name]) for name in plain)


def test_the_policys_learner_has_the_authors_settings() -> None:
    made = materials(lr=0.05)
    lesson = lesson_of(method_of(made))
    student, router = lesson.learners
    assert student.set_rate(0, 0) == 0.05
    assert router.set_rate(0, 0) == 0.025
    for group in router.optimizer.param_groups:
        assert (group["momentum"], group["weight_decay"]) == (0.9, 1e-3)
    own = lesson_of(method_of(made, policy_lr=0.1, adapter_lr=0.2)).learners[1]
    assert [group["lr"] for group in own.optimizer.param_groups] == [0.1, 0.2]


def test_weight_decay_wears_the_warm_start_off() -> None:
    method = method_of(materials(is_same_family=True, lr=0.05))
    router = lesson_of(method).learners[1]
    with torch.no_grad():
        method.policy.head.bias.fill_(10)
    for _ in range(782):
        router.backward(0.0 * method.policy.head.bias.sum())
        router.move()
    assert method.policy.head.bias.mean().item() == pytest.approx(8.24, abs=0.01)


def test_a_policy_may_keep_its_rate_while_the_students_falls() -> None:
    made = materials()
    falling = made.schedule.model_copy(update={"decay": "step", "milestones": (1,)})
    object.__setattr__(made, "schedule", falling)
    for schedule, expected in (("follow", 0.0025), ("constant", 0.025)):
        student, router = lesson_of(method_of(made, policy_schedule=schedule)).learners
        assert student.set_rate(1, 0) == pytest.approx(0.005)
        assert router.set_rate(1, 0) == pytest.approx(expected)


def test_the_policy_learns_at_every_nth_step_only() -> None:
    method = method_of(materials(), policy_every=3)
    lesson = lesson_of(method)
    asked = []
    for number in range(7):
        _, descends = parts([*lesson.step(tiny.batch_of(), number)])
        asked.append([one.learner.name for one in descends])
    plain, routed = ["student"], ["student", "policy"]
    assert asked == [routed, plain, plain, routed, plain, plain, routed]


@pytest.mark.parametrize("name", ALL_DISTILLERS)
def test_what_was_learnt_before_is_frozen_unless_the_student_learnt_with_it(name: str) -> None:
    method = method_of(materials(distiller=name))
    warm_up = method.distiller.warm_up
    if warm_up is None:
        assert [phase.name for phase in method.plan()] == ["distil"]
        return
    first, second = method.plan()
    early = {id(value) for value in warm_up.module.state_dict(keep_vars=True).values()}
    if warm_up.moves_student:
        student = method.nets["student"].state_dict(keep_vars=True)
        early |= {id(value) for value in student.values()}
    state = method.modules.state_dict(keep_vars=True)
    names = {name for name, value in state.items() if id(value) in early}
    before = copied(method.modules)
    take_steps(first, 2)
    moved = differing(method.modules, before)
    assert moved and moved <= names, "the first phase moves nothing else"
    before = copied(method.modules)
    take_steps(second, 2, index=1)
    moved = differing(method.modules, before) & names
    assert moved == (names if warm_up.moves_student else set())
    assert all(p.requires_grad == warm_up.moves_student for p in warm_up.module.parameters())
    assert warm_up.module.training == warm_up.moves_student


@pytest.mark.parametrize("policy", ["all", "none", "random"])
def test_a_policy_that_does_not_learn_costs_no_routed_pass(policy: str) -> None:
    method = method_of(materials(policy=policy))
    _, descends = parts(stepped(method, tiny.batch_of()))
    assert [one.learner.name for one in descends] == ["student"]
    assert not [*method.graft.parameters()]


# 18 to 20


def test_random_choices_are_fair_and_each_spot_has_its_own_coin() -> None:
    method = method_of(materials(policy="random"))
    torch.manual_seed(1)
    kept = method.policy(torch.zeros(40_000, 1)).kept
    three_sigma = 3 * 0.5 / math.sqrt(40_000)
    assert (kept.float().mean(dim=0) - 0.5).abs().max() < three_sigma
    for first, second in itertools.combinations(range(kept.shape[1]), 2):
        agree = (kept[:, first] == kept[:, second]).float().mean().item()
        assert abs(agree - 0.5) < three_sigma


def test_reversed_is_the_exact_complement_of_learned() -> None:
    batch = tiny.batch_of(40)
    learned, turned = (method_of(materials(policy=name)) for name in ("learned", "reversed"))
    (one, one_asks), (other, other_asks) = (
        parts(stepped(method, batch)) for method in (learned, turned)
    )
    assert torch.equal(other.kept, ~one.kept)
    assert torch.allclose(other.probability, 1 - one.probability)
    assert torch.equal(one_asks[1].loss, other_asks[1].loss), "the policy trains as usual"


def test_the_same_seed_gives_the_same_choices() -> None:
    def told(seed: int) -> list[Any]:
        method = method_of(materials())
        phase = method.plan()[-1]
        lesson = phase.begin()
        found = []
        for number, batch in enumerate(phase.data.epoch(0)):
            torch.manual_seed(seed + number)
            for item in lesson.step(batch, number):
                if isinstance(item, Descend):
                    item.learner.backward(item.loss)
                    found.append(item.loss.item())
                else:
                    found.append(item.kept.tolist())
            for learner in lesson.learners:
                learner.move()
        return found

    assert told(1) == told(1)
    assert told(1) != told(2)


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        ("resnet20", "resnet56", {"at": 4, "fitnet": 2, "ft": 2, "rkd": 2, "kd": 1}),
        ("vgg8", "vgg13", {"at": 5, "fitnet": 2, "ft": 2, "rkd": 2, "kd": 1}),
        ("MobileNetV2", "ResNet50", {"at": 5, "fitnet": 2, "ft": 2, "rkd": 2, "kd": 1}),
        ("MobileNetV2", "vgg13", {"at": 5}),
        ("ShuffleNetV1", "wrn_40_2", {"at": 4, "fitnet": 2}),
        ("vgg8", "resnet56", {"at": 4, "ft": 2}),
    ],
)
def test_published_pairs_have_the_published_number_of_spots(
    student: str, teacher: str, expected: dict[str, int]
) -> None:
    taps = [
        taps_of(name, {}, num_classes=100, input_shape=(3, 32, 32)) for name in (student, teacher)
    ]
    for name, count in expected.items():
        with torch.device("meta"):
            setting = materials().setting()
            object.__setattr__(setting, "student", taps[0])
            object.__setattr__(setting, "teacher", taps[1])
            distiller = DISTILLERS[name].make(setting)
            spots = [spot for spot in distiller.spots if spot.student != "logits"]
            Graft(spots, *taps)
        assert len(spots) + 1 == count


def test_a_pair_is_compared_in_float32_and_the_teacher_is_detached() -> None:
    method = method_of(materials())
    grows = torch.randn(2, 8, 8, 8, dtype=torch.float64, requires_grad=True)
    trace = {tap: grows for spot in method.distiller.spots for tap in spot}
    for pair in method.distiller.project(trace, trace):
        kept = pair.select(torch.tensor([1]))
        assert kept.student.dtype == kept.teacher.dtype == torch.float32
        assert pair.student.requires_grad and not pair.teacher.requires_grad
