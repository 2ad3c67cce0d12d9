"""What spirit distillation shares with its baselines: two fronts, their distance, a copied head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.errors import SpecError
from engine.methods.base import Materials
from engine.nets.freeze import evaluating
from engine.nets.segmenter import StagedSegmenter
from engine.nets.staged import StagedNet

Cut = Annotated[
    str,
    Field(
        description="The stage whose output is learnt, of the same name and shape in both nets;"
        " empty: the end of the nets' fronts"
    ),
]
Distance = Annotated[
    Literal["mse", "cosine", "normalised"],
    Field(
        description="Between two feature maps. mse: mean square; cosine: 1 - cosine at each place;"
        " normalised: mean square in units of each channel's deviation in the teacher"
    ),
]
HeadStart = Annotated[
    Literal["copy", "random"],
    Field(description="What follows the cut, but the classifier: the teacher's, or random"),
]


def mean_square(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, C, h, w) twice -> (B,) mean square gap.

    Ours, as the plainest reading of "mimic" in the abstract of arXiv 2104.14696; a sum or a half
    would only change the rate.
    """
    return (student - teacher).square().flatten(1).mean(dim=1)


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, C, h, w) twice -> (B,) mean over places of 1 - cosine of the channels (ours)."""
    return 1 - F.cosine_similarity(student, teacher, dim=1).flatten(1).mean(dim=1)


def normalised(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, C, h, w) twice -> (B,) mean square gap, each channel in its own unit (ours).

    The unit is the deviation of the teacher's channel over the batch; a silent channel has none
    and is measured as it is.
    """
    deviation = teacher.std(dim=(0, 2, 3), correction=0)[:, None, None]
    return mean_square(
        *(signal / deviation.where(deviation > 0, 1) for signal in (student, teacher))
    )


DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mean_square,
    "cosine": cosine,
    "normalised": normalised,
}


@dataclass(frozen=True, slots=True)
class Fronts:
    """A student and its teacher, both up to the same cut.

    has_copied_head: the student begins with the teacher's values after the cut.
    """

    student: StagedNet
    teacher: StagedNet
    cut: str
    has_copied_head: bool

    def ours(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w) of the student."""
        return self.student.resume(image, after=None, until=self.cut)

    def theirs(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w) of the teacher, without a graph."""
        with torch.no_grad():
            return self.teacher.resume(image, after=None, until=self.cut)

    @property
    def front(self) -> list[nn.Module]:
        """The student's stages up to the cut."""
        return [self.student.stages[name] for name in self.student.names[: self._place + 1]]

    @property
    def head(self) -> list[nn.Module]:
        """The student's stages after the cut."""
        return [self.student.stages[name] for name in self.student.names[self._place + 1 :]]

    def start_head(self) -> None:
        """Where it is copied: values, not storage; the classifier stays the student's own."""
        for name in self._copied:
            self.student.stages[name].load_state_dict(self.teacher.stages[name].state_dict())

    def require_equal_heads(self) -> None:
        """
        Raises:
            SpecError: what is to be copied does not fit the student.
        """
        for name in self._copied:
            if name not in self.teacher.names or _differ(
                self.student.stages[name], self.teacher.stages[name]
            ):
                raise SpecError(
                    f"the teacher's {name} cannot be copied: the student's is another",
                    hint="Set head_start: random, or choose nets with the same head.",
                    where="method.knobs.head_start",
                )

    @property
    def _copied(self) -> tuple[str, ...]:
        return self.student.names[self._place + 1 : -1] if self.has_copied_head else ()

    @property
    def _place(self) -> int:
        return self.student.names.index(self.cut)


def _differ(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules have tensors of other names or shapes."""
    ours, theirs = (
        {key: value.shape for key, value in module.state_dict().items()} for module in (one, other)
    )
    return ours != theirs


def fronts_of(materials: Materials, cut: str, head_start: str) -> Fronts:
    """The nets of a run, cut in two.

    Raises:
        SpecError: there is no such cut, the fronts give maps of different shapes, or what is to
            be copied after them does not fit.
    """
    student, teacher = materials.student, materials.teacher
    assert isinstance(student, StagedSegmenter) and isinstance(teacher, StagedSegmenter)
    cut = cut or student.front
    for owner, net in (("student", student), ("teacher", teacher)):
        if cut not in net.cuts:
            raise SpecError(
                f"cut = {cut!r} is no stage of the {owner}; it has: {', '.join(net.cuts)}",
                where="method.knobs.cut",
            )
    shapes = [taps[cut].shape for taps in (materials.student_taps, materials.teacher_taps)]
    if shapes[0] != shapes[1]:
        ours, theirs = (" x ".join(map(str, shape)) for shape in shapes)
        raise SpecError(
            f"the student's {cut} gives {ours}, the teacher's {theirs}; they must be alike",
            hint="Choose a student made for this teacher, or another cut.",
            where="student.name",
        )
    fronts = Fronts(student, teacher, cut, has_copied_head=head_start == "copy")
    fronts.require_equal_heads()
    return fronts


def gap_ratio(ours: Tensor, theirs: Tensor) -> Tensor:
    """(B, C, h, w) twice -> R = sum |theirs - ours|² / sum |theirs|²; 1 for a silent student."""
    return _ratio(_gap(ours, theirs))


def feature_distance(fronts: Fronts, batches: Iterable[Batch]) -> float:
    """R of the two fronts over some images, in evaluation mode; labels are not looked at."""
    with evaluating(fronts.student), torch.no_grad():
        gaps = [_gap(fronts.ours(batch.image), fronts.theirs(batch.image)) for batch in batches]
    return float(_ratio(torch.stack(gaps).sum(dim=0)))


def _gap(ours: Tensor, theirs: Tensor) -> Tensor:
    """(2,) float64: the two sums of R."""
    theirs = theirs.double()
    return torch.stack([(theirs - ours).square().sum(), theirs.square().sum()])


def _ratio(gap: Tensor) -> Tensor:
    return gap[0] / gap[1].clamp(min=1e-12)  # of a teacher that is silent too
