"""How often a net is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.batch import Batch
from engine.nets.freeze import evaluating
from engine.nets.staged import StagedNet

Around = Callable[[], AbstractContextManager[Any]]


def classification_figures(
    net: StagedNet, batches: Iterable[Batch], *, around: Around = nullcontext
) -> dict[str, float]:
    """Figures of one net over some labelled images, in evaluation mode.

    Args:
        around: a context for the net's pass, as for autocast.

    Returns:
        accuracy, and top5 where there are more than 5 classes: shares from 0 to 1; loss: mean
        cross-entropy in nats.
    """
    sums: dict[str, Tensor] = {}
    count = 0
    with evaluating(net), torch.no_grad():
        for batch in batches:
            with around():
                logits = net(batch.image)
            for name, value in _sums(logits.float(), batch.target).items():
                sums[name] = sums[name] + value if name in sums else value
            count += len(batch)
    return {name: float(value) / count for name, value in sums.items()}


def _sums(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """(B, classes), (B,) -> figure -> its sum over the batch, in float64."""
    found = {
        "accuracy": (logits.argmax(dim=1) == target).sum(),
        "loss": F.cross_entropy(logits, target, reduction="none").double().sum(),
    }
    if logits.shape[1] > 5:
        best = logits.topk(5, dim=1).indices
        found["top5"] = (best == target[:, None]).any(dim=1).sum()
    return found
