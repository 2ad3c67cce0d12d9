"""Learning rates at their places."""

from __future__ import annotations

import pytest

from engine.spec import Schedule
from engine.training.schedule import rate_factor

STEPS = 782
PUBLISHED = Schedule(epochs=240, lr=0.05, decay="step", milestones=(150, 180, 210))


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        *((1, 0.05), (150, 0.05), (151, 5e-3), (180, 5e-3), (181, 5e-4)),
        *((210, 5e-4), (211, 5e-5), (240, 5e-5)),
    ],
)
@pytest.mark.parametrize("step", [0, STEPS - 1])
def test_the_published_schedule_falls_after_150_180_and_210_epochs(
    epoch: int, rate: float, step: int
) -> None:
    factor = rate_factor(PUBLISHED, epoch - 1, step, STEPS)
    assert PUBLISHED.lr * factor == pytest.approx(rate, rel=1e-12)


def test_a_constant_rate_stays() -> None:
    schedule = Schedule(epochs=3, decay="constant")
    assert {rate_factor(schedule, e, s, 5) for e in range(3) for s in range(5)} == {1.0}


def test_a_cosine_falls_at_every_step_from_one_to_nearly_zero() -> None:
    schedule = Schedule(epochs=4, decay="cosine")
    rates = [rate_factor(schedule, epoch, step, 5) for epoch in range(4) for step in range(5)]
    assert rates[0] == 1.0
    assert rates[10] == pytest.approx(0.5)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.01


def test_poly_falls_to_nothing_nearly_in_a_line() -> None:
    schedule = Schedule(epochs=4, decay="poly")
    found = [rate_factor(schedule, epoch, 5, 10) for epoch in range(4)]
    assert found == pytest.approx([(1 - passed / 8) ** 0.9 for passed in (1, 3, 5, 7)])


@pytest.mark.parametrize("decay", ["constant", "step", "cosine", "poly"])
def test_a_warm_up_rises_to_the_whole_rate(decay: str) -> None:
    schedule = Schedule(epochs=4, decay=decay, warm_up=1.5)
    plain = schedule.model_copy(update={"warm_up": 0.0})
    share = [
        rate_factor(schedule, *divmod(step, 4), 4) / rate_factor(plain, *divmod(step, 4), 4)
        for step in range(8)
    ]
    assert share == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1])


def test_an_epoch_of_one_step_has_a_rate() -> None:
    assert rate_factor(Schedule(epochs=1, warm_up=1), 0, 0, 1) == 1.0
