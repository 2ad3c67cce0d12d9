"""Who moves which parameter, and when."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.training.phase import Learner, Lesson

from .conftest import Pupil, learner


def test_a_loss_gives_gradients_to_the_learners_own_parameters_only() -> None:
    pupil = Pupil()
    own = learner("first", pupil.first)
    own.backward((pupil.first * pupil.second).square())
    assert pupil.first.grad is not None
    assert pupil.second.grad is None


def test_two_losses_of_a_step_add_up() -> None:
    pupil = Pupil()
    own = learner("first", pupil.first, lr=0.5)
    own.backward(3 * pupil.first)
    own.backward(4 * pupil.first)
    assert pupil.first.grad.item() == 7
    own.move()
    assert pupil.first.item() == pytest.approx(1 - 0.5 * 7)


def test_a_step_forgets_the_gradients_of_the_step_before() -> None:
    pupil = Pupil()
    own = learner("first", pupil.first)
    own.backward(3 * pupil.first)
    own.move()
    own.backward(5 * pupil.first)
    assert pupil.first.grad.item() == 5


def test_gradients_left_by_others_are_forgotten_too() -> None:
    pupil = Pupil()
    pupil.first.grad = torch.tensor(100.0)
    own = learner("first", pupil.first)
    own.backward(3 * pupil.first)
    assert pupil.first.grad.item() == 3


def test_without_a_loss_nothing_moves() -> None:
    pupil = Pupil()
    own = learner("first", pupil.first, lr=1.0)
    own.backward(3 * pupil.first)
    own.move()
    where = pupil.first.item()
    own.move()
    assert pupil.first.item() == where, "momentum alone moves nothing"


def test_a_parameter_that_a_loss_does_not_reach_decays_like_all_others() -> None:
    pupil = Pupil()
    optimizer = torch.optim.SGD(pupil.parameters(), lr=1.0, weight_decay=0.5)
    both = Learner("both", optimizer, lambda epoch, step: 1.0)
    both.backward(pupil.first.square())
    assert pupil.second.grad.item() == 0
    both.move()
    assert pupil.second.item() == 1.0


def test_rates_follow_the_schedule_and_groups_keep_their_proportion() -> None:
    pupil = Pupil()
    groups = [{"params": [pupil.first], "lr": 0.1}, {"params": [pupil.second], "lr": 0.3}]
    own = Learner("own", torch.optim.SGD(groups), lambda epoch, step: 0.5**epoch)
    assert [own.set_rate(epoch, 0) for epoch in (0, 1, 2, 0)] == [0.1, 0.05, 0.025, 0.1]
    own.set_rate(1, 0)
    assert [group["lr"] for group in own.optimizer.param_groups] == [0.05, 0.15]


def test_a_rate_that_was_stored_in_a_checkpoint_does_not_become_the_base() -> None:
    pupil = Pupil()
    own, other = learner("first", pupil.first, lr=0.1), learner("first", pupil.first, lr=0.1)
    own.set_rate(3, 0)
    other.optimizer.load_state_dict(own.optimizer.state_dict())
    assert other.set_rate(0, 0) == 0.1


def test_each_parameter_belongs_to_exactly_one_learner() -> None:
    pupil = Pupil()
    first, second = learner("first", pupil.first), learner("second", pupil.second)
    Lesson((first, second), lambda batch, step: iter(()))
    with pytest.raises(AssertionError, match="exactly one learner"):
        Lesson((first, learner("again", pupil.first)), lambda batch, step: iter(()))


def test_norms_have_no_parameters_that_escape() -> None:
    net = nn.BatchNorm2d(2)
    own = Learner("own", torch.optim.SGD(net.parameters(), lr=1.0), lambda epoch, step: 1.0)
    assert {id(p) for p in own.parameters} == {id(p) for p in net.parameters()}
