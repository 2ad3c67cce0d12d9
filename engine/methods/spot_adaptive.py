"""Spot-adaptive distillation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from engine.distillers.base import Distiller, Spot
from engine.distillers.kd import KnowledgeDistillation, Temperature
from engine.methods.base import METHODS, Materials
from engine.methods.taught import (
    AdapterRate,
    Gamma,
    LogitsWeight,
    Part,
    PolicyDecay,
    PolicyEvery,
    PolicyRate,
    PolicySchedule,
    Quota,
    Routing,
    TaskWeight,
    Taught,
)

ROUTING_KNOBS = (
    *("gamma", "quota", "adapter_lr"),
    *("policy_lr", "policy_schedule", "policy_weight_decay", "policy_every"),
)


@METHODS.register(
    "spot_adaptive",
    title="Spot-adaptive distillation",
    source="Song et al., spot-adaptive knowledge distillation, authors' code",
    needs=("teacher", "distiller", "policy"),
)
class SpotAdaptive(Taught):
    """Teaches every image at the layers where teaching helps it, by labels, soft labels and
    one more distiller.

    Student: task_weight * CE + logits_weight * KL + weight * distiller, the last two only
    where the policy keeps the sample. With the policy `all` it is ordinary distillation.
    """

    def __init__(
        self,
        materials: Materials,
        *,
        task_weight: TaskWeight = 1.0,
        logits_weight: LogitsWeight = 1.0,
        temperature: Temperature = 4.0,
        gamma: Gamma = 1.0,
        quota: Quota = 0.5,
        policy_lr: PolicyRate = 0.0,
        adapter_lr: AdapterRate = 0.0,
        policy_schedule: PolicySchedule = "follow",
        policy_weight_decay: PolicyDecay = 1e-3,
        policy_every: PolicyEvery = 1,
        spots: Annotated[
            str,
            Field(
                pattern=r"^[\w.]*(:[\w.]+)?( *, *[\w.]+(:[\w.]+)?)*$",
                description="Where to teach, student:teacher, as in stage1:stage2, stage3;"
                " empty: where the distiller is published",
            ),
        ] = "",
    ) -> None:
        assert materials.distiller
        self.distiller: Distiller = materials.distiller(materials.setting(read_spots(spots)))
        self.distiller.deploy(materials.student)
        materials = replace(materials, student_taps=materials.student.taps())
        self.logits = KnowledgeDistillation(materials.setting(), temperature=temperature)
        self._is_about_logits = set(self.distiller.spots) <= set(self.logits.spots)
        name = "logits" if self._is_about_logits else "feature"
        parts = [Part(name, self.distiller, self.distiller.weight)]
        if not self._is_about_logits:
            parts.append(Part("logits", self.logits, logits_weight))
        super().__init__(
            materials,
            parts,
            task_weight=task_weight,
            routing=Routing(
                gamma=gamma,
                quota=quota,
                policy_lr=policy_lr,
                adapter_lr=adapter_lr,
                policy_schedule=policy_schedule,
                policy_weight_decay=policy_weight_decay,
                policy_every=policy_every,
            ),
            modules={"distiller": self.distiller},
        )

    @property
    def idle_knobs(self) -> Mapping[str, str]:
        found = self._idle_routing(ROUTING_KNOBS)
        if self._is_about_logits:
            why = "the distiller works on the logits itself"
            found |= dict.fromkeys(("temperature", "logits_weight"), why)
        return found


def read_spots(text: str) -> tuple[Spot, ...]:
    """`stage1:stage2, stage3` as two spots: student's tap and teacher's, or one name for both."""
    spots = []
    for pair in filter(None, (word.strip() for word in text.split(","))):
        student, _, teacher = pair.partition(":")
        spots.append(Spot(student, teacher or student))
    return tuple(spots)
