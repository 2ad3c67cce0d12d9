"""How fast the loss rises when the weights are disturbed."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.data.batch import Batch
from engine.measures.accuracy import classification_figures
from engine.nets.staged import StagedNet
from engine.seeding import seed_for

DRAWS = 5


@dataclass(frozen=True, slots=True)
class Disturbed:
    """The loss at one strength: mean and sample standard deviation over the draws, in nats."""

    sigma: float
    mean: float
    std: float


def flatness(
    net: StagedNet,
    batches: Sequence[Batch],
    *,
    sigmas: Sequence[float],
    seed: int,
    draws: int = DRAWS,
) -> tuple[Disturbed, ...]:
    """The loss when N(0, sigma^2) is added to every parameter, for each sigma.

    Parameters of norms are among them, their running statistics are not. The strength is the
    same for all weights: nets of one architecture compare, others need not. A draw is one
    direction for all sigmas, so that the curve is smooth, and the same for nets of one
    architecture. The net and torch's generators stay as they are. A loss may be infinite or
    NaN where a strong disturbance overflows.

    Args:
        net: its loss is taken in evaluation mode.
        batches: the samples, of the training split; read once for each draw and sigma.
        sigmas: in units of the weights.
        seed: of the run.
        draws: at least 2.
    """
    losses: dict[float, list[float]] = {sigma: [] for sigma in sigmas}
    disturbed = copy.deepcopy(net)
    for draw in range(draws):
        generator = torch.Generator().manual_seed(seed_for(seed, "flatness", draw))
        directions = list(_directions(net, generator))
        for sigma, found in losses.items():
            with torch.no_grad():
                for there, own, direction in zip(
                    disturbed.parameters(), net.parameters(), directions, strict=True
                ):
                    there.copy_(own + sigma * direction)
            found.append(classification_figures(disturbed, batches)["loss"])
    return tuple(_disturbed(sigma, found) for sigma, found in losses.items())


def _disturbed(sigma: float, losses: Sequence[float]) -> Disturbed:
    values = torch.tensor(losses, dtype=torch.float64)
    return Disturbed(sigma, values.mean().item(), values.std().item())


def _directions(net: StagedNet, generator: torch.Generator) -> Iterator[Tensor]:
    """N(0, 1) for every parameter, drawn on the host: the same on every device."""
    for own in net.parameters():
        yield torch.randn(own.shape, generator=generator).to(own)
