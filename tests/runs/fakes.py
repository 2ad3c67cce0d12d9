"""Runs that train nothing, for the tests of what surrounds them.

Knobs of the data: `seconds` a step takes, `stubborn` ignores every word, `fault` raises it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from typing import Any

from engine.events import (
    At,
    CheckpointSaved,
    Evaluated,
    Event,
    PhaseBegan,
    RunContinued,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopping,
    StepTaken,
)
from engine.runs.control import Control
from engine.runs.folder import RunFolder
from engine.spec import Choice, NetChoice, RunSpec, Schedule

STEPS = 5  # in an epoch


def spec_of(*, epochs: int = 2, seed: int = 0, teacher: str = "", **knobs: Any) -> RunSpec:
    return RunSpec(
        data=Choice(name="fake", knobs=knobs),
        teacher=NetChoice(name="big", weights=teacher) if teacher else None,
        student=NetChoice(name="small"),
        method=Choice(name="spot_adaptive" if teacher else "alone"),
        distiller=Choice(name="at") if teacher else None,
        schedule=Schedule(epochs=epochs),
        seed=seed,
        device="cpu",
    )


def execute(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
    spec = folder.spec()
    knobs = spec.data.knobs
    start = _saved(folder)
    if start == (0, 0, 0):
        yield RunStarted(time=time.time())
    else:
        yield RunResumed(time=time.time(), position=start)
    if "fault" in knobs:
        raise {"memory": MemoryError, "bug": ZeroDivisionError}[str(knobs["fault"])]("broken")
    print("training begins", flush=True)
    yield began(spec.schedule.epochs)
    for at in steps_after(start, spec.schedule.epochs):
        time.sleep(float(knobs.get("seconds", 0.0)))
        word = None if knobs.get("stubborn") else control.look()
        if word == "pause":
            yield RunPaused(time=time.time())
            word = control.wait()
            if word == "continue":
                yield RunContinued(time=time.time())
        if word == "stop":
            yield RunStopping(time=time.time())
        if word in ("stop", "interrupt"):
            yield saved(folder, before(at))
            return "stopped" if word == "stop" else "interrupted"
        if word == "save":
            yield saved(folder, before(at))
        yield step(at)
        control.beat(at, 100.0)
        if at[2] == 0:
            yield evaluated(at)
    return "finished"


def began(epochs: int) -> PhaseBegan:
    return PhaseBegan(
        at=(0, 0, 0),
        phase="distillation",
        epochs=epochs,
        steps=STEPS,
        phases=("distillation",),
        total_steps=epochs * STEPS,
    )


def steps_after(start: At, epochs: int) -> list[At]:
    """Positions after each step; an epoch's last is step 0 of the next."""
    done = start[1] * STEPS + start[2]
    return [(0, step // STEPS, step % STEPS) for step in range(done + 1, epochs * STEPS + 1)]


def before(at: At) -> At:
    done = at[1] * STEPS + at[2] - 1
    return (0, done // STEPS, done % STEPS)


def step(at: At) -> StepTaken:
    loss = 1.0 / (1 + at[1] * STEPS + at[2])
    return StepTaken(
        at=at, count=1, terms={"task": loss}, rates={"student": 0.1}, samples_per_second=9.0
    )


def evaluated(at: At, **changes: Any) -> Evaluated:
    plain = {
        "at": at,
        "net": "student",
        "weights": "last",
        "split": "validation",
        "figures": {"accuracy": 1 - 1 / (1 + at[1])},
        "samples": 10,
    }
    return Evaluated.model_validate({**plain, **changes})


def saved(folder: RunFolder, at: At) -> CheckpointSaved:
    (folder.checkpoints / "last.json").write_text(json.dumps(at))
    return CheckpointSaved(position=at, which="last")


def _saved(folder: RunFolder) -> At:
    path = folder.checkpoints / "last.json"
    if not path.exists():
        return (0, 0, 0)
    phase, epoch, number = json.loads(path.read_text())
    return (phase, epoch, number)
