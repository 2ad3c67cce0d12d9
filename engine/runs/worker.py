"""Where a run is drawn: one at a time, each event on disk before the next is asked for."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, TextIO

from engine.errors import DistillError, WorkspaceError
from engine.events import Evaluated, Event, Note, RunEnded, RunQueued
from engine.runs.control import Control, forget_commands
from engine.runs.disk import disk_faults
from engine.runs.folder import RunFolder
from engine.runs.heartbeat import beating
from engine.runs.slots import Slot, slot_of
from engine.runs.summary import write_summary
from engine.runs.view import RunView, fold

EndStatus = Literal["finished", "stopped", "failed", "interrupted"]

# The first event is RunStarted or RunResumed; the value is finished, stopped or interrupted.
Execute = Callable[[RunFolder, Control], Generator[Event, None, str]]

# Seconds in which a run that lost its parent must have saved.
GRACE = 30.0
_NICE = 10


def drive(
    folder: RunFolder, execute: Execute, *, parent: threading.Event | None = None
) -> EndStatus:
    """Draw a run to its end; its log tells how it ended.

    Args:
        folder: of the run.
        execute: gives the run's events and, as its value, how it ended.
        parent: set when the run must save and end as interrupted.

    Raises:
        WorkspaceError: another process drives this run.
    """
    if not folder.lock.acquire(timeout=0.5):
        raise WorkspaceError(f"run {folder.id} is already being trained by another process")
    try:
        if not isinstance(folder.log.last_life()[0], RunQueued):
            forget_commands(folder)
        record = _Record(folder)
        control = Control(folder, parent)
        with beating(folder, control):
            ended = _outcome(folder, execute, control, record)
        return record.end(ended)
    finally:
        folder.lock.release()


def serve(execute: Execute) -> None:
    """The worker process: drives the folders named on stdin, one a line, until stdin ends.

    Stdin is also the life line: when it closes, or SIGTERM comes, while a run goes on, the
    run saves and ends as interrupted. Stdout answers `ready`, then `done ID STATUS` a run.
    """
    os.nice(_NICE)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a stray print must not look like an answer
    folders: SimpleQueue[str | None] = SimpleQueue()
    lost = threading.Event()
    arguments = (folders, lost, _signals())
    threading.Thread(target=_listen, args=arguments, daemon=True).start()
    _answer(answers, "ready")
    while not lost.is_set() and (line := folders.get()) is not None:
        folder = RunFolder(Path(line))
        _answer(answers, f"done {folder.id} {_served(folder, execute, lost)}")


class _Record:
    """A run's log while it is written, and the summary that follows from it."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        events, _, _ = folder.log.read()
        self._view = fold(RunView(), events)
        self._fresh: list[Event] = []

    def append(self, event: Event) -> None:
        self._folder.log.append([event])
        self._fresh.append(event)
        if isinstance(event, Evaluated | RunEnded):
            self._view, self._fresh = fold(self._view, self._fresh), []
            write_summary(self._folder, self._view)

    def end(self, ended: RunEnded) -> EndStatus:
        try:
            self.append(ended)
        except WorkspaceError as error:
            print(error, file=sys.stderr)  # the log cannot tell it
            return "failed"
        return ended.status


def _outcome(folder: RunFolder, execute: Execute, control: Control, record: _Record) -> RunEnded:
    message, hint = "", ""
    try:
        status = _run(folder, execute, control, record)
    except DistillError as error:
        status, message, hint = "failed", error.message, error.hint
    except Exception as error:
        status = "failed"
        message, hint = _sentence(error, folder)
        _keep_trace(folder)
    return RunEnded(time=time.time(), status=status, message=message, hint=hint)


def _run(folder: RunFolder, execute: Execute, control: Control, record: _Record) -> str:
    slot = Slot(folder.workspace, slot_of(folder.spec().device))
    if not slot.take(folder.id, timeout=0.0):
        record.append(Note(text=f"Waiting for the {slot.name}: run {slot.holder()} is using it."))
        while not slot.take(folder.id, timeout=0.2):
            word = control.ending()  # what else is asked for waits until it trains
            if word is not None:
                return "stopped" if word == "stop" else "interrupted"
    try:
        with closing(execute(folder, control)) as events:
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    assert end.value in ("finished", "stopped", "interrupted"), end.value
                    return str(end.value)
                record.append(event)
    finally:
        slot.release()


def _sentence(error: Exception, folder: RunFolder) -> tuple[str, str]:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk of {error.filename or folder.path} is full.",
            "Free some space, then resume.",
        )
    is_gpu = type(error).__name__ == "OutOfMemoryError"
    if is_gpu or isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        batch = folder.spec().schedule.batch
        owner = "GPU" if is_gpu else "computer"
        hint = f"Try again with batch {batch // 2}." if batch > 1 else "Take a smaller student."
        return f"The {owner} ran out of memory at batch {batch}.", hint
    return f"{type(error).__name__}: {error}", "The log text of the run has the details."


def _keep_trace(folder: RunFolder) -> None:
    with suppress(OSError), (folder.path / "log.txt").open("a") as file:
        traceback.print_exc(file=file)


def _served(folder: RunFolder, execute: Execute, lost: threading.Event) -> str:
    """How the run ended; `refused` where it was not to be driven (any more)."""
    if folder.status() != "queued":
        return "refused"
    try:
        with _printing_to(folder.path / "log.txt"):
            return drive(folder, execute, parent=lost)
    except DistillError as error:
        print(error, file=sys.stderr)
        return "refused"


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """What this process and its libraries print goes to a file."""
    with disk_faults(path), path.open("a") as file:
        kept = os.dup(1), os.dup(2)
        _point(file.fileno(), file.fileno())
    try:
        yield
    finally:
        _point(*kept)
        for descriptor in kept:
            os.close(descriptor)


def _point(stdout: int, stderr: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)


def _signals() -> int:
    """A pipe that tells of signals even while the main thread is inside a long computation."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    return reading


def _listen(folders: SimpleQueue[str | None], lost: threading.Event, signals: int) -> None:
    rest = b""
    while True:
        ready, _, _ = select.select([0, signals], [], [])
        if signals in ready and signal.SIGTERM in os.read(signals, 64):
            break
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                folders.put(line.decode())
    lost.set()
    folders.put(None)
    time.sleep(GRACE)
    os._exit(1)


def _answer(answers: TextIO, line: str) -> None:
    with suppress(BrokenPipeError):  # the parent is gone: stdin tells it too
        answers.write(line + "\n")
        answers.flush()
