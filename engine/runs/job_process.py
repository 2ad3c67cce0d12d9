"""Short work that needs torch, done by one process beside the server.

Nobody waits for it: a caller asks again at its next tick and gets the state, then the value.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import engine
from engine.runs.folder import Workspace

COMMAND = (sys.executable, "-m", "engine", "jobs")
IDLE_SECONDS = 300.0
LOST_SECONDS = 10.0  # after which a job that took the process with it is tried again
FAULT_SECONDS = 30.0  # after which a job that found a fault is, as files may have come meanwhile
KEPT = 128


@dataclass(frozen=True, slots=True)
class JobState:
    """Where a job is. `value` is set when it is done; the other texts when it has failed."""

    status: Literal["waiting", "running", "done", "failed"]
    value: Any = None
    message: str = ""
    hint: str = ""
    where: str = ""


class JobProcess:
    """Asks the job process; starts it at first need, again when it died, ends it when idle.

    One job runs at a time. Of the jobs of one kind that wait, only the newest is kept.
    """

    def __init__(self, workspace: Workspace, command: Sequence[str] = COMMAND) -> None:
        self._workspace, self._command = workspace, command
        self._lock = threading.Lock()
        self._states: OrderedDict[str, JobState] = OrderedDict()
        self._waiting: OrderedDict[str, tuple[str, Mapping[str, Any]]] = OrderedDict()
        self._wanted = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._is_ending = False
        self._retry_at: dict[str, float] = {}  # job -> when its answer is too old

    def ask(self, kind: str, params: Mapping[str, Any], *, again: bool = False) -> JobState:
        """The state of a job, which is started if nobody has asked for it yet.

        Args:
            again: forget what an earlier job of these parameters found.
        """
        key = json.dumps([kind, params], sort_keys=True)
        with self._wanted:
            if again and key not in self._waiting and self._status(key) != "running":
                self._states.pop(key, None)
            if time.monotonic() > self._retry_at.get(key, math.inf):
                del self._retry_at[key]
                self._states.pop(key, None)
            if key not in self._states:
                self._replace(kind, key)
                self._waiting[key] = (kind, params)
                self._states[key] = JobState("waiting")
                while len(self._states) > KEPT:
                    self._states.popitem(last=False)
                self._wanted.notify()
            if self._waiting:
                self._start()
            return self._states[key]

    def stop(self) -> None:
        """End the process; a later question starts another."""
        with self._wanted:
            self._is_ending = True
            self._wanted.notify()
            process, thread = self._process, self._thread
        if process is not None:
            process.kill()
        if thread is not None:
            thread.join()

    def _status(self, key: str) -> str:
        return self._states[key].status if key in self._states else ""

    def _replace(self, kind: str, key: str) -> None:
        older = [other for other, (its_kind, _) in self._waiting.items() if its_kind == kind]
        for other in older:
            del self._waiting[other]
            self._states.pop(other, None)

    def _start(self) -> None:
        if self._thread is None:
            self._is_ending = False
            self._thread = threading.Thread(target=self._serve, name="jobs", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while True:
            with self._wanted:
                self._wanted.wait_for(lambda: self._waiting or self._is_ending, IDLE_SECONDS)
                if self._is_ending or not self._waiting:
                    self._end()
                    self._thread = None
                    return
                key, (kind, params) = self._waiting.popitem(last=False)
                self._states[key] = JobState("running")
            state = self._done(kind, params)
            with self._lock:
                self._states[key] = state
                if self._process is None:
                    self._retry_at[key] = time.monotonic() + LOST_SECONDS
                elif _has_found_fault(state):
                    self._retry_at[key] = time.monotonic() + FAULT_SECONDS

    def _done(self, kind: str, params: Mapping[str, Any]) -> JobState:
        """Send one job and wait for its answer, on this thread."""
        try:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps({"kind": kind, "params": params}) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
        except (OSError, ValueError):  # it has ended, perhaps amid a line
            with self._lock:
                self._end()
            return JobState(
                "failed",
                message=f"The job process ended while it worked on {kind}.",
                hint="It may have run out of memory. Ask again to start it anew.",
            )
        if "value" in answer:
            return JobState("done", answer["value"])
        return JobState("failed", None, answer["message"], answer["hint"], answer["where"])

    def _running(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._end()
            if self._process is None:
                root = str(Path(engine.__file__).parents[1])
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                    env={
                        **os.environ,
                        "DISTILL_WORKSPACE": str(self._workspace.path),
                        "OMP_WAIT_POLICY": "passive",
                        "OMP_NUM_THREADS": "1",
                        "PYTHONPATH": root,
                    },
                )
            return self._process

    def _end(self) -> None:
        """Close the pipes of the process, which ends it. The caller holds the lock."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None and process.stdout is not None
            process.kill()
            process.wait()
            with suppress(OSError):  # what it did not read is lost with it
                process.stdin.close()
            process.stdout.close()


def _has_found_fault(state: JobState) -> bool:
    found = state.value.get("errors") if isinstance(state.value, dict) else None
    return state.status == "failed" or bool(found)
