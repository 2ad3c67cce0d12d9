"""Spot-adaptive distillation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.distillers.base import Distiller, Spot, distil
from engine.distillers.kd import KnowledgeDistillation, Temperature
from engine.methods.base import (
    METHODS,
    Materials,
    Method,
    begin_distilling,
    constant,
    evaluating,
    per_batch,
    warm_up_phase,
)
from engine.methods.spot_graft import Graft
from engine.methods.spot_policy import Policy
from engine.training.phase import Chosen, Descend, Learner, Lesson, Phase

POLICY_KNOBS = ("policy_lr", "policy_schedule", "policy_weight_decay", "policy_every")


@METHODS.register(
    "spot_adaptive",
    title="Spot-adaptive distillation",
    source="Song et al., spot-adaptive knowledge distillation, authors' code",
    needs=("teacher", "distiller", "policy"),
)
class SpotAdaptive(Method):
    """Teaches every image at the layers where teaching helps it, by labels, soft labels and
    one more distiller.

    Student: task_weight * CE + logits_weight * KL + weight * distiller, the last two only
    where the policy keeps the sample. Policy: w * CE of the routed net + a hinge that asks
    for a share of the batch at the logits; w is gamma where the routed net is worse than the
    student and 1 / gamma where it is better. With the policy `all` it is ordinary
    distillation.
    """

    def __init__(
        self,
        materials: Materials,
        *,
        task_weight: Annotated[
            float, Field(ge=0, le=1e3, description="Weight of the labels")
        ] = 1.0,
        logits_weight: Annotated[
            float, Field(ge=0, le=1e3, description="Weight of the soft labels (alpha)")
        ] = 1.0,
        temperature: Temperature = 4.0,
        gamma: Annotated[
            float, Field(ge=1, le=10, description="Punishes a routed net worse than the student")
        ] = 1.0,
        quota: Annotated[
            float,
            Field(
                ge=0, le=1, description="Share of a batch to be taught at the logits; 0: no rule"
            ),
        ] = 0.5,
        policy_lr: Annotated[
            float, Field(ge=0, le=10, description="Rate of the policy; 0: half the student's")
        ] = 0.0,
        adapter_lr: Annotated[
            float, Field(ge=0, le=10, description="Rate of the adapters; 0: half the student's")
        ] = 0.0,
        policy_schedule: Annotated[
            Literal["follow", "constant"],
            Field(description="follow: as the student's rate; constant: stays at its highest"),
        ] = "follow",
        policy_weight_decay: Annotated[
            float, Field(ge=0, le=1, description="Pull of policy and adapters to 0")
        ] = 1e-3,
        policy_every: Annotated[
            int, Field(ge=1, le=1000, description="The policy learns at every n-th step only")
        ] = 1,
        spots: Annotated[
            str,
            Field(
                pattern=r"^[\w.]*(:[\w.]+)?( *, *[\w.]+(:[\w.]+)?)*$",
                description="Where to teach, student:teacher, as in stage1:stage2, stage3;"
                " empty: where the distiller is published",
            ),
        ] = "",
    ) -> None:
        assert materials.teacher and materials.distiller and materials.policy
        self._materials = materials
        self._teacher = materials.teacher
        self._task_weight, self._logits_weight = task_weight, logits_weight
        self._gamma, self._quota, self._policy_every = gamma, quota, policy_every
        half = materials.schedule.lr / 2
        self._rates = (policy_lr or half, adapter_lr or half)
        self._policy_rate = constant if policy_schedule == "constant" else materials.rate
        self._policy_weight_decay = policy_weight_decay

        self.distiller: Distiller = materials.distiller(materials.setting(read_spots(spots)))
        self.logits = KnowledgeDistillation(materials.setting(), temperature=temperature)
        self._feature_spots = tuple(
            spot for spot in self.distiller.spots if spot not in self.logits.spots
        )
        self.spots = (*(spot.name for spot in self._feature_spots), "logits")
        width = sum(
            taps["embedding"].shape[0] for taps in (materials.teacher_taps, materials.student_taps)
        )
        self.policy: Policy = materials.policy(width, len(self.spots), materials.is_same_family)
        self.graft = Graft(
            [spot.cut for spot in self._feature_spots] if self.policy.learns else (),
            materials.student_taps,
            materials.teacher_taps,
        )
        self.modules = nn.ModuleDict(
            {
                "student": materials.student,
                "distiller": self.distiller,
                "policy": self.policy,
                "graft": self.graft,
            }
        )
        self.modules.to(materials.device).to(memory_format=torch.channels_last)
        self.nets = {"student": materials.student}

    def plan(self) -> tuple[Phase, ...]:
        data, schedule = self._materials.data, self._materials.schedule
        return (
            *warm_up_phase(self._materials, self.distiller),
            Phase(name="distil", epochs=schedule.epochs, data=data, begin=self._begin),
        )

    @property
    def idle_knobs(self) -> Mapping[str, str]:
        found = {}
        if not self._feature_spots:
            why = "the distiller works on the logits itself"
            found = dict.fromkeys(("temperature", "logits_weight"), why)
        if not self.policy.learns:
            names = ("gamma", "quota", "adapter_lr", *POLICY_KNOBS)
            found |= dict.fromkeys(names, "this policy does not learn")
        return found

    def _begin(self) -> Lesson:
        begin_distilling(self.distiller)
        student = self._materials.student.train()
        learner = self._materials.learner(
            "student", [*student.parameters(), *self.distiller.learning()]
        )
        learners: tuple[Learner, ...] = (learner,)
        if self.policy.learns:
            learners = (learner, self._policy_learner())
        return Lesson(learners, lambda batch, number: self._step(batch, number, *learners))

    def _policy_learner(self) -> Learner:
        self.policy.train()
        self.graft.train()
        policy_lr, adapter_lr = self._rates
        groups = [
            {"params": list(self.policy.parameters()), "lr": policy_lr},
            {"params": list(self.graft.parameters()), "lr": adapter_lr},
        ]
        optimizer = torch.optim.SGD(
            [group for group in groups if group["params"]],
            momentum=0.9,
            weight_decay=self._policy_weight_decay,
        )
        return Learner("policy", optimizer, self._policy_rate)

    def _step(
        self, batch: Batch, number: int, learner: Learner, router: Learner | None = None
    ) -> Iterator[Descend | Chosen]:
        student, teacher = self._materials.student, self._teacher
        is_routed = router is not None and number % self._policy_every == 0
        with self._materials.autocast():
            told = self.graft.lecture(teacher, batch.image, is_routed=is_routed)
            theirs = told.trace
            ours = student.trace(batch.image, inside=True)
        features = torch.cat([theirs["embedding"], ours["embedding"].detach()], dim=1).float()
        decision = self.policy(features)
        each = F.cross_entropy(ours["logits"].float(), batch.target, reduction="none")
        gap = each.detach() - F.cross_entropy(
            theirs["logits"].float(), batch.target, reduction="none"
        )
        yield Chosen(self.spots, decision.kept, decision.probability, gap)

        task = each.mean()
        terms = {"task": self._task_weight * task}
        for name, part, weight in self._parts():
            with self._materials.autocast():
                pairs = part.project(ours, theirs)
            kept = torch.stack([decision.kept[:, self._column(spot)] for spot in part.spots], 1)
            terms[name] = weight * per_batch(distil(part, pairs, batch, kept))
            part.remember(pairs, batch, kept)
        loss = torch.stack([*terms.values()]).sum()
        student_task = task.detach()
        del ours, each, task, pairs
        yield Descend(learner, loss, terms)

        if router is not None and is_routed:
            with evaluating(student), self._materials.autocast():
                routed = self.graft(student, told, batch.image, decision.route)
            routed_task = F.cross_entropy(routed, batch.target)
            objective = self.objective(routed_task, student_task, decision.route)
            yield Descend(router, objective, {"routed": routed_task})

    def objective(self, routed_task: Tensor, student_task: Tensor, route: Tensor) -> Tensor:
        """What the policy goes down: weighted CE of the routed net plus the hinge.

        Args:
            routed_task, student_task: scalars in nats; no gradient through their comparison.
            route: (B, S), the last column for the logits.
        """
        worse = (routed_task.detach() > student_task).float()
        better = (routed_task.detach() < student_task).float()
        w = 1 + worse * (self._gamma - 1) + better * (1 / self._gamma - 1)
        hinge = (self._quota * len(route) - route[:, -1].sum()).clamp(min=0)
        return w * routed_task + hinge

    def _parts(self) -> Iterator[tuple[str, Distiller, float]]:
        """(term, distiller, weight) of each distillation loss."""
        if self._feature_spots:
            yield "feature", self.distiller, self.distiller.weight
            yield "logits", self.logits, self._logits_weight
        else:
            yield "logits", self.distiller, self.distiller.weight

    def _column(self, spot: Spot) -> int:
        return self._feature_spots.index(spot) if spot in self._feature_spots else -1


def read_spots(text: str) -> tuple[Spot, ...]:
    """`stage1:stage2, stage3` as two spots: student's tap and teacher's, or one name for both."""
    spots = []
    for pair in filter(None, (word.strip() for word in text.split(","))):
        student, _, teacher = pair.partition(":")
        spots.append(Spot(student, teacher or student))
    return tuple(spots)
