"""The client of the job process, with a process that only pretends to work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.runs import job_process
from engine.runs.folder import Workspace
from engine.runs.job_process import JobProcess, JobState

COMMAND = (sys.executable, "-S", str(Path(__file__).with_name("fake_jobs.py")))


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobProcess]:
    found = JobProcess(Workspace.open(tmp_path), COMMAND)
    yield found
    found.stop()


def until(is_true: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def answer(jobs: JobProcess, kind: str, **params: Any) -> JobState:
    until(lambda: jobs.ask(kind, params).status in ("done", "failed"))
    return jobs.ask(kind, params)


def test_nobody_waits_for_a_job(jobs: JobProcess) -> None:
    begun = time.monotonic()
    assert jobs.ask("echo", {"seconds": 0.2}).status == "waiting"
    assert time.monotonic() - begun < 0.15
    until(lambda: jobs.ask("echo", {"seconds": 0.2}).status == "running")
    found = answer(jobs, "echo", seconds=0.2)
    assert (found.status, found.value["seconds"]) == ("done", 0.2)


def test_one_process_serves_all_and_remembers_what_it_said(jobs: JobProcess) -> None:
    first, second = answer(jobs, "echo", a=1), answer(jobs, "echo", a=2)
    assert first.value["pid"] == second.value["pid"]
    assert jobs.ask("echo", {"a": 1}) is first


def test_a_job_may_be_asked_for_anew(jobs: JobProcess) -> None:
    first = answer(jobs, "echo", a=1)
    assert jobs.ask("echo", {"a": 1}, again=True).status == "waiting"
    assert answer(jobs, "echo", a=1) is not first


def test_a_users_mistake_comes_back_in_its_parts(jobs: JobProcess) -> None:
    found = answer(jobs, "refuse")
    assert found == JobState("failed", None, "this cannot be", "Try another.", "seed")


@pytest.mark.parametrize("kind", ["die", "half"])
def test_a_job_that_takes_the_process_with_it_fails_and_the_next_one_works(
    jobs: JobProcess, kind: str
) -> None:
    before = answer(jobs, "echo", a=1).value["pid"]
    found = answer(jobs, kind)
    assert found.status == "failed"
    assert f"ended while it worked on {kind}" in found.message
    assert answer(jobs, "echo", a=2).value["pid"] != before


def test_a_process_that_ended_between_two_jobs_is_replaced(jobs: JobProcess) -> None:
    first = answer(jobs, "last").value["pid"]
    until(lambda: jobs._process is None or jobs._process.poll() is not None)
    assert answer(jobs, "echo", a=1).value["pid"] != first


def test_a_lost_job_is_tried_again_after_a_while(
    jobs: JobProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_process, "LOST_SECONDS", 0.3)
    assert answer(jobs, "die").status == "failed"
    assert jobs.ask("die", {}).status == "failed", "not at each tick"
    until(lambda: jobs.ask("die", {}).status == "waiting")


def test_a_job_that_found_a_fault_looks_again_after_a_while(
    jobs: JobProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_process, "FAULT_SECONDS", 0.3)
    assert answer(jobs, "refuse").status == "failed"
    assert jobs.ask("refuse", {}).status == "failed", "not at each tick"
    until(lambda: jobs.ask("refuse", {}).status == "waiting")


def test_of_the_waiting_jobs_of_a_kind_only_the_newest_is_done(jobs: JobProcess) -> None:
    jobs.ask("other", {"seconds": 0.3})
    until(lambda: jobs.ask("other", {"seconds": 0.3}).status == "running")
    for number in range(5):
        assert jobs.ask("echo", {"a": number}).status == "waiting"
    until(lambda: jobs.ask("echo", {"a": 4}).status == "done")
    assert jobs.ask("echo", {"a": 0}).status == "waiting", "it was replaced and is asked anew"


def test_jobs_of_other_kinds_are_done_in_turn(jobs: JobProcess) -> None:
    for kind in ("one", "two", "three"):
        jobs.ask(kind, {})
    assert all(answer(jobs, kind).status == "done" for kind in ("one", "two", "three"))


def test_stopping_ends_the_process_amid_a_job(jobs: JobProcess) -> None:
    jobs.ask("echo", {"seconds": 60})
    until(lambda: jobs.ask("echo", {"seconds": 60}).status == "running")
    begun = time.monotonic()
    jobs.stop()
    assert time.monotonic() - begun < 2
    assert jobs.ask("echo", {"seconds": 60}).status == "failed"


def test_a_stopped_one_starts_again_at_the_next_question(jobs: JobProcess) -> None:
    first = answer(jobs, "echo", a=1).value["pid"]
    jobs.stop()
    jobs.stop()
    assert answer(jobs, "echo", a=2).value["pid"] != first


def test_an_idle_process_ends(jobs: JobProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_process, "IDLE_SECONDS", 0.05)
    first = answer(jobs, "echo", a=1).value["pid"]
    until(lambda: not Path(f"/proc/{first}").exists())
    assert answer(jobs, "echo", a=2).value["pid"] != first


def test_questions_that_come_as_it_falls_idle_are_all_answered(
    jobs: JobProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_process, "IDLE_SECONDS", 0.0)
    for number in range(8):
        assert answer(jobs, "echo", a=number).status == "done"


def test_only_so_many_answers_are_kept(jobs: JobProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_process, "KEPT", 3)
    for number in range(5):
        answer(jobs, f"kind{number}")
    assert len(jobs._states) <= 3


def test_a_command_that_ends_at_once_is_told(tmp_path: Path) -> None:
    jobs = JobProcess(Workspace.open(tmp_path), ("true",))
    try:
        assert answer(jobs, "echo").status == "failed"
        assert answer(jobs, "other").status == "failed"
    finally:
        jobs.stop()
