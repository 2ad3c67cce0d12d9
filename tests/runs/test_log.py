from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.errors import WorkspaceError
from engine.events import Note, RunEnded, RunQueued, RunStarted
from engine.runs.log import RunLog

from .fakes import began, step, steps_after


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    return RunLog(tmp_path / "events.jsonl")


def test_what_is_appended_is_read(log: RunLog) -> None:
    told = [RunStarted(time=1.0), began(1), step((0, 0, 1))]
    log.append(told)
    assert log.read() == (told, log.size_bytes(), 0)


def test_a_missing_log_is_empty(log: RunLog) -> None:
    assert log.read() == ([], 0, 0)
    assert log.last_life() == (None, False)


def test_reading_goes_on_where_it_ended(log: RunLog) -> None:
    log.append([Note(text="one")])
    _, offset, _ = log.read()
    log.append([Note(text="two")])
    events, offset, _ = log.read(offset)
    assert events == [Note(text="two")]
    assert log.read(offset) == ([], offset, 0)


def test_a_line_is_read_when_it_is_whole(log: RunLog) -> None:
    log.append([Note(text="whole")])
    with log.path.open("ab") as file:
        file.write(b'{"kind":"Note","te')
        file.flush()
        events, offset, skipped = log.read()
        assert (events, skipped) == ([Note(text="whole")], 0)
        file.write(b'xt":"torn"}\n')
    assert log.read(offset)[0] == [Note(text="torn")]


def test_a_torn_last_line_is_kept_apart_and_counted(log: RunLog) -> None:
    log.append([Note(text="whole")])
    with log.path.open("ab") as file:
        file.write(b'{"kind":"Note","te')
    log.append([Note(text="after the crash")])
    events, _, skipped = log.read()
    assert events == [Note(text="whole"), Note(text="after the crash")]
    assert skipped == 1


def test_unknown_kinds_are_skipped_and_counted(log: RunLog) -> None:
    log.append([Note(text="known")])
    with log.path.open("ab") as file:
        file.write(b'{"kind":"FromTheFuture","x":1}\n')
    log.append([Note(text="known too")])
    events, _, skipped = log.read()
    assert len(events) == 2
    assert skipped == 1


def test_the_last_life_event_is_found_from_the_end(log: RunLog) -> None:
    log.append([RunQueued(time=1.0), RunStarted(time=2.0)])
    assert log.last_life() == (RunStarted(time=2.0), False)
    log.append([began(1)])
    assert log.last_life() == (RunStarted(time=2.0), True)
    log.append([RunEnded(time=3.0, status="stopped"), RunQueued(time=4.0)])
    assert log.last_life() == (RunQueued(time=4.0), False)


def test_the_last_life_event_is_found_far_from_the_end(log: RunLog) -> None:
    log.append([RunStarted(time=2.0), began(1000)])
    log.append([step(at) for at in steps_after((0, 0, 0), 400)])
    assert log.size_bytes() > 2 * 64 * 1024
    assert log.last_life() == (RunStarted(time=2.0), True)


def test_a_torn_life_event_does_not_count(log: RunLog) -> None:
    log.append([RunStarted(time=2.0)])
    with log.path.open("ab") as file:
        file.write(b'{"kind":"RunEnded","ti')
    assert log.last_life()[0] == RunStarted(time=2.0)
    log.append([Note(text='{"kind":"RunEnded"}')])
    assert log.last_life()[0] == RunStarted(time=2.0)


def test_the_end_of_a_long_log_is_found_quickly(log: RunLog) -> None:
    log.append([step(at) for at in steps_after((0, 0, 0), 4000)])
    log.append([RunEnded(time=3.0, status="finished")])
    began_at = time.perf_counter()
    for _ in range(20):
        log.last_life()
    assert (time.perf_counter() - began_at) / 20 < 0.005


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_a_sentence() -> None:
    with pytest.raises(WorkspaceError, match="the disk of /dev/full is full"):
        RunLog(Path("/dev/full")).append([Note(text="one")])
