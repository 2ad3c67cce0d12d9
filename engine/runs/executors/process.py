"""Runs driven by worker processes, fresh interpreters that hold a pipe from here.

A worker takes further runs of the same experiment and device, so that they share the data
it has loaded; then it ends, which is what frees a GPU's memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import engine
from engine.runs.executors import Done
from engine.runs.folder import RunFolder, Workspace
from engine.runs.slots import slot_of
from engine.runs.worker import GRACE

COMMAND = (sys.executable, "-m", "engine", "work")
_WARM_SECONDS = 600.0

# What a process that trains must find when it starts. A thread that waits for another spins for
# some microseconds and then sleeps. Measured on 2 cores with 2 threads, images per second idle /
# beside two busy processes: no spinning 1,080 / 570, 20,000 turns 1,500 / 600. Endless spinning,
# the default, collapses beside others. Freed memory is kept, or each step would ask the system
# for it anew (glibc).
TUNED = {
    "GOMP_SPINCOUNT": "20000",
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TOP_PAD_": str(2**26),
    "MALLOC_TRIM_THRESHOLD_": str(2**29),
    "OMP_WAIT_POLICY": "passive",
}


class ProcessExecutor:
    """Starts, feeds and ends worker processes. One thread submits, polls and closes."""

    def __init__(self, workspace: Workspace, command: Sequence[str] = COMMAND) -> None:
        """
        Args:
            workspace: of the runs.
            command: starts a worker, a program that calls `serve`.
        """
        self._workspace = workspace
        self._command = command
        self._workers: list[_Worker] = []
        self._warm_until = 0.0

    def submit(self, folder: RunFolder) -> None:
        group = _group(folder)
        idle = [worker for worker in self._workers if worker.is_idle()]
        idle.sort(key=lambda worker: worker.group != group)
        worker = next((worker for worker in idle if worker.group in (group, "")), None)
        if worker is None:
            worker = self._started()
        worker.give(folder, group)

    def poll(self) -> list[Done]:
        done: list[Done] = []
        for worker in tuple(self._workers):
            if worker.is_spent(time.monotonic() < self._warm_until):
                worker.close()
            has_ended = worker.has_ended()  # asked first: its last words may come before
            done += worker.heard()
            if has_ended:
                done += worker.left_over()
                worker.discard()
                self._workers.remove(worker)
        return done

    def warm(self) -> None:
        self._warm_until = time.monotonic() + _WARM_SECONDS
        if not self._workers:
            self._started()

    def kill(self, run_id: str) -> bool:
        for worker in tuple(self._workers):
            if worker.run_id == run_id:
                worker.kill()
                return True
        return False

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        deadline = time.monotonic() + GRACE + 5.0
        for worker in self._workers:
            worker.end(max(0.0, deadline - time.monotonic()))
        self._workers.clear()

    def _started(self) -> _Worker:
        worker = _Worker(self._command, self._workspace)
        self._workers.append(worker)
        return worker


class _Worker:
    """One worker process; `group` is empty until it has got a run, `run_id` while it has none."""

    def __init__(self, command: Sequence[str], workspace: Workspace) -> None:
        self.group = ""
        self.run_id = ""
        self._rest = b""
        self._was_idle = False
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env=_environment(workspace),
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)

    def is_idle(self) -> bool:
        return not self.run_id and not self._stdin.closed and self._process.poll() is None

    def is_spent(self, is_warm_wanted: bool) -> bool:
        """Whether it idles and got no further run since the last call."""
        was_idle, self._was_idle = self._was_idle, self.is_idle()
        return was_idle and self._was_idle and not (is_warm_wanted and not self.group)

    def give(self, folder: RunFolder, group: str) -> None:
        self.run_id, self.group = folder.id, group
        with suppress(BrokenPipeError):  # it died: the next poll tells
            self._stdin.write(f"{folder.path}\n".encode())

    def heard(self) -> list[Done]:
        """The runs that it says have ended."""
        done: list[Done] = []
        *lines, self._rest = (self._rest + (self._stdout.read() or b"")).split(b"\n")
        for words in (line.decode().split() for line in lines):
            if words[0] == "done":
                done.append(Done(words[1], words[2]))
                self.run_id = ""
                if words[2] != "finished":
                    self.close()  # who knows what a failed run has left in its memory
        return done

    def left_over(self) -> list[Done]:
        """The run that it took along when it died."""
        if not self.run_id:
            return []
        return [Done(self.run_id, "lost", f"exit status {self._process.returncode}")]

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it and whatever it started."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close its life line: it saves and ends."""
        self._stdin.close()

    def end(self, timeout: float) -> None:
        """Wait for its end, and make one after `timeout` seconds."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self.discard()

    def discard(self) -> None:
        self._stdin.close()
        self._stdout.close()


def _group(folder: RunFolder) -> str:
    owner = folder.meta().experiment or folder.id
    return f"{owner} {slot_of(folder.spec().device)}"


def _environment(workspace: Workspace) -> dict[str, str]:
    root = str(Path(engine.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **TUNED,
        "DISTILL_WORKSPACE": str(workspace.path),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
    }
