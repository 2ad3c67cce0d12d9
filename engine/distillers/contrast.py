"""Contrastive representation distillation."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.linalg import vecdot

from engine.data.batch import Batch
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
from engine.errors import SpecError
from engine.nets.staged import Kind, Trace
from engine.seeding import seed_for

SMALLEST = 1e-7
PUBLISHED_SAMPLES = 50_000


@DISTILLERS.register(
    "crd",
    title="Contrast images (CRD)",
    source="Tian et al., ICLR 2020, section 3.1",
    presets={
        "SAKD": {"weight": 0.8, "logits_weight": 1.0, "gamma": {"tiny_imagenet": 2.0}},
        "RepDistiller": {"weight": 0.8, "logits_weight": 0.0},
    },
)
class ContrastiveRepresentation(Distiller):
    """Makes the student's embedding of an image nearer to the teacher's of the same image than
    to those of many images of other classes.

    The embeddings of all images are remembered. The loss is RepDistiller's. One draw of images
    serves a whole batch, where that draws for each of its images; those of an image's own class
    are left out, and the others count for them, so that the expected loss is the same.
    """

    kind: ClassVar[Kind] = "vector"

    targets: Tensor  # (N,) class ids
    memory_student: Tensor  # (N, width)
    memory_teacher: Tensor
    totals: Tensor  # (2,) what scores are divided by, student's and teacher's; -1 is not known

    def __init__(
        self,
        setting: Setting,
        *,
        width: Annotated[int, Field(ge=1, le=4096, description="Of the embeddings")] = 128,
        temperature: Annotated[
            float, Field(ge=0.02, le=10, description="Divides similarities: lower is stricter")
        ] = 0.07,
        momentum: Annotated[
            float, Field(ge=0, le=1, description="Share of a memory that stays when it is renewed")
        ] = 0.5,
        negatives: Annotated[
            int,
            Field(
                ge=1,
                le=1_000_000,
                description="Images of other classes to tell an image from; of less than 50,000"
                " training images as large a share as this is of 50,000",
            ),
        ] = 16384,
        weight: Weight = 0.8,
    ) -> None:
        super().__init__(setting, weight=weight)
        (spot,) = self.spots
        size = setting.num_samples
        if int(setting.targets.min()) == int(setting.targets.max()):
            raise SpecError("this distiller contrasts images of several classes; there is one")
        self.temperature, self.momentum = temperature, momentum
        share = min(1.0, size / PUBLISHED_SAMPLES)
        self.num_negatives = min(size, max(1, round(negatives * share)))
        self.embed_student = nn.Linear(setting.student[spot.student].shape[0], width)
        self.embed_teacher = nn.Linear(setting.teacher[spot.teacher].shape[0], width)
        generator = torch.Generator().manual_seed(seed_for(setting.seed, "crd"))
        bound = math.sqrt(3 / width)
        for name in ("memory_student", "memory_teacher"):
            first = torch.empty(size, width).uniform_(-bound, bound, generator=generator)
            self.register_buffer(name, first)
        self.register_buffer("totals", torch.full((2,), -1.0))
        self.register_buffer("targets", setting.targets, persistent=False)

    def place(self, student: Taps, teacher: Taps) -> tuple[Spot, ...]:
        return spot_at_feature(student, teacher, -1)

    def project(self, student: Trace, teacher: Trace) -> tuple[Pair, ...]:
        """Embeddings of length one, (B, width)."""
        ((s, t),) = self.spots
        ours, theirs = self.embed_student(student[s]), self.embed_teacher(teacher[t].detach())
        return (Pair(F.normalize(ours.float()), F.normalize(theirs.float())),)

    def measure(self, pair: Pair, batch: Batch) -> Tensor:
        """(K,) what it costs to tell the positive from the negatives, in nats, both nets' sides.

        The first call fixes what scores are divided by.
        """
        drawn, count = self.negatives(batch)
        ours = self._similarities(pair.student, self.memory_teacher, batch.index, drawn)
        theirs = self._similarities(pair.teacher, self.memory_student, batch.index, drawn)
        with torch.no_grad():
            sums = [own.exp() + vecdot(count, rest.exp()) for own, rest in (ours, theirs)]
            means = torch.stack(sums).mean(dim=1) / (1 + self.num_negatives)
            self.totals = torch.where(self.totals < 0, means * len(self.targets), self.totals)
        ours_total, theirs_total = self.totals
        return self._loss(*ours, count, ours_total) + self._loss(*theirs, count, theirs_total)

    def negatives(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The samples (M,) drawn in this step, and how often each counts, (K, M).

        A row of counts sums to the number of negatives, unless all are of the row's class.
        """
        generator = torch.Generator().manual_seed(seed_for(torch.initial_seed(), "crd"))
        drawn = torch.randperm(len(self.targets), generator=generator)[: self.num_negatives]
        drawn = drawn.to(batch.index.device)
        is_other = self.targets[drawn] != self.targets[batch.index, None]
        count = self.num_negatives / is_other.sum(dim=1, keepdim=True).clamp(min=1)
        return drawn, is_other * count

    def remember(self, pairs: tuple[Pair, ...], batch: Batch, kept: Tensor) -> None:
        """Move the memories of the kept samples towards their new embeddings."""
        (pair,), rows = pairs, kept[:, 0]
        index = batch.index[rows]
        for memory, found in (
            (self.memory_student, pair.student),
            (self.memory_teacher, pair.teacher),
        ):
            mixed = torch.lerp(found.detach()[rows], memory[index], self.momentum)
            memory[index] = F.normalize(mixed)

    def _similarities(
        self, anchor: Tensor, memory: Tensor, index: Tensor, drawn: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(K,) of each anchor (K, width) with its own memory, and (K, M) with those drawn."""
        anchor = anchor / self.temperature
        return vecdot(anchor, memory[index]), anchor @ memory[drawn].T

    def _loss(self, own: Tensor, rest: Tensor, count: Tensor, total: Tensor) -> Tensor:
        """(K,), (K, M), (K, M), () -> (K,) binary cross entropies of own and rest.

        The published logs of p / (p + noise + SMALLEST) and of noise / (p + noise + SMALLEST)
        for p = exp(similarity) / total, so written that nothing overflows.
        """
        noise = self.num_negatives / len(self.targets)
        even = (total * (noise + SMALLEST)).log()
        spare = self.num_negatives * math.log1p(SMALLEST / noise)
        missed: Tensor = vecdot(count, F.softplus(rest - even))
        return F.softplus(even - own) + missed + spare
