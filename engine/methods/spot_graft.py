"""Two nets as one grid: a sample can hop between them at every spot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from engine.distillers.adapter import adapter
from engine.distillers.base import Spot, Taps
from engine.errors import SpecError
from engine.nets.staged import StagedNet, Trace


class Lecture:
    """One pass of the frozen teacher, kept so that routes that stay with it need no second.

    Args:
        image: (B, 3, H, W).
        cuts: of the teacher, in order.
        is_routed: whether routes will follow; then the graph of each segment between cuts is
            kept, but of the first, before which nothing learns.

    Attributes:
        trace: tap -> output, without gradients.
    """

    def __init__(
        self, teacher: StagedNet, image: Tensor, cuts: Sequence[str], is_routed: bool
    ) -> None:
        self._teacher = teacher
        self._ends = (*cuts, teacher.names[-1])
        self._segments: list[tuple[Tensor, Tensor]] = []  # what went in, what came out
        trace: dict[str, Tensor] = {}
        given, begin = image, None
        for end in self._ends:
            with torch.set_grad_enabled(is_routed and begin is not None):
                part = teacher.trace(given, after=begin, until=end, inside=True)
            self._segments.append((given, part[end]))
            trace |= {tap: signal.detach() for tap, signal in part.items()}
            given, begin = part[end].detach().requires_grad_(is_routed), end
        self.trace: Trace = trace

    def again(self, number: int, given: Tensor, has_left: Tensor) -> Tensor:
        """The output of one segment for samples of which some have left the teacher's path.

        Args:
            given: (B, ...) what goes into the segment; as in the lecture where nothing has left.
            has_left: (B,) bool, on the CPU.
        """
        begin, end = self._ends[number - 1] if number else None, self._ends[number]
        count = int(has_left.sum())
        if 2 * count >= len(has_left):  # a graph run backwards for few samples costs as for all
            return self._teacher.resume(given, after=begin, until=end)
        told: Tensor = _Recall.apply(given, self._segments[number])
        if count == 0:
            return told
        rows = has_left.nonzero(as_tuple=True)[0].to(given.device)
        return told.index_copy(0, rows, self._teacher.resume(given[rows], after=begin, until=end))


class _Recall(torch.autograd.Function):
    """What a segment gave when it ran; gradients go back through the graph of that time."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, segment: tuple[Tensor, Tensor]) -> Tensor:
        ctx.segment = segment
        return segment[1].detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        before, after = ctx.segment
        (found,) = torch.autograd.grad(after, before, grads)
        return found, None


class Graft(nn.Module):
    """Adapters both ways at each feature spot, and the routed pass through them.

    Both nets run for the whole batch, since the norms of the adapters see all of it. Left out
    is what changes no gradient: the graphs of whatever no sample's route takes, those of the
    first segments, and the teacher's segments for samples that have not left it before.

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

    def lecture(self, teacher: StagedNet, image: Tensor, *, is_routed: bool) -> Lecture:
        """Run the teacher for images (B, 3, H, W)."""
        return Lecture(teacher, image, [spot.teacher for spot in self.spots], is_routed)

    def forward(self, student: StagedNet, told: Lecture, image: Tensor, route: Tensor) -> Tensor:
        """The logits of the routed net.

        Args:
            told: the lecture of these images.
            image: (B, 3, H, W).
            route: (B, S) 0 or 1; 1 takes the teacher; the last column is for the logits.

        Returns:
            (B, classes) float32.
        """
        share = route.detach().cpu()
        teaches = (share != 0).any(dim=0).tolist()  # at this spot some sample takes the teacher
        is_own = (share != 1).any(dim=0).tolist()  # some sample takes the student
        has_left = torch.zeros(len(share), dtype=torch.bool)
        graph = torch.set_grad_enabled
        to_student = to_teacher = image
        after: str | None = None
        for i, spot in enumerate(self.spots):
            a, crossed = route[:, i], share[:, i] != 1
            with graph(i > 0 and is_own[i]):
                ours = student.resume(to_student, after=after, until=spot.student)
            with graph(i > 0 and teaches[i]):
                theirs = told.again(i, to_teacher, has_left)
            with graph(teaches[i + 1] and is_own[i]):
                up = self.up[i](ours)
            with graph(is_own[i + 1] and teaches[i]):
                down = self.down[i](theirs)
            with graph(teaches[i + 1]):
                to_teacher = _mixed(a, up, theirs)
            with graph(is_own[i + 1]):
                to_student = _mixed(a, ours, down)
            has_left |= crossed
            after = spot.student
        with graph(is_own[-1] and after is not None):
            ours = student.resume(to_student, after=after, until=student.names[-1])
        with graph(teaches[-1] and after is not None):
            theirs = told.again(len(self.spots), to_teacher, has_left)
        return _mixed(route[:, -1], ours.float(), theirs.float())


def _mixed(a: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
    """(1 - a) * student + a * teacher for each sample; at 0 and 1 exactly the one or the other."""
    return torch.lerp(student, teacher, a.to(student.dtype).view(-1, *[1] * (student.dim() - 1)))
