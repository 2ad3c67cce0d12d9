"""Numeric tests 5 to 7, 10, 12, 17 and 20 of the design of inheritance and exploration.

1 to 4, 8, 9 and 11 are in tests/distillers/test_coder.py, 13 in test_formulas.py there, 14 and 18
in test_mutual.py, 15, 16 and 19 in tests/measures.
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.distillers import DISTILLERS, Distiller, Pair, distil
from engine.errors import SpecError
from engine.events import Event, SpotsChosen, StepTaken
from engine.methods import METHODS, Materials
from engine.methods.base import begin_distilling
from engine.methods.inherit_explore import InheritExplore
from engine.methods.split import Split
from engine.methods.spot_policy import Decision
from engine.nets.staged import Tap
from engine.spec import Schedule
from engine.training.phase import Chosen, Descend, Lesson
from engine.training.schedule import rate_factor

from .conftest import FewBatches, build, copied, differing, materials, take_steps

ALLOWED = METHODS["inherit_explore"].facts["distillers"]
WITH_ENCODERS = ("coder", "ofd")
PARTS = ("inherit", "explore")


def given(distiller: str = "coder", policy: str | None = None, **changes: Any) -> Materials:
    """Small codes, so that the encoders take no time."""
    knobs = {"codes": 6} if distiller == "coder" else {}
    knobs = knobs | dict(changes.pop("distiller_knobs", {}))
    return materials(distiller=distiller, policy=policy, distiller_knobs=knobs, **changes)


def method_of(made: Materials, **knobs: Any) -> InheritExplore:
    found = build(made, "inherit_explore", **knobs)
    assert isinstance(found, InheritExplore)
    return found


def lesson_of(method: InheritExplore) -> Lesson:
    return method.plan()[-1].begin()


def stepped(method: InheritExplore, batch: Batch, *, number: int = 0) -> list[Any]:
    """One step by hand: losses are asked for, nothing moves."""
    lesson = lesson_of(method)
    torch.manual_seed(11)
    return [*lesson.step(batch, number)]


def asked(items: list[Any]) -> list[Descend]:
    return [item for item in items if isinstance(item, Descend)]


def terms_of(method: InheritExplore, *, number: int = 0) -> Mapping[str, Tensor]:
    """The student's terms at one step."""
    return asked(stepped(method, tiny.batch_of(), number=number))[0].terms


def fixed(method: InheritExplore, monkeypatch: pytest.MonkeyPatch, kept: Tensor) -> None:
    decision = Decision(kept.float(), kept, kept.float())
    monkeypatch.setattr(method.policy, "forward", lambda features: decision)


def part_of(method: InheritExplore, name: str) -> Distiller:
    found = method.modules[name]
    assert isinstance(found, Distiller)
    return found


# 5: the split


def taps_of(**channels: int) -> dict[str, Tap]:
    return {name: Tap((count, 3, 2), "map", "relu") for name, count in channels.items()}


def split_of(seed: int = 0, **changes: Any) -> Split:
    knobs: dict[str, Any] = {"ratio": 0.5, "order": "natural"} | changes
    return Split(taps_of(first=7, second=10), ["first", "second"], seed=seed, **knobs)


@pytest.mark.parametrize("order", ["natural", "random"])
@pytest.mark.parametrize("ratio", [0, 0.01, 0.3, 0.5, 0.99, 1])
def test_the_parts_are_disjoint_and_give_the_map_back_bit_for_bit(ratio: float, order: str) -> None:
    split = split_of(ratio=ratio, order=order)
    for tap, count in (("first", 7), ("second", 10)):
        channels = [split.channels(part, tap) for part in PARTS]
        assert sorted(torch.cat(channels).tolist()) == [*range(count)]
        whole = torch.randn(4, count, 3, 2)
        trace = {"first": torch.randn(4, 7, 3, 2), "second": torch.randn(4, 10, 3, 2), tap: whole}
        again = torch.full_like(whole, torch.nan)
        for part, places in zip(PARTS, channels, strict=True):
            again[:, places] = split.see(part, trace)[tap]
        assert torch.equal(again, whole)
        assert (len(channels[0]) == 0, len(channels[1]) == 0) == (ratio == 0, ratio == 1)


@pytest.mark.parametrize(
    ("channels", "ratio", "inherits"),
    [
        *((64, 0.5, 32), (640, 0.5, 320), (7, 0.5, 3), (100, 0.29, 29), (10, 0.7, 7)),
        *((3, 0.01, 1), (3, 0.99, 2), (2, 0.9, 1), (3, 0.0, 0), (3, 1.0, 3), (1, 1.0, 1)),
    ],
)
def test_the_share_is_rounded_down_and_leaves_a_channel_to_each_part(
    channels: int, ratio: float, inherits: int
) -> None:
    split = Split(taps_of(tap=channels), ["tap"], ratio=ratio, order="natural", seed=0)
    assert split.channels("inherit", "tap").tolist() == [*range(inherits)]
    assert split.channels("explore", "tap").tolist() == [*range(inherits, channels)]


def test_a_map_of_one_channel_is_in_one_part_or_refused() -> None:
    with pytest.raises(SpecError, match=r"^tap has one channel: it cannot be split$"):
        Split(taps_of(tap=1), ["tap"], ratio=0.5, order="natural", seed=0)


def test_a_random_split_is_drawn_from_its_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, same, other = (split_of(seed, order="random", ratio=0.4) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert differing(first, copied(same)) == set()
    assert differing(first, copied(other))
    drawn = first.channels("inherit", "second").tolist()
    assert drawn == sorted(drawn) != [0, 1, 2, 3]
    counts = torch.zeros(10)
    for seed in range(400):
        counts[split_of(seed, order="random", ratio=0.4).channels("inherit", "second")] += 1
    three_sigma = 3 * math.sqrt(0.4 * 0.6 / 400)
    assert (counts / 400 - 0.4).abs().max() < three_sigma + 0.01, "no channel is preferred"


def test_two_maps_of_one_width_are_split_apart() -> None:
    split = Split(taps_of(a=40, b=40), ["a", "b"], ratio=0.5, order="random", seed=0)
    assert not torch.equal(split.channels("inherit", "a"), split.channels("inherit", "b"))


def test_a_split_is_kept_with_the_run_whatever_the_seed_of_the_next() -> None:
    first, other = (split_of(seed, order="random") for seed in (1, 2))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for tap in ("first", "second"):
        for part in PARTS:
            assert torch.equal(other.channels(part, tap), first.channels(part, tap))


def test_a_part_has_the_taps_of_the_net_with_fewer_channels_at_those_that_are_split() -> None:
    taps = taps_of(stem=4, first=7, second=10)
    split = Split(taps, ["first"], ratio=0.3, order="natural", seed=0)
    narrow = split.taps("explore", taps)
    assert list(narrow) == list(taps)
    assert narrow["first"] == Tap((5, 3, 2), "map", "relu")
    assert (narrow["stem"], narrow["second"]) == (taps["stem"], taps["second"])
    assert set(split.see("explore", {"first": torch.zeros(1, 7, 3, 2)})) == {"first"}


def test_the_runs_seed_draws_the_split_and_a_checkpoint_brings_it_back() -> None:
    first, same, other = (
        method_of(replace(given(), seed=seed), order="random") for seed in (0, 0, 1)
    )
    before = copied(first.split)
    assert differing(same.split, before) == set()
    assert differing(other.split, before)
    other.modules.load_state_dict(first.modules.state_dict())
    assert differing(other.split, before) == set()
    for phase, index in zip(first.plan(), (0, 1), strict=True):
        take_steps(phase, 2, index=index)
    assert differing(first.split, before) == set()


# What each part is measured on


def leaves(made: Materials) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What both nets see, as leaves."""
    image = tiny.batch_of().image
    with torch.no_grad():
        ours = made.student.train().trace(image, inside=True)
        theirs = made.teacher.trace(image, inside=True)
    return {tap: value.clone().requires_grad_(True) for tap, value in ours.items()}, theirs


@pytest.mark.parametrize("order", ["natural", "random"])
@pytest.mark.parametrize("name", ALLOWED)
def test_no_part_moves_the_channels_of_the_other(name: str, order: str) -> None:
    made = given(name)
    method, batch = method_of(made, ratio=0.4, order=order), tiny.batch_of()
    lesson_of(method)
    for part, other in zip(PARTS, reversed(PARTS), strict=True):
        ours, theirs = leaves(made)
        distiller = part_of(method, part)
        kept = torch.ones(len(batch), len(distiller.spots), dtype=torch.bool)
        measure = distiller.repel if part == "explore" else None
        pairs = distiller.project(method.split.see(part, ours), theirs)
        distil(distiller, pairs, batch, kept, measure).sum().backward()
        for spot in distiller.spots:
            gradient = ours[spot.student].grad
            assert gradient[:, method.split.channels(other, spot.student)].abs().max() == 0
            assert gradient[:, method.split.channels(part, spot.student)].abs().sum() > 0


def test_the_loss_is_that_of_the_authors_written_out() -> None:
    made = given(distiller_knobs={"weight": 30.0})
    method, batch = method_of(made, explore_weight=20.0, task_weight=0.7), tiny.batch_of()
    encoders = [copy.deepcopy(part_of(method, part).encoder).train() for part in PARTS]
    teachers = copy.deepcopy(part_of(method, "inherit").auto_encoder[0]).eval()
    (own,) = asked(stepped(method, batch))
    with torch.no_grad():
        ours = tiny.net(tiny.STUDENT, seed=1).train().trace(batch.image)
        code = teachers(made.teacher.trace(batch.image)["stage2"]).flatten(1)
        feature = ours["stage2"]
        gaps = []
        for encoder, channels in zip(encoders, (range(6), range(6, 12)), strict=True):
            factor = encoder(feature[:, list(channels)]).flatten(1)
            gap = factor / factor.norm(dim=1, keepdim=True) - code / code.norm(dim=1, keepdim=True)
            gaps.append(gap.abs().mean().item())
        task = F.cross_entropy(ours["logits"], batch.target).item()
    expected = {
        "task": 0.7 * task,
        "inherit": 30 * gaps[0],
        "explore": -20 * gaps[1],
        "inherit distance": gaps[0],
        "explore distance": gaps[1],
    }
    assert {name: value.item() for name, value in own.terms.items()} == pytest.approx(
        expected, rel=1e-5
    )
    parts = sum(expected[name] for name in ("task", *PARTS))
    assert own.loss.item() == pytest.approx(parts, rel=1e-5)


@pytest.mark.parametrize("name", ALLOWED)
def test_inheritance_has_the_distillers_weight_and_exploration_its_own(name: str) -> None:
    made = given(name, distiller_knobs={"weight": 3.0})
    method, batch = method_of(made, explore_weight=2.0), tiny.batch_of()
    twins = {part: copy.deepcopy(part_of(method, part)) for part in PARTS}
    (own,) = asked(stepped(method, batch))
    ours, theirs = leaves(given(name))
    for part, weight in (("inherit", 3.0), ("explore", 2.0)):
        begin_distilling(twins[part])
        measure = twins[part].repel if part == "explore" else twins[part].measure
        pairs = twins[part].project(method.split.see(part, ours), theirs)
        expected = sum(measure(pair, batch).mean() for pair in pairs).item()
        assert own.terms[part].item() == pytest.approx(weight * expected, rel=1e-4)
        assert own.terms[f"{part} distance"].item() == pytest.approx(abs(expected), rel=1e-4)


def test_only_distillers_with_an_end_to_moving_away_are_allowed() -> None:
    with_an_end = {entry.name for entry in DISTILLERS if entry.build.repel is not Distiller.repel}
    assert set(ALLOWED) <= with_an_end


# 6: who learns when


def auto_encoders(method: InheritExplore) -> set[str]:
    return {name for name in method.modules.state_dict() if ".auto_encoder." in name}


def test_the_first_phase_moves_the_auto_encoder_and_the_second_everything_else() -> None:
    method = method_of(given())
    first, second = method.plan()
    assert (first.name, first.epochs, first.is_measured) == ("factor", 30, False)
    before = copied(method.modules)
    take_steps(first, 2)
    assert differing(method.modules, before) == auto_encoders(method)
    before = copied(method.modules)
    take_steps(second, 2, index=1)
    moved = differing(method.modules, before)
    assert moved & auto_encoders(method) == set()
    learnt = {name for name, _ in method.modules.named_parameters()} - auto_encoders(method)
    assert learnt <= moved
    assert any("encoder" in name and "running_mean" in name for name in moved)


def test_both_parts_see_one_auto_encoder() -> None:
    method = method_of(given())
    inherit, explore = (part_of(method, part) for part in PARTS)
    assert explore.auto_encoder is inherit.auto_encoder is inherit.warm_up.module
    assert explore.warm_up is inherit.warm_up
    assert explore.encoder is not inherit.encoder


@pytest.mark.parametrize("name", WITH_ENCODERS)
def test_no_part_moves_the_encoder_of_the_other(name: str) -> None:
    method = method_of(given(name))
    terms = terms_of(method)
    for part, other in zip(PARTS, reversed(PARTS), strict=True):
        own, others = (part_of(method, one).learning() for one in (part, other))
        term = terms[part]
        there = torch.autograd.grad(term, others, allow_unused=True, retain_graph=True)
        assert all(gradient is None for gradient in there)
        here = torch.autograd.grad(term, own, allow_unused=True, retain_graph=True)
        assert sum(gradient.abs().sum() for gradient in here) > 0


# 7: edges


def test_without_weights_the_student_moves_as_by_the_labels_alone() -> None:
    made = given(distiller_knobs={"weight": 0.0})
    taught = method_of(made, explore_weight=0.0)
    take_steps(taught.plan()[1], 4, index=1)
    plain = materials(distiller=None, policy=None, teacher=None)
    take_steps(build(plain, "alone").plan()[0], 4)
    assert differing(made.student, copied(plain.student)) == set()


def test_a_whole_that_inherits_is_the_distiller_alone() -> None:
    made, plain = given(), given(policy="all")
    taught = method_of(made, ratio=1.0, explore_weight=0.0)
    ordinary = build(plain, "spot_adaptive", logits_weight=0.0)
    ordinary.modules["distiller"].load_state_dict(part_of(taught, "inherit").state_dict())
    start = copied(made.student)
    for method in (taught, ordinary):
        take_steps(method.plan()[1], 3, index=1)
    assert differing(made.student, copied(plain.student)) == set()
    assert differing(made.student, start)


def test_equal_parts_with_equal_weights_cancel_each_other() -> None:
    made = given(distiller_knobs={"weight": 50.0})
    method, batch = method_of(made, exploration_encoder="shared"), tiny.batch_of()
    method.split.explore0.copy_(method.split.inherit0)
    (own,) = asked(stepped(method, batch))
    assert own.terms["inherit"].item() == -own.terms["explore"].item() > 0
    weights = list(made.student.parameters())
    found = torch.autograd.grad(own.loss, weights, retain_graph=True)
    expected = torch.autograd.grad(own.terms["task"], weights)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize(("ratio", "part"), [(0.0, "explore"), (1.0, "inherit")])
def test_one_part_may_have_all_channels(name: str, ratio: float, part: str) -> None:
    method = method_of(given(name), ratio=ratio)
    assert set(PARTS) & set(terms_of(method)) == {part}
    before = copied(method.modules)
    told = [
        event for i, phase in enumerate(method.plan()) for event in take_steps(phase, 2, index=i)
    ]
    assert told
    assert {name for name in differing(method.modules, before) if name.startswith(part)} == {
        name for name in method.modules.state_dict() if name.startswith(part)
    }
    idle = method.idle_knobs
    assert "order" in idle
    assert ("explore_weight" in idle) == ("explore_where" in idle and part == "inherit")


# 8: the student that is deployed


@pytest.mark.parametrize("name", ALLOWED)
def test_the_deployed_student_is_the_plain_net(name: str) -> None:
    method = method_of(given(name))
    for index, phase in enumerate(method.plan()):
        take_steps(phase, 2, index=index)
    plain = tiny.net(tiny.STUDENT, seed=5)
    plain.load_state_dict(method.nets["student"].state_dict(), strict=True)
    image = tiny.batch_of().image
    with torch.no_grad():
        deployed = method.nets["student"].eval()(image)
        assert torch.equal(deployed, plain.eval()(image))


def test_two_coders_are_all_that_learns_beside_the_student() -> None:
    made = materials(distiller="coder", policy=None, student="resnet8", teacher="resnet14")
    (learner,) = lesson_of(method_of(made)).learners
    extra = sum(p.numel() for p in learner.parameters) - sum(
        p.numel() for p in made.student.parameters()
    )
    assert extra == 55_680


# 10, and a policy beside it


def test_the_choice_changes_nothing_in_what_the_encoders_have_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = []
    for share in (0.0, 0.5, 1.0):
        method = method_of(given(policy="learned"))
        kept = torch.rand(6, 2, generator=torch.Generator().manual_seed(0)) < share
        fixed(method, monkeypatch, kept)
        stepped(method, tiny.batch_of())
        left.append({part: dict(part_of(method, part).named_buffers()) for part in PARTS})
    for part in PARTS:
        for name, value in left[0][part].items():
            assert torch.equal(value, left[1][part][name]) and torch.equal(
                value, left[2][part][name]
            )
    moved = [value for name, value in left[0]["explore"].items() if name.startswith("encoder")]
    assert all(int(value) == 1 for value in moved if value.ndim == 0), "seen once a step"


@pytest.mark.parametrize("where", ["kept", "always", "inverse"])
@pytest.mark.parametrize("name", ALLOWED)
def test_each_part_is_measured_where_the_policy_keeps_and_exploration_where_it_is_told(
    name: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = given(name, policy="learned", distiller_knobs={"weight": 3.0})
    method, batch = method_of(made, explore_weight=2.0, explore_where=where), tiny.batch_of()
    kept = torch.rand(6, len(method.spots), generator=torch.Generator().manual_seed(3)) < 0.5
    assert kept[:, :-1].any(dim=0).all() and not kept[:, :-1].all(dim=0).any()
    fixed(method, monkeypatch, kept)
    twins = {part: copy.deepcopy(part_of(method, part)) for part in PARTS}
    items = stepped(method, batch)
    own = asked(items)[0]
    ours, theirs = leaves(given(name))
    taught = {"inherit": kept, "explore": kept}
    taught["explore"] = {"kept": kept, "always": kept | True, "inverse": ~kept}[where]
    for part, weight in (("inherit", 3.0), ("explore", 2.0)):
        begin_distilling(twins[part])
        measure = twins[part].repel if part == "explore" else twins[part].measure
        pairs = twins[part].project(method.split.see(part, ours), theirs)
        values = [measure(pair, batch) for pair in pairs]
        expected = [
            (value * taught[part][:, column]).sum().item() / 6
            for column, value in enumerate(values)
        ]
        assert own.terms[part].item() == pytest.approx(weight * sum(expected), rel=1e-4)
        whole = sum(value.mean().item() for value in values)
        assert own.terms[f"{part} distance"].item() == pytest.approx(abs(whole), rel=1e-4)
    assert isinstance(items[0], Chosen)
    assert torch.equal(items[0].kept, kept), "what is told is what the policy keeps"


def test_nothing_kept_leaves_the_task_and_what_explores_all_the_same() -> None:
    for where, explores in (("kept", False), ("always", True), ("inverse", True)):
        method = method_of(given(policy="none"), explore_where=where)
        (own,) = asked(stepped(method, tiny.batch_of()))
        assert own.terms["inherit"] == 0
        assert (own.terms["explore"] < 0) == explores
        if not explores:
            assert torch.equal(own.loss, own.terms["task"])


def test_the_policys_objective_holds_no_exploration() -> None:
    found = []
    for weight in (0.0, 1e4):
        method = method_of(given(policy="learned"), explore_weight=weight)
        own, router = asked(stepped(method, tiny.batch_of()))
        others = [p for part in PARTS for p in part_of(method, part).learning()]
        there = torch.autograd.grad(router.loss, others, allow_unused=True, retain_graph=True)
        assert all(gradient is None for gradient in there)
        heads = list(method.policy.parameters())
        gradients = torch.autograd.grad(router.loss, heads)
        found.append((router.loss, gradients, own.loss))
    (first, gradients, own), (second, others, other) = found
    assert torch.equal(first, second) and first > 0
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))
    assert not torch.equal(own, other)


def test_the_routed_pass_sees_all_channels() -> None:
    found = []
    for ratio in (0.2, 0.8):
        method = method_of(given(policy="learned"), ratio=ratio)
        down, up = method.graft.down[0][0], method.graft.up[0][0]
        assert (down.in_channels, down.out_channels) == (18, 12)
        assert (up.in_channels, up.out_channels) == (12, 18)
        if found:
            method.graft.load_state_dict(found[0][1])
            method.policy.load_state_dict(found[0][2])
        state = copied(method.graft), copied(method.policy)
        _, router = asked(stepped(method, tiny.batch_of()))
        found.append((router.terms["routed"], *state))
    assert torch.equal(found[0][0], found[1][0])


def test_without_a_policy_nothing_is_told_as_chosen() -> None:
    method = method_of(given())
    assert method.spots == ()
    assert len(lesson_of(method).learners) == 1
    told = take_steps(method.plan()[1], 2, index=1)
    assert told and not [event for event in told if isinstance(event, SpotsChosen)]
    assert not [item for item in stepped(method, tiny.batch_of()) if isinstance(item, Chosen)]
    assert not [*method.graft.parameters(), *method.policy.parameters()]


def test_without_a_policy_it_does_not_matter_where_to_explore() -> None:
    found = [
        terms_of(method_of(given(), explore_where=where))["explore"]
        for where in ("kept", "always", "inverse")
    ]
    assert found[0] < 0
    assert found[0] == found[1] == found[2]


def test_all_kept_is_what_it_is_without_a_policy() -> None:
    plain, kept = (terms_of(method_of(given(policy=policy))) for policy in (None, "all"))
    assert {name: v.item() for name, v in plain.items()} == pytest.approx(
        {name: v.item() for name, v in kept.items()}, rel=1e-6
    )


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize("policy", [None, "random", "learned"])
def test_knobs_without_effect_are_named_with_a_reason(name: str, policy: str | None) -> None:
    idle = method_of(given(name, policy)).idle_knobs
    routing = {"gamma", "quota", "policy_every"}
    expected = {"temperature"} | (set() if policy == "learned" else routing)
    expected |= {"explore_where"} if policy is None else set()
    expected |= set() if name in WITH_ENCODERS else {"exploration_encoder"}
    assert set(idle) == expected
    if policy != "learned":
        why = "there is no policy" if policy is None else "this policy does not learn"
        assert {idle[knob] for knob in routing} == {why}
    assert "temperature" not in method_of(given(name, policy), logits_weight=1.0).idle_knobs
    nobody = method_of(given(name, policy), ratio=1.0).idle_knobs
    about = ("explore_weight", "explore_where", "exploration_encoder")
    assert {nobody[knob] for knob in about} == {"no channel explores"}


def test_soft_labels_are_one_more_term() -> None:
    made = given()
    terms = terms_of(method_of(made, logits_weight=0.5, temperature=2.0))
    ours, theirs = leaves(given())
    soft = 4 * F.kl_div(
        (ours["logits"] / 2).log_softmax(1),
        (theirs["logits"] / 2).softmax(1),
        reduction="batchmean",
    )
    assert terms["logits"].item() == pytest.approx(0.5 * soft.item(), rel=1e-5)
    assert "logits" not in terms_of(method_of(made))


# The encoder of exploration


def encoders_of(method: InheritExplore) -> tuple[nn.Module, nn.Module]:
    inherit, explore = (part_of(method, part) for part in PARTS)
    if hasattr(inherit, "encoder"):
        return inherit.encoder, explore.encoder
    return inherit.connectors, explore.connectors


@pytest.mark.parametrize("name", WITH_ENCODERS)
def test_an_explorers_encoder_learns_or_stays_as_drawn(name: str) -> None:
    for is_frozen, kind in ((False, "trainable"), (True, "frozen")):
        method = method_of(given(name), exploration_encoder=kind)
        (learner,) = lesson_of(method).learners
        owned = {id(p) for p in learner.parameters}
        ours, theirs = encoders_of(method)
        assert {id(p) in owned for p in ours.parameters()} == {True}
        assert {id(p) in owned for p in theirs.parameters()} == {not is_frozen}
        terms = terms_of(method)
        students = list(method.nets["student"].parameters())
        gradients = torch.autograd.grad(terms["explore"], students, allow_unused=True)
        assert sum(g.abs().sum() for g in gradients if g is not None) > 0, "the student moves away"
        weights = [p.detach().clone() for p in theirs.parameters()]
        for index, phase in enumerate(method.plan()):
            take_steps(phase, 2, index=index)
        same = [torch.equal(a, b) for a, b in zip(weights, theirs.parameters(), strict=True)]
        assert same == [is_frozen] * len(same)


def test_a_frozen_encoder_does_not_keep_the_auto_encoder_from_learning() -> None:
    for ratio in (0.0, 0.5):
        method = method_of(given(), exploration_encoder="frozen", ratio=ratio)
        before = copied(method.modules)
        take_steps(method.plan()[0], 2)
        assert differing(method.modules, before) == auto_encoders(method)


@pytest.mark.parametrize("name", WITH_ENCODERS)
def test_a_shared_encoder_is_one_and_both_parts_move_it(name: str) -> None:
    method = method_of(given(name), exploration_encoder="shared")
    ours, theirs = encoders_of(method)
    assert ours is theirs
    (learner,) = lesson_of(method).learners
    owned = [id(p) for p in learner.parameters]
    assert all(owned.count(id(p)) == 1 for p in ours.parameters())
    terms = terms_of(method)
    for part in PARTS:
        gradients = torch.autograd.grad(terms[part], list(ours.parameters()), retain_graph=True)
        assert sum(g.abs().sum() for g in gradients) > 0
    other = method_of(given(name), exploration_encoder="shared")
    take_steps(method.plan()[-1], 2)
    other.modules.load_state_dict(method.modules.state_dict())
    assert differing(other.modules, copied(method.modules)) == set()


@pytest.mark.parametrize("name", WITH_ENCODERS)
def test_parts_of_unequal_width_share_no_encoder(name: str) -> None:
    with pytest.raises(SpecError) as refused:
        method_of(given(name), exploration_encoder="shared", ratio=0.4)
    assert str(refused.value) == "parts of unequal width cannot share an encoder"
    assert refused.value.where == "method.knobs.ratio"


# The ramp


def test_both_weights_rise_and_nothing_else_does() -> None:
    plain = terms_of(method_of(given(), logits_weight=1.0))
    method = method_of(given(batches=FewBatches(steps=3)), logits_weight=1.0, ramp=2)
    for number in range(9):
        terms = terms_of(method_of(given(), logits_weight=1.0, ramp=2), number=number)
        share = min(1, (number + 1) / 6)
        for name, value in plain.items():
            expected = share * value if name in PARTS else value
            assert terms[name].item() == pytest.approx(expected.item(), rel=1e-6)
    told = take_steps(method.plan()[1], 9, index=1)
    steps = [event.terms for event in told if isinstance(event, StepTaken)]
    shares = [one["inherit"] / (50 * one["inherit distance"]) for one in steps]
    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1, 1], rel=1e-5)


# Nets whose last map lies inside their embedding


@pytest.mark.parametrize("policy", [None, "learned"])
@pytest.mark.parametrize(
    ("student", "teacher", "spot", "hop"),
    [
        ("wrn_16_1", "wrn_16_1", "embedding.map", ("embedding", "embedding")),
        ("wrn_16_1", "tiny_net_6_2", "embedding.map:stage2", ("stage3", "stage2")),
        ("tiny_net_4_2", "wrn_16_1", "stage2:embedding.map", ("stage2", "stage3")),
    ],
)
def test_a_wide_resnet_is_split_after_its_last_norm_and_relu(
    student: str, teacher: str, spot: str, hop: tuple[str, str], policy: str | None
) -> None:
    made = given(student=student, teacher=teacher, policy=policy)
    method = method_of(made)
    assert [one.name for one in part_of(method, "inherit").spots] == [spot]
    tap, _, _ = spot.partition(":")
    width = made.student_taps[tap].shape[0]
    assert method.split.channels("inherit", tap).tolist() == [*range(width // 2)]
    assert method.spots == ((spot, "logits") if policy else ())
    assert method.graft.spots == ((hop,) if policy else ())
    before = copied(made.student)
    told = [
        event for i, phase in enumerate(method.plan()) for event in take_steps(phase, 1, index=i)
    ]
    assert told
    assert any(name.endswith("weight") for name in differing(made.student, before))
    assert list(made.student.state_dict()) == list(tiny.net(student).state_dict())


# Mixed precision, and a draft


@pytest.mark.parametrize("name", ALLOWED)
def test_codes_may_be_computed_in_bfloat16(name: str) -> None:
    method = method_of(replace(given(name, policy="learned"), precision=torch.bfloat16))
    for index, phase in enumerate(method.plan()):
        for event in take_steps(phase, 2, index=index):
            if isinstance(event, StepTaken):
                assert all(math.isfinite(value) for value in event.terms.values())


def test_a_draft_is_built_without_numbers() -> None:
    with torch.device("meta"):
        made = replace(given(policy="learned"), device=torch.device("meta"))
        method = method_of(made, order="random", ratio=0.4)
    assert {p.device.type for p in method.modules.parameters()} == {"meta"}
    assert method.idle_knobs.keys() == {"temperature"}


# 12: attention


def attention_gap(student: Tensor, teacher: Tensor) -> Tensor:
    at = DISTILLERS["at"].make(materials().setting())
    return at.measure(Pair(student, teacher), tiny.batch_of(len(student)))


def test_attention_asks_for_places_not_for_channels() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (
        torch.randn(5, channels, 8, 8, generator=generator, dtype=torch.float64)
        for channels in (12, 7)
    )
    found = attention_gap(ours, theirs)
    by_sum = [
        one.square().sum(dim=1).flatten(1) / one.square().sum(dim=1).flatten(1).norm(dim=1)[:, None]
        for one in (ours, theirs)
    ]
    expected = (by_sum[0] - by_sum[1]).square().mean(dim=1)
    assert torch.allclose(found, expected, rtol=0, atol=1e-9), "a sum over channels does as well"
    order = torch.randperm(12, generator=generator)
    assert torch.allclose(attention_gap(ours[:, order], theirs), found, rtol=0, atol=1e-9)
    assert attention_gap(ours, 3 * ours).abs().max() < 1e-9


def test_the_gap_of_attention_is_at_most_two_over_the_places() -> None:
    ours, theirs = torch.zeros(2, 1, 3, 8, 8, dtype=torch.float64)
    ours[:, :, 0, 0], theirs[:, :, 5, 1] = 2, 1
    assert attention_gap(ours, theirs).item() == pytest.approx(0.03125, abs=1e-12)
    some = torch.randn(50, 3, 8, 8, dtype=torch.float64)
    assert (attention_gap(some, some.flip(0)) <= 0.03125).all()


# 17: the published rate


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.1), (79, 0.1), (80, 0.01), (119, 0.01), (120, 0.001), (159, 0.001)]
)
def test_the_published_rate_falls_at_epochs_80_and_120(epoch: int, rate: float) -> None:
    schedule = Schedule(epochs=160, lr=0.1, decay="step", milestones=(80, 120))
    for step in (0, 390):
        found = schedule.lr * rate_factor(schedule, epoch, step, 391)
        assert found == pytest.approx(rate, rel=1e-12)


# 20: a small run


@dataclass(frozen=True)
class Colours:
    """The data set of the tiny nets, in one order."""

    size: int = 10
    steps: int = 5
    samples: int = 50

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        data = tiny.split(self.samples, 1)
        for step in range(start, self.steps):
            rows = torch.arange(step * self.size, (step + 1) * self.size)
            image = (data.images(rows) / 255 - 0.3) / 0.2
            yield Batch(image, data.targets[rows], rows)


def run_of(weight: float, *, epochs: int = 40) -> list[list[Event]]:
    """What each phase of a whole run tells; both weights are the same."""
    made = given(distiller_knobs={"weight": weight, "warm_up_epochs": 10})
    made = replace(
        made, data=Colours(), schedule=made.schedule.model_copy(update={"epochs": epochs})
    )
    method = method_of(made, explore_weight=weight)
    return [
        take_steps(phase, phase.epochs * phase.data.steps, index=index)
        for index, phase in enumerate(method.plan())
    ]


def curve(told: list[Event], term: str) -> Tensor:
    return torch.tensor([event.terms[term] for event in told if isinstance(event, StepTaken)])


def test_in_a_small_run_one_half_comes_nearer_and_the_other_goes_away() -> None:
    (factor, taught), (_, plain) = run_of(50.0), run_of(0.0)
    reconstruction = curve(factor, "reconstruction").view(2, 25).mean(dim=1)
    assert reconstruction[1] < 0.9 * reconstruction[0]
    inherit, explore = (curve(taught, f"{part} distance") for part in PARTS)
    left = [curve(plain, f"{part} distance") for part in PARTS]
    assert inherit[-20:].mean() < 0.7 * inherit[:5].mean()
    assert explore[-20:].mean() > 1.1 * explore[:5].mean()
    assert inherit[-20:].mean() < 0.7 * left[0][-20:].mean()
    assert explore[-20:].mean() > 1.1 * left[1][-20:].mean()
    bound = 2 / math.sqrt(6 * 4 * 4)
    assert max(inherit.max(), explore.max()) <= bound
    for told in (taught, plain):
        task = curve(told, "task")
        assert task[-20:].mean() < 0.7 * task[:5].mean()
