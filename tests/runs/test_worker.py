"""`drive`, in this process."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Generator, Iterable

import pytest

from engine.errors import TrainingError, WorkspaceError
from engine.events import Event, Note, RunEnded, RunQueued, RunStarted, results_of
from engine.runs.control import Control, send
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.heartbeat import read_heartbeat
from engine.runs.log import RunLog
from engine.runs.slots import Slot
from engine.runs.summary import Summary
from engine.runs.worker import Execute, drive

from .conftest import until
from .fakes import began, evaluated, execute, spec_of


def ended(run: RunFolder) -> RunEnded:
    last = run.log.read()[0][-1]
    assert isinstance(last, RunEnded)
    return last


def raising(error: Exception) -> Execute:
    def execute(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
        yield RunStarted(time=1.0)
        yield began(1)
        raise error

    return execute


def test_a_run_is_drawn_to_its_end(run: RunFolder) -> None:
    assert drive(run, execute) == "finished"
    events, _, skipped = run.log.read()
    assert skipped == 0
    assert isinstance(events[0], RunStarted)
    assert ended(run).status == "finished"
    assert run.status() == "finished"
    assert not run.is_alive()


def test_each_event_is_on_disk_before_the_next_is_asked_for(run: RunFolder) -> None:
    lengths: list[int] = []

    def watching(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
        for number in range(3):
            lengths.append(len(folder.log.read()[0]))
            yield Note(text=str(number))
        return "finished"

    drive(run, watching)
    assert lengths == [0, 1, 2]


def test_a_run_is_driven_by_one_at_a_time(run: RunFolder) -> None:
    with run.lock, pytest.raises(WorkspaceError, match="already being trained"):
        drive(RunFolder(run.path), execute)
    assert run.log.read()[0] == []


def test_an_error_of_the_user_ends_the_run_with_its_sentence(run: RunFolder) -> None:
    assert (
        drive(run, raising(TrainingError("the loss is not finite", hint="Lower lr."))) == "failed"
    )
    assert (ended(run).message, ended(run).hint) == ("the loss is not finite", "Lower lr.")


def test_an_error_of_ours_ends_the_run_and_leaves_its_trace(run: RunFolder) -> None:
    assert drive(run, raising(AssertionError("impossible"))) == "failed"
    assert ended(run).message == "AssertionError: impossible"
    assert "Traceback" in run.log_text(10_000)


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


@pytest.mark.parametrize(
    ("error", "owner"),
    [
        (OutOfMemoryError("CUDA"), "GPU"),
        (MemoryError(), "computer"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "computer"),
    ],
)
def test_a_lack_of_memory_is_told_with_a_remedy(
    run: RunFolder, error: Exception, owner: str
) -> None:
    drive(run, raising(error))
    assert ended(run).message == f"The {owner} ran out of memory at batch 64."
    assert ended(run).hint == "Try again with batch 32."


def test_an_unreadable_spec_ends_the_run(run: RunFolder) -> None:
    (run.path / "spec.json").write_text("{}")
    assert drive(run, execute) == "failed"
    assert "data is missing" in ended(run).message


def test_a_run_that_ends_in_an_unknown_way_failed(run: RunFolder) -> None:
    def odd(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
        yield RunStarted(time=1.0)
        return "perhaps"

    assert drive(run, odd) == "failed"


def test_a_disk_that_fills_up_ends_the_run(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = RunLog.append, []

    def append(log: RunLog, events: Iterable[Event]) -> None:
        written.append(events)
        if len(written) == 4:
            raise WorkspaceError("the disk is full.", hint="Free some space, then resume.")
        real(log, events)

    monkeypatch.setattr(RunLog, "append", append)
    assert drive(run, execute) == "failed"
    assert ended(run).message == "the disk is full."
    assert not run.is_alive()


def test_a_disk_that_stays_full_ends_the_run_as_far_as_it_can(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed: list[bool] = []

    def closing(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
        try:
            yield RunStarted(time=1.0)
        finally:
            closed.append(True)
        return "finished"

    def refused(log: RunLog, events: Iterable[Event]) -> None:
        raise WorkspaceError("the disk is full.")

    monkeypatch.setattr(RunLog, "append", refused)
    assert drive(run, closing) == "failed"
    assert closed == [True]
    assert "the disk is full" in capsys.readouterr().err
    assert run.status() == "interrupted"


def test_a_checkpoint_that_fills_the_disk_is_told_as_such(run: RunFolder) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "last.pt")
    drive(run, raising(error))
    assert ended(run).message == "The disk of last.pt is full."


def test_a_summary_is_written_at_each_evaluation_and_at_the_end(run: RunFolder) -> None:
    path, seen = run.artefacts / "summary.json", []

    def watching(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
        yield RunStarted(time=1.0)
        yield began(2)
        seen.append(path.exists())
        yield evaluated((0, 1, 0))
        seen.append(Summary.model_validate_json(path.read_bytes()).figures.last_validation)
        return "finished"

    drive(run, watching)
    assert seen == [False, 0.5]
    assert Summary.model_validate_json(path.read_bytes()).status == "finished"


def test_the_heartbeat_ends_with_the_run(run: RunFolder) -> None:
    beats: list[object] = []

    def waiting(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
        yield RunStarted(time=1.0)
        until(lambda: read_heartbeat(folder))
        beats.append(read_heartbeat(folder))
        return "finished"

    drive(run, waiting)
    assert beats
    assert not (run.path / "heartbeat").exists()


def test_a_lost_parent_interrupts_and_the_resumed_run_equals_an_uninterrupted_one(
    workspace: Workspace,
) -> None:
    lost = threading.Event()
    slow = workspace.create(spec_of(epochs=3, seconds=0.01), Meta())
    plain = workspace.create(spec_of(epochs=3), Meta())
    threading.Timer(0.05, lost.set).start()
    assert drive(slow, execute, parent=lost) == "interrupted"
    assert drive(slow, execute) == "finished"
    drive(plain, execute)
    assert results_of(slow.log.read()[0]) == results_of(plain.log.read()[0])


def test_a_command_to_an_earlier_worker_is_not_obeyed_again(run: RunFolder) -> None:
    send(run, "stop")
    assert drive(run, execute) == "finished"


def test_a_command_to_a_queued_run_is_obeyed(run: RunFolder) -> None:
    run.log.append([RunQueued(time=1.0)])
    send(run, "stop")
    assert drive(run, execute) == "stopped"


def test_a_run_waits_for_its_device_and_says_behind_what(
    workspace: Workspace, run: RunFolder
) -> None:
    slot = Slot(workspace, "cpu")
    assert slot.take("other-run", timeout=0.0)
    threading.Timer(0.3, slot.release).start()
    assert drive(run, execute) == "finished"
    note = run.log.read()[0][0]
    assert note == Note(text="Waiting for the cpu: run other-run is using it.")
    assert Slot(workspace, "cpu").is_free()


@pytest.mark.parametrize(("word", "status"), [("stop", "stopped"), ("interrupt", "interrupted")])
def test_a_run_that_waits_for_its_device_can_be_ended(
    workspace: Workspace, run: RunFolder, word: str, status: str
) -> None:
    lost = threading.Event()
    slot = Slot(workspace, "cpu")
    slot.take("other-run", timeout=0.0)
    act = lost.set if word == "interrupt" else lambda: send(run, "stop")
    threading.Timer(0.2, act).start()
    assert drive(run, execute, parent=lost) == status
    slot.release()


def test_pausing_holds_a_run_until_it_is_continued(workspace: Workspace) -> None:
    run = workspace.create(spec_of(epochs=4, seconds=0.01), Meta())
    thread = threading.Thread(target=drive, args=(run, execute))
    thread.start()
    until(lambda: run.status() == "running")
    send(run, "pause")
    until(lambda: run.status() == "paused")
    size = run.log.size_bytes()
    time.sleep(0.1)
    assert run.log.size_bytes() == size
    send(run, "continue")
    thread.join()
    assert run.status() == "finished"
