"""Progress between events, rewritten every second; it decides no status."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
from pydantic import ValidationError

from engine.errors import WorkspaceError
from engine.events import At
from engine.runs.control import Control
from engine.runs.disk import replace_file
from engine.runs.folder import RunFolder
from engine.spec import Frozen

_SECONDS = 1.0


class Beat(Frozen):
    """How a worker was doing at `time`, in seconds since 1970."""

    time: float
    position: At
    steps_per_second: float  # since training began here, evaluations included
    memory_bytes: int  # of the process, resident
    cpu_percent: float  # of one core
    pid: int


@contextmanager
def beating(folder: RunFolder, control: Control) -> Iterator[None]:
    """A heartbeat while the body runs; none is left behind."""
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(folder, control, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        (folder.path / "heartbeat").unlink(missing_ok=True)


def read_heartbeat(folder: RunFolder) -> Beat | None:
    """The last beat; None where no worker is, or none has beaten yet."""
    try:
        return Beat.model_validate_json((folder.path / "heartbeat").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _beat(folder: RunFolder, control: Control, ended: threading.Event) -> None:
    process = psutil.Process()
    while True:
        beat = Beat(
            time=time.time(),
            position=control.at,
            steps_per_second=control.steps_per_second,
            memory_bytes=process.memory_info().rss,
            cpu_percent=process.cpu_percent(),
            pid=os.getpid(),
        )
        # A full disk ends a run through its log, not through its heartbeat.
        with suppress(WorkspaceError):
            replace_file(
                folder.path / "heartbeat", beat.model_dump_json().encode(), is_lasting=False
            )
        if ended.wait(_SECONDS):
            return
