"""Open sums, counted by hand."""

from __future__ import annotations

import pytest
import torch

from engine.data.batch import Batch
from engine.events import SpotsChosen, StepTaken
from engine.training.phase import Chosen
from engine.training.tally import NUM_ROUTES, Tally

AT = (0, 1, 0)


def batch_of(index: list[int], target: list[int]) -> Batch:
    return Batch(torch.zeros(len(index), 3, 1, 1), torch.tensor(target), torch.tensor(index))


def chosen(kept: list[list[int]], probability: float = 0.5) -> Chosen:
    mask = torch.tensor(kept, dtype=torch.bool)
    return Chosen(("a", "b"), mask, torch.full(mask.shape, probability), torch.ones(len(mask)))


@pytest.fixture
def tally() -> Tally:
    """Two steps over four of five samples of three classes."""
    found = Tally(5, 3)
    found.choose(batch_of([0, 4], [0, 2]), chosen([[1, 0], [1, 1]], 1.0))
    found.add({"task": torch.tensor(1.0)})
    found.stepped()
    found.choose(batch_of([1, 3], [0, 2]), chosen([[0, 0], [1, 0]], 0.0))
    found.add({"task": torch.tensor(2.0), "rare": torch.tensor(6.0)})
    found.stepped()
    return found


def test_means_and_shares_are_over_the_steps_since_the_last_telling(tally: Tally) -> None:
    steps, spots = tally.tell(AT, {"student": 0.1})
    assert isinstance(steps, StepTaken) and isinstance(spots, SpotsChosen)
    assert (steps.at, steps.count, steps.rates) == (AT, 2, {"student": 0.1})
    assert steps.terms == {"task": 1.5, "rare": 6.0}
    assert spots.share == {"a": 0.75, "b": 0.25}
    tally.add({"task": torch.tensor(5.0)})
    tally.stepped()
    (steps,) = tally.tell(AT, {})
    assert (steps.count, steps.terms) == (1, {"task": 5.0})


def test_an_epoch_is_counted_by_spot_class_and_route(tally: Tally) -> None:
    counted, table = tally.close_epoch(AT)
    assert counted.spots == ("a", "b")
    assert counted.samples == (2, 0, 2)
    assert counted.kept == ((1, 0, 2), (0, 0, 1))
    assert counted.routes == {"10": 2, "00": 1, "11": 1}
    assert counted.probability == (0.5, 0.5)
    assert table["label"].tolist() == [0, 0, -1, 2, 2]
    assert table["kept"].tolist() == [[1, 0], [0, 0], [0, 0], [1, 0], [1, 1]]
    assert table["probability"][:, 0].tolist() == [255, 0, 0, 0, 255]
    assert table["gap"].tolist() == [1, 1, 0, 1, 1]


def test_the_mean_probability_goes_on_over_the_epochs(tally: Tally) -> None:
    tally.close_epoch(AT)
    tally.choose(batch_of([0, 2], [0, 1]), chosen([[1, 0], [1, 1]], 0.5))
    other = Tally(5, 3)
    other.load_state_dict(tally.state_dict(), torch.device("cpu"))
    _, table = other.close_epoch((0, 2, 0))
    assert table["mean"][:, 0].tolist() == [0.75, 0, 0.5, 0, 1]


def test_a_closed_epoch_leaves_nothing_open(tally: Tally) -> None:
    assert tally.has_choices
    tally.close_epoch(AT)
    assert not tally.has_choices
    tally.choose(batch_of([2], [1]), chosen([[1, 1]]))
    counted, _ = tally.close_epoch(AT)
    assert counted.samples == (0, 1, 0)


def test_only_the_most_frequent_routes_are_told() -> None:
    spots = tuple(f"s{i}" for i in range(10))
    count = 2**10
    bits = torch.arange(count)[:, None] >> torch.arange(10) & 1
    found = Tally(count + 3, 1)
    index, target = torch.arange(count + 3), torch.zeros(count + 3, dtype=torch.long)
    mask = torch.cat([bits, bits[-1:].expand(3, -1)]).bool()
    given = Batch(torch.zeros(count + 3, 3, 1, 1), target, index)
    found.choose(given, Chosen(spots, mask, mask.float(), mask[:, 0].float()))
    counted, _ = found.close_epoch(AT)
    assert len(counted.routes) == NUM_ROUTES
    assert next(iter(counted.routes.items())) == ("1" * 10, 4)


def test_terms_need_no_gradient_and_may_be_of_half_precision() -> None:
    found = Tally(1, 1)
    found.add({"task": torch.tensor(1.0, dtype=torch.bfloat16, requires_grad=True)})
    found.stepped()
    assert all(not value.requires_grad for value in found.state_dict()["terms"].values())
    assert found.tell(AT, {})[0].terms == {"task": 1.0}


def test_its_state_comes_back_whole(tally: Tally) -> None:
    other = Tally(5, 3)
    other.load_state_dict(tally.state_dict(), torch.device("cpu"))
    assert other.tell(AT, {}) == tally.tell(AT, {})
    (one, one_table), (two, two_table) = other.close_epoch(AT), tally.close_epoch(AT)
    assert one == two
    assert all(torch.equal(one_table[name], two_table[name]) for name in two_table)


def test_a_state_that_was_taken_does_not_change_with_later_steps(tally: Tally) -> None:
    state = tally.state_dict()
    tally.add({"task": torch.tensor(100.0)})
    tally.stepped()
    other = Tally(5, 3)
    other.load_state_dict(state, torch.device("cpu"))
    assert other.tell(AT, {})[0].terms["task"] == 1.5
