"""Worker processes: what they do when they, their parent or their pipe end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.events import CheckpointSaved
from engine.runs.control import send
from engine.runs.executors import Done
from engine.runs.executors.process import ProcessExecutor
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.heartbeat import read_heartbeat
from engine.runs.queue import RunQueue

from .conftest import Start, until
from .fakes import spec_of

WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))

Queue = Callable[..., RunFolder]


@pytest.fixture
def executor(workspace: Workspace) -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(workspace, WORKER)
    yield executor
    executor.close()


@pytest.fixture
def queued(workspace: Workspace) -> Queue:
    """Makes a run that waits in the queue."""

    def made(experiment: str = "", **knobs: object) -> RunFolder:
        folder = workspace.create(spec_of(**knobs), Meta(experiment=experiment))
        RunQueue(workspace).add(folder.id)
        return folder

    return made


@pytest.fixture
def long(queued: Queue) -> RunFolder:
    return queued(epochs=1000, seconds=0.02)


def running(folder: RunFolder) -> None:
    """Wait until the run trains and its worker has given a sign of life."""
    until(lambda: folder.status() == "running" and read_heartbeat(folder) is not None)


def ended(executor: ProcessExecutor) -> list[Done]:
    done: list[Done] = []
    until(lambda: done.extend(executor.poll()) or done)
    return done


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_is_driven_in_another_process(executor: ProcessExecutor, queued: Queue) -> None:
    run = queued()
    executor.submit(run)
    assert ended(executor) == [Done(run.id, "finished")]
    assert run.status() == "finished"
    assert "training begins" in run.log_text(1000)


def test_a_worker_that_is_killed_leaves_an_interrupted_run_at_once(
    executor: ProcessExecutor, long: RunFolder
) -> None:
    executor.submit(long)
    running(long)
    beat = read_heartbeat(long)
    assert beat is not None
    os.kill(beat.pid, signal.SIGKILL)
    until(lambda: not long.is_alive(), seconds=2.0)
    assert long.status() == "interrupted"
    assert ended(executor) == [Done(long.id, "lost", "exit status -9")]


def test_a_forced_stop_ends_the_process(executor: ProcessExecutor, long: RunFolder) -> None:
    executor.submit(long)
    running(long)
    assert not executor.kill("other-run")
    assert executor.kill(long.id)
    assert ended(executor)[0].status == "lost"
    assert long.status() == "interrupted"


def test_closing_the_pipe_saves_and_interrupts(executor: ProcessExecutor, long: RunFolder) -> None:
    executor.submit(long)
    running(long)
    executor.close()
    assert long.status() == "interrupted"
    assert isinstance(long.log.read()[0][-2], CheckpointSaved)


def test_a_signal_to_the_worker_saves_and_interrupts(
    executor: ProcessExecutor, long: RunFolder
) -> None:
    executor.submit(long)
    running(long)
    beat = read_heartbeat(long)
    assert beat is not None
    os.kill(beat.pid, signal.SIGTERM)
    assert ended(executor) == [Done(long.id, "interrupted")]
    assert isinstance(long.log.read()[0][-2], CheckpointSaved)


def test_a_run_that_does_not_end_in_time_is_ended(start: Start, queued: Queue) -> None:
    run = queued(epochs=1000, seconds=0.02, stubborn=True)
    worker = start("fake_worker.py", "0.3")
    assert worker.stdin and worker.stdout
    assert worker.stdout.readline() == "ready\n"
    worker.stdin.write(f"{run.path}\n")
    worker.stdin.flush()
    running(run)
    worker.stdin.close()
    worker.stdin = None
    assert worker.wait(timeout=10) == 1
    assert run.status() == "interrupted"


def test_a_worker_obeys_commands(executor: ProcessExecutor, long: RunFolder) -> None:
    executor.submit(long)
    running(long)
    send(long, "pause")
    until(lambda: long.status() == "paused")
    send(long, "continue")
    running(long)
    send(long, "stop")
    assert ended(executor) == [Done(long.id, "stopped")]


def test_a_worker_takes_the_next_run_of_its_experiment(
    executor: ProcessExecutor, queued: Queue
) -> None:
    first, second = queued("one", seconds=0.02), queued("one", seconds=0.02)
    other = queued("two", seconds=0.02)
    pids: list[int] = []
    for run in (first, second, other):
        executor.submit(run)
        until(lambda run=run: read_heartbeat(run))
        beat = read_heartbeat(run)
        assert beat is not None
        pids.append(beat.pid)
        assert ended(executor) == [Done(run.id, "finished")]
    assert pids[0] == pids[1] != pids[2]


def test_a_worker_without_further_runs_ends(executor: ProcessExecutor, queued: Queue) -> None:
    executor.submit(queued("one"))
    ended(executor)
    until(lambda: executor.poll() or not executor._workers)


def test_a_warm_worker_waits_and_takes_the_next_run(
    executor: ProcessExecutor, queued: Queue
) -> None:
    executor.warm()
    executor.warm()
    (warm,) = executor._workers
    for _ in range(3):
        assert executor.poll() == []
        time.sleep(0.1)
    run = queued()
    executor.submit(run)
    assert executor._workers == [warm]
    assert ended(executor) == [Done(run.id, "finished")]


def test_a_run_that_no_longer_waits_is_refused(
    workspace: Workspace, executor: ProcessExecutor, queued: Queue
) -> None:
    run = queued()
    RunQueue(workspace).remove(run.id)
    executor.submit(run)
    assert ended(executor) == [Done(run.id, "refused")]
    assert run.status() == "stopped"


def test_a_worker_that_cannot_start_loses_its_run(workspace: Workspace, queued: Queue) -> None:
    executor = ProcessExecutor(workspace, (sys.executable, "-c", "raise SystemExit(3)"))
    run = queued()
    executor.submit(run)
    assert ended(executor) == [Done(run.id, "lost", "exit status 3")]
    executor.close()


def test_a_worker_notices_the_death_of_its_server(
    workspace: Workspace, start: Start, long: RunFolder
) -> None:
    server = start("fake_server.py", workspace.path)
    running(long)
    beat = read_heartbeat(long)
    assert beat is not None
    server.kill()
    until(lambda: not long.is_alive())
    assert long.status() == "interrupted"
    assert isinstance(long.log.read()[0][-2], CheckpointSaved)
    until(lambda: not is_running(beat.pid))


def test_a_server_that_is_told_to_end_takes_its_workers_along(
    workspace: Workspace, start: Start, long: RunFolder
) -> None:
    server = start("fake_server.py", workspace.path)
    running(long)
    beat = read_heartbeat(long)
    assert beat is not None
    server.terminate()
    assert server.wait(timeout=20) == 0
    assert long.status() == "interrupted"
    assert not is_running(beat.pid)


def test_two_servers_do_not_share_a_workspace(workspace: Workspace, start: Start) -> None:
    first = start("fake_server.py", workspace.path)
    assert first.stdout and first.stdout.readline() == "up\n"
    second = start("fake_server.py", workspace.path)
    _, told = second.communicate(timeout=20)
    assert f"another server (process {first.pid}) owns the workspace" in told


def test_the_queue_survives_the_death_of_the_server(
    workspace: Workspace, start: Start, long: RunFolder, queued: Queue
) -> None:
    server = start("fake_server.py", workspace.path)
    running(long)
    waiting = queued()
    server.kill()
    until(lambda: not long.is_alive())
    assert waiting.status() == "queued"
    start("fake_server.py", workspace.path)
    until(lambda: waiting.status() == "finished")
    assert long.status() == "interrupted"
