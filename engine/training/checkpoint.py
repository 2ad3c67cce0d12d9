"""What a run needs to go on exactly where it was saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.errors import WeightsError
from engine.events import At

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of a run at one position.

    It holds no state of a random generator and no schedule: draws and rates are functions of
    the position.

    modules: the method's state dict; optimizers: learner -> state dict; tally: the open sums
    best: highest figure so far, and where; circumstances: what an exact resume must share
    """

    position: At
    modules: Mapping[str, Any]
    optimizers: Mapping[str, Any]
    tally: Mapping[str, Any]
    best_figure: float
    best_at: At
    circumstances: Mapping[str, str]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a crash leaves the old one or the new one, whole."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as out:
        torch.save({"format": FORMAT, **_plain(checkpoint)}, out)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        WeightsError: the file is damaged or of another format.
    """
    try:
        plain = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"The checkpoint {path.name} cannot be read ({type(error).__name__}).",
            hint="Start the run again from the beginning, as a new run.",
        ) from None
    if not isinstance(plain, dict) or plain.pop("format", None) != FORMAT:
        raise WeightsError(
            f"The checkpoint {path.name} has a format that this version cannot read."
        )
    plain["position"], plain["best_at"] = tuple(plain["position"]), tuple(plain["best_at"])
    return Checkpoint(**plain)


def _plain(checkpoint: Checkpoint) -> dict[str, Any]:
    shallow = {name: getattr(checkpoint, name) for name in checkpoint.__slots__}
    shallow["position"], shallow["best_at"] = list(checkpoint.position), list(checkpoint.best_at)
    return shallow


def differing_weights(first: Path, second: Path) -> str:
    """The first tensor that differs between two folders' last checkpoints; empty if none does.

    Raises:
        WeightsError: a checkpoint is missing or damaged.
    """
    ours, theirs = (load_checkpoint(folder / "last.pt").modules for folder in (first, second))
    if list(ours) != list(theirs):
        return "the runs trained different modules"
    for name, value in ours.items():
        if value.shape != theirs[name].shape or not torch.equal(value, theirs[name]):
            return f"{name} differs"
    return ""
