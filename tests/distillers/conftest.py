"""Distillers over the taps of tiny nets, and what these nets see."""

from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from engine.data.batch import Batch
from engine.distillers import DISTILLERS, Distiller, Setting

B = 6


@pytest.fixture
def setting() -> Setting:
    return setting_of("tiny_net_4_3", "tiny_net_6_3")


def setting_of(student: str, teacher: str) -> Setting:
    return Setting(
        student=tiny.net(student).taps(),
        teacher=tiny.net(teacher).taps(),
        targets=torch.arange(50) % len(tiny.CLASSES),
        num_classes=len(tiny.CLASSES),
        seed=0,
        norms=tiny.net(teacher).norms(),
        head=tiny.net(teacher).stages["logits"],
    )


def made(name: str, setting: Setting, **knobs: Any) -> Distiller:
    torch.manual_seed(0)
    return DISTILLERS[name].make(setting, knobs=knobs)


@pytest.fixture
def batch() -> Batch:
    return tiny.batch_of(B)


@pytest.fixture
def student() -> dict[str, Tensor]:
    return trace_of("tiny_net_4_3", 1)


@pytest.fixture
def teacher() -> dict[str, Tensor]:
    return trace_of("tiny_net_6_3", 2)


def trace_of(name: str, seed: int) -> dict[str, Tensor]:
    """What each tap of a net sees, as leaves that may be asked for their gradient."""
    with torch.no_grad():
        trace = tiny.net(name, seed=seed).eval().trace(tiny.batch_of(B, seed=3).image, inside=True)
    return {tap: value.clone().requires_grad_(True) for tap, value in trace.items()}
