"""Two nets as one grid: a sample can hop between them at every spot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from engine.distillers.adapter import adapter
from engine.distillers.base import Spot, Taps
from engine.errors import SpecError
from engine.nets.staged import StagedNet


class Graft(nn.Module):
    """Adapters both ways at each feature spot, and the routed pass through them.

    Args:
        spots: feature spots, the logits not included, in the order of the stages.

    Raises:
        SpecError: the spots do not follow each other in both nets.
    """

    def __init__(self, spots: Sequence[Spot], student: Taps, teacher: Taps) -> None:
        super().__init__()
        for taps, tap_names in (
            (student, [spot.student for spot in spots]),
            (teacher, [spot.teacher for spot in spots]),
        ):
            order = [list(taps).index(name) for name in tap_names]
            if any(later <= earlier for earlier, later in pairwise(order)):
                raise SpecError(f"spots must follow the stages of both nets: {tap_names}")
        self.spots = tuple(spots)
        self.up = nn.ModuleList(adapter(student[s], teacher[t]) for s, t in spots)
        self.down = nn.ModuleList(adapter(teacher[t], student[s]) for s, t in spots)

    def forward(
        self, student: StagedNet, teacher: StagedNet, image: Tensor, route: Tensor
    ) -> Tensor:
        """The logits of the routed net.

        Args:
            image: (B, 3, H, W).
            route: (B, S) 0 or 1; 1 takes the teacher; the last column is for the logits.

        Returns:
            (B, classes) float32.
        """
        to_student = to_teacher = image
        after_s: str | None = None
        after_t: str | None = None
        for i, (tap_s, tap_t) in enumerate(self.spots):
            ours = student.resume(to_student, after=after_s, until=tap_s)
            theirs = teacher.resume(to_teacher, after=after_t, until=tap_t)
            to_teacher = _mixed(route[:, i], self.up[i](ours), theirs)
            to_student = _mixed(route[:, i], ours, self.down[i](theirs))
            after_s, after_t = tap_s, tap_t
        ours = student.resume(to_student, after=after_s, until=student.names[-1])
        theirs = teacher.resume(to_teacher, after=after_t, until=teacher.names[-1])
        return _mixed(route[:, -1], ours.float(), theirs.float())


def _mixed(route: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
    """Row by row the student's signal where the route is 0 and the teacher's where it is 1."""
    a = route.to(student.dtype).view(-1, *[1] * (student.dim() - 1))
    return (1 - a) * student + a * teacher
