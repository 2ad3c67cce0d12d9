"""A run's log: one event a line, only ever appended to, one writer at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from engine.events import Event, read_events, write_event
from engine.runs.disk import disk_faults
from engine.runs.view import Life

_TAIL = 64 * 1024
# Quotation marks inside a text are escaped, so neither can occur there.
_LIFE = b'\n{"kind":"Run'
_PHASE = b'\n{"kind":"PhaseBegan"'


class RunLog:
    """The events of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, events: Iterable[Event]) -> None:
        """Add events in one write.

        Raises:
            WorkspaceError: the disk is full or read-only.
        """
        data = b"".join(write_event(event) + b"\n" for event in events)
        with disk_faults(self.path), self.path.open("ab+", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                data = b"\n" + data  # what a crash tore stays a line of its own
            while data:
                data = data[file.write(data) :]

    def read(self, offset: int = 0) -> tuple[list[Event], int, int]:
        """Events from a byte on; only whole lines.

        Returns:
            The events, the offset to go on from, and the number of unreadable lines.
        """
        data = self._whole_lines(offset)
        lines = [line for line in data.split(b"\n") if line]
        events, skipped = read_events(lines)
        return events, offset + len(data), skipped

    def last_life(self) -> tuple[Life | None, bool]:
        """The last life event, and whether a phase began since; reads as little as it can."""
        size = self.size_bytes()
        for start in dict.fromkeys((max(0, size - _TAIL), 0)):
            data = self._whole_lines(start)
            life, since = _last_life(data if start else b"\n" + data)
            if life is not None:
                return life, since
        return None, False

    def size_bytes(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _whole_lines(self, offset: int) -> bytes:
        if not self.path.exists():
            return b""
        with disk_faults(self.path), self.path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        return data[: data.rfind(b"\n") + 1]


def _last_life(data: bytes) -> tuple[Life | None, bool]:
    end = len(data)
    while (start := data.rfind(_LIFE, 0, end)) >= 0:
        line = data[start + 1 : data.index(b"\n", start + 1)]
        events, _ = read_events([line])
        if events and isinstance(events[0], Life):
            return events[0], data.find(_PHASE, start) >= 0
        end = start
    return None, False
