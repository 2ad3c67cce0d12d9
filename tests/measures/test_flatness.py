"""Disturbed losses against an own computation, and what must not change."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest
import tiny
import torch
import torch.nn.functional as F

from engine.measures.accuracy import classification_figures
from engine.measures.flatness import flatness
from engine.nets.freeze import freeze
from engine.seeding import seed_for

from .small_net import batch_of, small_net

BATCHES = [tiny.batch_of(4, seed=1), tiny.batch_of(2, seed=2)]


def test_the_loss_of_a_linear_net_as_computed_anew() -> None:
    weight, bias = torch.tensor([[1.0, 2, 3], [-1, 0.5, 0]]), torch.tensor([0.3, -0.2])
    net = small_net(weight.tolist(), bias.tolist())
    image = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 1, 1, 0, 1])
    losses = []
    for draw in range(3):
        generator = torch.Generator().manual_seed(seed_for(7, "flatness", draw))
        moved = weight + 0.5 * torch.randn(2, 3, generator=generator)
        shifted = bias + 0.5 * torch.randn(2, generator=generator)
        logits = image.mean(dim=(2, 3)) @ moved.T + shifted
        losses.append(F.cross_entropy(logits, target).item())
    batches = [batch_of(image[:3], [0, 1, 1]), batch_of(image[3:], [0, 1])]
    (found,) = flatness(net, batches, sigmas=[0.5], seed=7, draws=3)
    assert found.sigma == 0.5
    assert found.mean == pytest.approx(fmean(losses), rel=1e-6)
    assert found.std == pytest.approx(stdev(losses), rel=1e-5)


def test_undisturbed_it_is_the_loss() -> None:
    net = tiny.net(tiny.STUDENT, seed=1).eval()
    (found,) = flatness(net, BATCHES, sigmas=[0.0], seed=0)
    assert (found.mean, found.std) == (classification_figures(net, BATCHES)["loss"], 0.0)


def test_every_strength_is_that_strength_alone() -> None:
    net = tiny.net(tiny.STUDENT, seed=1)
    together = flatness(net, BATCHES, sigmas=[0.2, 0.0, 0.05], seed=0)
    alone = [flatness(net, BATCHES, sigmas=[at], seed=0)[0] for at in (0.2, 0.0, 0.05)]
    assert list(together) == alone
    assert together[0].std > together[2].std > 0


def test_draws_depend_on_the_seed_alone() -> None:
    net = tiny.net(tiny.STUDENT, seed=1)
    one, again, other = (
        flatness(net, BATCHES, sigmas=[0.1], seed=seed, draws=2) for seed in (1, 1, 2)
    )
    assert one == again != other


def test_noise_has_the_strength_asked_for_on_all_parameters() -> None:
    """The net tells what it is given: its loss is the mean of what was added, squared."""

    seen: list[torch.Tensor] = []
    net = tiny.net("tiny_net_8_3", seed=1)
    own = torch.cat([p.detach().flatten() for p in net.parameters()])

    class Telling(type(net)):  # type: ignore[misc]
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(torch.cat([p.detach().flatten() for p in self.parameters()]) - own)
            return super().forward(image)

    net.__class__ = Telling
    flatness(net, BATCHES[:1], sigmas=[0.3], seed=0, draws=4)
    for added in seen:
        assert abs(added.mean().item()) < 0.3 * 4 / math.sqrt(len(own))
        assert added.std().item() == pytest.approx(0.3, rel=0.05)
        assert int((added == 0).sum()) < 10, "every parameter is disturbed"
    assert len(seen) == 4 and not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("training", [True, False])
def test_the_net_and_torchs_generator_stay_as_they_are(training: bool) -> None:
    net = tiny.net(tiny.STUDENT, seed=1).train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(5)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    flatness(net, BATCHES, sigmas=[0.1, 1.0], seed=0)
    assert torch.equal(torch.rand(3), drawn)
    assert net.training == training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_a_frozen_net_is_disturbed_too_and_stays_frozen() -> None:
    loose, frozen = (tiny.net(tiny.STUDENT, seed=1) for _ in range(2))
    freeze(frozen)
    asked = {"sigmas": [0.1], "seed": 0}
    assert flatness(frozen, BATCHES, **asked) == flatness(loose, BATCHES, **asked)
    assert not frozen.train().training
    assert not any(p.requires_grad for p in frozen.parameters())


def test_a_loss_that_overflows_is_told_as_it_is() -> None:
    net = tiny.net(tiny.STUDENT, seed=1)
    (found,) = flatness(net, BATCHES, sigmas=[1e30], seed=0)
    assert not math.isfinite(found.mean) and not math.isfinite(found.std)
