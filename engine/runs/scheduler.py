"""The engine thread: starts what waits, one run a device, and settles what has ended."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import NamedTuple

from engine.errors import DistillError, WorkspaceError
from engine.events import RunEnded, RunQueued
from engine.runs.executors import Done, Executor
from engine.runs.experiment import waits_for
from engine.runs.folder import RunFolder, Workspace
from engine.runs.lock import Lock
from engine.runs.queue import RunQueue
from engine.runs.slots import Slot, slot_of
from engine.runs.view import Life

_SECONDS = 0.3
_NEVER = {
    "failed": "failed",
    "stopped": "was stopped",
    "unreadable": "cannot be read",
    "gone": "was deleted",
}


class Scheduler:
    """The one engine of a workspace."""

    def __init__(self, workspace: Workspace, executor: Executor) -> None:
        self.trouble = ""  # why the last round failed; for the System page
        self._workspace = workspace
        self._executor = executor
        self._queue = RunQueue(workspace)
        self._lock = Lock(workspace.engine_lock)
        self._ending = threading.Event()
        self._warm_wanted = threading.Event()
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)
        self._submitted: dict[str, _Submitted] = {}  # by run id
        self._plans: dict[str, _Plan] = {}  # of the runs in the queue

    def start(self) -> None:
        """Own the workspace and begin.

        Raises:
            WorkspaceError: another server owns it.
        """
        if not self._lock.acquire(timeout=0.5):
            owner = self._workspace.engine_lock.read_text().strip()
            raise WorkspaceError(
                f"another server (process {owner}) owns the workspace {self._workspace.path}.",
                hint="Open that one, or end it.",
            )
        self._workspace.engine_lock.write_text(str(os.getpid()))
        self._thread.start()

    def stop(self) -> None:
        """Have runs save and end as interrupted, and give the workspace back."""
        self._ending.set()
        self._thread.join()
        self._lock.release()

    def warm_up(self) -> None:
        """Ask for a worker that has torch at hand, if a run could start now."""
        self._warm_wanted.set()

    def force_stop(self, run_id: str) -> None:
        """End a run's worker process at once; the run is then interrupted.

        Raises:
            WorkspaceError: the run is not driven by this server.
        """
        if not self._executor.kill(run_id):
            raise WorkspaceError(
                f"run {run_id} was not started by this server.",
                hint="End it where it was started.",
            )

    def _live(self) -> None:
        self._guarded_round(is_first=True)
        while not self._ending.wait(_SECONDS):
            self._guarded_round()
        self._executor.close()

    def _guarded_round(self, *, is_first: bool = False) -> None:
        try:
            if is_first:
                self._queue.adopt()
            self._round()
            self.trouble = ""
        except Exception as error:  # the server lives on, and says once what is wrong
            if self.trouble != str(error):
                traceback.print_exc()
            self.trouble = str(error)

    def _round(self) -> None:
        for done in self._executor.poll():
            submitted = self._submitted.pop(done.run_id, None)
            if done.status == "lost" and submitted is not None:
                self._settle_lost(done, submitted)
        waiting = self._queue.list()
        self._plans = {run_id: self._plans[run_id] for run_id in waiting if run_id in self._plans}
        for run_id in waiting:
            try:
                self._consider(run_id)
            except Exception as error:  # one bad run keeps no other from starting
                self._fail(run_id, error)
        if self._warm_wanted.is_set():
            self._warm_wanted.clear()
            if not self._submitted and Slot(self._workspace, slot_of("auto")).is_free():
                self._executor.warm()

    def _consider(self, run_id: str) -> None:
        """Start a run of the queue, leave it there, or drop it."""
        folder = _found(self._workspace, run_id)
        if folder is None or folder.status() != "queued":
            self._queue.drop(run_id)
            return
        if run_id in self._submitted:
            return
        plan = self._plans.get(run_id) or _plan(self._workspace, folder)
        self._plans[run_id] = plan
        if not self._may_begin(plan) or self._is_given_away(plan.slot):
            return
        if Slot(self._workspace, plan.slot).is_free():
            submitted = _Submitted(plan.slot, folder.log.last_life()[0])
            self._executor.submit(folder)
            self._submitted[run_id] = submitted

    def _is_given_away(self, slot: str) -> bool:
        return any(submitted.slot == slot for submitted in self._submitted.values())

    def _may_begin(self, plan: _Plan) -> bool:
        for run_id in plan.waits_for:
            folder = _found(self._workspace, run_id)
            status = folder.status() if folder else "gone"
            if status in _NEVER:
                name = folder.meta().name if folder and status != "unreadable" else ""
                raise WorkspaceError(f"This run needs {name or run_id}, which {_NEVER[status]}.")
            if status != "finished":
                return False
        return True

    def _settle_lost(self, done: Done, submitted: _Submitted) -> None:
        """A worker died. A run that had begun is interrupted; one that had not would wait on.

        One that had begun may wait again: somebody resumed it faster than its end was seen.
        """
        folder = _found(self._workspace, done.run_id)
        if folder is not None and folder.log.last_life()[0] == submitted.queued:
            message = f"The worker ended before the run began ({done.detail})."
            hint = "The server's output tells why."
            self._fail(done.run_id, WorkspaceError(message, hint=hint))

    def _fail(self, run_id: str, error: Exception) -> None:
        message, hint = f"{type(error).__name__}: {error}", ""
        if isinstance(error, DistillError):
            message, hint = error.message, error.hint
        else:
            print(f"run {run_id}: {message}", file=sys.stderr)
        folder = _found(self._workspace, run_id)
        if folder is None or not folder.lock.acquire(timeout=0.0):
            return
        ended = RunEnded(time=time.time(), status="failed", message=message, hint=hint)
        try:
            with suppress(WorkspaceError):  # a full disk: the next round tries again
                if isinstance(folder.log.last_life()[0], RunQueued):
                    folder.log.append([ended])
                self._queue.drop(run_id)
        finally:
            folder.lock.release()


class _Submitted(NamedTuple):
    slot: str
    queued: Life | None  # the last word of its log when a worker got it


class _Plan(NamedTuple):
    slot: str
    waits_for: tuple[str, ...]


def _plan(workspace: Workspace, folder: RunFolder) -> _Plan:
    return _Plan(slot_of(folder.spec().device), waits_for(workspace, folder))


def _found(workspace: Workspace, run_id: str) -> RunFolder | None:
    try:
        return workspace.run(run_id)
    except WorkspaceError:
        return None
