"""Nets that learn together and from each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.distillers.base import Taps, distil
from engine.distillers.coder import Coder, last_map
from engine.errors import SpecError
from engine.methods.base import METHODS, Materials, Method, per_batch
from engine.methods.inherit_explore import ChannelOrder, ExploreWeight, Ramp, Ratio, join
from engine.methods.split import Order, PartName, Split
from engine.nets.staged import StagedNet, Trace
from engine.seeding import seed_for
from engine.training.phase import Descend, Learner, Lesson, Phase

PEERS = "method.knobs.peers"


@dataclass(frozen=True, slots=True)
class Codes:
    """What one net learns from the codes of the other.

    split: its own
    parts: with encoders of its own and one auto-encoder of the other, for each part that has
           channels
    """

    split: Split
    parts: Mapping[PartName, Coder]

    @property
    def any_part(self) -> Coder:
        """One of them, for what they share."""
        return next(iter(self.parts.values()))


@METHODS.register(
    "mutual",
    title="Learn together (DML, IE-DML)",
    source="Zhang et al., CVPR 2018; with codes: Huang et al., CVPR 2021, procedure ours",
    needs=(),
)
class Mutual(Method):
    """Two or more nets learn from the labels and from each other's answers.

    Each net: CE + kl_weight * the mean over its peers of KL(peer || net) at temperature 1. With
    inherit_weight or explore_weight it is IE-DML, for two nets: half of a net's channels copy
    the code of the other's last map, half must differ from it; the auto-encoders learn beside
    the nets. Of IE-DML no procedure is published.
    """

    def __init__(
        self,
        materials: Materials,
        *,
        peers: Annotated[
            str,
            Field(
                pattern=r"^([\w-]+( *, *[\w-]+)*)?$",
                description="Nets that learn with the student, as in resnet20, resnet8;"
                " empty: one more of its design",
            ),
        ] = "",
        turns: Annotated[
            Literal["sequential", "simultaneous"],
            Field(description="sequential: all look again after each net's step"),
        ] = "sequential",
        kl_weight: Annotated[
            float, Field(ge=0, le=1e3, description="Weight of the peers' answers")
        ] = 1.0,
        inherit_weight: Annotated[
            float, Field(ge=0, le=1e6, description="Weight of copying the other's codes")
        ] = 0.0,
        explore_weight: ExploreWeight = 0.0,
        ratio: Ratio = 0.5,
        order: ChannelOrder = "natural",
        ramp: Ramp = 5,
    ) -> None:
        self._materials = materials
        self._is_sequential, self._kl_weight = turns == "sequential", kl_weight
        self._weights = {"inherit": inherit_weight, "explore": explore_weight}
        self._ramp_epochs = ramp
        names = [name.strip() for name in peers.split(",") if name.strip()] or [""]
        self.designs = dict(zip(_called(len(names)), names, strict=True))
        made = {called: _peer(materials, name, called) for called, name in self.designs.items()}
        self.nets = {"student": materials.student, **{name: net for name, (net, _) in made.items()}}
        taps = {"student": materials.student_taps, **{name: own for name, (_, own) in made.items()}}
        self._codes: dict[str, Codes] = {}
        if inherit_weight or explore_weight:
            if len(self.nets) > 2:
                raise SpecError("codes are exchanged by two nets, not more", where=PEERS)
            one, other = taps
            for name, peer in ((one, other), (other, one)):
                self._codes[name] = _codes(materials, taps[name], taps[peer], ratio, order, name)
        self.modules = nn.ModuleDict(self.nets)
        for name, codes in self._codes.items():
            self.modules[f"{name} codes"] = nn.ModuleList([codes.split, *codes.parts.values()])
        self.modules.to(materials.device).to(memory_format=torch.channels_last)

    def plan(self) -> tuple[Phase, ...]:
        data, epochs = self._materials.data, self._materials.schedule.epochs
        return (Phase(name="together", epochs=epochs, data=data, begin=self._begin),)

    @property
    def idle_knobs(self) -> Mapping[str, str]:
        if not self._codes:
            return dict.fromkeys(("ratio", "order", "ramp"), "no codes are exchanged")
        parts = self._codes["student"].parts
        if len(parts) > 1:
            return {}
        found = {"order": "all channels are one part"}
        if "inherit" not in parts:
            return {**found, "inherit_weight": "no channel inherits"}
        return {**found, "explore_weight": "no channel explores"}

    def _begin(self) -> Lesson:
        learners, coders = {}, {}
        for name, net in self.nets.items():
            learning = list(net.train().parameters())
            if name in self._codes:
                codes = self._codes[name]
                encoder = codes.any_part.auto_encoder
                for part in codes.parts.values():
                    learning += part.train().learning()
                coders[name] = self._materials.learner(
                    f"{name} auto-encoder", list(encoder.parameters())
                )
            learners[name] = self._materials.learner(name, learning)
        return Lesson((*learners.values(), *coders.values()), partial(self._step, learners, coders))

    def _step(
        self,
        learners: Mapping[str, Learner],
        coders: Mapping[str, Learner],
        batch: Batch,
        number: int,
    ) -> Iterator[Descend]:
        moves = self._is_sequential
        traces = {} if moves else {one: self._trace(one, batch) for one in self.nets}
        for name in self.nets:
            if moves:
                traces = {one: self._trace(one, batch, is_shown=one != name) for one in self.nets}
            others = [_detached(trace) for one, trace in traces.items() if one != name]
            terms, told = self._terms(name, traces[name], others, batch, number)
            loss = torch.stack([*terms.values()]).sum()
            yield Descend(learners[name], loss, _named(name, {**terms, **told}), moves)
            if name in coders:
                with self._materials.autocast():
                    gap = self._codes[name].any_part.reconstruction({}, others[0]).mean()
                yield Descend(coders[name], gap, _named(name, {"reconstruction": gap}), moves)

    def _trace(self, name: str, batch: Batch, *, is_shown: bool = False) -> Trace:
        """A pass in training mode; without a graph where it is only shown to the others."""
        with torch.set_grad_enabled(not is_shown), self._materials.autocast():
            return self.nets[name].trace(batch.image, inside=True)

    def _terms(
        self, name: str, own: Trace, others: Sequence[Trace], batch: Batch, number: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The parts of one net's loss, and what is told beside them."""
        logits = own["logits"].float()
        terms = {"task": F.cross_entropy(logits, batch.target)}
        ours = logits.log_softmax(dim=1)
        gaps = [
            F.kl_div(
                ours, peer["logits"].float().log_softmax(1), reduction="batchmean", log_target=True
            )
            for peer in others
        ]
        terms["peers"] = self._kl_weight * torch.stack(gaps).mean()
        told: dict[str, Tensor] = {}
        if name in self._codes:
            codes, rising = self._codes[name], self._ramp_epochs * self._materials.data.steps
            ramp = min(1.0, (number + 1) / rising) if rising else 1.0
            kept = torch.ones(len(batch), 1, dtype=torch.bool, device=batch.target.device)
            for part, distiller in codes.parts.items():
                with self._materials.autocast():
                    pairs = distiller.project(codes.split.see(part, own), others[0])
                explores = part == "explore"
                measure = distiller.repel if explores else distiller.measure
                gap = per_batch(distil(distiller, pairs, batch, kept, measure))
                terms[part] = ramp * self._weights[part] * gap
                told[f"{part} distance"] = distiller.apart(gap.detach()) if explores else gap
        return terms, told


def _peer(materials: Materials, design: str, called: str) -> tuple[StagedNet, Taps]:
    try:
        return materials.peer(design, called)
    except SpecError as error:
        error.where = error.where or PEERS
        raise


def _called(count: int) -> list[str]:
    return ["peer"] if count == 1 else [f"peer {number}" for number in range(1, count + 1)]


def _named(name: str, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Terms of the student by their own names, those of its peers with the peer's before."""
    prefix = "" if name == "student" else f"{name}: "
    return {f"{prefix}{term}": value for term, value in terms.items()}


def _detached(trace: Trace) -> Trace:
    return {tap: signal.detach() for tap, signal in trace.items()}


def _codes(
    materials: Materials, own: Taps, other: Taps, ratio: float, order: Order, name: str
) -> Codes:
    """What a net with the taps `own` needs to learn from the codes of the other."""
    seed = seed_for(materials.seed, "split", name)
    split = Split(own, [last_map(own)], ratio=ratio, order=order, seed=seed)
    shares: tuple[tuple[PartName, float], ...] = (("inherit", ratio), ("explore", 1 - ratio))

    def part(which: PartName) -> Coder:
        setting = materials.setting()
        return Coder(replace(setting, student=split.taps(which, own), teacher=other))

    parts = {which: part(which) for which, share in shares if share > 0}
    if len(parts) > 1:
        join(parts["explore"], parts["inherit"], is_shared=False)
    return Codes(split, parts)
