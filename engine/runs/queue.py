"""The order in which runs shall start: queue.json, a list of run ids.

Whether a run waits is told by its log; the file only orders. So a lost file costs the order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from engine.errors import WorkspaceError
from engine.events import RunEnded, RunQueued
from engine.runs.control import forget_commands
from engine.runs.disk import replace_file
from engine.runs.folder import RunFolder, Workspace, is_id
from engine.runs.life import status_of
from engine.runs.lock import Lock


class RunQueue:
    """The queue of one workspace; any process may change it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._path = workspace.queue_file
        self._lock_path = workspace.path / "queue.lock"

    def list(self) -> tuple[str, ...]:
        """Ids, first to start first; empty where the file is missing or damaged."""
        try:
            ids = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return ()
        return tuple(run_id for run_id in ids if isinstance(run_id, str) and is_id(run_id))

    def add(self, run_id: str) -> None:
        """Put a run at the end; one that ended early will resume.

        Raises:
            WorkspaceError: it is unknown, unreadable, being trained, or finished.
        """
        folder = self._workspace.run(run_id)
        folder.spec()
        mark_queued(folder)
        with Lock(self._lock_path):
            self._write([*(other for other in self.list() if other != run_id), run_id])

    def remove(self, run_id: str) -> None:
        """Take a waiting run out; it ends as stopped.

        Raises:
            WorkspaceError: it is unknown, or its worker has it already.
        """
        folder = self._workspace.run(run_id)
        if not folder.lock.acquire(timeout=0.0):
            raise WorkspaceError(f"run {run_id} has begun already.", hint="Stop it instead.")
        try:
            if isinstance(folder.log.last_life()[0], RunQueued):
                message = "Taken out of the queue before it began."
                ended = RunEnded(time=time.time(), status="stopped", message=message)
                folder.log.append([ended])
        finally:
            folder.lock.release()
        self.drop(run_id)

    def drop(self, run_id: str) -> None:
        """Forget a run that waits no more."""
        with Lock(self._lock_path):
            self._write([other for other in self.list() if other != run_id])

    def move(self, run_id: str, index: int) -> None:
        """Put a waiting run at a place, 0 being the first to start.

        Raises:
            WorkspaceError: it is not in the queue.
        """
        with Lock(self._lock_path):
            ids = [*self.list()]
            if run_id not in ids:
                raise WorkspaceError(f"run {run_id} is not in the queue")
            ids.remove(run_id)
            ids.insert(max(0, index), run_id)
            self._write(ids)

    def adopt(self) -> None:
        """Add runs that wait by their log and are missing in the file, oldest first."""
        known = set(self.list())
        folders = [folder for folder in self._workspace.runs() if folder.id not in known]
        missing = [folder.id for folder in reversed(folders) if folder.status() == "queued"]
        if missing:
            with Lock(self._lock_path):
                self._write([*self.list(), *missing])

    def _write(self, ids: Sequence[str]) -> None:
        replace_file(self._path, json.dumps([*ids]).encode())


def mark_queued(folder: RunFolder) -> None:
    """Say in a run's log that it waits to be driven; what was asked of it before is void.

    Raises:
        WorkspaceError: it is being trained, or has finished.
    """
    if not folder.lock.acquire(timeout=0.0):
        raise WorkspaceError(f"run {folder.id} is being trained already")
    try:
        status = status_of(*folder.log.last_life(), is_alive=False)
        if status == "finished":
            raise WorkspaceError(
                f"run {folder.id} has finished.",
                hint="For more epochs start a new run from its weights.",
            )
        if status != "queued":
            forget_commands(folder)
            folder.log.append([RunQueued(time=time.time())])
    finally:
        folder.lock.release()
