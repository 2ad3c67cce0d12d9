"""Policies: who is taught where."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from engine.registry import Registry
from engine.seeding import seed_for

SOURCE = "Song et al., spot-adaptive knowledge distillation, authors' code"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy decided for one batch.

    route:       (B, S) 0 or 1, 1 = teacher, with straight-through gradients where it learns
    kept:        (B, S) bool, where the sample is distilled
    probability: (B, S) P(kept), 0 to 1, detached
    """

    route: Tensor
    kept: Tensor
    probability: Tensor


class Policy(nn.Module):
    """Decides for each sample at which of S spots the teacher teaches.

    Args:
        width: of the features it sees.
        num_spots: S, the logits included.
        is_same_family: whether teacher and student are two sizes of one design.
    """

    learns: ClassVar[bool] = False

    def __init__(self, width: int, num_spots: int, is_same_family: bool) -> None:
        super().__init__()
        self.num_spots = num_spots

    @abstractmethod
    def forward(self, features: Tensor) -> Decision:
        """Decide from (B, width) embeddings of teacher and student, detached.

        Draws come from a generator of their own, seeded by the step's seed, so that nothing
        else in a run shifts when a policy is switched on.
        """


POLICIES: Registry[Policy] = Registry("policy")


def _fixed(features: Tensor, num_spots: int, probability: float) -> Decision:
    shape = (len(features), num_spots)
    if probability in (0.0, 1.0):
        route = torch.full(shape, probability, device=features.device)
    else:
        route = torch.rand(shape, generator=_generator()).lt(probability).float()
        route = route.to(features.device)
    return Decision(route, route > 0.5, torch.full_like(route, probability))


@POLICIES.register("all", title="Everywhere", source="ordinary distillation")
class All(Policy):
    """Teaches every image at every spot: ordinary distillation."""

    def forward(self, features: Tensor) -> Decision:
        return _fixed(features, self.num_spots, 1.0)


@POLICIES.register("none", title="Nowhere", source="control")
class Nowhere(Policy):
    """Teaches nothing: the student learns from the labels, at the same cost."""

    def forward(self, features: Tensor) -> Decision:
        return _fixed(features, self.num_spots, 0.0)


@POLICIES.register("random", title="By coin toss", source=SOURCE + ", random script")
class Random(Policy):
    """Tosses a fair coin for every image and spot."""

    def forward(self, features: Tensor) -> Decision:
        return _fixed(features, self.num_spots, 0.5)


@POLICIES.register("learned", title="Learned (spot-adaptive)", source=SOURCE)
class Learned(Policy):
    """Chooses so that a net mixed from teacher and student at these spots classifies well.

    Weight decay wears the warm start off: at batch 64 it lasts for about 10 epochs, longer
    with a smaller rate.
    """

    learns = True

    def __init__(
        self,
        width: int,
        num_spots: int,
        is_same_family: bool,
        *,
        warm_start: Annotated[
            float,
            Field(ge=0, le=50, description="Bias to the teacher at the start, same family only"),
        ] = 10.0,
        gumbel_temperature: Annotated[
            float, Field(gt=0, le=100, description="Of the straight-through gradient")
        ] = 5.0,
    ) -> None:
        super().__init__(width, num_spots, is_same_family)
        self.gumbel_temperature = gumbel_temperature
        self.head = nn.Linear(width, 2 * num_spots)
        if is_same_family:
            with torch.no_grad():
                self.head.bias[0::2] += warm_start

    def forward(self, features: Tensor) -> Decision:
        scores = self.head(features).unflatten(1, (self.num_spots, 2))  # teacher, student
        noise = torch.empty(scores.shape).exponential_(generator=_generator()).log()
        soft = ((scores - noise.to(scores)) / self.gumbel_temperature).softmax(dim=2)[..., 0]
        hard = (soft > 0.5).to(soft.dtype)
        route = hard + (soft - soft.detach())
        gap = scores[..., 0] - scores[..., 1]
        return Decision(route, hard > 0.5, gap.detach().sigmoid())


@POLICIES.register("reversed", title="Reversed", source=SOURCE + ", reversed script")
class Reversed(Learned):
    """Teaches exactly where the learned policy would not; the policy trains as usual."""

    def forward(self, features: Tensor) -> Decision:
        decision = super().forward(features)
        return Decision(decision.route, ~decision.kept, 1 - decision.probability)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(seed_for(torch.initial_seed(), "policy"))
