"""What every registered distiller keeps, without being named."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import tiny
import torch
from torch import Tensor

from engine.data.batch import Batch
from engine.distillers import DISTILLERS, Distiller, Pair, Setting, distil
from engine.errors import SpecError

from .conftest import B, made, setting_of, trace_of

Trace = dict[str, Tensor]

# The mean of some rows' losses depends on the order of the rows.
ORDERED = {"cc"}  # it compares neighbours in the batch


@pytest.fixture(params=[entry.name for entry in DISTILLERS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def master(name: str) -> str:
    return "tiny_net_4_3" if name in tiny.EQUAL_CHANNELS else "tiny_net_6_3"


@pytest.fixture
def setting(master: str) -> Setting:
    return setting_of("tiny_net_4_3", master)


@pytest.fixture
def teacher(master: str) -> Trace:
    return trace_of(master, 2)


@pytest.fixture
def distiller(name: str, setting: Setting) -> Distiller:
    return made(name, setting)


def kept_rows(distiller: Distiller, rows: list[int]) -> Tensor:
    kept = torch.zeros(B, len(distiller.spots), dtype=torch.bool)
    kept[rows] = True
    return kept


def losses(distiller: Distiller, student: Trace, teacher: Trace, batch: Batch, rows: list[int]):
    """(B, spots), from fresh projections: a projection sees the whole batch."""
    distiller.train()
    pairs = distiller.project(student, teacher)
    return distil(distiller, pairs, batch, kept_rows(distiller, rows))


def test_an_entry_names_its_source_and_means_something(name: str) -> None:
    told = DISTILLERS[name].describe()
    assert told["title"] and told["source"] and told["help"]
    assert told["knobs"]["weight"]["default"] > 0
    assert all("description" in knob for knob in told["knobs"].values())


def test_spots_are_taps_of_both_nets_in_the_order_of_their_stages(
    distiller: Distiller, setting: Setting
) -> None:
    assert distiller.spots
    for side, taps in enumerate((list(setting.student), list(setting.teacher))):
        order = [taps.index(spot[side]) for spot in distiller.spots]
        assert order == sorted(set(order))


def test_spots_that_are_told_are_taken_or_refused(
    name: str, distiller: Distiller, setting: Setting
) -> None:
    told = replace(setting, spots=distiller.spots)
    if distiller.has_many or len(distiller.spots) == 1:
        assert made(name, told).spots == distiller.spots
    else:
        with pytest.raises(SpecError, match=r"^this distiller compares"):
            made(name, told)


def test_there_is_one_pair_for_each_spot_over_the_whole_batch(
    distiller: Distiller, student: Trace, teacher: Trace
) -> None:
    pairs = distiller.project(student, teacher)
    assert len(pairs) == len(distiller.spots)
    for pair in pairs:
        assert len(pair.student) == len(pair.teacher) == B
        assert pair.student.dtype == pair.teacher.dtype == torch.float32


def test_a_deployed_student_is_compared_as_the_plain_one_was(
    distiller: Distiller, setting: Setting, teacher: Trace, batch: Batch
) -> None:
    net = tiny.net("tiny_net_4_3", seed=1).eval()
    distiller.eval()
    torch.manual_seed(1)
    before = distiller.project(net.trace(batch.image, inside=True), teacher)
    distiller.deploy(net)
    torch.manual_seed(1)
    after = distiller.project(net.eval().trace(batch.image, inside=True), teacher)
    assert net.names == tiny.net("tiny_net_4_3").names
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one.student, other.student, atol=1e-6)
        assert torch.equal(one.teacher, other.teacher)


def test_each_kept_sample_has_one_finite_value(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    for pair in distiller.project(student, teacher):
        measured = distiller.measure(pair, batch)
        assert measured.shape == (B,)
        assert measured.isfinite().all()
        assert (measured >= 0).all()
        assert measured.sum() > 0, "two different nets are apart"


def test_the_student_is_moved_and_the_teacher_is_not(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    losses(distiller, student, teacher, batch, [*range(B)]).sum().backward()
    for spot in distiller.spots:
        gradient = student[spot.student].grad
        assert gradient is not None and gradient.isfinite().all()
        assert gradient.abs().sum() > 0
    assert all(value.grad is None for value in teacher.values())


def test_what_learns_with_the_student_gets_a_gradient_and_nothing_else_does(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    losses(distiller, student, teacher, batch, [*range(B)]).sum().backward()
    learning = {id(p) for p in distiller.learning()}
    for parameter in distiller.parameters():
        assert (parameter.grad is not None) == (id(parameter) in learning)


def test_nothing_kept_is_exactly_zero(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    assert (
        losses(distiller, student, teacher, batch, []).tolist()
        == [[0.0] * len(distiller.spots)] * B
    )


@pytest.mark.parametrize("rows", [[2], [1, 4]])
def test_one_and_two_kept_samples_give_finite_values_and_gradients(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch, rows: list[int]
) -> None:
    found = losses(distiller, student, teacher, batch, rows)
    assert found.isfinite().all()
    if len(rows) < distiller.min_samples:
        assert found.abs().sum() == 0
        return
    found.sum().backward()
    for spot in distiller.spots:
        assert student[spot.student].grad.isfinite().all()


def test_two_kept_samples_that_are_alike_are_no_danger(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    with torch.no_grad():
        for trace in (student, teacher):
            for value in trace.values():
                value[1] = value[0]
    found = losses(distiller, student, teacher, batch, [0, 1])
    assert found.isfinite().all()
    if found.requires_grad:
        found.sum().backward()
    for spot in distiller.spots:
        gradient = student[spot.student].grad
        assert gradient is None or gradient.isfinite().all()


def test_features_of_zeros_are_no_danger(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    with torch.no_grad():
        for trace in (student, teacher):
            for value in trace.values():
                value.zero_()
    found = losses(distiller, student, teacher, batch, [*range(B)])
    assert found.isfinite().all()
    found.sum().backward()
    for spot in distiller.spots:
        assert student[spot.student].grad.isfinite().all()


def test_all_kept_is_the_mean_of_what_is_measured(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    found = losses(distiller, student, teacher, batch, [*range(B)])
    for column, pair in enumerate(distiller.project(student, teacher)):
        assert torch.allclose(found[:, column], distiller.measure(pair, batch))


def test_some_kept_is_their_loss_times_their_share(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    rows = torch.tensor([0, 3, 4])
    found = losses(distiller, student, teacher, batch, rows.tolist())
    for column, pair in enumerate(distiller.project(student, teacher)):
        alone = distiller.measure(pair.select(rows), batch.select(rows)).mean()
        assert torch.allclose(found[:, column].mean(), 3 / B * alone)
        assert found[[1, 2, 5], column].tolist() == [0.0] * 3


def test_rows_that_are_not_kept_do_not_matter_to_what_is_compared(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    kept = kept_rows(distiller, [0, 3, 4])
    pairs = distiller.project(student, teacher)
    other = [copy.copy(pair.select(torch.arange(B))) for pair in pairs]
    for pair in other:
        object.__setattr__(pair, "student", pair.student.detach().clone())
        object.__setattr__(pair, "teacher", pair.teacher.detach().clone())
        pair.student[[1, 2, 5]] += 7
        pair.teacher[[1, 2, 5]] -= 3
    assert torch.equal(
        distil(distiller, pairs, batch, kept), distil(distiller, tuple(other), batch, kept)
    )


def test_the_order_of_the_samples_does_not_matter(
    name: str, distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    if name in ORDERED:
        pytest.skip("by its definition it does")
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    for pair in distiller.project(student, teacher):
        there = distiller.measure(pair, batch)
        here = distiller.measure(pair.select(order), batch.select(order))
        assert torch.allclose(here, there[order], rtol=1e-4, atol=1e-6)


def test_each_spot_is_measured_for_its_own_samples(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    pairs = distiller.project(student, teacher)
    kept = torch.rand(B, len(pairs), generator=torch.Generator().manual_seed(2)) < 0.6
    kept[:2] = True
    found = distil(distiller, pairs, batch, kept)
    for column, pair in enumerate(pairs):
        rows = kept[:, column].nonzero()[:, 0]
        expected = distiller.measure(pair.select(rows), batch.select(rows))
        assert torch.allclose(found[rows, column], expected)
        assert found[~kept[:, column], column].abs().sum() == 0


def test_what_is_learnt_before_stays_as_it_was_learnt(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    if distiller.warm_up is None or distiller.warm_up.moves_student:
        assert len(distiller.learning()) == len([*distiller.parameters()])
        return
    early = {id(p) for p in distiller.warm_up.module.parameters()}
    assert early and early.isdisjoint(id(p) for p in distiller.learning())
    per_sample = distiller.warm_up.loss(student, teacher)
    assert per_sample.shape == (B,)
    per_sample.mean().backward()
    assert all(p.grad is not None for p in distiller.warm_up.module.parameters())
    assert all(p.grad is None for p in distiller.learning())
    assert all(value.grad is None for value in student.values())


def test_what_warms_up_with_the_student_moves_it_and_not_the_teacher(
    distiller: Distiller, student: Trace, teacher: Trace
) -> None:
    if distiller.warm_up is None or not distiller.warm_up.moves_student:
        pytest.skip("it has no such phase")
    per_sample = distiller.warm_up.loss(student, teacher)
    assert per_sample.shape == (B,)
    assert per_sample.isfinite().all() and (per_sample > 0).all()
    per_sample.mean().backward()
    for spot in distiller.spots:
        assert student[spot.student].grad.abs().sum() > 0
    assert all(p.grad is not None for p in distiller.warm_up.module.parameters())
    assert all(value.grad is None for value in teacher.values())


def test_moving_away_from_the_teacher_has_an_end_or_is_refused(
    distiller: Distiller, student: Trace, teacher: Trace, batch: Batch
) -> None:
    pairs = distiller.project(student, teacher)
    if type(distiller).repel is Distiller.repel:
        with pytest.raises(SpecError, match=r"^this distiller has no distance to move away by$"):
            distiller.repel(pairs[0], batch)
        return
    for pair, spot in zip(pairs, distiller.spots, strict=True):
        away = distiller.repel(pair, batch)
        assert away.shape == (B,)
        farther = Pair(1e3 * pair.student, pair.teacher)
        assert torch.allclose(distiller.repel(farther, batch), away, rtol=1e-4, atol=1e-7)
        away.sum().backward(retain_graph=True)
        assert student[spot.student].grad.isfinite().all()
        assert student[spot.student].grad.abs().sum() > 0
    assert all(value.grad is None for value in teacher.values())


@pytest.mark.parametrize("weight", [-1, float("nan"), "much"])
def test_a_weight_that_makes_no_sense_is_refused(
    name: str, setting: Setting, weight: object
) -> None:
    with pytest.raises(SpecError, match=rf"^{name}\.weight = "):
        DISTILLERS[name].make(setting, knobs={"weight": weight})
