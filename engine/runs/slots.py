"""One run a device: who trains on it holds its lock, whoever started the run."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from engine.errors import WorkspaceError
from engine.runs.disk import replace_file
from engine.runs.folder import Workspace
from engine.runs.lock import Lock, is_held


def slot_of(device: str) -> str:
    """The slot that a spec's device takes: cpu, cuda:0, ...; auto is a GPU where there is one."""
    if device == "auto":
        return "cuda:0" if _has_gpu() else "cpu"
    return "cuda:0" if device == "cuda" else device


class Slot:
    """A device of this machine in one workspace."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.name = name
        stem = name.replace(":", "-")
        self._lock = Lock(workspace.slots / f"{stem}.lock")
        self._note = workspace.slots / f"{stem}.txt"

    def take(self, run_id: str, timeout: float) -> bool:
        """Take the device for a run; False if another keeps it for `timeout` seconds."""
        if not self._lock.acquire(timeout):
            return False
        with suppress(WorkspaceError):  # a full disk is told by the run's own log
            replace_file(self._note, run_id.encode(), is_lasting=False)
        return True

    def release(self) -> None:
        self._lock.release()

    def is_free(self) -> bool:
        return not is_held(self._lock.path)

    def holder(self) -> str:
        """The run that took the device last; advisory."""
        try:
            return self._note.read_text()
        except FileNotFoundError:
            return ""


def _has_gpu() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return any(Path("/dev").glob("nvidia[0-9]*"))
