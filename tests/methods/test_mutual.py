"""Numeric tests 14 and 18 of the design of inheritance and exploration, and IE-DML."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.distillers import DISTILLERS, Pair
from engine.errors import SpecError
from engine.events import StepTaken
from engine.methods import Materials
from engine.methods.mutual import Mutual
from engine.nets.staged import StagedNet
from engine.training.phase import Descend

from .conftest import FewBatches, build, copied, differing, materials, take_steps

TURNS = ("sequential", "simultaneous")
CODED: Mapping[str, Any] = {"inherit_weight": 5.0, "explore_weight": 3.0, "ramp": 0}
TWO_MORE = "tiny_net_6_2, tiny_net_4_3"


def given(**changes: Any) -> Materials:
    return materials(distiller=None, policy=None, teacher=None, **changes)


def method_of(made: Materials | None = None, **knobs: Any) -> Mutual:
    found = build(made or given(), "mutual", **knobs)
    assert isinstance(found, Mutual)
    return found


def stepped(method: Mutual, *, number: int = 0, moves: bool = True) -> list[Descend]:
    """One step by hand, as the loop takes it; where nothing moves, losses are only asked for."""
    lesson = method.plan()[0].begin()
    found = []
    for item in lesson.step(tiny.batch_of(), number):
        assert isinstance(item, Descend)
        found.append(item)
        if moves:
            item.learner.backward(item.loss)
            if item.move:
                item.learner.move()
    for learner in lesson.learners:
        learner.move()
    return found


def numbers(terms: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: value.item() for name, value in terms.items()}


def divergence(peer: Tensor, own: Tensor) -> Tensor:
    """KL(peer || own) in nats, written out."""
    p, q = peer.softmax(dim=1), own.softmax(dim=1)
    return (p * (p / q).log()).sum(dim=1).mean()


# 14: the divergence


def test_the_divergence_of_two_answers_is_that_of_the_design() -> None:
    theirs, ours = (torch.tensor([one]).double() for one in ([2, 0, -1], [1, 1, -1]))
    setting = materials().setting()
    for temperature, student, teacher, expected in (
        (1.0, ours, theirs, 0.3183771912),
        (4.0, ours, theirs, 0.3759935365),
        (1.0, theirs, ours, 0.4112223439),
    ):
        kd = DISTILLERS["kd"].make(setting, knobs={"temperature": temperature})
        found = kd.measure(Pair(student, teacher), tiny.batch_of(1))
        assert found.item() == pytest.approx(expected, abs=1e-9)
        if temperature == 1:
            assert peers_term(student, teacher).item() == pytest.approx(expected, abs=1e-6)


def peers_term(own: Tensor, *others: Tensor, weight: float = 1.0) -> Tensor:
    """What a net of these logits pays for the answers of its peers."""
    method, batch = method_of(kl_weight=weight), tiny.batch_of(len(own))
    terms, _ = method._terms(
        "student", {"logits": own}, [{"logits": other} for other in others], batch, 0
    )
    return terms["peers"]


# 18: mutual learning


def test_a_divergence_is_zero_for_equal_answers_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        own, other = torch.randn(2, 6, 4, generator=generator)
        assert peers_term(own, other) > 0
    shift = torch.randn(6, 1, generator=generator)
    assert peers_term(own, own + shift).item() == pytest.approx(0, abs=1e-6)


def test_several_peers_count_as_their_mean() -> None:
    own, *others = torch.randn(4, 6, 4, generator=torch.Generator().manual_seed(1))
    expected = sum(divergence(other, own).item() for other in others) / 3
    found = peers_term(own, *others, weight=0.7)
    assert found.item() == pytest.approx(0.7 * expected, rel=1e-5)


def nets_of(peers: str) -> dict[str, StagedNet]:
    """Plain copies of the nets that a method with these peers begins with."""
    return {name: copy.deepcopy(net) for name, net in method_of(peers=peers).nets.items()}


def by_hand(nets: Mapping[str, StagedNet], turns: str, steps: int) -> list[dict[str, float]]:
    """Mutual learning as the papers' codes do it; the losses of each step."""
    optimizers = {
        name: torch.optim.SGD(net.train().parameters(), lr=0.05, momentum=0.9)
        for name, net in nets.items()
    }
    told = []
    for batch in FewBatches(steps=steps).epoch(0):
        losses = {}
        logits = {name: net(batch.image) for name, net in nets.items()}
        for name in nets:
            if turns == "sequential":
                logits = {name: net(batch.image) for name, net in nets.items()}
            others = [other.detach() for one, other in logits.items() if one != name]
            loss = F.cross_entropy(logits[name], batch.target)
            loss = loss + sum(divergence(other, logits[name]) for other in others) / len(others)
            losses[name] = loss
            if turns == "sequential":
                optimizers[name].zero_grad()
                loss.backward()
                optimizers[name].step()
        if turns == "simultaneous":
            for name, loss in losses.items():
                optimizers[name].zero_grad()
                loss.backward(retain_graph=True)
            for optimizer in optimizers.values():
                optimizer.step()
        told.append({name: loss.item() for name, loss in losses.items()})
    return told


@pytest.mark.parametrize("peers", ["", TWO_MORE])
@pytest.mark.parametrize("turns", TURNS)
def test_nets_learn_together_as_written_out(turns: str, peers: str) -> None:
    plain = nets_of(peers)
    expected = by_hand(plain, turns, 4)
    method = method_of(given(batches=FewBatches(steps=4)), peers=peers, turns=turns)
    told = take_steps(method.plan()[0], 4)
    steps = [event.terms for event in told if isinstance(event, StepTaken)]
    for found, losses in zip(steps, expected, strict=False):
        for name, loss in losses.items():
            prefix = "" if name == "student" else f"{name}: "
            own = found[f"{prefix}task"] + found[f"{prefix}peers"]
            assert own == pytest.approx(loss, rel=1e-4)
    for name, net in plain.items():
        for one, other in zip(method.nets[name].parameters(), net.parameters(), strict=True):
            assert torch.allclose(one, other, atol=1e-4), name


@pytest.mark.parametrize("knobs", [{}, CODED])
@pytest.mark.parametrize("turns", TURNS)
def test_no_net_is_moved_by_the_loss_of_another(turns: str, knobs: Mapping[str, Any]) -> None:
    method = method_of(turns=turns, **knobs)
    for item in stepped(method, moves=False):
        learns = item.learner.parameters
        others = [
            p
            for net in method.nets.values()
            for p in net.parameters()
            if not any(p is own for own in learns)
        ]
        found = torch.autograd.grad(item.loss, others, allow_unused=True, retain_graph=True)
        assert all(gradient is None for gradient in found)
        own = torch.autograd.grad(item.loss, learns, allow_unused=True)
        assert all(gradient is not None for gradient in own)


@pytest.mark.parametrize(
    ("turns", "peers", "updates"),
    [
        *(("sequential", "", 2), ("sequential", TWO_MORE, 3)),
        *(("simultaneous", "", 1), ("simultaneous", TWO_MORE, 1)),
    ],
)
def test_in_turns_the_statistics_of_a_net_move_once_for_each_net(
    turns: str, peers: str, updates: int
) -> None:
    method = method_of(turns=turns, peers=peers)
    take_steps(method.plan()[0], 3)
    for net in method.nets.values():
        counts = {int(v) for k, v in net.state_dict().items() if k.endswith("num_batches_tracked")}
        assert counts == {3 * updates}


@pytest.mark.parametrize("turns", TURNS)
def test_in_turns_the_second_net_meets_a_first_one_that_has_moved(turns: str) -> None:
    method, batch = method_of(turns=turns), tiny.batch_of()
    plain = nets_of("")
    lesson = method.plan()[0].begin()
    assert [one.name for one in lesson.learners] == ["student", "peer"]
    steps = lesson.step(batch, 0)
    first = next(steps)
    before = copied(method.nets["student"])
    first.learner.backward(first.loss)
    if first.move:
        first.learner.move()
    moved = {name for name in differing(method.nets["student"], before) if name.endswith("weight")}
    assert bool(moved) == first.move == (turns == "sequential")
    if first.move:
        with torch.no_grad():
            for name, parameter in plain["student"].named_parameters():
                parameter.copy_(method.nets["student"].get_parameter(name))
    second = next(steps)
    own, other = (plain[name].train()(batch.image) for name in ("peer", "student"))
    assert second.terms["peer: peers"].item() == pytest.approx(
        divergence(other, own).item(), rel=1e-4
    )
    assert second.learner.name == "peer"


@pytest.mark.parametrize(
    ("turns", "learns"), [("sequential", [True, False, False, True]), ("simultaneous", [True] * 2)]
)
def test_a_net_that_only_answers_keeps_no_graph(
    turns: str, learns: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    method, seen = method_of(turns=turns), []
    for net in method.nets.values():

        def looking(*args: Any, plain: Any = net.trace, **kwargs: Any) -> Any:
            seen.append(torch.is_grad_enabled())
            return plain(*args, **kwargs)

        monkeypatch.setattr(net, "trace", looking)
    stepped(method, moves=False)
    assert seen == learns


def test_without_the_answers_of_peers_each_net_learns_alone() -> None:
    made, plain = given(), given()
    together = method_of(made, kl_weight=0.0)
    take_steps(together.plan()[0], 4)
    take_steps(build(plain, "alone").plan()[0], 4)
    for one, other in zip(made.student.parameters(), plain.student.parameters(), strict=True):
        assert torch.equal(one, other)


# Which nets


def test_peers_are_one_more_of_the_students_design_or_those_that_are_named() -> None:
    method = method_of()
    assert list(method.nets) == ["student", "peer"]
    assert method.designs == {"peer": ""}
    first, other = method.nets.values()
    assert list(first.state_dict()) == list(other.state_dict())
    assert differing(first, copied(other)), "they begin with weights of their own"
    method = method_of(peers="tiny_net_6_2")
    assert method.designs == {"peer": "tiny_net_6_2"}
    method = method_of(peers=TWO_MORE)
    assert method.designs == {"peer 1": "tiny_net_6_2", "peer 2": "tiny_net_4_3"}
    assert list(method.nets) == ["student", "peer 1", "peer 2"]


@pytest.mark.parametrize("knobs", [{"peers": TWO_MORE}, {"peers": "tiny_net_6_2", **CODED}])
def test_each_net_is_deployed_as_the_plain_net(knobs: Mapping[str, Any]) -> None:
    method = method_of(**knobs)
    take_steps(method.plan()[0], 2)
    image = tiny.batch_of().image
    for name, net in method.nets.items():
        plain = tiny.net(method.designs.get(name, "") or tiny.STUDENT, seed=7)
        plain.load_state_dict(net.state_dict(), strict=True)
        with torch.no_grad():
            assert torch.equal(net.eval()(image), plain.eval()(image))


@pytest.mark.parametrize("peers", ["a b", "resnet20,,resnet8", ",resnet8", "resnet20;resnet8"])
def test_names_that_are_no_names_are_refused(peers: str) -> None:
    with pytest.raises(SpecError, match=r"^mutual\.peers = "):
        method_of(peers=peers)


def test_a_peer_that_does_not_exist_is_told_at_its_knob() -> None:
    with pytest.raises(SpecError, match=r"^no net 'nobody'; known: ") as refused:
        method_of(peers="tiny_net_6_2, nobody")
    assert refused.value.where == "method.knobs.peers"


def test_codes_are_exchanged_by_two_nets() -> None:
    for weights in ({"inherit_weight": 1.0}, {"explore_weight": 1.0}):
        with pytest.raises(SpecError) as refused:
            method_of(peers=TWO_MORE, **weights)
        assert str(refused.value) == "codes are exchanged by two nets, not more"
        assert refused.value.where == "method.knobs.peers"
        assert len(method_of(peers="tiny_net_6_2", **weights).nets) == 2


def test_knobs_without_effect_are_named_with_a_reason() -> None:
    assert dict(method_of().idle_knobs) == dict.fromkeys(
        ("ratio", "order", "ramp"), "no codes are exchanged"
    )
    assert dict(method_of(**CODED).idle_knobs) == {}
    for ratio, idle in ((0.0, "inherit_weight"), (1.0, "explore_weight")):
        assert set(method_of(**CODED, ratio=ratio).idle_knobs) == {"order", idle}


# IE-DML


def unit(factor: Tensor) -> Tensor:
    flat = factor.flatten(1)
    return flat / flat.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("turns", TURNS)
def test_each_net_copies_and_leaves_the_code_of_the_other_as_written_out(turns: str) -> None:
    method = method_of(turns=turns, peers="tiny_net_6_2", kl_weight=0.5, **CODED)
    nets = {name: copy.deepcopy(net).train() for name, net in method.nets.items()}
    codes = {name: copy.deepcopy(one) for name, one in method._codes.items()}
    found = {item.learner.name: item for item in stepped(method, moves=False)}
    batch = tiny.batch_of()
    with torch.no_grad():
        traces = {name: net.trace(batch.image) for name, net in nets.items()}
    for name, other, prefix in (("student", "peer", ""), ("peer", "student", "peer: ")):
        own, theirs = traces[name], traces[other]
        parts = codes[name].parts
        encoder = parts["inherit"].auto_encoder.train()
        half = own["stage2"].shape[1] // 2
        with torch.no_grad():
            code = unit(encoder[0](theirs["stage2"]))
            gaps = {
                part: (unit(parts[part].encoder.train()(features)) - code).abs().mean().item()
                for part, features in (
                    ("inherit", own["stage2"][:, :half]),
                    ("explore", own["stage2"][:, half:]),
                )
            }
            again = encoder(theirs["stage2"])
        expected = {
            "task": F.cross_entropy(own["logits"], batch.target).item(),
            "peers": 0.5 * divergence(theirs["logits"], own["logits"]).item(),
            "inherit": 5 * gaps["inherit"],
            "explore": -3 * gaps["explore"],
        }
        distances = {f"{part} distance": gap for part, gap in gaps.items()}
        assert numbers(found[name].terms) == pytest.approx(
            {prefix + term: value for term, value in {**expected, **distances}.items()}, rel=1e-4
        )
        assert found[name].loss.item() == pytest.approx(sum(expected.values()), rel=1e-4)
        reconstruction = found[f"{name} auto-encoder"]
        gap = (again - theirs["stage2"]).abs().mean().item()
        assert numbers(reconstruction.terms) == {
            f"{prefix}reconstruction": pytest.approx(gap, rel=1e-4)
        }
        assert reconstruction.loss.item() == pytest.approx(gap, rel=1e-4)


@pytest.mark.parametrize("turns", TURNS)
def test_a_net_steps_before_the_auto_encoder_that_it_looks_through(turns: str) -> None:
    found = stepped(method_of(turns=turns, **CODED))
    order = [item.learner.name for item in found]
    assert order == ["student", "student auto-encoder", "peer", "peer auto-encoder"]
    assert {item.move for item in found} == {turns == "sequential"}


def test_every_parameter_has_one_learner() -> None:
    method = method_of(peers="tiny_net_6_2", **CODED)
    lesson = method.plan()[0].begin()
    owned = {one.name: [id(p) for p in one.parameters] for one in lesson.learners}
    every = [id(p) for p in method.modules.parameters()]
    assert sorted(p for ids in owned.values() for p in ids) == sorted(every)
    for name, codes in method._codes.items():
        parts = codes.parts.values()
        assert len({id(part.auto_encoder) for part in parts}) == 1
        early = [id(p) for part in parts for p in part.auto_encoder.parameters()]
        assert set(early) == set(owned[f"{name} auto-encoder"])
        encoders = [id(p) for part in parts for p in part.encoder.parameters()]
        nets = [id(p) for p in method.nets[name].parameters()]
        assert sorted(owned[name]) == sorted(nets + encoders)
    rates = {one.set_rate(0, 0) for one in lesson.learners}
    assert len(rates) == 1, "the auto-encoders learn as fast as the nets"


def test_an_auto_encoder_has_the_channels_of_the_others_map() -> None:
    method = method_of(peers="tiny_net_6_2", ratio=0.25, **CODED)
    for name, inside, outside in (("student", 12, 18), ("peer", 18, 12)):
        codes = method._codes[name]
        (spot,) = codes.any_part.spots
        assert spot.name == "stage2"
        first = next(m for m in codes.any_part.auto_encoder.modules() if isinstance(m, nn.Conv2d))
        assert first.in_channels == outside
        inherits = codes.split.channels("inherit", "stage2")
        assert inherits.tolist() == [*range(inside // 4)]


@pytest.mark.parametrize("turns", TURNS)
def test_with_codes_all_that_learns_moves(turns: str) -> None:
    method = method_of(turns=turns, **CODED)
    before = copied(method.modules)
    take_steps(method.plan()[0], 2)
    learnt = {name for name, _ in method.modules.named_parameters()}
    assert learnt <= differing(method.modules, before)


def test_codes_are_split_for_each_net_by_the_runs_seed() -> None:
    def drawn(seed: int) -> list[list[int]]:
        method = method_of(replace(given(), seed=seed), order="random", **CODED)
        return [
            codes.split.channels("inherit", "stage2").tolist() for codes in method._codes.values()
        ]

    first, same, other = (drawn(seed) for seed in (0, 0, 1))
    assert first == same != other
    assert first[0] != first[1]


@pytest.mark.parametrize(("ratio", "part"), [(0.0, "explore"), (1.0, "inherit")])
@pytest.mark.parametrize("turns", TURNS)
def test_one_part_may_have_all_channels(turns: str, ratio: float, part: str) -> None:
    method = method_of(turns=turns, ratio=ratio, **CODED)
    terms = stepped(method, moves=False)[0].terms
    assert {"inherit", "explore"} & set(terms) == {part}
    before = copied(method.modules)
    take_steps(method.plan()[0], 2)
    assert {name for name, _ in method.modules.named_parameters()} <= differing(
        method.modules, before
    )


def test_the_weights_of_codes_rise_and_that_of_answers_does_not() -> None:
    def terms(ramp: int, number: int) -> dict[str, float]:
        method = method_of(**{**CODED, "ramp": ramp})
        return numbers(stepped(method, number=number, moves=False)[0].terms)

    whole = terms(0, 0)
    for number, share in ((0, 1 / 6), (3, 4 / 6), (5, 1), (50, 1)):
        expected = {
            name: value * (share if name in ("inherit", "explore") else 1)
            for name, value in whole.items()
        }
        assert terms(2, number) == pytest.approx(expected, rel=1e-5)


def test_codes_pull_one_half_together_and_push_the_other_apart() -> None:
    def distances(weight: float) -> list[float]:
        method = method_of(
            given(batches=FewBatches(steps=30), lr=0.1),
            inherit_weight=weight,
            explore_weight=weight,
            ramp=0,
        )
        told = take_steps(method.plan()[0], 30)
        terms = [event.terms for event in told if isinstance(event, StepTaken)][-10:]
        return [
            sum(one[f"{prefix}{part} distance"] for one in terms) / len(terms)
            for prefix in ("", "peer: ")
            for part in ("inherit", "explore")
        ]

    near, far, near_too, far_too = distances(50.0)
    plain = distances(1e-9)
    assert near < 0.8 * plain[0] and near_too < 0.8 * plain[2]
    assert far > 1.1 * plain[1] and far_too > 1.1 * plain[3]


@pytest.mark.parametrize("turns", TURNS)
def test_nets_may_be_computed_in_bfloat16(turns: str) -> None:
    method = method_of(replace(given(), precision=torch.bfloat16), turns=turns, **CODED)
    for event in take_steps(method.plan()[0], 2):
        if isinstance(event, StepTaken):
            assert all(math.isfinite(value) for value in event.terms.values())


def test_a_draft_is_built_without_numbers() -> None:
    with torch.device("meta"):
        made = replace(given(), device=torch.device("meta"))
        method = method_of(made, order="random", **CODED)
    assert {p.device.type for p in method.modules.parameters()} == {"meta"}
