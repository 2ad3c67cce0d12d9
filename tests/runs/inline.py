"""Runs driven to their end in the calling process."""

from __future__ import annotations

from engine.runs.executors import Done
from engine.runs.folder import RunFolder
from engine.runs.worker import Execute, drive


class InlineExecutor:
    """An executor whose `submit` comes back when the run has ended."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._done: list[Done] = []

    def submit(self, folder: RunFolder) -> None:
        self._done.append(Done(folder.id, drive(folder, self._execute)))

    def poll(self) -> list[Done]:
        done, self._done = self._done, []
        return done

    def warm(self) -> None:
        """Nothing is quicker than here."""

    def kill(self, run_id: str) -> bool:
        return False

    def close(self) -> None:
        """Nothing is left running."""
