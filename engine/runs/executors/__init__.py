"""Where runs are driven: the one seam between the scheduler and processes."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from engine.runs.folder import RunFolder


class Done(NamedTuple):
    """A run that an executor no longer has."""

    run_id: str
    status: str  # as its worker told it; `refused` or `lost` where it told nothing of a run
    detail: str = ""  # why it was lost


class Executor(Protocol):
    """Drives runs, one on each device at a time."""

    def submit(self, folder: RunFolder) -> None:
        """Begin a run."""

    def poll(self) -> list[Done]:
        """The runs that ended since the last call; called some times a second."""

    def warm(self) -> None:
        """Make the next start quick, for some minutes."""

    def kill(self, run_id: str) -> bool:
        """End a run's process at once; False where the run is not ours."""

    def close(self) -> None:
        """Have all runs save and end, and wait for that."""
