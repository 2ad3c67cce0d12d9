"""How many directions of a map the loss depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.batch import Batch
from engine.measures.parts import gradient_at
from engine.nets.staged import StagedNet

LEFT_OUT = (0.01, 0.05, 0.1)
ROUNDING = 1e-9  # of the energy: 19 of 20 equal directions hold 95 %, however the sum is rounded


def loss_gradients(net: StagedNet, tap: str, batches: Iterable[Batch]) -> Tensor:
    """(M, C, H, W) gradient of each sample's cross-entropy, in nats, by its map.

    Args:
        net: in evaluation mode.
        tap: of the map; a vector (M, D) is taken too.
        batches: M samples in all.

    Raises:
        SpecError: as for divide.
    """
    found = []
    for batch in batches:
        loss = partial(F.cross_entropy, target=batch.target, reduction="none")
        found.append(gradient_at(net, tap, batch.image, loss)[1])
    return torch.cat(found)


def active_neurons(gradient: Tensor, left_out: Sequence[float] = LEFT_OUT) -> tuple[int, ...]:
    """The fewest directions that hold all of the gradients' energy but a share, for each share.

    After Cui et al., arXiv:1910.13025: the smallest r whose first r eigenvalues of
    (1/M) sum g g^T make up 1 - share of their sum. They are not centred, and found as squares
    of the singular values. At most M, so counts compare for one M only; 0 where no gradient is
    left.

    Args:
        gradient: (M, ...) of each sample, by a map or by some of its channels.
        left_out: shares of the energy that may be missing.
    """
    energy = torch.linalg.svdvals(gradient.double().flatten(1)).square()
    held = torch.cat([energy.new_zeros(1), energy.cumsum(dim=0)])  # by the first 0, 1, 2, ...
    needed = ((1 - share - ROUNDING) * energy.sum() for share in left_out)
    return tuple(int((held < energy_of_few).sum()) for energy_of_few in needed)
