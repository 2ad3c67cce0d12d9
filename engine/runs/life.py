"""What a run is doing, derived from its log and its lock; nowhere stored."""

from __future__ import annotations

from typing import Literal

from engine.events import RunContinued, RunEnded, RunPaused, RunQueued, RunStopping
from engine.runs.view import Life

Status = Literal[
    "queued",
    "preparing",
    "running",
    "paused",
    "stopping",
    "finished",
    "stopped",
    "failed",
    "interrupted",
    "unreadable",
]

OVER: frozenset[Status] = frozenset({"finished", "stopped", "failed", "interrupted", "unreadable"})
ACTIVE: frozenset[Status] = frozenset({"preparing", "running", "paused", "stopping"})


def status_of(life: Life | None, has_phase_begun: bool, is_alive: bool) -> Status:
    """The table of architecture.md, Life of a run.

    Args:
        life: the last life event of the log.
        has_phase_begun: whether a phase began since.
        is_alive: whether a process holds the run's lock.
    """
    if isinstance(life, RunEnded):
        return life.status
    if not is_alive:
        return "queued" if isinstance(life, RunQueued) else "interrupted"
    if isinstance(life, RunPaused):
        return "paused"
    if isinstance(life, RunStopping):
        return "stopping"
    if isinstance(life, RunContinued) or has_phase_begun:
        return "running"
    return "preparing"
