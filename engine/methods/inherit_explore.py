"""Inheritance and exploration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from engine.distillers.base import Distiller
from engine.distillers.kd import KnowledgeDistillation, Temperature
from engine.errors import SpecError
from engine.methods.base import METHODS, Materials
from engine.methods.split import Order, PartName, Split
from engine.methods.taught import (
    Gamma,
    LogitsWeight,
    Part,
    PolicyEvery,
    Quota,
    Routing,
    TaskWeight,
    Taught,
    Where,
)
from engine.seeding import seed_for

Ratio = Annotated[float, Field(ge=0, le=1, description="Share of the channels that inherit")]
ExploreWeight = Annotated[
    float, Field(ge=0, le=1e6, description="Weight of moving away from the teacher")
]
Ramp = Annotated[int, Field(ge=0, le=500, description="Epochs over which both weights rise from 0")]
ChannelOrder = Annotated[
    Order, Field(description="natural: the first channels inherit; random: drawn by the seed")
]


@METHODS.register(
    "inherit_explore",
    title="Inheritance and exploration (IE-KD)",
    source="Huang et al., CVPR 2021, authors' code",
    needs=("teacher", "distiller"),
    may=("policy",),
    distillers={  # and what each needs to be set to here
        "coder": {},
        "at": {"weight": 100.0, "explore_weight": 100.0},
        "ofd": {},
    },
)
class InheritExplore(Taught):
    """Half of the student's channels copy the teacher, the other half must differ from it.

    Student: task_weight * CE + weight * what the distiller measures on the inheriting channels
    - explore_weight * a bounded distance on the others. With the distiller `coder` it is the
    authors' IE-FT; with `at` IE-AT (weight 100 of both parts, as its distances reach 1/32 at
    most) and with `ofd` IE-OD, of which only names and figures are published, so that their
    construction is ours. The student that is deployed is the plain one.
    """

    def __init__(
        self,
        materials: Materials,
        *,
        ratio: Ratio = 0.5,
        order: ChannelOrder = "natural",
        explore_weight: ExploreWeight = 50.0,
        exploration_encoder: Annotated[
            Literal["trainable", "frozen", "shared"],
            Field(description="trainable; frozen as drawn; shared with inheritance"),
        ] = "trainable",
        ramp: Ramp = 0,
        task_weight: TaskWeight = 1.0,
        logits_weight: LogitsWeight = 0.0,
        temperature: Temperature = 4.0,
        explore_where: Annotated[
            Where, Field(description="Of a policy: with the inheritance, always, or elsewhere")
        ] = "kept",
        gamma: Gamma = 1.0,
        quota: Quota = 0.5,
        policy_every: PolicyEvery = 1,
    ) -> None:
        assert materials.distiller
        self._logits_weight = logits_weight
        setting = materials.setting()
        spots = materials.distiller(setting).spots
        self.split = Split(
            setting.student,
            [spot.student for spot in spots],
            ratio=ratio,
            order=order,
            seed=seed_for(materials.seed, "split"),
        )
        modules: dict[str, nn.Module] = {"split": self.split}
        parts = []
        if ratio > 0:
            inherit = self._distiller(materials, "inherit")
            modules["inherit"] = inherit
            see = partial(self.split.see, "inherit")
            parts.append(Part("inherit", inherit, inherit.weight, see, is_told=True, rises=True))
        if ratio < 1:
            explore = self._distiller(materials, "explore")
            if parts:
                join(explore, inherit, is_shared=exploration_encoder == "shared")
            if exploration_encoder == "frozen":
                explore.requires_grad_(False)
            modules["explore"] = explore
            see = partial(self.split.see, "explore")
            part = Part("explore", explore, explore_weight, see, is_told=True, rises=True)
            parts.append(replace(part, measure=explore.repel, where=explore_where))
        if logits_weight:
            logits = KnowledgeDistillation(setting, temperature=temperature)
            parts.append(Part("logits", logits, logits_weight))
        super().__init__(
            materials,
            parts,
            task_weight=task_weight,
            routing=Routing(gamma=gamma, quota=quota, policy_every=policy_every),
            modules=modules,
            ramp=ramp,
        )

    def _distiller(self, materials: Materials, part: PartName) -> Distiller:
        """The chosen distiller, for a student that has one part's channels only."""
        assert materials.distiller
        setting = materials.setting()
        return materials.distiller(replace(setting, student=self.split.taps(part, setting.student)))

    @property
    def idle_knobs(self) -> Mapping[str, str]:
        found = self._idle_routing(("gamma", "quota", "policy_every"))
        if not self.spots:
            found["explore_where"] = "there is no policy"
        if not self._logits_weight:
            found["temperature"] = "the soft labels have no weight"
        distillers = {part.name: part.distiller for part in self._parts}
        if "explore" not in distillers:
            about = ("explore_weight", "explore_where", "exploration_encoder")
            found |= dict.fromkeys(about, "no channel explores")
        elif not distillers["explore"].learning():
            found["exploration_encoder"] = "this distiller has no encoder"
        if not {"inherit", "explore"} <= distillers.keys():
            found["order"] = "all channels are one part"
        return found


def join(explore: Distiller, inherit: Distiller, *, is_shared: bool) -> None:
    """Both parts see one teacher; where asked, through one set of encoders of the student.

    Raises:
        SpecError: the parts are not equally wide, so that no encoder fits both.
    """
    for (name, module), (_, other) in zip(
        [*explore.named_children()], [*inherit.named_children()], strict=True
    ):
        is_teachers = explore.warm_up is not None and module is explore.warm_up.module
        if is_shared and [p.shape for p in module.parameters()] != [
            p.shape for p in other.parameters()
        ]:
            raise SpecError(
                "parts of unequal width cannot share an encoder", where="method.knobs.ratio"
            )
        if is_teachers or is_shared:
            setattr(explore, name, other)
    explore.warm_up = inherit.warm_up
