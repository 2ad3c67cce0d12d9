from __future__ import annotations

import pytest

from engine.errors import WorkspaceError
from engine.events import RunEnded, RunQueued
from engine.runs.control import Control, send
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.queue import RunQueue

from .fakes import spec_of


@pytest.fixture
def queue(workspace: Workspace) -> RunQueue:
    return RunQueue(workspace)


@pytest.fixture
def three(workspace: Workspace, queue: RunQueue) -> list[str]:
    ids = [workspace.create(spec_of(), Meta()).id for _ in range(3)]
    for run_id in ids:
        queue.add(run_id)
    return ids


def test_runs_wait_in_the_order_in_which_they_were_added(
    workspace: Workspace, queue: RunQueue, three: list[str]
) -> None:
    assert queue.list() == tuple(three)
    assert [workspace.run(run_id).status() for run_id in three] == ["queued"] * 3


def test_a_run_moves_within_the_queue(queue: RunQueue, three: list[str]) -> None:
    first, second, third = three
    queue.move(third, 0)
    assert queue.list() == (third, first, second)
    queue.move(third, 99)
    assert queue.list() == (first, second, third)
    with pytest.raises(WorkspaceError, match="not in the queue"):
        queue.move("other", 0)


def test_a_run_taken_out_is_stopped(
    workspace: Workspace, queue: RunQueue, three: list[str]
) -> None:
    queue.remove(three[1])
    assert queue.list() == (three[0], three[2])
    assert workspace.run(three[1]).status() == "stopped"


def test_a_run_that_has_begun_is_not_taken_out(
    workspace: Workspace, queue: RunQueue, three: list[str]
) -> None:
    with (
        workspace.run(three[0]).lock,
        pytest.raises(WorkspaceError, match=r"has begun already\. Stop it instead\."),
    ):
        queue.remove(three[0])


def test_a_run_that_waits_already_is_not_queued_twice(queue: RunQueue, run: RunFolder) -> None:
    queue.add(run.id)
    queue.add(run.id)
    assert queue.list() == (run.id,)
    assert len(run.log.read()[0]) == 1


def test_a_finished_run_is_not_queued_again(queue: RunQueue, run: RunFolder) -> None:
    run.log.append([RunEnded(time=1.0, status="finished")])
    with pytest.raises(WorkspaceError, match=r"has finished\. For more epochs"):
        queue.add(run.id)


def test_a_run_that_is_trained_is_not_queued(queue: RunQueue, run: RunFolder) -> None:
    with run.lock, pytest.raises(WorkspaceError, match="is being trained already"):
        queue.add(run.id)


def test_an_interrupted_run_waits_again_and_forgets_old_commands(
    queue: RunQueue, run: RunFolder
) -> None:
    send(run, "pause")
    run.log.append([RunEnded(time=1.0, status="interrupted")])
    queue.add(run.id)
    assert run.status() == "queued"
    assert Control(run).look() is None


def test_what_is_no_run_is_not_queued(queue: RunQueue, run: RunFolder) -> None:
    with pytest.raises(WorkspaceError, match="there is no run"):
        queue.add("../x")
    (run.path / "spec.json").write_text("{")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        queue.add(run.id)


def test_a_damaged_file_costs_the_order_only(
    workspace: Workspace, queue: RunQueue, three: list[str]
) -> None:
    workspace.queue_file.write_text("[")
    assert queue.list() == ()
    queue.adopt()
    assert queue.list() == tuple(three)


def test_adopting_leaves_alone_what_does_not_wait(
    workspace: Workspace, queue: RunQueue, three: list[str], run: RunFolder
) -> None:
    run.log.append([RunQueued(time=1.0), RunEnded(time=2.0, status="stopped")])
    queue.adopt()
    assert queue.list() == tuple(three)
