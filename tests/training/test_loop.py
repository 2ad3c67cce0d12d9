"""The loop as a stream."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.data.batch import Batch
from engine.errors import TrainingError
from engine.events import At, SpotsChosen, SpotsCounted, StepTaken
from engine.training.loop import EpochEnded, Stepped, fit
from engine.training.phase import Descend, Lesson, Phase
from engine.training.tally import Tally

from .conftest import CLASSES, Numbers, Pupil, learner, phase_of

Item = Any


@pytest.fixture(autouse=True)
def few_tellings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.loop.TELLINGS_PER_EPOCH", 2)


def tally_of(data: Numbers) -> Tally:
    return Tally(data.samples, CLASSES)


def stream(pupil: Pupil, data: Numbers, at: At = (0, 0, 0), **given: Any) -> Iterator[Item]:
    phase = phase_of(pupil, data, **given)
    return fit(phase, phase.begin(), tally_of(data), at=at, seed=7)


def told(items: Iterator[Item], kind: type) -> list[Item]:
    return [item for item in items if isinstance(item, kind)]


def test_steps_are_told_in_groups_and_at_the_end_of_an_epoch() -> None:
    found = told(stream(Pupil(), Numbers(steps=5)), StepTaken)
    assert [(one.at, one.count) for one in found] == [
        ((0, epoch, step), count) for epoch in range(3) for step, count in ((2, 2), (4, 2), (5, 1))
    ]


@pytest.mark.parametrize(
    ("steps", "tellings", "expected"), [(1, 50, 1), (49, 50, 49), (99, 50, 99), (100, 50, 50)]
)
def test_an_epoch_is_told_in_at_most_a_hundred_groups(
    monkeypatch: pytest.MonkeyPatch, steps: int, tellings: int, expected: int
) -> None:
    monkeypatch.setattr("engine.training.loop.TELLINGS_PER_EPOCH", tellings)
    items = stream(Pupil(), Numbers(steps=steps, size=1), epochs=1, chooses=False)
    found = told(items, StepTaken)
    assert len(found) == expected
    assert sum(one.count for one in found) == steps


def test_a_told_term_is_the_mean_over_its_steps() -> None:
    def mean_of_pixels(batch: Batch, one: Tensor) -> Tensor:
        return one * 0 + batch.image.mean()

    found = told(stream(Pupil(), Numbers(steps=5), loss=mean_of_pixels, epochs=2), StepTaken)
    assert [one.terms["one"] for one in found] == pytest.approx([1.5, 3.5, 5, 11.5, 13.5, 15])


def test_a_term_of_some_steps_is_the_mean_over_these() -> None:
    pupil, data = Pupil(), Numbers(steps=4)
    own = learner("first", pupil.first)

    def step(batch: Batch, number: int) -> Iterator[Descend]:
        loss = pupil.first * 0
        terms = {"always": loss + 1}
        if number % 2 == 0:
            terms["seldom"] = loss + 8
        yield Descend(own, loss, terms)

    phase = Phase(name="play", epochs=1, data=data, begin=lambda: Lesson((own,), step))
    items = fit(phase, phase.begin(), tally_of(data), at=(0, 0, 0), seed=0)
    assert [one.terms for one in told(items, StepTaken)] == [{"always": 1.0, "seldom": 8.0}] * 2


def test_rates_are_those_of_the_last_step() -> None:
    found = told(stream(Pupil(), Numbers()), StepTaken)
    assert [one.rates["first"] for one in found[::3]] == pytest.approx([0.01, 0.005, 0.01 / 3])
    assert set(found[0].rates) == {"first", "second"}


def test_every_step_and_epoch_can_be_left_at() -> None:
    items = [*stream(Pupil(), Numbers(steps=2, size=3), epochs=2)]
    assert [(one.at, one.samples) for one in items if isinstance(one, Stepped)] == [
        ((0, epoch, step), 3) for epoch in (0, 1) for step in (1, 2)
    ]
    assert [one.at for one in items if isinstance(one, EpochEnded)] == [(0, 1, 0), (0, 2, 0)]
    assert [one.at for one in items if isinstance(one, SpotsCounted)] == [(0, 1, 0), (0, 2, 0)]


def test_choices_are_told_with_the_steps_and_counted_at_the_end() -> None:
    items = [*stream(Pupil(), Numbers(), epochs=1)]
    chosen = told(iter(items), SpotsChosen)
    assert [one.at for one in chosen] == [one.at for one in told(iter(items), StepTaken)]
    (ended,) = told(iter(items), EpochEnded)
    assert set(ended.table) == {"label", "kept", "probability", "gap", "mean"}
    plain = [*stream(Pupil(), Numbers(), epochs=1, chooses=False)]
    assert not told(iter(plain), SpotsChosen) and not told(iter(plain), SpotsCounted)
    assert told(iter(plain), EpochEnded)[0].table == {}


def test_nothing_happens_before_it_is_asked_for() -> None:
    pupil, data = Pupil(), Numbers()
    items = stream(pupil, data)
    assert data.asked == []
    next(items)
    assert data.asked == [(0, 0)]


@pytest.mark.parametrize("left", [(e, s) for e in range(3) for s in range(1, 6)], ids=str)
def test_a_stream_left_at_any_step_goes_on_exactly(left: tuple[int, int]) -> None:
    """As a checkpoint does: weights, optimisers and the open sums, nothing else."""
    plain = Pupil()
    whole = [item for item in stream(plain, Numbers()) if not isinstance(item, EpochEnded)]

    pupil, data = Pupil(), Numbers()
    phase = phase_of(pupil, data)
    lesson, tally = phase.begin(), tally_of(data)
    items: list[Item] = []
    for item in fit(phase, lesson, tally, at=(0, 0, 0), seed=7):
        if not isinstance(item, EpochEnded):
            items.append(item)
        if isinstance(item, Stepped) and item.at[1:] == left:
            break

    other, data = Pupil(), Numbers()
    other.load_state_dict(pupil.state_dict())
    phase = phase_of(other, data)
    again, reopened = phase.begin(), tally_of(data)
    for new, old in zip(again.learners, lesson.learners, strict=True):
        new.optimizer.load_state_dict(copy.deepcopy(old.optimizer.state_dict()))
    reopened.load_state_dict(copy.deepcopy(tally.state_dict()), torch.device("cpu"))
    torch.manual_seed(12345)  # nothing is taken from the global generator as it was
    for item in fit(phase, again, reopened, at=(0, *left), seed=7):
        if not isinstance(item, EpochEnded):
            items.append(item)
    assert items == whole
    assert data.asked[0] == left
    assert torch.equal(other.first, plain.first) and torch.equal(other.second, plain.second)


def test_another_seed_draws_otherwise() -> None:
    phase = phase_of(Pupil(), Numbers())
    one, other = (
        told(
            fit(
                phase_of(Pupil(), d := Numbers()),
                phase.begin(),
                tally_of(d),
                at=(0, 0, 0),
                seed=seed,
            ),
            SpotsChosen,
        )
        for seed in (1, 2)
    )
    assert one != other


def test_a_learner_may_move_before_the_end_of_the_step() -> None:
    pupil, data = Pupil(), Numbers(steps=1)
    first, second = learner("first", pupil.first, lr=0.5), learner("second", pupil.second)
    seen: list[float] = []

    def step(batch: Batch, number: int) -> Iterator[Descend]:
        yield Descend(first, 2 * pupil.first, {}, move=True)
        seen.append(pupil.first.item())
        yield Descend(second, 2 * pupil.second, {})
        seen.append(pupil.second.item())

    phase = Phase(name="play", epochs=1, data=data, begin=lambda: Lesson((first, second), step))
    [*fit(phase, phase.begin(), tally_of(data), at=(0, 0, 0), seed=0)]
    assert seen == [0.0, 2.0]
    assert pupil.second.item() < 2.0
    assert pupil.first.item() == 0.0, "moved once"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_told_with_its_place(value: float) -> None:
    def spoilt(batch: Batch, one: Tensor) -> Tensor:
        return one * value if batch.image.mean() == 13 else one  # epoch 1, step 2

    items = stream(Pupil(), Numbers(), loss=spoilt)
    found = []
    with pytest.raises(
        TrainingError, match=r"in phase play, epoch 2, step 3 \(term: one\)"
    ) as caught:
        for item in items:
            found.append(item)
    assert "lower the learning rate" in caught.value.hint
    assert found[-1].at == (0, 1, 2)


def test_a_sum_that_is_not_finite_is_told_as_such() -> None:
    pupil, data = Pupil(), Numbers()
    own = learner("first", pupil.first)

    def step(batch: Batch, number: int) -> Iterator[Descend]:
        term = pupil.first * 3e38
        yield Descend(own, term * 3e38, {"large": term})

    phase = Phase(name="play", epochs=1, data=data, begin=lambda: Lesson((own,), step))
    with pytest.raises(TrainingError, match="their sum"):
        [*fit(phase, phase.begin(), tally_of(data), at=(0, 0, 0), seed=0)]
