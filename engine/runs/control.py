"""What a person asks of a run while it goes on.

control.json holds the last few commands, each with a serial. It is replaced by whoever
sends, emptied when the run is queued, and never written by the worker.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from typing import Any, Literal, get_args

from engine.events import At
from engine.runs.disk import replace_file
from engine.runs.folder import RunFolder
from engine.runs.lock import Lock

Command = Literal["pause", "continue", "stop", "stop_after_epoch", "save", "evaluate"]
Word = Command | Literal["interrupt"]

_KEPT = 16
_LOOK_SECONDS = 0.1


def send(folder: RunFolder, command: Command) -> None:
    """Ask the run's worker for something.

    Raises:
        WorkspaceError: the disk is full or read-only.
    """
    with Lock(folder.path / "control.lock"):
        told = _read(folder)
        serial = told[-1]["serial"] + 1 if told else 1
        _write(folder, [*told, {"serial": serial, "command": command}][-_KEPT:])


def forget_commands(folder: RunFolder) -> None:
    """Make void what was asked of an earlier worker."""
    if (folder.path / "control.json").exists():
        with Lock(folder.path / "control.lock"):
            _write(folder, [])


class Control:
    """The worker's side: commands in, progress out."""

    def __init__(self, folder: RunFolder, lost: threading.Event | None = None) -> None:
        """
        Args:
            folder: of the run.
            lost: set when the run must save and end, as nobody waits for it any more.
        """
        self.at: At = (0, 0, 0)
        self.steps_per_second = 0.0
        self._folder = folder
        self._lost = lost or threading.Event()
        self._pending: deque[Command] = deque()
        self._obeyed = 0
        self._stamp = (0, 0, 0)

    def look(self) -> Word | None:
        """The next command, each once; costs no more than a stat() when there is none."""
        if self._lost.is_set():
            return "interrupt"
        self._refresh()
        return self._pending.popleft() if self._pending else None

    def ending(self) -> Literal["stop", "interrupt"] | None:
        """What would end the run now; the command is left for look()."""
        if self._lost.is_set():
            return "interrupt"
        self._refresh()
        return "stop" if "stop" in self._pending else None

    def wait(self) -> Word:
        """Block until the next command; for a pause."""
        while True:
            word = self.look()
            if word is not None:
                return word
            self._lost.wait(_LOOK_SECONDS)

    def beat(self, at: At, steps_per_second: float) -> None:
        """Tell the heartbeat how far the run is."""
        self.at, self.steps_per_second = at, steps_per_second

    def _refresh(self) -> None:
        try:
            found = os.stat(self._folder.path / "control.json")  # noqa: PTH116
        except FileNotFoundError:
            return
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        for told in _read(self._folder):
            if told["serial"] > self._obeyed:
                self._obeyed = told["serial"]
                self._pending.append(told["command"])


def _read(folder: RunFolder) -> list[dict[str, Any]]:
    """The commands of control.json; none where a person has spoilt the file."""
    try:
        told = json.loads((folder.path / "control.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    return [entry for entry in told if entry.get("command") in get_args(Command)]


def _write(folder: RunFolder, told: list[dict[str, Any]]) -> None:
    data = json.dumps(told).encode()
    replace_file(folder.path / "control.json", data, is_lasting=False)
