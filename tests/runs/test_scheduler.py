"""The engine thread with runs driven inside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from engine.errors import WorkspaceError
from engine.events import RunEnded, RunStarted
from engine.runs.executors import Done
from engine.runs.experiment import Planned, create_experiment
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.queue import RunQueue
from engine.runs.scheduler import Scheduler
from engine.runs.slots import Slot
from tests.runs.inline import InlineExecutor

from .conftest import until
from .fakes import execute, spec_of


class Watched(InlineExecutor):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(execute)
        self.begun: list[str] = []
        self.num_warmed = 0

    def submit(self, folder: RunFolder) -> None:
        self.begun.append(folder.id)
        if folder.meta().name == "refused by the executor":
            raise RuntimeError("no more processes")
        if folder.meta().name == "lost, and resumed at once" and self.begun.count(folder.id) == 1:
            folder.log.append([RunStarted(time=1.0)])
            RunQueue(folder.workspace).add(folder.id)
            self._done.append(Done(folder.id, "lost", "exit status -9"))
        elif folder.meta().name == "lost":
            self._done.append(Done(folder.id, "lost", "exit status 1"))
        else:
            super().submit(folder)

    def warm(self) -> None:
        self.num_warmed += 1


@pytest.fixture
def executor() -> Watched:
    return Watched()


@pytest.fixture
def scheduler(
    workspace: Workspace, executor: Watched, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scheduler]:
    monkeypatch.setattr("engine.runs.scheduler._SECONDS", 0.01)
    scheduler = Scheduler(workspace, executor)
    yield scheduler
    if scheduler._thread.is_alive():
        scheduler.stop()


def queued(workspace: Workspace, name: str = "", **settings: object) -> RunFolder:
    folder = workspace.create(spec_of(**settings), Meta(name=name))
    RunQueue(workspace).add(folder.id)
    return folder


def ended(run: RunFolder) -> RunEnded:
    until(lambda: isinstance(run.log.last_life()[0], RunEnded))
    last = run.log.last_life()[0]
    assert isinstance(last, RunEnded)
    return last


def test_a_cold_engine_runs_what_a_terminal_queued(
    workspace: Workspace, scheduler: Scheduler, executor: Watched
) -> None:
    first, second = queued(workspace), queued(workspace)
    RunQueue(workspace).move(second.id, 0)
    scheduler.start()
    assert ended(first).status == ended(second).status == "finished"
    assert executor.begun == [second.id, first.id]
    until(lambda: RunQueue(workspace).list() == ())


def test_a_lost_queue_file_loses_no_run(workspace: Workspace, scheduler: Scheduler) -> None:
    run = queued(workspace)
    workspace.queue_file.unlink()
    scheduler.start()
    assert ended(run).status == "finished"


def test_an_interrupted_run_waits_for_a_person(workspace: Workspace, scheduler: Scheduler) -> None:
    dead = workspace.create(spec_of(), Meta())
    dead.log.append([RunStarted(time=1.0)])
    run = queued(workspace)
    scheduler.start()
    assert ended(run).status == "finished"
    assert dead.status() == "interrupted"
    RunQueue(workspace).add(dead.id)
    assert ended(dead).status == "finished"


def test_a_run_whose_folder_is_gone_is_dropped(workspace: Workspace, scheduler: Scheduler) -> None:
    gone, run = queued(workspace), queued(workspace)
    shutil.rmtree(gone.path)
    scheduler.start()
    assert ended(run).status == "finished"
    until(lambda: RunQueue(workspace).list() == ())


def test_a_bad_run_keeps_no_other_from_starting(
    workspace: Workspace, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    refused, unreadable = queued(workspace, "refused by the executor"), queued(workspace)
    (unreadable.path / "spec.json").write_text("{")
    run = queued(workspace)
    scheduler.start()
    assert ended(run).status == "finished"
    assert ended(refused).message == "RuntimeError: no more processes"
    assert unreadable.status() == "unreadable"
    assert scheduler.trouble == ""


def test_a_run_resumed_faster_than_its_worker_was_missed_goes_on(
    workspace: Workspace, scheduler: Scheduler
) -> None:
    run = queued(workspace, "lost, and resumed at once")
    scheduler.start()
    until(lambda: run.status() in ("finished", "failed"))
    assert run.status() == "finished"


def test_a_run_lost_before_it_began_has_failed(workspace: Workspace, scheduler: Scheduler) -> None:
    run = queued(workspace, "lost")
    scheduler.start()
    assert ended(run).message == "The worker ended before the run began (exit status 1)."


def test_a_run_waits_until_its_device_is_free(workspace: Workspace, scheduler: Scheduler) -> None:
    slot = Slot(workspace, "cpu")
    slot.take("a-terminal", timeout=0.0)
    run = queued(workspace)
    scheduler.start()
    until(lambda: scheduler._plans)
    assert run.status() == "queued"
    slot.release()
    assert ended(run).status == "finished"


def planned_pair(**teacher: object) -> list[Planned]:
    return [
        Planned("teacher", "teacher", {}, spec_of(**teacher)),
        Planned("taught", "student", {}, spec_of(teacher="run:0")),
    ]


def test_a_run_begins_after_those_it_waits_for(
    workspace: Workspace, scheduler: Scheduler, executor: Watched
) -> None:
    experiment = create_experiment(workspace, "pair", planned_pair())
    teacher, student = (workspace.run(member.run) for member in experiment.runs)
    RunQueue(workspace).move(student.id, 0)
    scheduler.start()
    assert ended(student).status == "finished"
    assert executor.begun == [teacher.id, student.id]


def test_a_run_fails_with_what_it_waits_for(workspace: Workspace, scheduler: Scheduler) -> None:
    experiment = create_experiment(workspace, "pair", planned_pair(fault="bug"))
    teacher, student = (workspace.run(member.run) for member in experiment.runs)
    scheduler.start()
    assert ended(teacher).status == "failed"
    assert ended(student).status == "failed"
    assert ended(student).message == "This run needs pair: teacher, which failed."


def test_a_run_fails_when_what_it_waits_for_is_gone(
    workspace: Workspace, scheduler: Scheduler
) -> None:
    experiment = create_experiment(workspace, "pair", planned_pair())
    teacher, student = (workspace.run(member.run) for member in experiment.runs)
    workspace.trash(teacher.id)
    scheduler.start()
    assert ended(student).message == f"This run needs {teacher.id}, which was deleted."


def test_a_warm_worker_is_asked_for_while_a_device_is_free(
    workspace: Workspace, scheduler: Scheduler, executor: Watched
) -> None:
    scheduler.start()
    scheduler.warm_up()
    until(lambda: executor.num_warmed)
    assert executor.num_warmed == 1


def test_a_run_of_another_program_is_not_ended_by_force(scheduler: Scheduler) -> None:
    with pytest.raises(WorkspaceError, match="was not started by this server"):
        scheduler.force_stop("a-run")


def test_a_workspace_has_one_engine_at_a_time(
    workspace: Workspace, scheduler: Scheduler, executor: Watched
) -> None:
    scheduler.start()
    second = Scheduler(workspace, executor)
    with pytest.raises(WorkspaceError, match=r"another server \(process \d+\) owns the workspace"):
        second.start()
    scheduler.stop()
    second.start()
    second.stop()


def test_trouble_is_told_and_does_not_end_the_engine(
    workspace: Workspace, scheduler: Scheduler, executor: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[Done]:
        raise RuntimeError("the executor is broken")

    monkeypatch.setattr(executor, "poll", broken)
    scheduler.start()
    until(lambda: scheduler.trouble == "the executor is broken")
    monkeypatch.undo()
    run = queued(workspace)
    assert ended(run).status == "finished"
