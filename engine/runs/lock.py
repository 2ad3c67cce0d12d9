"""Locks that the kernel frees at any death of their holder."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from engine.errors import WorkspaceError
from engine.runs.disk import disk_faults

# A reader's probe holds a lock for some microseconds; nobody gives up within this time, in seconds.
_INSTANT = 0.05
_PAUSE = 0.002


class Lock:
    """The exclusive lock of a file; not re-entrant, one holder in the whole machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self, timeout: float) -> bool:
        """Take the lock, waiting at most `timeout` seconds; False if somebody else keeps it.

        Raises:
            WorkspaceError: the file cannot be made.
        """
        assert self._file is None, f"{self.path} is taken twice"
        with disk_faults(self.path):
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        deadline = time.monotonic() + max(timeout, _INSTANT)
        while not _try(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                os.close(file)
                return False
            time.sleep(_PAUSE)
        self._file = file
        return True

    def release(self) -> None:
        """Give the lock back."""
        assert self._file is not None, f"{self.path} is not held"
        os.close(self._file)
        self._file = None

    def __enter__(self) -> Lock:
        if not self.acquire(timeout=0.5):
            raise WorkspaceError(f"{self.path} is in use by another process")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock. Readers do not see each other."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _try(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
