"""The open sums of an epoch: what has been seen but not yet told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.data.batch import Batch
from engine.events import At, SpotsChosen, SpotsCounted, StepTaken
from engine.training.phase import Chosen

NUM_ROUTES = 256


class Tally:
    """Sums on the device; numbers leave it only when they are told.

    Args:
        num_samples: in the training split.
        num_classes: of the data set.
    """

    def __init__(self, num_samples: int, num_classes: int) -> None:
        self._num_samples, self._num_classes = num_samples, num_classes
        self._count = 0
        self._terms: dict[str, Tensor] = {}
        self._times: dict[str, int] = {}  # steps in which a term was told
        self._fresh: set[str] = set()  # terms of the step that is not yet complete
        self._share: dict[str, Tensor] = {}
        self._spots: tuple[str, ...] = ()
        self._table: dict[str, Tensor] = {}
        self._total: Tensor | None = None  # (N, S) sum of P over all epochs so far
        self._visits = torch.zeros(num_samples)

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add the terms of one learner's loss at one step."""
        for name, value in terms.items():
            value = value.detach().float()
            self._terms[name] = self._terms[name] + value if name in self._terms else value
            self._fresh.add(name)

    def choose(self, batch: Batch, chosen: Chosen) -> None:
        """Note what was chosen for one batch."""
        share = chosen.kept.float().mean(dim=0)
        for spot, value in zip(chosen.spots, share.unbind(), strict=True):
            self._share[spot] = self._share[spot] + value if spot in self._share else value
        self._spots = chosen.spots
        if not self._table:
            shape, device = (self._num_samples, len(chosen.spots)), batch.target.device
            self._table = {
                "label": torch.full((self._num_samples,), -1, device=device),
                "kept": torch.zeros(shape, dtype=torch.bool, device=device),
                "probability": torch.zeros(shape, dtype=torch.uint8, device=device),
                "gap": torch.zeros(self._num_samples, device=device),
            }
        if self._total is None:
            self._total = torch.zeros(self._table["kept"].shape, device=batch.target.device)
            self._visits = torch.zeros(self._num_samples, device=batch.target.device)
        probability = chosen.probability.detach().float()
        self._table["label"][batch.index] = batch.target
        self._table["kept"][batch.index] = chosen.kept
        self._table["probability"][batch.index] = (probability * 255).round().to(torch.uint8)
        self._table["gap"][batch.index] = chosen.gap.detach().float()
        self._total[batch.index] += probability
        self._visits[batch.index] += 1

    def stepped(self) -> None:
        """One more step is complete."""
        self._count += 1
        for name in self._fresh:
            self._times[name] = self._times.get(name, 0) + 1
        self._fresh.clear()

    def tell(self, at: At, rates: Mapping[str, float]) -> list[StepTaken | SpotsChosen]:
        """The means since the last telling, and an empty sum.

        A term that not every step has is the mean over the steps that have it.
        """
        told: list[StepTaken | SpotsChosen] = [
            StepTaken(
                at=at,
                count=self._count,
                terms={name: float(v) / self._times[name] for name, v in self._terms.items()},
                rates=rates,
            )
        ]
        if self._share:
            share = {spot: float(v) / self._count for spot, v in self._share.items()}
            told.append(SpotsChosen(at=at, share=share))
        self._count, self._terms, self._times, self._share = 0, {}, {}, {}
        return told

    def close_epoch(self, at: At) -> tuple[SpotsCounted, dict[str, Tensor]]:
        """What was chosen in the epoch and the table behind it; the next one is empty.

        The table has, by sample: label (N,), -1 where it was not visited; kept and probability
        (N, S), the latter in 255ths; gap (N,); mean (N, S), P over all epochs so far.
        """
        table = {name: value.cpu() for name, value in self._table.items()}
        assert self._total is not None
        table["mean"] = (self._total / self._visits[:, None].clamp(min=1)).half().cpu()
        self._table = {}
        seen = table["label"] >= 0
        label, kept = table["label"][seen], table["kept"][seen]
        by_class = torch.zeros(self._num_classes, len(self._spots), dtype=torch.long)
        by_class.index_add_(0, label, kept.long())
        codes, counts = torch.unique(kept, dim=0, return_counts=True)
        order = counts.argsort(descending=True, stable=True)[:NUM_ROUTES]
        routes = {
            "".join(str(int(bit)) for bit in codes[i].tolist()): int(counts[i])
            for i in order.tolist()
        }
        probability = table["probability"][seen].float().mean(dim=0) / 255
        counted = SpotsCounted(
            at=at,
            spots=self._spots,
            samples=tuple(torch.bincount(label, minlength=self._num_classes).tolist()),
            kept=tuple(tuple(row) for row in by_class.T.tolist()),
            routes=routes,
            probability=tuple(probability.tolist()),
        )
        return counted, table

    @property
    def has_choices(self) -> bool:
        return bool(self._table)

    def state_dict(self) -> dict[str, Any]:
        return {
            "count": self._count,
            "terms": dict(self._terms),
            "times": dict(self._times),
            "share": dict(self._share),
            "spots": list(self._spots),
            "table": dict(self._table),
            "total": self._total,
            "visits": self._visits,
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        self._count = state["count"]
        self._terms = {name: value.to(device) for name, value in state["terms"].items()}
        self._times = dict(state["times"])
        self._share = {name: value.to(device) for name, value in state["share"].items()}
        self._spots = tuple(state["spots"])
        self._table = {name: value.to(device) for name, value in state["table"].items()}
        total = state["total"]
        self._total = None if total is None else total.to(device)
        self._visits = state["visits"].to(device)
