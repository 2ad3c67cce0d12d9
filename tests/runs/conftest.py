"""A workspace, runs in it, and processes that a test may start and that end with it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import engine
from engine.runs.folder import Meta, RunFolder, Workspace

from .fakes import spec_of

HERE = Path(__file__).parent


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture
def run(workspace: Workspace) -> RunFolder:
    return workspace.create(spec_of(), Meta(name="first"))


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a Python program with pipes, as in `start("fake_server.py", path)`."""
    monkeypatch.setenv("PYTHONPATH", str(Path(engine.__file__).parents[1]))
    processes: list[subprocess.Popen[str]] = []

    def started(first: str, *rest: object) -> subprocess.Popen[str]:
        program = first if first == "-c" else str(HERE / first)
        process = subprocess.Popen(
            [sys.executable, program, *map(str, rest)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def until(is_true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
