"""Decoupled knowledge distillation."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.batch import Batch
from engine.distillers.base import (
    DISTILLERS,
    Distiller,
    Pair,
    Part,
    Setting,
    Spot,
    Taps,
    Weight,
    spot_at_logits,
)
from engine.distillers.kd import Temperature
from engine.nets.staged import Kind


@DISTILLERS.register(
    "dkd", title="Copy answers, decoupled (DKD)", source="Zhao et al., CVPR 2022, eq. 7"
)
class DecoupledKnowledge(Distiller):
    """Copies how sure the teacher is of the right class and, apart from it, how it ranks the
    others.

    mdistiller raises the weight from 0 over its first 20 epochs; here it is constant.
    """

    kind: ClassVar[Kind] = "logits"

    def __init__(
        self,
        setting: Setting,
        *,
        target_weight: Part = 1.0,
        others_weight: Part = 8.0,
        temperature: Temperature = 4.0,
        weight: Weight = 1.0,
    ) -> None:
        super().__init__(setting, weight=weight)
        self.target_weight, self.others_weight = target_weight, others_weight
        self.temperature = temperature

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_logits(student, teacher)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) temperature squared times the weighted sum of the two divergences, in nats."""
        ours, theirs = (one / self.temperature for one in (pair.student, pair.teacher))
        right = F.one_hot(batch.target, ours.shape[1]).bool()
        target = _divergence(_split(ours, right), _split(theirs, right))
        others = _divergence(_others(ours, right), _others(theirs, right))
        total = self.target_weight * target + self.others_weight * others
        return total * self.temperature**2


def _split(logits: Tensor, right: Tensor) -> Tensor:
    """(K, 2) log probabilities of the right class and of all others together."""
    log_p = logits.log_softmax(dim=1)
    rest = log_p.masked_fill(right, -torch.inf).logsumexp(dim=1)
    return torch.stack([log_p[right], rest], dim=1)


def _others(logits: Tensor, right: Tensor) -> Tensor:
    """(K, classes - 1) log probabilities among the wrong classes."""
    return logits[~right].view(len(logits), -1).log_softmax(dim=1)


def _divergence(ours: Tensor, theirs: Tensor) -> Tensor:
    """(K,) KL(theirs || ours) of log probabilities."""
    return (theirs.exp() * (theirs - ours)).sum(dim=1)
