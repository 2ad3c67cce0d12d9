"""Directions counted in gradients made by hand, and gradients of a net."""

from __future__ import annotations

import math

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.measures.active_neurons import LEFT_OUT, active_neurons, loss_gradients

from .small_net import PARTS, batch_of, small_net


def directions(count: int, width: int, *, seed: int = 0) -> Tensor:
    """(count, width) orthonormal rows."""
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(square).Q[:count]


@pytest.mark.parametrize("count", [1, 2, 10, 19, 20, 21, 40, 100])
def test_equal_directions_are_needed_but_for_the_share(count: int) -> None:
    """Numeric test 19 of the design."""
    gradient = directions(count, 100)
    found = active_neurons(gradient.reshape(count, 4, 5, 5))
    assert LEFT_OUT == (0.01, 0.05, 0.1)
    assert found == tuple(-(-count * (100 - percent) // 100) for percent in (1, 5, 10))
    assert active_neurons(gradient.float()) == found


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e8])
def test_the_scale_of_gradients_does_not_matter(scale: float) -> None:
    gradient = torch.randn(30, 12, generator=torch.Generator().manual_seed(0))
    assert active_neurons(scale * gradient) == active_neurons(gradient)


def test_energies_as_written_by_hand() -> None:
    """Lengths 3, 2, 1 hold 9, 4 and 1 of 14: 64 %, 93 %, 100 %."""
    gradient = torch.tensor([3.0, 2, 1])[:, None] * directions(3, 5)
    assert active_neurons(gradient, (0.4, 0.3, 0.08, 0.07, 0.0)) == (1, 2, 2, 3, 3)


def test_directions_are_those_of_the_matrix_of_second_moments() -> None:
    """Not of the covariance: a gradient that all samples share counts."""
    gradient = torch.randn(8, 3, 2, 2, generator=torch.Generator().manual_seed(1)) + 3
    rows = gradient.double().flatten(1)
    energy = torch.linalg.eigvalsh(rows.T @ rows / 8).flip(0)
    held = (energy.cumsum(0) / energy.sum()).tolist()
    expected = tuple(
        1 + next(r for r, share in enumerate(held) if share >= 1 - left) for left in LEFT_OUT
    )
    assert active_neurons(gradient) == expected
    assert active_neurons(torch.ones(6, 4)) == (1, 1, 1)


def test_a_part_is_counted_by_its_channels() -> None:
    gradient = torch.zeros(3, 3, 1, 1)
    gradient[0, 0] = gradient[1, 1] = gradient[2, 2] = 1.0
    inherit, explore = PARTS.of(gradient)
    assert (active_neurons(inherit), active_neurons(explore)) == ((2, 2, 2), (1, 1, 1))


def test_without_a_gradient_or_a_channel_nothing_is_active() -> None:
    assert active_neurons(torch.zeros(4, 2, 3, 3)) == (0, 0, 0)
    assert active_neurons(torch.ones(4, 0, 3, 3)) == (0, 0, 0)


@pytest.mark.parametrize("is_inner", [False, True])
def test_gradients_are_those_of_the_loss_of_one_sample(is_inner: bool) -> None:
    """By hand: W^T (softmax - label) over the 4 places, not divided by the batch."""
    weight = torch.tensor([[1.0, 2, 3], [-1, 0.5, 0]])
    net = small_net(weight.tolist(), [0.3, -0.2], is_inner=is_inner)
    image = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    batches = [batch_of(image[:2], [0, 1]), batch_of(image[2:], [1])]
    found = loss_gradients(net, net.last_map, batches)
    with torch.no_grad():
        gap = F.softmax(net(image), dim=1) - torch.eye(2)[[0, 1, 1]]
    expected = (gap @ weight / 4)[:, :, None, None].expand(3, 3, 2, 2)
    torch.testing.assert_close(found, expected)


def test_finite_differences_agree() -> None:
    net = tiny.net(tiny.STUDENT, seed=3).double().eval()
    batch = tiny.batch_of(2)
    image = batch.image.double()
    found = loss_gradients(net, "stage1", [batch_of(image, batch.target.tolist())])
    with torch.no_grad():
        feature = net.trace(image)["stage1"]
        for place in ((0, 1, 2, 3), (1, 4, 0, 0), (1, 7, 3, 3)):
            losses = []
            for step in (1e-5, -1e-5):
                moved = feature.clone()
                moved[place] += step
                logits = net.resume(moved, after="stage1", until="logits")
                losses.append(F.cross_entropy(logits, batch.target, reduction="none")[place[0]])
            slope = float(losses[0] - losses[1]) / 2e-5
            assert math.isclose(found[place].item(), slope, abs_tol=1e-8)


def test_samples_do_not_depend_on_their_batch_and_the_net_stays() -> None:
    net = tiny.net(tiny.STUDENT, seed=3).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    batch = tiny.batch_of(6)
    rows = [batch.select(torch.tensor([n])) for n in range(6)]
    together, one_by_one = (loss_gradients(net, "stage2", found) for found in ([batch], rows))
    torch.testing.assert_close(together, one_by_one)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
