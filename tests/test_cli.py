"""The command line, in this process as far as it starts no other."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny

from engine import cli
from engine.errors import SpecError
from engine.execution import execute
from engine.runs.executors import Done
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.worker import drive

Call = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(tmp_path / "workspace"))
    return Workspace.open()


@pytest.fixture
def call(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """(exit status, the JSON object of the last line, what a person reads)."""
    monkeypatch.setattr(cli.screen, "_width", 300)
    monkeypatch.setattr(cli.ProcessExecutor, "warm", lambda self: None)  # takes seconds to end

    def called(*words: object) -> tuple[int, Any, str]:
        monkeypatch.setattr(sys, "argv", ["engine", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert len(lines) <= 1, "only the object goes to stdout"
        return int(ended.value.code or 0), json.loads(lines[-1]) if lines else None, err

    return called


@pytest.fixture
def run(workspace: Workspace) -> RunFolder:
    found = workspace.create(tiny.spec_of(), Meta(name="one"))
    assert drive(found, execute) == "finished"
    return found


def test_every_list_is_shown(call: Call) -> None:
    code, found, screen = call("list", "--json")
    assert code == 0
    assert set(found) == {"nets", "datasets", "distillers", "methods", "policies", "presets"}
    assert "demo" in [one["name"] for one in found["presets"]]
    assert "spot_adaptive" in screen
    code, found, _ = call("list", "nets", "--json")
    assert set(found) == {"nets"}


def test_without_json_nothing_goes_to_stdout(call: Call) -> None:
    assert call("list", "policies")[:2] == (0, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("list", "socks"), "there is no list 'socks'; there are: nets, "),
        (("run", "socks"), "no preset 'socks'; known: demo"),
        (("run", "nowhere.yaml"), "nowhere.yaml cannot be read"),
        (("run", "demo", "--set", "seed"), "--set 'seed' is no setting"),
        (("run", "demo", "--set", "schedule.epochs=0"), "schedule.epochs = 0 is outside [1, 2000]"),
        (("run", "demo", "--set", "student=nonsense"), "'nonsense'"),
        (
            ("run", "sakd-cifar100-vgg13-vgg8", "--set", "teacher.weights=/no/vgg13.pth"),
            "there is no file /no/vgg13.pth",
        ),
        (("status", "../runs"), "there is no run '../runs'"),
        (("resume", "20200101-000000-abcdef"), "there is no run"),
        (("cost", "resnet8", "--input", "big"), "--input 'big' is no size"),
        (("cost", "socks"), "no net 'socks'; known: "),
        (("cost", "resnet8", "--set", "depth=3"), "resnet8 has no setting 'depth'"),
        (("diff", "a", "b"), "there is no run 'a'"),
        (
            ("teacher", "check", "no.pt", "--net", "resnet8", "--data", "shapes"),
            "no.pt",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    call: Call, workspace: Workspace, words: tuple[str, ...], message: str
) -> None:
    code, found, screen = call(*words, "--json")
    assert code == 2
    assert message in found["error"]
    assert set(found) == {"error", "hint", "where"}
    assert screen.startswith("Error: ")
    assert "Traceback" not in screen
    assert workspace.runs() == (), "nothing is left behind"


def test_a_file_that_is_no_spec_is_a_mistake(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("- 1")
    assert call("run", path, "--json")[0] == 2
    path.write_bytes(b"\xff\xfe\x00")
    assert call("run", path, "--json")[0] == 2


def test_a_queued_run_waits_for_an_engine(call: Call, workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(tiny.spec_of().to_yaml())
    code, found, _ = call("run", path, "--queue", "--set", "schedule.lr=1e-3", "--json")
    (run,) = workspace.runs()
    assert (code, found) == (0, {"runs": [run.id], "status": "queued"})
    assert run.status() == "queued"
    assert run.spec().schedule.lr == 0.001
    assert run.meta().name.startswith("mine")


def test_a_published_experiment_is_planned_with_what_a_person_sets(
    call: Call, workspace: Workspace, tmp_path: Path
) -> None:
    preset = ("run", "sakd-cifar100-wrn_40_2-ShuffleNetV1", "--queue", "--json")
    code, found, _ = call(*preset, "--set", "distiller=nst", "--set", "schedule.epochs=2")
    assert code == 0
    specs = [workspace.run(run).spec() for run in found["runs"]]
    names = [spec.student.name for spec in specs]
    assert names == ["wrn_40_2", "ShuffleNetV1", "ShuffleNetV1", "ShuffleNetV1"]
    assert [spec.schedule.batch for spec in specs] == [64, 32, 32, 32]
    assert [spec.schedule.lr for spec in specs] == [0.05, 0.01, 0.01, 0.01]
    assert {spec.schedule.epochs for spec in specs} == {2}
    assert [spec.policy.name for spec in specs if spec.policy] == ["all", "learned"]
    for spec in specs[2:]:
        assert spec.teacher and spec.teacher.weights == f"run:{found['runs'][0]}"
        assert spec.distiller and spec.distiller.name == "nst"

    teacher = tiny.teacher_file(tmp_path)
    code, found, _ = call(*preset, "--set", f"teacher.weights={teacher}", "--set", "policy=all")
    specs = [workspace.run(run).spec() for run in found["runs"]]
    assert [spec.method.name for spec in specs] == ["alone", "spot_adaptive"]
    assert specs[1].teacher and specs[1].teacher.weights == str(teacher)


def test_a_file_may_describe_an_experiment(
    call: Call, workspace: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(
        """
        title: Two seeds
        note: Read me
        base: {data: {name: tiny}, student: {name: resnet8}, method: {name: alone}}
        runs: [{role: alone, label: alone}]
        axes: {seed: [3, 4]}
        """
    )
    code, found, _ = call("run", file, "--queue", "--set", "schedule.epochs=1", "--json")
    assert code == 0
    specs = [workspace.run(run_id).spec() for run_id in found["runs"]]
    assert [spec.seed for spec in specs] == [3, 4]
    assert {spec.schedule.epochs for spec in specs} == {1}
    file.write_text(file.read_text().replace("axes:", "axis:"))
    code, _, screen = call("run", file, "--queue")
    assert code == 2
    assert "two.yaml" in screen and "axis" in screen


def test_a_run_is_followed_until_its_worker_is_free_again(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next run of the experiment would start a worker of its own."""

    class Late:
        polls = 0

        def poll(self) -> list[Done]:
            self.polls += 1
            return [Done(run.id, "finished")] if self.polls == 3 else []

    executor = Late()
    monkeypatch.setattr(cli, "POLL_SECONDS", 0.0)
    assert run.status() == "finished"
    cli._follow(run, executor)
    assert executor.polls == 3


def test_the_status_of_runs_is_shown(call: Call, run: RunFolder) -> None:
    code, found, screen = call("status", "--json")
    assert code == 0
    assert [(one["id"], one["status"]) for one in found["runs"]] == [(run.id, "finished")]
    assert "finished" in screen
    code, found, _ = call("status", run.id, "--json")
    assert found["id"] == run.id and found["progress"] == 1


def test_equal_runs_are_told_as_equal(call: Call, workspace: Workspace, run: RunFolder) -> None:
    other = workspace.create(tiny.spec_of(), Meta(name="two"))
    drive(other, execute)
    code, found, screen = call("diff", run.id, other.id, "--json")
    assert (code, found) == (0, {"equal": True, "results": "", "weights": "", "spec": []})
    assert "results  equal" in screen
    third = workspace.create(tiny.spec_of(seed=9), Meta(name="three"))
    drive(third, execute)
    code, found, _ = call("diff", run.id, third.id, "--json")
    assert code == 1 and not found["equal"]
    assert found["spec"] == ["seed: 3 / 9"]
    assert found["results"] and found["weights"].endswith("differs")


def test_a_finished_run_is_not_resumed(call: Call, run: RunFolder) -> None:
    code, found, _ = call("resume", run.id, "--json")
    assert code == 2 and "has finished" in found["error"]


def test_a_net_is_counted(call: Call) -> None:
    code, found, screen = call("cost", "resnet8", "--classes", 10, "--json")
    assert code == 0 and found["name"] == "resnet8"
    assert f"{found['multiply_adds']:,}" in screen


def test_a_teacher_is_checked(call: Call, tmp_path: Path) -> None:
    words = ("teacher", "check", tiny.teacher_file(tmp_path), "--net", tiny.TEACHER)
    code, found, screen = call(*words, "--data", "tiny", "--json")
    assert code == 0
    assert found["report"]["missing"] == 0
    assert "accuracy: " in screen


def test_the_doctor_shows_the_machine(call: Call, workspace: Workspace) -> None:
    code, found, _ = call("doctor", "--json")
    assert code == 0
    assert found["workspace"] == str(workspace.path)
    assert found["versions"]["torch"] and found["cores"] >= 1


def test_an_unknown_command_is_status_2(call: Call) -> None:
    assert call("dance")[0] == 2


def test_a_setting_that_is_no_yaml_gets_a_sentence() -> None:
    with pytest.raises(SpecError, match="has a value that is no YAML"):
        cli._settings(["schedule.milestones=[1,2"])
