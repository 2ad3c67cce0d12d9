from __future__ import annotations

import pytest

from engine.events import (
    Event,
    RunContinued,
    RunEnded,
    RunPaused,
    RunQueued,
    RunResumed,
    RunStarted,
    RunStopping,
)
from engine.runs.folder import RunFolder

from .conftest import Start
from .fakes import began, step

QUEUED, STARTED = RunQueued(time=1.0), RunStarted(time=2.0)
RESUMED = RunResumed(time=2.0, position=(0, 0, 1))
PAUSED, CONTINUED = RunPaused(time=3.0), RunContinued(time=4.0)
BEGAN, STEP = began(2), step((0, 0, 1))

# Events of the log, status while a process holds the lock, status while none does.
TABLE = [
    ([], "preparing", "interrupted"),
    ([QUEUED], "preparing", "queued"),
    ([QUEUED, STARTED], "preparing", "interrupted"),
    ([QUEUED, STARTED, BEGAN], "running", "interrupted"),
    ([QUEUED, STARTED, BEGAN, STEP], "running", "interrupted"),
    ([STARTED, BEGAN, STEP, RESUMED], "preparing", "interrupted"),
    ([STARTED, BEGAN, STEP, RESUMED, BEGAN], "running", "interrupted"),
    ([STARTED, BEGAN, PAUSED], "paused", "interrupted"),
    ([STARTED, BEGAN, PAUSED, BEGAN], "paused", "interrupted"),
    ([STARTED, BEGAN, PAUSED, CONTINUED], "running", "interrupted"),
    ([STARTED, BEGAN, RunStopping(time=3.0)], "stopping", "interrupted"),
    ([STARTED, BEGAN, STEP, QUEUED], "preparing", "queued"),
    *[
        ([STARTED, BEGAN, RunEnded(time=5.0, status=status)], status, status)
        for status in ("finished", "stopped", "failed", "interrupted")
    ],
]


@pytest.mark.parametrize(("events", "alive", "dead"), TABLE)
def test_the_status_of_a_run_that_nobody_drives(
    run: RunFolder, events: list[Event], alive: str, dead: str
) -> None:
    run.log.append(events)
    assert run.status() == dead


def test_the_status_of_a_run_that_another_process_drives(run: RunFolder, start: Start) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.runs.lock import Lock;"
        "lock = Lock(Path(sys.argv[1])); lock.acquire(0.0); print('held', flush=True); input()"
    )
    holder = start("-c", code, run.lock.path)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    for events, alive, _ in TABLE:
        run.log.path.unlink(missing_ok=True)
        run.log.append(events)
        assert run.is_alive()
        assert run.status() == alive, events


def test_a_run_without_a_readable_spec_is_unreadable(run: RunFolder) -> None:
    run.log.append([QUEUED])
    (run.path / "spec.json").write_text("{")
    assert run.status() == "unreadable"
