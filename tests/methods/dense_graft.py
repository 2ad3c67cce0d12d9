"""The plain routed pass: both nets whole, for every sample, with every graph."""

from __future__ import annotations

from torch import Tensor

from engine.methods.spot_graft import Graft
from engine.nets.staged import StagedNet


def routed(
    graft: Graft, student: StagedNet, teacher: StagedNet, image: Tensor, route: Tensor
) -> Tensor:
    """The logits of the routed net by the formula; `route` may hold any share of the teacher."""
    to_student = to_teacher = image
    after_s: str | None = None
    after_t: str | None = None
    for i, (tap_s, tap_t) in enumerate(graft.spots):
        ours = student.resume(to_student, after=after_s, until=tap_s)
        theirs = teacher.resume(to_teacher, after=after_t, until=tap_t)
        to_teacher = _mixed(route[:, i], graft.up[i](ours), theirs)
        to_student = _mixed(route[:, i], ours, graft.down[i](theirs))
        after_s, after_t = tap_s, tap_t
    ours = student.resume(to_student, after=after_s, until=student.names[-1])
    theirs = teacher.resume(to_teacher, after=after_t, until=teacher.names[-1])
    return _mixed(route[:, -1], ours.float(), theirs.float())


def _mixed(route: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
    a = route.to(student.dtype).view(-1, *[1] * (student.dim() - 1))
    return (1 - a) * student + a * teacher
