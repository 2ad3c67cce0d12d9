"""Methods built from tiny nets, and a few of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import tiny
import tiny_masks
import torch

from engine.data.batch import Batch
from engine.data.pool_loader import Pools
from engine.distillers import DISTILLERS
from engine.events import Event
from engine.methods import METHODS, POLICIES, Materials, Method
from engine.nets.freeze import freeze
from engine.nets.staged import StagedNet, Tap
from engine.seeding import seed_for
from engine.spec import Schedule
from engine.training.loop import EpochEnded, Stepped, fit
from engine.training.phase import Phase
from engine.training.tally import Tally

NONE: Mapping[str, Any] = MappingProxyType({})
FEW_STEPS = Schedule(epochs=4, batch=4, lr=0.01, optimizer="adam", steps=2)


@dataclass(frozen=True)
class FewBatches:
    """Random images, the same at each call."""

    batch: int = 6
    steps: int = 3

    @property
    def samples(self) -> int:
        return self.batch * self.steps

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for step in range(start, self.steps):
            found = tiny.batch_of(self.batch, seed=seed_for(0, epoch, step) % 2**31)
            yield Batch(found.image, found.target, found.index + step * self.batch)


def materials(
    *,
    distiller: str | None = "at",
    policy: str | None = "learned",
    distiller_knobs: Mapping[str, Any] = NONE,
    policy_knobs: Mapping[str, Any] = NONE,
    student: str = tiny.STUDENT,
    teacher: str | None = tiny.TEACHER,
    is_same_family: bool = False,
    batches: FewBatches = FewBatches(),
    lr: float = 0.05,
) -> Materials:
    if teacher and distiller in tiny.EQUAL_CHANNELS:
        teacher = student
    learner = tiny.net(student, seed=1)
    master = freeze(tiny.net(teacher, seed=2)) if teacher else None

    def maker(registry: Any, name: str | None, knobs: Mapping[str, Any]) -> Any:
        return partial(registry[name].make, knobs=knobs) if name else None

    return Materials(
        student=learner,
        teacher=master,
        student_taps=learner.taps(),
        teacher_taps=master.taps() if master else {},
        is_same_family=is_same_family,
        data=batches,
        targets=torch.arange(batches.samples) % len(tiny.CLASSES),
        num_classes=len(tiny.CLASSES),
        distiller=maker(DISTILLERS, distiller, distiller_knobs),
        policy=maker(POLICIES, policy, policy_knobs),
        schedule=Schedule(epochs=4, batch=batches.batch, lr=lr, decay="constant", weight_decay=0),
        seed=0,
        device=torch.device("cpu"),
        precision=torch.float32,
        peer=partial(peer, student),
    )


def mask_materials(
    *,
    teacher: bool = True,
    classes: int = len(tiny_masks.CLASSES),
    schedule: Schedule = FEW_STEPS,
    **knobs: Any,
) -> Materials:
    """For methods that give a class to every pixel.

    Args:
        classes: of the teacher. knobs: of the data set.
    """
    data = tiny_masks.tiny_masks(Path(), 0, **knobs)
    student = tiny_masks.net(tiny_masks.STUDENT, seed=1)
    master = freeze(tiny_masks.net(tiny_masks.TEACHER, seed=2, num_classes=classes))
    pools = Pools(data, schedule.batch, schedule.steps, 0, torch.device("cpu"))
    return Materials(
        student=student,
        teacher=master if teacher else None,
        student_taps=student.taps(),
        teacher_taps=master.taps() if teacher else {},
        is_same_family=False,
        data=pools.labelled("train"),
        targets=data.train.targets,
        num_classes=len(data.classes),
        distiller=None,
        policy=None,
        schedule=schedule,
        seed=0,
        device=torch.device("cpu"),
        precision=torch.float32,
        peer=partial(peer, tiny.STUDENT),
        pools=pools,
    )


def materials_for(method: str, distiller: str | None, policy: str | None) -> Materials:
    """What a registered method needs."""
    facts = METHODS[method].facts
    has_teacher = "teacher" in facts["needs"]
    if facts.get("task") == "segment":
        return mask_materials(teacher=has_teacher)
    teacher = tiny.TEACHER if has_teacher else None
    return materials(distiller=distiller, policy=policy, teacher=teacher)


def peer(student: str, design: str, called: str) -> tuple[StagedNet, Mapping[str, Tap]]:
    net = tiny.net(design or student, seed=seed_for(0, called) % 2**31)
    return net, net.taps()


def build(made: Materials, name: str = "spot_adaptive", **knobs: Any) -> Method:
    torch.manual_seed(seed_for(0, "weights", "method"))
    return METHODS[name].make(made, knobs=knobs)


def take_steps(phase: Phase, count: int, *, index: int = 0) -> list[Event]:
    """Events of the first steps of a phase."""
    told: list[Event] = []
    tally = Tally(phase.data.samples, len(tiny.CLASSES))
    phase.enter()
    taken = 0
    for item in fit(phase, phase.begin(), tally, at=(index, 0, 0), seed=0):
        if isinstance(item, Stepped):
            taken += 1
            if taken == count:
                break
        elif not isinstance(item, EpochEnded):
            told.append(item)
    return told


def copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def differing(module: torch.nn.Module, before: Mapping[str, torch.Tensor]) -> set[str]:
    """Names of what has changed."""
    now = module.state_dict()
    assert now.keys() == before.keys()
    return {name for name in before if not torch.equal(before[name], now[name])}


@pytest.fixture
def make() -> Callable[..., Method]:
    return lambda **given: build(materials(**given))
