"""Logs written by hand: what charts and pages are tested and developed on.

`python -m tests.pages.canned FOLDER [EXTRA]` fills a workspace with one run of each status,
and EXTRA finished ones.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from engine.events import (
    ArtefactSaved,
    CheckpointSaved,
    CostMeasured,
    Evaluated,
    Event,
    Note,
    PhaseBegan,
    Prepared,
    RunEnded,
    RunPaused,
    RunQueued,
    RunStarted,
    SpotsChosen,
    SpotsCounted,
    StepTaken,
)
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.spec import Choice, NetChoice, RunSpec, Schedule

SPOTS = ("stage1", "stage2", "stage3", "logits")
CLASSES = [f"shape {n}" for n in range(10)]
STEPS = 93  # of an epoch
BEGAN = 1_790_000_000.0


def spec_of(role: str, *, seed: int = 0, epochs: int = 10) -> RunSpec:
    """The demo's pair: alone, or taught by attention at chosen spots."""
    taught = role != "alone"
    return RunSpec(
        data=Choice(name="shapes"),
        teacher=NetChoice(name="resnet14", weights="shipped:shapes-resnet14") if taught else None,
        student=NetChoice(name="resnet8"),
        method=Choice(name="spot_adaptive" if taught else "alone"),
        distiller=Choice(name="at") if taught else None,
        policy=Choice(name="learned") if taught else None,
        schedule=Schedule(epochs=epochs, batch=32, lr=0.2),
        seed=seed,
    )


def beginning(role: str, *, epochs: int = 10) -> list[Event]:
    """From the queue to the first step."""
    phase = PhaseBegan(
        at=(0, 0, 0),
        phase="distil" if role == "taught" else "train",
        epochs=epochs,
        steps=STEPS,
        phases=("distil" if role == "taught" else "train",),
        total_steps=epochs * STEPS,
    )
    told: list[Event] = [
        RunQueued(time=BEGAN),
        RunStarted(time=BEGAN + 1),
        Prepared(what="data", text="3,000 images for training, 1,000 for validation."),
        Note(text="The routed pass runs at every 4th step."),
    ]
    if role == "taught":
        told += [
            Prepared(
                what="teacher", text="The teacher gets 99.7 % of the validation images right."
            ),
            _evaluated("teacher", (0, 0, 0), "validation", 0.9967, 0.02, weights="given"),
            _cost("teacher", "resnet14", 175_258, 26_400_000),
        ]
    return [*told, _cost("student", "resnet8", 78_042, 12_200_000), phase]


def epoch_events(role: str, epoch: int, *, epochs: int = 10, part: float = 1.0) -> list[Event]:
    """One epoch (from 0), or the first part of it; the curves look like the demo's."""
    told: list[Event] = []
    taught = role == "taught"
    for step in range(3, int(STEPS * part) + 1, 3):
        done = (epoch + step / STEPS) / epochs
        terms = {"loss": 2.2 * math.exp(-3 * done) + 0.1, "task": 2.0 * math.exp(-3 * done) + 0.08}
        if taught:
            terms |= {"kd": 0.5 * math.exp(-2 * done), "at": 0.3 * math.exp(-4 * done)}
        rate = 0.1 * (1 + math.cos(math.pi * done))
        rates = {"student": rate, **({"policy": rate / 2} if taught else {})}
        at = (0, epoch, step)
        told.append(StepTaken(at=at, count=3, terms=terms, rates=rates, samples_per_second=1400))
        if taught:
            told.append(SpotsChosen(at=at, share=_shares(done)))
    if part == 1.0:
        end = (0, epoch, STEPS)
        if taught:
            told.append(_counted(end, _shares((epoch + 1) / epochs)))
        top = 0.977 if taught else 0.87
        value = top - (0.5 if taught else 0.65) * math.exp(-0.6 * (epoch + 1))
        told.append(_evaluated("student", end, "validation", value, 2 * (1 - value)))
        told.append(CheckpointSaved(position=end, which="last"))
    return told


def ending(
    role: str, status: str = "finished", *, epochs: int = 10, message: str = ""
) -> list[Event]:
    """The final evaluations and the last word."""
    end = (0, epochs - 1, STEPS)
    told: list[Event] = []
    if status == "finished":
        value = 0.9763 if role == "taught" else 0.8653
        told = [
            _evaluated("student", end, "test", value, 0.1),
            _evaluated("student", end, "test", value + 0.001, 0.1, weights="best"),
            ArtefactSaved(name="student.safetensors", what="the student's weights", bytes=312_000),
        ]
        if role == "taught":
            told.insert(0, _evaluated("teacher", end, "test", 0.9967, 0.02, weights="given"))
    hint = "Lower the learning rate, then resume." if status == "failed" else ""
    ended = RunEnded(time=BEGAN + 61, status=status, message=message, hint=hint)
    return [*told, ended]


def whole(role: str, *, epochs: int = 10) -> list[Event]:
    """A finished run."""
    told = beginning(role, epochs=epochs)
    for epoch in range(epochs):
        told += epoch_events(role, epoch, epochs=epochs)
    return [*told, *ending(role, epochs=epochs)]


def underway(role: str, *, done: int = 4, epochs: int = 10) -> list[Event]:
    """A run in the middle of an epoch."""
    told = beginning(role, epochs=epochs)
    for epoch in range(done):
        told += epoch_events(role, epoch, epochs=epochs)
    return [*told, *epoch_events(role, done, epochs=epochs, part=0.5)]


def add_run(
    workspace: Workspace, events: Iterable[Event], *, role: str, name: str, **more: object
) -> RunFolder:
    """A run folder with this log."""
    seed, epochs = int(more.pop("seed", 0)), int(more.pop("epochs", 10))  # type: ignore[call-overload]
    meta_role = "alone" if role == "alone" else "student"
    meta = Meta(name=name, role=meta_role, created=BEGAN + seed, **more)  # type: ignore[arg-type]
    folder = workspace.create(spec_of(role, seed=seed, epochs=epochs), meta)
    folder.log.append(events)
    return folder


def keep_choices(folder: RunFolder, **changes: object) -> None:
    """40 images in 10 classes; image n has P = n / 40 at each spot."""
    chance = np.repeat(np.arange(40)[:, None] / 40, len(SPOTS), 1)
    plain = {
        "label": np.arange(40) % 10,
        "kept": chance > 0.5,
        "probability": (255 * chance).astype(np.uint8),
        "gap": np.linspace(-1, 1, 40).astype(np.float32),
        "mean": chance.astype(np.float16),
    }
    kept = {name: value for name, value in {**plain, **changes}.items() if value is not None}
    np.savez_compressed(folder.artefacts / "spots.npz", **kept)
    folder.write_environment({"classes": CLASSES})


def fill(workspace: Workspace) -> dict[str, str]:
    """One run of each status; returns name -> id. Running ones need someone to hold the lock."""
    runs = {
        "alone": add_run(workspace, whole("alone"), role="alone", name="Alone", tags=("demo",)),
        "taught": add_run(workspace, whole("taught"), role="taught", name="Taught", tags=("demo",)),
        "failed": add_run(
            workspace,
            [
                *underway("taught", done=2),
                *ending("taught", "failed", message="The loss is not finite in phase distil."),
            ],
            role="taught",
            name="Too fast",
        ),
        "interrupted": add_run(workspace, underway("taught"), role="taught", name="Cut off"),
        "queued": add_run(workspace, [RunQueued(time=BEGAN)], role="taught", name="Waiting"),
        "running": add_run(workspace, underway("taught", done=5), role="taught", name="Under way"),
        "paused": add_run(
            workspace,
            [*underway("taught", done=1), RunPaused(time=BEGAN + 30)],
            role="taught",
            name="Paused",
        ),
    }
    broken = add_run(workspace, [], role="taught", name="Broken")
    (broken.path / "spec.json").write_text("{ not json")
    return {**{name: run.id for name, run in runs.items()}, "unreadable": broken.id}


def _evaluated(
    net: str,
    at: tuple[int, int, int],
    split: str,
    accuracy: float,
    loss: float,
    weights: str = "last",
) -> Evaluated:
    figures = {"accuracy": accuracy, "loss": loss}
    return Evaluated(at=at, net=net, weights=weights, split=split, figures=figures, samples=1000)


def _cost(net: str, name: str, parameters: int, multiply_adds: int) -> CostMeasured:
    thirds = {
        f"stage{n}": {"parameters": parameters // 3, "multiply_adds": multiply_adds // 3}
        for n in (1, 2, 3)
    }
    return CostMeasured(
        net=net,
        name=name,
        input_shape=(3, 32, 32),
        parameters=parameters,
        multiply_adds=multiply_adds,
        fvcore_multiply_adds=int(multiply_adds * 1.05),
        stages=thirds,
        uncounted={"add": 6},
        latency=multiply_adds / 6e9,
        file_bytes=4 * parameters,
    )


def _shares(done: float) -> dict[str, float]:
    return {spot: 0.5 + 0.5 * (1 - math.exp(-(n + 2) * done)) for n, spot in enumerate(SPOTS)}


def _counted(at: tuple[int, int, int], shares: dict[str, float]) -> SpotsCounted:
    return SpotsCounted(
        at=at,
        spots=SPOTS,
        samples=(300,) * 10,
        kept=tuple(tuple(int(300 * share) for _ in range(10)) for share in shares.values()),
        routes={"1111": 2000, "0111": 1000},
        probability=tuple(shares.values()),
    )


if __name__ == "__main__":
    place = Workspace.open(Path(sys.argv[1]))
    print(fill(place))
    for nth in range(int(sys.argv[2]) if len(sys.argv) > 2 else 0):
        role = ("alone", "taught")[nth % 2]
        add_run(place, whole(role, epochs=2), role=role, name=f"Run {nth}", seed=nth // 2, epochs=2)
        time.sleep(0.001)
