"""Real training in real processes that are killed in many ways, and go on exactly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import engine
from engine.api import Studio
from engine.events import At, RunEnded, RunResumed, StepTaken, results_of
from engine.nets import build_net
from engine.nets.weights import save_weights
from engine.runs.folder import RunFolder, Workspace
from engine.runs.heartbeat import read_heartbeat
from engine.spec import Choice, NetChoice, RunSpec, Schedule
from engine.training.checkpoint import differing_weights

pytestmark = pytest.mark.slow

ROOT = Path(engine.__file__).parents[1]
SERVER = Path(__file__).with_name("server.py")
Start = Callable[..., subprocess.Popen[str]]

# Other tests may run on the same cores.
SLOWER = 2.0


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """Two phases of 2 x 4 and 3 x 4 steps, with a policy that learns."""
    place = tmp_path_factory.mktemp("given")
    teacher = place / "teacher.safetensors"
    net = build_net("resnet8", {}, num_classes=4, input_shape=(3, 16, 16), seed=5)
    save_weights(net, teacher, {})
    random = np.random.default_rng(0)
    for part, label, number in product(("train", "test"), range(4), range(28)):
        folder = place / "data" / part / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return RunSpec(
        data=Choice(name="image_folder", knobs={"path": str(place / "data")}),
        teacher=NetChoice(name="resnet8", weights=str(teacher)),
        student=NetChoice(name="resnet8"),
        method=Choice(name="spot_adaptive"),
        distiller=Choice(name="ft", knobs={"warm_up_epochs": 2}),
        policy=Choice(name="learned"),
        schedule=Schedule(epochs=3, batch=25, lr=0.02),
        threads=1,
        device="cpu",
    )


def command(*words: object, workspace: Path) -> list[str]:
    return [sys.executable, "-m", "engine", *map(str, words), "--workspace", str(workspace)]


def answer(output: str) -> dict[str, object]:
    found = json.loads(output.splitlines()[-1])
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def whole(spec: RunSpec, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run that nobody disturbs, trained from a terminal."""
    place = tmp_path_factory.mktemp("whole")
    (place / "spec.json").write_text(spec.to_json())
    words = command("run", place / "spec.json", "--json", workspace=place / "workspace")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return Workspace.open(place / "workspace").run(str(answer(done.stdout)["run"]))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture
def studio(workspace: Workspace) -> Studio:
    """The door of another process, which runs no engine."""
    return Studio(workspace.path)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that ends with the test, with the workers that it started."""
    processes: list[subprocess.Popen[str]] = []

    def started(*words: object) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [*map(str, words)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()  # its workers lose their pipe, save and end
        process.communicate()


def serve(start: Start, workspace: Workspace) -> subprocess.Popen[str]:
    server = start(sys.executable, SERVER, workspace.path)
    assert server.stdout is not None
    assert server.stdout.readline() == "up\n"
    return server


def until(is_true: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def until_ended(run: RunFolder, status: str) -> None:
    until(lambda: run.status() in ("finished", "stopped", "failed", "interrupted"))
    assert run.status() == status, run.log.read()[0][-3:]
    until(lambda: not run.is_alive())


def has_passed(run: RunFolder, at: At) -> bool:
    events = run.log.read()[0]
    assert not isinstance(events[-1] if events else None, RunEnded), events[-3:]
    return any(isinstance(event, StepTaken) and event.at >= at for event in events)


def kill_worker(run: RunFolder) -> None:
    beat = read_heartbeat(run)
    assert beat is not None
    os.kill(beat.pid, signal.SIGKILL)


def launch(studio: Studio, workspace: Workspace, spec: RunSpec) -> RunFolder:
    return workspace.run(studio.launch(spec, name="real").runs[0].run)


def assert_equal_runs(found: RunFolder, expected: RunFolder) -> None:
    ours, theirs = (results_of(run.log.read()[0]) for run in (found, expected))
    assert ours == theirs
    assert differing_weights(found.checkpoints, expected.checkpoints) == ""


def test_a_worker_killed_in_each_phase_goes_on_exactly(
    start: Start, studio: Studio, workspace: Workspace, spec: RunSpec, whole: RunFolder
) -> None:
    serve(start, workspace)
    run = launch(studio, workspace, spec)
    for at in ((0, 0, 2), (1, 1, 2)):  # before the first checkpoint; amid the second phase
        until(lambda at=at: has_passed(run, at))
        kill_worker(run)
        until_ended(run, "interrupted")
        time.sleep(1.0)  # a person is not quicker; the server has noticed the death then
        studio.resume(run.id)
    until_ended(run, "finished")
    resumed = [event for event in run.log.read()[0] if isinstance(event, RunResumed)]
    assert resumed[0].position < resumed[1].position
    assert_equal_runs(run, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_server_that_ends_leaves_a_saved_run_for_the_next(
    start: Start,
    studio: Studio,
    workspace: Workspace,
    spec: RunSpec,
    whole: RunFolder,
    number: signal.Signals,
) -> None:
    server = serve(start, workspace)
    run = launch(studio, workspace, spec)
    until(lambda: has_passed(run, (1, 0, 2)))
    beat = read_heartbeat(run)
    server.send_signal(number)
    until_ended(run, "interrupted")
    server.wait(timeout=30)
    assert beat is not None
    until(lambda: not Path(f"/proc/{beat.pid}").exists(), seconds=30)
    serve(start, workspace)
    time.sleep(1.0)
    assert run.status() == "interrupted", "nobody has asked it to go on"
    studio.resume(run.id)
    until_ended(run, "finished")
    told = [event for event in run.log.read()[0] if isinstance(event, RunResumed)]
    assert told[0].position >= (1, 0, 2), "the worker saved before it ended"
    assert_equal_runs(run, whole)


def test_server_and_worker_killed_at_once_leave_a_run_that_goes_on_exactly(
    start: Start, studio: Studio, workspace: Workspace, spec: RunSpec, whole: RunFolder
) -> None:
    server = serve(start, workspace)
    run = launch(studio, workspace, spec)
    until(lambda: has_passed(run, (1, 1, 1)))
    server.kill()
    kill_worker(run)
    until_ended(run, "interrupted")
    words = command("resume", run.id, "--json", workspace=workspace.path)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert answer(done.stdout) == {"run": run.id, "status": "finished"}
    assert_equal_runs(run, whole)


def test_a_cold_server_executes_what_a_terminal_has_queued(
    start: Start, workspace: Workspace, spec: RunSpec, whole: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    words = command("run", tmp_path / "spec.yaml", "--queue", "--json", workspace=workspace.path)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = answer(done.stdout)
    assert told["status"] == "queued"
    (run,) = workspace.runs()
    assert told["runs"] == [run.id]
    assert run.status() == "queued"
    serve(start, workspace)
    until_ended(run, "finished")
    assert_equal_runs(run, whole)


def test_a_run_from_a_terminal_is_seen_and_stopped_from_the_dashboard(
    start: Start, studio: Studio, workspace: Workspace, spec: RunSpec, tmp_path: Path
) -> None:
    serve(start, workspace)
    (tmp_path / "spec.yaml").write_text(spec.replace(**{"schedule.epochs": 200}).to_yaml())
    terminal = start(*command("run", tmp_path / "spec.yaml", "--json", workspace=workspace.path))
    until(lambda: studio.runs())
    # From its making: until then the terminal imports torch, as quickly as the machine allows.
    assert time.time() - studio.runs()[0].created < 5
    (run,) = workspace.runs()
    until(lambda: has_passed(run, (0, 0, 1)))
    assert [(one.id, one.status) for one in studio.active()] == [(run.id, "running")]
    studio.send(run.id, "stop")
    begun = time.monotonic()
    until_ended(run, "stopped")
    assert time.monotonic() - begun < 5 * SLOWER
    output, _ = terminal.communicate(timeout=30)
    assert terminal.returncode == 1
    assert answer(output)["status"] == "stopped"


def test_a_terminal_that_is_interrupted_saves_first(
    start: Start, workspace: Workspace, spec: RunSpec, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text(spec.replace(**{"schedule.epochs": 200}).to_yaml())
    terminal = start(*command("run", tmp_path / "spec.yaml", "--json", workspace=workspace.path))
    until(lambda: workspace.runs())
    (run,) = workspace.runs()
    until(lambda: has_passed(run, (0, 0, 1)))
    terminal.send_signal(signal.SIGINT)
    until_ended(run, "interrupted")
    output, _ = terminal.communicate(timeout=40)
    assert answer(output)["status"] == "interrupted"
    assert (run.checkpoints / "last.pt").exists()
