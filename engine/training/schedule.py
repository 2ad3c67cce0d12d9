"""Learning rates as functions of the position."""

from __future__ import annotations

import math

from engine.spec import Schedule


def rate_factor(schedule: Schedule, epoch: int, step: int, steps: int) -> float:
    """What the highest learning rate is multiplied by for one step, from 0 to 1.

    `step`, `cosine` and `poly` are multiplied by a linear warm-up where the schedule has one.

    Args:
        epoch: from 0; a milestone m lowers the rate from epoch m on.
        step: steps already taken in this epoch.
        steps: steps in one epoch.
    """
    passed = epoch + step / steps
    warm_steps = schedule.warm_up * steps
    taken = epoch * steps + step
    rising = min(1.0, (taken + 1) / warm_steps) if warm_steps else 1.0
    if schedule.decay == "step":
        return rising * schedule.factor ** sum(epoch >= m for m in schedule.milestones)
    if schedule.decay == "cosine":
        return rising * 0.5 * (1 + math.cos(math.pi * passed / schedule.epochs))
    if schedule.decay == "poly":  # as torchvision's reference recipe of segmentation
        return rising * math.pow(1 - passed / schedule.epochs, 0.9)
    return rising
