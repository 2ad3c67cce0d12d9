"""The door, on a workspace without an engine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from engine import api
from engine.api import (
    Choice,
    NetChoice,
    RunSpec,
    Schedule,
    SpecError,
    Studio,
    WorkspaceError,
)
from engine.events import Evaluated, PhaseBegan, RunEnded, RunStarted, StepTaken
from engine.runs.folder import RunFolder, Workspace

ROOT = Path(engine.__file__).parents[1]
BAD_IDS = ("../x", "..", "", "a/b", "/etc", "x" * 65, "A", "20200101-000000-abcdef")


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    found = Studio(tmp_path / "workspace")
    yield found
    found.stop()


@pytest.fixture
def workspace(studio: Studio, tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture
def alone() -> RunSpec:
    return RunSpec(
        data=Choice(name="shapes"),
        student=NetChoice(name="resnet8"),
        method=Choice(name="alone"),
        schedule=Schedule(epochs=2),
    )


@pytest.fixture
def taught(alone: RunSpec) -> RunSpec:
    return alone.replace(
        **{
            "teacher": {"name": "resnet14", "weights": "shipped:x"},
            "method": "spot_adaptive",
            "distiller": "at",
            "policy": "learned",
        }
    )


def finished(workspace: Workspace, run_id: str, accuracy: float, teacher: float = 0.9) -> None:
    """Write what a worker would have."""
    folder = workspace.run(run_id)
    began = PhaseBegan(
        at=(0, 0, 0), phase="train", epochs=2, steps=5, phases=("train",), total_steps=10
    )

    def told(net: str, weights: str, value: float) -> Evaluated:
        plain = {"at": (0, 2, 0), "net": net, "weights": weights, "samples": 9}
        figures = {"accuracy": value}
        return Evaluated.model_validate({**plain, "split": "test", "figures": figures})

    taught = [told("teacher", "given", teacher)] if folder.spec().teacher else []
    folder.log.append(
        [
            RunStarted(time=1.0),
            *taught,
            began,
            StepTaken(at=(0, 2, 0), count=5, terms={"task": 1.0}, rates={"student": 0.1}),
            told("student", "last", accuracy),
            told("student", "best", accuracy + 0.01),
            RunEnded(time=9.0, status="finished"),
        ]
    )


def only(studio: Studio) -> str:
    (run,) = studio.runs()
    return run.id


def test_the_door_imports_no_torch_and_no_streamlit() -> None:
    code = (
        "import sys, engine.api; found = {'torch', 'torchvision', 'streamlit', 'fvcore'}"
        " & set(sys.modules); assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_it_offers_is_there() -> None:
    assert all(hasattr(api, name) for name in api.__all__)


@pytest.mark.parametrize("run_id", BAD_IDS)
def test_an_id_from_outside_never_becomes_a_path(studio: Studio, run_id: str) -> None:
    acts = [
        *(studio.run, studio.view, studio.resume, studio.delete, studio.unqueue, studio.files),
        *(studio.log_text, studio.evidence, studio.choices),
        lambda found: studio.pictures(found, [0]),
        lambda found: studio.part_answers((found, (0, 1, 0))),
        lambda found: studio.student_flatness((found, (0, 1, 0)), 0.1),
        lambda found: studio.send(found, "stop"),
        lambda found: studio.rename(found, name="x"),
        lambda found: studio.file(found, "spec.json"),
    ]
    for act in acts:
        with pytest.raises(WorkspaceError):
            act(run_id)
    assert studio.experiment(run_id) is None


def test_a_launched_run_waits_in_the_queue(studio: Studio, alone: RunSpec) -> None:
    experiment = studio.launch(alone, name="first")
    run_id = only(studio)
    assert [member.run for member in experiment.runs] == [run_id]
    assert studio.queued() == (run_id,)
    card = studio.run(run_id)
    assert (card.status, card.spec, card.problem) == ("queued", alone, "")
    assert card.experiment == experiment == studio.experiment(experiment.id)
    assert card.size_bytes > 0 and card.environment == {}
    assert [(one.id, one.status, one.share_done) for one in studio.active()] == [
        (run_id, "queued", 0.0)
    ]


def test_a_grid_has_its_baselines_first_one_for_each_seed(studio: Studio, taught: RunSpec) -> None:
    axes = {"seed": (0, 1), "policy.name": ("learned", "all")}
    experiment = studio.launch(taught, name="grid", axes=axes, with_baseline=True)
    roles = [member.role for member in experiment.runs]
    assert roles == ["alone"] * 2 + ["student"] * 4
    specs = [studio.run(member.run).spec for member in experiment.runs]
    assert [spec.seed for spec in specs if spec] == [0, 1, 0, 0, 1, 1]
    assert [spec.policy.name for spec in specs[2:] if spec and spec.policy] == [
        *("learned", "all", "learned", "all")
    ]
    assert all(spec.teacher is None for spec in specs[:2] if spec)


def test_a_teacher_to_train_first_is_waited_for(
    studio: Studio, alone: RunSpec, taught: RunSpec
) -> None:
    experiment = studio.launch(
        taught,
        name="both",
        axes={"seed": (0, 1)},
        with_baseline=True,
        teacher_first=alone.replace(student="resnet14"),
    )
    first, *rest = experiment.runs
    assert first.role == "teacher" and first.waits_for == ()
    for member in rest:
        spec = studio.run(member.run).spec
        assert spec is not None
        assert member.waits_for == ((first.run,) if member.role == "student" else ())
        assert (spec.teacher is None) == (member.role == "alone")
        if spec.teacher is not None:
            assert spec.teacher.weights == f"run:{first.run}"


def test_a_wrong_axis_leaves_nothing_behind(studio: Studio, taught: RunSpec) -> None:
    with pytest.raises(SpecError, match=r"schedule\.epochs = 0"):
        studio.launch(taught, name="x", axes={"schedule.epochs": (3, 0)})
    assert studio.runs() == () and studio.queued() == ()


def test_a_full_disk_is_told_before_anything_is_made(
    studio: Studio, alone: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workspace, "free_bytes", lambda self: 10**8)
    for act in (lambda: studio.launch(alone, name="x"), lambda: studio.launch_preset("demo")):
        with pytest.raises(WorkspaceError, match=r"only 0\.1 GB are free"):
            act()
    assert studio.runs() == ()


def test_the_demo_is_a_preset_that_can_be_launched(studio: Studio) -> None:
    assert studio.presets()[0].name == "demo"
    experiment = studio.launch_preset("demo")
    assert experiment.preset == "demo"
    roles = [member.role for member in experiment.runs]
    assert roles[-2:] == ["alone", "student"]
    with pytest.raises(SpecError, match="no preset 'socks'; known: demo"):
        studio.launch_preset("socks")


def test_runs_can_be_ordered_taken_out_queued_again_named_and_deleted(
    studio: Studio, alone: RunSpec
) -> None:
    ids = [studio.launch(alone, name=str(n)).runs[0].run for n in range(3)]
    studio.move_in_queue(ids[2], 0)
    assert studio.queued() == (ids[2], ids[0], ids[1])
    studio.unqueue(ids[0])
    assert studio.run(ids[0]).status == "stopped"
    studio.resume(ids[0])
    assert studio.queued() == (ids[2], ids[1], ids[0])
    assert studio.rename(ids[0], name="new", tags=("a",)).name == "new"
    with pytest.raises(WorkspaceError):
        studio.rename(ids[0], colour="red")
    studio.delete(ids[1])
    assert [run.id for run in studio.runs()] == [ids[2], ids[0]]


def test_a_finished_run_is_not_resumed(
    studio: Studio, workspace: Workspace, alone: RunSpec
) -> None:
    studio.launch(alone, name="first")
    run_id = only(studio)
    finished(workspace, run_id, 0.6)
    with pytest.raises(WorkspaceError, match="has finished"):
        studio.resume(run_id)


def test_forcing_a_stop_needs_the_engine(studio: Studio, alone: RunSpec) -> None:
    studio.launch(alone, name="x")
    assert not studio.is_working()
    with pytest.raises(WorkspaceError, match="another server runs the engine"):
        studio.force_stop(only(studio))


def test_a_view_reads_only_what_is_new(
    studio: Studio, workspace: Workspace, alone: RunSpec
) -> None:
    studio.launch(alone, name="x")
    run_id = only(studio)
    assert studio.view(run_id).steps_done == 0
    finished(workspace, run_id, 0.5)
    view = studio.view(run_id)
    assert (view.steps_done, view.total_steps) == (10, 10)
    assert studio.view(run_id) == view
    assert view.num_events == len(workspace.run(run_id).log.read()[0])


def test_views_of_many_runs_are_forgotten_and_read_anew(
    studio: Studio, alone: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "VIEWS_KEPT", 1)
    ids = [studio.launch(alone, name=str(n)).runs[0].run for n in range(2)]
    first = studio.view(ids[0])
    studio.view(ids[1])
    assert studio.view(ids[0]) == first


def test_the_evidence_pairs_a_run_with_its_baseline(
    studio: Studio, workspace: Workspace, taught: RunSpec
) -> None:
    experiment = studio.launch(taught, name="x", axes={"seed": (0, 1)}, with_baseline=True)
    for member, accuracy in zip(experiment.runs, (0.5, 0.6, 0.7, 0.7), strict=True):
        finished(workspace, member.run, accuracy)
    alone = [member.run for member in experiment.runs[:2]]
    for member, baseline, gain in zip(experiment.runs[2:], alone, (0.2, 0.1), strict=True):
        found = studio.evidence(member.run)
        assert (found.split, found.teacher, found.student) == ("test", 0.9, 0.7)
        assert found.baseline == baseline
        assert found.gain == pytest.approx(gain)
        assert found.recovered == pytest.approx(gain / (0.9 - (0.7 - gain)))
        assert found.best == pytest.approx(0.71)
    own = studio.evidence(alone[0])
    assert (own.alone, own.student, own.gain, own.baseline) == (0.5, None, None, "")


def test_without_figures_there_is_no_evidence(studio: Studio, taught: RunSpec) -> None:
    run_id = studio.launch(taught, name="x").runs[0].run
    found = studio.evidence(run_id)
    assert (found.student, found.alone, found.gain, found.recovered) == (None,) * 4


def test_a_baseline_is_found_among_other_experiments(
    studio: Studio, workspace: Workspace, alone: RunSpec, taught: RunSpec
) -> None:
    baseline = studio.launch(alone, name="a").runs[0].run
    other = studio.launch(alone.replace(seed=1), name="b").runs[0].run
    run_id = studio.launch(taught, name="c").runs[0].run
    for one, accuracy in ((baseline, 0.5), (other, 0.9), (run_id, 0.6)):
        finished(workspace, one, accuracy)
    assert studio.evidence(run_id).baseline == baseline


def test_files_are_listed_and_given_by_name_only(
    studio: Studio, workspace: Workspace, alone: RunSpec
) -> None:
    studio.launch(alone, name="x")
    run_id = only(studio)
    folder = workspace.run(run_id)
    (folder.artefacts / "map.npz").write_bytes(b"1234")
    (folder.path / ".heartbeat.12-34").write_text("unfinished")
    (folder.artefacts / "student.safetensors.partial").write_text("unfinished")
    (folder.path / "secret").symlink_to("/nowhere")
    files = dict(studio.files(run_id))
    assert files["artefacts/map.npz"] == 4
    assert set(files) == {"spec.json", "meta.json", "events.jsonl", "artefacts/map.npz"}
    assert studio.file(run_id, "artefacts/map.npz").read_bytes() == b"1234"
    for name in ("../../queue.json", "/etc/passwd", "artefacts", "worker.lock", ".heartbeat.12-34"):
        with pytest.raises(WorkspaceError, match="has no file"):
            studio.file(run_id, name)


def test_files_that_come_and_go_while_they_are_listed_are_no_danger(
    studio: Studio, workspace: Workspace, alone: RunSpec
) -> None:
    studio.launch(alone, name="x")
    folder = workspace.run(only(studio))
    ended = threading.Event()

    def flicker() -> None:
        while not ended.is_set():
            for name in ("beat", "other"):
                (folder.path / name).write_text("x")
                (folder.path / name).unlink()

    thread = threading.Thread(target=flicker)
    thread.start()
    try:
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            assert "spec.json" in dict(studio.files(folder.id))
    finally:
        ended.set()
        thread.join()


def test_a_draft_is_kept_and_a_spoilt_one_forgotten(studio: Studio, workspace: Workspace) -> None:
    assert studio.draft() == {}
    studio.save_draft({"seed": 3, "name": "é"})
    assert studio.draft() == {"seed": 3, "name": "é"}
    (workspace.drafts / "distill.json").write_text("{")
    assert studio.draft() == {}


def test_an_unreadable_run_hides_no_other(
    studio: Studio, workspace: Workspace, alone: RunSpec
) -> None:
    ids = [studio.launch(alone, name=str(n)).runs[0].run for n in range(2)]
    (workspace.run(ids[0]).path / "spec.json").write_text("{")
    assert {run.id: run.status for run in studio.runs()} == {
        ids[0]: "unreadable",
        ids[1]: "queued",
    }
    card = studio.run(ids[0])
    assert card.spec is None and "spec.json" in card.problem
    assert [one.id for one in studio.active()] == [ids[1]]


def test_a_command_reaches_control_json(
    studio: Studio, workspace: Workspace, alone: RunSpec
) -> None:
    studio.launch(alone, name="x")
    folder: RunFolder = workspace.run(only(studio))
    studio.send(folder.id, "pause")
    studio.send(folder.id, "continue")
    told = json.loads((folder.path / "control.json").read_text())
    assert [(one["serial"], one["command"]) for one in told][-2:] == [(1, "pause"), (2, "continue")]


def test_the_catalogue_is_kept_for_these_sources(studio: Studio, workspace: Workspace) -> None:
    path = workspace.path / "catalogue.json"
    path.write_text(json.dumps({"hash": api._sources_hash(), "catalogue": {"nets": []}}))
    assert studio.catalogue() == {"nets": []}


def test_the_machine_is_described(studio: Studio, workspace: Workspace) -> None:
    machine = studio.machine()
    assert machine.cores >= 1
    assert 0 < machine.memory_free <= machine.memory
    assert machine.workspace == str(workspace.path)


def test_one_process_has_one_studio_for_a_folder(tmp_path: Path) -> None:
    first = api.studio(tmp_path / "workspace")
    assert api.studio(tmp_path / "x" / ".." / "workspace").run is not None
    assert api.studio(tmp_path / "workspace") is first


@pytest.mark.slow
def test_the_catalogue_is_made_by_the_job_process(studio: Studio) -> None:
    assert studio.catalogue() is None
    deadline = time.monotonic() + 60
    while (found := studio.catalogue()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {"nets", "datasets", "distillers", "methods", "policies"} <= set(found)


def test_pictures_are_asked_for_with_what_the_run_saw(
    studio: Studio, taught: RunSpec, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.launch(taught.replace(seed=3), name="x")
    run_id = only(studio)
    workspace.run(run_id).write_environment({"data set": "abc"})
    asked: list[tuple[object, ...]] = []

    def ask(_: object, kind: str, params: dict[str, object], **more: object) -> api.JobState:
        asked.append((kind, params, more))
        return api.JobState("done", {"4": "/gone.png"})

    monkeypatch.setattr(api.JobProcess, "ask", ask)
    assert studio.pictures(run_id, [4]).status == "done"
    params = {
        **{"data": {"name": "shapes", "knobs": {}}, "seed": 3, "rows": [4]},
        **{"fingerprint": "abc", "split": "train", "side": 96},
    }
    assert asked[0] == ("pictures", params, {})
    assert asked[1] == ("pictures", params, {"again": True})


def test_what_parts_hold_is_asked_for_by_run_and_position(
    studio: Studio, taught: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.launch(taught, name="x")
    weights = (only(studio), (0, 1, 0))
    asked: list[tuple[str, object]] = []

    def ask(_: object, kind: str, params: object) -> api.JobState:
        asked.append((kind, params))
        return api.JobState("waiting")

    monkeypatch.setattr(api.JobProcess, "ask", ask)
    studio.part_answers(weights)
    studio.part_pictures(weights, "explore")
    studio.part_likeness(weights, of=weights)
    studio.part_neurons(weights)
    studio.student_flatness(weights, 0.01)
    assert asked == [
        ("part_answers", {"weights": weights}),
        ("part_pictures", {"weights": weights, "fails": "explore"}),
        ("part_likeness", {"weights": weights, "of": weights}),
        ("part_neurons", {"weights": weights}),
        ("student_flatness", {"weights": weights, "sigma": 0.01}),
    ]
    with pytest.raises(WorkspaceError):
        studio.part_likeness(weights, of=("../x", (0, 1, 0)))


def test_choices_come_from_the_run_and_are_none_before_its_first_epoch(
    studio: Studio, taught: RunSpec
) -> None:
    studio.launch(taught, name="x")
    assert studio.choices(only(studio)) is None
