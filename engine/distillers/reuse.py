"""The reused teacher classifier."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.distillers.adapter import pooled_alike
from engine.distillers.base import (
    DISTILLERS,
    Distiller,
    Pair,
    Setting,
    Spot,
    Taps,
    Weight,
    spot_at_feature,
)
from engine.distillers.coder import last_map
from engine.errors import SpecError
from engine.nets.reused import PROJECTED, projector, reuse
from engine.nets.staged import StagedNet, Trace


@DISTILLERS.register(
    "simkd",
    title="Reuse the classifier (SimKD)",
    source="Chen et al., CVPR 2022, eq. 3; authors' code",
    presets={"SimKD": {"weight": 1.0, "task_weight": 0.0, "logits_weight": 0.0}},
)
class ReusedClassifier(Distiller):
    """Gives the student the teacher's own classifier, behind a projector that learns to make
    the teacher's last map from the student's.

    The student that is deployed has both, and costs that much more. The authors train it by
    this loss alone: task and logits weight 0. They pool a student's map that is larger than the
    teacher's before the projector; here it is pooled behind it, for the comparison only.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        factor: Annotated[
            int, Field(ge=1, le=64, description="Teacher's channels over those in the projector")
        ] = 2,
        weight: Weight = 1.0,
    ) -> None:
        super().__init__(setting, weight=weight)
        if self.spots != self.place(setting.student, setting.teacher):
            raise SpecError("this distiller compares the last maps; spots cannot be chosen")
        if PROJECTED in setting.student:
            raise SpecError("this student has the classifier of another net already")
        self._ours, self._theirs = last_map(setting.student), last_map(setting.teacher)
        ours, theirs = setting.student[self._ours], setting.teacher[self._theirs]
        head, channels = setting.head, theirs.shape[0]
        is_next = theirs.after == setting.teacher["embedding"].after
        if head is None or head.in_features != channels or not is_next:
            raise SpecError(
                "this distiller needs a teacher whose classifier is one linear layer on the mean"
                " of its last map"
            )
        if head.out_features != setting.num_classes:
            raise SpecError(
                f"the teacher knows {head.out_features} classes, the data set"
                f" {setting.num_classes}: its classifier cannot be reused"
            )
        self._classifier = head.state_dict()
        self.projector = projector(ours.shape[0], max(1, channels // factor), channels)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        """The last stages; what is compared are their maps after norm and ReLU."""
        return spot_at_feature(student, teacher, -2)

    def deploy(self, student: StagedNet) -> None:
        """Put projector and classifier into the student; the classifier stays as it is."""
        weight = self._classifier["weight"]
        head = nn.Linear(weight.shape[1], weight.shape[0])
        head.load_state_dict(self._classifier)
        reuse(student, self.projector, head.requires_grad_(False))

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        ours = student.get(PROJECTED)
        if ours is None:  # a student that is not deployed
            ours = self.projector(student[self._ours])
        return (Pair(*pooled_alike(ours, teacher[self._theirs].detach())),)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) mean square gap over all elements of the map."""
        return (pair.student - pair.teacher).square().flatten(1).mean(dim=1)
