"""A student that is taught at spots which a policy may choose: what such methods share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.distillers.base import Distiller, Measure, Spot, Taps, cuts_of, distil
from engine.methods.base import (
    Materials,
    Method,
    begin_distilling,
    constant,
    per_batch,
    warm_up_phase,
)
from engine.methods.spot_graft import Graft
from engine.methods.spot_policy import All, Decision, Policy
from engine.nets.freeze import evaluating
from engine.nets.staged import Trace
from engine.training.phase import Chosen, Descend, Learner, Lesson, Phase

TaskWeight = Annotated[float, Field(ge=0, le=1e3, description="Weight of the labels")]
LogitsWeight = Annotated[
    float, Field(ge=0, le=1e3, description="Weight of the soft labels (alpha)")
]
Gamma = Annotated[
    float, Field(ge=1, le=10, description="Punishes a routed net worse than the student")
]
Quota = Annotated[
    float,
    Field(ge=0, le=1, description="Share of a batch to be taught at the logits; 0: no rule"),
]
PolicyRate = Annotated[
    float, Field(ge=0, le=10, description="Rate of the policy; 0: half the student's")
]
AdapterRate = Annotated[
    float, Field(ge=0, le=10, description="Rate of the adapters; 0: half the student's")
]
PolicySchedule = Annotated[
    Literal["follow", "constant"],
    Field(description="follow: as the student's rate; constant: stays at its highest"),
]
PolicyDecay = Annotated[float, Field(ge=0, le=1, description="Pull of policy and adapters to 0")]
PolicyEvery = Annotated[
    int, Field(ge=1, le=1000, description="The policy learns at every n-th step only")
]

Where = Literal["kept", "always", "inverse"]


@dataclass(frozen=True, slots=True)
class Part:
    """One term of the student's loss that measures it against the teacher.

    see:     what of the student's trace the distiller is shown
    measure: what goes down, (K,) for K samples; None: the distiller's distance
    where:   for the samples that the policy keeps, for all, or for the others
    is_told: the distance itself, over the whole batch, is told beside the term
    rises:   its weight follows the ramp
    """

    name: str
    distiller: Distiller
    weight: float
    see: Callable[[Trace], Trace] = lambda trace: trace
    measure: Measure | None = None
    where: Where = "kept"
    is_told: bool = False
    rises: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """How a policy learns."""

    gamma: float = 1.0
    quota: float = 0.5
    policy_lr: float = 0.0
    adapter_lr: float = 0.0
    policy_schedule: Literal["follow", "constant"] = "follow"
    policy_weight_decay: float = 1e-3
    policy_every: int = 1


class Taught(Method):
    """Labels and parts, the latter where the policy keeps the sample.

    Student: task_weight * CE + the sum of weight * part. Policy: w * CE of the routed net + a
    hinge that asks for a share of the batch at the logits; w is gamma where the routed net is
    worse than the student and 1 / gamma where it is better. Without a policy every sample is
    taught everywhere.
    """

    def __init__(
        self,
        materials: Materials,
        parts: Sequence[Part],
        *,
        task_weight: float,
        routing: Routing,
        modules: Mapping[str, nn.Module],
        ramp: int = 0,
    ) -> None:
        assert materials.teacher
        self._ramp_epochs = ramp
        self._materials, self._teacher = materials, materials.teacher
        self._parts, self._task_weight, self._routing = tuple(parts), task_weight, routing
        spots = dict.fromkeys(spot for part in parts for spot in part.distiller.spots)
        self._feature_spots = tuple(
            spot for spot in spots if materials.student_taps[spot.student].kind != "logits"
        )
        names = (*(spot.name for spot in self._feature_spots), "logits")
        self.spots = names if materials.policy else ()
        taps = materials.student_taps, materials.teacher_taps
        width = sum(own["embedding"].shape[0] for own in taps)
        build = materials.policy or All
        self.policy: Policy = build(width, len(names), materials.is_same_family)
        hops = [hop_of(spot, *taps) for spot in self._feature_spots] if self.policy.learns else ()
        self.graft = Graft(hops, *taps)
        self.modules = nn.ModuleDict(
            {
                "student": materials.student,
                **modules,
                "policy": self.policy,
                "graft": self.graft,
            }
        )
        self.modules.to(materials.device).to(memory_format=torch.channels_last)
        self.nets = {"student": materials.student}

    def plan(self) -> tuple[Phase, ...]:
        data, schedule = self._materials.data, self._materials.schedule
        return (
            *warm_up_phase(self._materials, self._parts[0].distiller),
            Phase(name="distil", epochs=schedule.epochs, data=data, begin=self._begin),
        )

    def _begin(self) -> Lesson:
        student = self._materials.student.train()
        learning = dict.fromkeys(p for p in student.parameters() if p.requires_grad)
        for part in self._parts:
            begin_distilling(part.distiller)
            learning |= dict.fromkeys(p for p in part.distiller.learning() if p.requires_grad)
        learner = self._materials.learner("student", list(learning))
        learners: tuple[Learner, ...] = (learner,)
        if self.policy.learns:
            learners = (learner, self._policy_learner())
        return Lesson(learners, lambda batch, number: self._step(batch, number, *learners))

    def _policy_learner(self) -> Learner:
        self.policy.train()
        self.graft.train()
        routing, half = self._routing, self._materials.schedule.lr / 2
        groups = [
            {"params": list(self.policy.parameters()), "lr": routing.policy_lr or half},
            {"params": list(self.graft.parameters()), "lr": routing.adapter_lr or half},
        ]
        optimizer = torch.optim.SGD(
            [group for group in groups if group["params"]],
            momentum=0.9,
            weight_decay=routing.policy_weight_decay,
        )
        keeps = routing.policy_schedule == "constant"
        return Learner("policy", optimizer, constant if keeps else self._materials.rate)

    def _step(
        self, batch: Batch, number: int, learner: Learner, router: Learner | None = None
    ) -> Iterator[Descend | Chosen]:
        student, teacher = self._materials.student, self._teacher
        is_routed = router is not None and number % self._routing.policy_every == 0
        with self._materials.autocast():
            told = self.graft.lecture(teacher, batch.image, is_routed=is_routed)
            theirs = told.trace
            ours = student.trace(batch.image, inside=True)
        features = torch.cat([theirs["embedding"], ours["embedding"].detach()], dim=1).float()
        decision = self.policy(features)
        each, apart = (
            F.cross_entropy(trace["logits"].float(), batch.target, reduction="none")
            for trace in (ours, theirs)
        )
        if self.spots:
            yield Chosen(self.spots, decision.kept, decision.probability, each.detach() - apart)

        task = each.mean()
        terms, told_too = {"task": self._task_weight * task}, {}
        ramp = self._ramp(number)
        for part in self._parts:
            measured, distance = self._measured(part, ours, theirs, batch, decision)
            terms[part.name] = (ramp if part.rises else 1.0) * part.weight * measured
            if part.is_told:
                told_too[f"{part.name} distance"] = distance
        loss = torch.stack([*terms.values()]).sum()
        student_task = task.detach()
        del ours, each, task  # the graph of the student ends with its step
        yield Descend(learner, loss, {**terms, **told_too})

        if router is not None and is_routed:
            with evaluating(student), self._materials.autocast():
                routed = self.graft(student, told, batch.image, decision.route)
            routed_task = F.cross_entropy(routed, batch.target)
            objective = self.objective(routed_task, student_task, decision.route)
            yield Descend(router, objective, {"routed": routed_task})

    def _ramp(self, number: int) -> float:
        """What the weights that rise are multiplied by at one step of the phase."""
        rising = self._ramp_epochs * self._materials.data.steps
        return min(1.0, (number + 1) / rising) if rising else 1.0

    def _measured(
        self, part: Part, ours: Trace, theirs: Trace, batch: Batch, decision: Decision
    ) -> tuple[Tensor, Tensor]:
        """One part, not weighted, and its distance over the whole batch: two scalars."""
        distiller = part.distiller
        with self._materials.autocast():
            pairs = distiller.project(part.see(ours), theirs)
        kept = torch.stack([decision.kept[:, self._column(spot)] for spot in distiller.spots], 1)
        everywhere = torch.ones_like(kept)
        if self.spots and part.where != "kept":
            kept = ~kept if part.where == "inverse" else everywhere
        losses = distil(distiller, pairs, batch, kept, part.measure)
        seen = losses.detach()
        if self.spots and part.is_told:
            with torch.no_grad():
                seen = distil(distiller, pairs, batch, everywhere, part.measure)
        distiller.remember(pairs, batch, kept)
        distance = per_batch(seen)
        if part.measure is not None:
            distance = distiller.apart(distance)
        return per_batch(losses), distance

    def objective(self, routed_task: Tensor, student_task: Tensor, route: Tensor) -> Tensor:
        """What the policy goes down: weighted CE of the routed net plus the hinge.

        Args:
            routed_task, student_task: scalars in nats; no gradient through their comparison.
            route: (B, S), the last column for the logits.
        """
        gamma = self._routing.gamma
        worse = (routed_task.detach() > student_task).float()
        better = (routed_task.detach() < student_task).float()
        w = 1 + worse * (gamma - 1) + better * (1 / gamma - 1)
        hinge = (self._routing.quota * len(route) - route[:, -1].sum()).clamp(min=0)
        return w * routed_task + hinge

    def _column(self, spot: Spot) -> int:
        return self._feature_spots.index(spot) if spot in self._feature_spots else -1

    def _idle_routing(self, given: Sequence[str]) -> dict[str, str]:
        """The knobs of routing that change nothing beside this policy, each with its reason."""
        why = "this policy does not learn" if self.spots else "there is no policy"
        return {} if self.policy.learns else dict.fromkeys(given, why)


def hop_of(spot: Spot, student: Taps, teacher: Taps) -> Spot:
    """The cut of a spot; before the embedding where only one of its taps lies inside of one."""
    cuts = spot.cut
    if student[cuts.student].kind == teacher[cuts.teacher].kind:
        return cuts
    return Spot(_map_until(cuts.student, student), _map_until(cuts.teacher, teacher))


def _map_until(cut: str, taps: Taps) -> str:
    cuts = cuts_of(taps)
    return cut if taps[cut].kind == "map" else cuts[cuts.index(cut) - 1]
