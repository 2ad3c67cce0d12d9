"""Spirit distillation: first the teacher's features, without labels, then a few labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from engine.data.batch import Batch, Batches
from engine.data.pool_loader import NATURAL
from engine.errors import SpecError
from engine.methods.base import METHODS, Materials, Method, optimizer_of, task_loss
from engine.methods.front import (
    DISTANCES,
    Cut,
    Distance,
    HeadStart,
    feature_distance,
    fronts_of,
    gap_ratio,
)
from engine.nets.staged import StagedNet
from engine.spec import Schedule
from engine.training.phase import Descend, Learner, Lesson, Phase
from engine.training.schedule import rate_factor


@METHODS.register(
    "spirit",
    title="Spirit distillation (SD, ESD)",
    source="Wu et al., KSEM 2021 (arXiv 2104.14696), and arXiv 2103.13733; details ours",
    needs=("teacher",),
    task="segment",
    teacher_classes="any",
)
class Spirit(Method):
    """Learns the output of the teacher's front part, then is tuned on few labelled images.

    With images of a similar domain beside the target's this is the enhanced form (ESD), without
    them or with mix = target the plain one (SD). The phases share the schedule's epochs, so that
    the same schedule gives a student alone as many steps. Losses, rates and shares are ours: the
    abstracts tell the procedure only.
    """

    def __init__(
        self,
        materials: Materials,
        *,
        mix: Annotated[
            Literal["natural", "target", "balanced", "share"],
            Field(
                description="Images of the imitation. natural: the target's and the proximity's as"
                " one pool (ESD); target: the target's alone (SD); balanced: half of each; share:"
                " as target_share says"
            ),
        ] = "natural",
        target_share: Annotated[
            float, Field(ge=0, le=1, description="Share of the target's images (mix = share)")
        ] = 0.25,
        imitation_share: Annotated[
            float, Field(ge=0, le=1, description="Share of the epochs in which the front imitates")
        ] = 0.65,
        head_share: Annotated[
            float,
            Field(
                ge=0,
                le=1,
                description="Share of the epochs in which the head alone learns; the whole student"
                " is tuned in the rest",
            ),
        ] = 0.1,
        imitation_lr: Annotated[
            float, Field(gt=0, le=1, description="Rate of the imitation: Adam, cosine to 0")
        ] = 1e-3,
        fine_tuning_rate: Annotated[
            float, Field(gt=0, le=1, description="Of fine-tuning, times the schedule's rate")
        ] = 0.1,
        front_rate: Annotated[
            float, Field(gt=0, le=1, description="Of the front in fine-tuning, times the head's")
        ] = 0.1,
        distance: Distance = "mse",
        head_start: HeadStart = "copy",
        cut: Cut = "",
    ) -> None:
        assert materials.pools
        shares = imitation_share + head_share
        if shares > 1:
            raise SpecError(
                f"imitation_share + head_share = {shares:g}, more than all epochs",
                where="method.knobs.head_share",
            )
        self._materials, self._pools = materials, materials.pools
        self._fronts = fronts_of(materials, cut, head_start)
        given = {"natural": NATURAL, "target": 1.0, "balanced": 0.5, "share": target_share}
        self._mix, self._target_share = mix, given[mix]
        self._imitation_share, self._head_share = imitation_share, head_share
        self._imitation_lr = imitation_lr
        self._fine_tuning_rate, self._front_rate = fine_tuning_rate, front_rate
        self._measure = DISTANCES[distance]
        self.modules = nn.ModuleDict({"student": materials.student})
        self.nets = {"student": materials.student}

    def plan(self) -> tuple[Phase, ...]:
        imitation, head, fine_tuning = self._epochs
        whole = self._materials.schedule.epochs
        made = (
            (self._imitation, imitation),
            (self._head, head),
            (self._fine_tuning, fine_tuning),
        )
        if self._imitation_share and not imitation:
            raise SpecError(
                f"{whole} epochs are too few: imitation_share = {self._imitation_share:g} of them"
                " is less than one, so nothing would be imitated",
                hint="Choose more epochs, or a larger imitation_share.",
                where="schedule.epochs",
            )
        first, *rest = (make(epochs) for make, epochs in made if epochs)
        return (replace(first, enter=self._fronts.start_head), *rest)

    def figures(self, phase: str, net: StagedNet, batches: Iterable[Batch]) -> dict[str, float]:
        """`feature_distance` while the front imitates: R on the held-out images."""
        if phase != "imitation":
            return {}
        return {"feature_distance": feature_distance(self._fronts, batches)}

    @property
    def idle_knobs(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        if self._mix != "share":
            found["target_share"] = f"mix is {self._mix}"
        if not self._pools.data.proximity:
            found |= dict.fromkeys(("mix", "target_share"), "there are no proximity images")
        if not self._imitation_share:
            unused = ("mix", "target_share", "imitation_lr", "distance")
            found |= dict.fromkeys(unused, "imitation_share is 0")
        if not self._epochs[2]:
            why = "no epoch is left to tune the whole student"
            found |= dict.fromkeys(("fine_tuning_rate", "front_rate"), why)
        return found

    @property
    def _epochs(self) -> tuple[int, int, int]:
        """Of imitation, head and fine-tuning."""
        whole = self._materials.schedule.epochs
        imitation, head = (
            int(share * whole + 1e-9) for share in (self._imitation_share, self._head_share)
        )
        return imitation, head, whole - imitation - head

    def _imitation(self, epochs: int) -> Phase:
        """The front goes down its distance to the teacher's; no label is read."""
        data = self._pools.pooled("imitation", self._target_share)
        schedule = Schedule(epochs=epochs, lr=self._imitation_lr, optimizer="adam", weight_decay=0)

        def begin() -> Lesson:
            self._materials.student.train()
            front = [p for stage in self._fronts.front for p in stage.parameters()]
            learner = _learner("front", schedule, [{"params": front}], data)
            return Lesson((learner,), lambda batch, number: self._imitate(batch, learner))

        return Phase(name="imitation", epochs=epochs, data=data, begin=begin)

    def _imitate(self, batch: Batch, learner: Learner) -> Iterator[Descend]:
        with self._materials.autocast():
            theirs = self._fronts.theirs(batch.image)
            ours = self._fronts.ours(batch.image)
        theirs, ours = theirs.float(), ours.float()
        loss = self._measure(ours, theirs).mean()
        ratio = gap_ratio(ours.detach(), theirs)
        yield Descend(learner, loss, {"imitation": loss, "feature distance": ratio})

    def _head(self, epochs: int) -> Phase:
        """The head learns the labels; weights and statistics of the front are kept still."""
        data = self._pools.labelled("head")
        schedule = self._materials.schedule.model_copy(update={"epochs": epochs})

        def begin() -> Lesson:
            self._materials.student.train()
            for stage in self._fronts.front:
                stage.eval()
            head = [p for stage in self._fronts.head for p in stage.parameters()]
            learner = _learner("head", schedule, [{"params": head}], data)
            return Lesson((learner,), lambda batch, number: self._learn_head(batch, learner))

        return Phase(name="head", epochs=epochs, data=data, begin=begin)

    def _learn_head(self, batch: Batch, learner: Learner) -> Iterator[Descend]:
        with self._materials.autocast():
            with torch.no_grad():
                hidden = self._fronts.ours(batch.image)
            logits = self._materials.student.resume(hidden, after=self._fronts.cut, until="logits")
        task = task_loss(logits.float(), batch.target)
        yield Descend(learner, task, {"task": task})

    def _fine_tuning(self, epochs: int) -> Phase:
        """All of the student learns the labels, at a small rate."""
        data = self._pools.labelled("fine_tuning")
        lr = self._materials.schedule.lr * self._fine_tuning_rate
        schedule = self._materials.schedule.model_copy(update={"epochs": epochs, "lr": lr})

        def begin() -> Lesson:
            student = self._materials.student.train()
            head, front = (
                [p for stage in part for p in stage.parameters()]
                for part in (self._fronts.head, self._fronts.front)
            )
            groups: list[dict[str, Any]] = [
                {"params": head},
                {"params": front, "lr": lr * self._front_rate},
            ]
            learner = _learner("student", schedule, groups, data)

            def step(batch: Batch, number: int) -> Iterator[Descend]:
                with self._materials.autocast():
                    logits = student(batch.image)
                task = task_loss(logits.float(), batch.target)
                yield Descend(learner, task, {"task": task})

            return Lesson((learner,), step)

        return Phase(name="fine_tuning", epochs=epochs, data=data, begin=begin)


def _learner(name: str, schedule: Schedule, groups: list[dict[str, Any]], data: Batches) -> Learner:
    """A learner whose rate runs through a schedule of its phase's own."""
    optimizer = optimizer_of(schedule, groups)
    return Learner(
        name, optimizer, lambda epoch, step: rate_factor(schedule, epoch, step, data.steps)
    )
