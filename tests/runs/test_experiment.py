from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.errors import SpecError, WorkspaceError
from engine.runs.experiment import (
    Planned,
    create_experiment,
    expand,
    experiments,
    figures,
    find_baseline,
    read_experiment,
    waits_for,
)
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.presets import find_preset, load_presets
from engine.runs.queue import RunQueue
from engine.runs.worker import drive
from tests.runs.inline import InlineExecutor

from .fakes import evaluated, execute, spec_of

BASE = spec_of(teacher="shipped:big")


def test_a_grid_has_a_run_for_each_combination() -> None:
    planned = expand(BASE, {"policy": ["learned", None], "seed": [1, 2]}, with_baseline=False)
    assert [plan.label for plan in planned] == [
        "learned, seed 1",
        "learned, seed 2",
        "no policy, seed 1",
        "no policy, seed 2",
    ]
    assert [plan.spec.seed for plan in planned] == [1, 2, 1, 2]
    assert planned[0].spec.policy is not None and planned[2].spec.policy is None
    assert {plan.role for plan in planned} == {"student"}


def test_a_grid_without_axes_is_one_run() -> None:
    assert expand(BASE, {}, with_baseline=False) == [Planned("student", "student", {}, BASE)]


def test_a_baseline_is_added_for_each_seed_not_for_each_policy() -> None:
    planned = expand(BASE, {"policy": ["learned", "random"], "seed": [1, 2]}, with_baseline=True)
    alone = [plan for plan in planned if plan.role == "alone"]
    assert [plan.label for plan in alone] == ["alone, seed 1", "alone, seed 2"]
    assert len(planned) == 6
    for plan in alone:
        spec = plan.spec
        assert (spec.method.name, spec.teacher, spec.distiller, spec.policy) == (
            "alone",
            None,
            None,
            None,
        )
    assert alone[0].spec.baseline_hash() == planned[2].spec.baseline_hash()


def test_a_baseline_is_added_for_whatever_else_it_shares() -> None:
    planned = expand(BASE, {"schedule.epochs": [1, 2]}, with_baseline=True)
    assert [plan.label for plan in planned] == [
        "alone, epochs 1",
        "alone, epochs 2",
        "epochs 1",
        "epochs 2",
    ]


def test_a_value_that_is_not_allowed_is_named() -> None:
    with pytest.raises(SpecError, match=r"schedule\.epochs = 0 is outside"):
        expand(BASE, {"schedule.epochs": [0]}, with_baseline=False)


def test_an_experiment_is_kept_and_its_runs_wait(workspace: Workspace) -> None:
    planned = expand(spec_of(), {"seed": [1, 2]}, with_baseline=False)
    made = create_experiment(workspace, "seeds", planned, preset="demo", owner="me", tags=("t",))
    assert read_experiment(workspace, made.id) == made
    assert experiments(workspace) == (made,)
    assert RunQueue(workspace).list() == tuple(member.run for member in made.runs)
    meta = workspace.run(made.runs[1].run).meta()
    assert (meta.name, meta.experiment, meta.role) == ("seeds: seed 2", made.id, "alone")
    assert (meta.owner, meta.tags) == ("me", ("t",))
    assert made.runs[1].axes == {"seed": 2}


def test_weights_of_a_planned_run_become_its_id(workspace: Workspace) -> None:
    planned = [
        Planned("teacher", "teacher", {}, spec_of()),
        Planned("taught", "student", {}, spec_of(teacher="run:0")),
    ]
    teacher, student = create_experiment(workspace, "pair", planned).runs
    spec = workspace.run(student.run).spec()
    assert spec.teacher is not None and spec.teacher.weights == f"run:{teacher.run}"
    assert student.waits_for == (teacher.run,)
    assert waits_for(workspace, workspace.run(student.run)) == (teacher.run,)
    assert waits_for(workspace, workspace.run(teacher.run)) == ()


def test_weights_of_a_run_that_is_over_are_not_waited_for(
    workspace: Workspace, run: RunFolder
) -> None:
    plan = Planned("taught", "student", {}, spec_of(teacher=f"run:{run.id}"))
    RunQueue(workspace).add(run.id)
    assert create_experiment(workspace, "early", [plan]).runs[0].waits_for == (run.id,)
    drive(run, execute)
    assert create_experiment(workspace, "late", [plan]).runs[0].waits_for == ()


@pytest.mark.parametrize("weights", ["run:0", "run:7", "run:20200101-000000-aaaaaa"])
def test_weights_of_no_run_are_refused_and_no_run_is_left(
    workspace: Workspace, weights: str
) -> None:
    with pytest.raises(WorkspaceError):
        create_experiment(
            workspace, "bad", [Planned("taught", "student", {}, spec_of(teacher=weights))]
        )
    assert workspace.runs() == ()


def test_a_full_disk_leaves_no_run_behind(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, []

    def fsync(file: int) -> None:
        calls.append(file)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, "full")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(WorkspaceError, match="is full"):
        create_experiment(
            workspace, "big", expand(spec_of(), {"seed": [1, 2, 3]}, with_baseline=False)
        )
    assert workspace.runs() == () and experiments(workspace) == ()


def test_an_unknown_or_unreadable_experiment_is_told(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="there is no experiment"):
        read_experiment(workspace, "../x")
    (workspace.experiments / "bad.json").write_text("{}")
    with pytest.raises(WorkspaceError, match="experiment bad cannot be read"):
        read_experiment(workspace, "bad")
    assert experiments(workspace) == ()


def test_figures_are_means_over_the_seeds_of_one_setting(workspace: Workspace) -> None:
    base = spec_of(teacher="shipped:big")
    planned = expand(base, {"policy": ["learned", "random"], "seed": [1, 2]}, with_baseline=True)
    made = create_experiment(workspace, "all", planned)
    assert figures(workspace, made) == {"teacher": None, "alone": None, "student": None}
    for member in made.runs:
        right = 0.5 if member.role == "alone" else 0.6
        right += 0.1 * float(member.axes["seed"] or 0)
        right = 0.0 if member.axes.get("policy") == "random" else right
        teacher = evaluated((0, 0, 0), net="teacher", weights="given", figures={"accuracy": 0.9})
        student = evaluated((0, 1, 0), figures={"accuracy": right})
        workspace.run(member.run).log.append([teacher, student])
    found = figures(workspace, made)
    assert found == pytest.approx({"teacher": 0.9, "alone": 0.65, "student": 0.75})
    first = next(member for member in made.runs if member.role == "student")
    told = evaluated((0, 1, 0), split="test", figures={"accuracy": 0.4})
    workspace.run(first.run).log.append([told])
    assert figures(workspace, made) == {"teacher": None, "alone": None, "student": 0.4}


def test_a_student_alone_is_told_on_the_test_split_too(workspace: Workspace) -> None:
    alone = spec_of().replace(method="alone", teacher=None, distiller=None, policy=None)
    made = create_experiment(workspace, "alone", expand(alone, {}, with_baseline=False))
    for split, right in (("validation", 0.9), ("test", 0.6)):
        told = evaluated((0, 1, 0), split=split, figures={"accuracy": right})
        workspace.run(made.runs[0].run).log.append([told])
    assert figures(workspace, made)["alone"] == 0.6


def test_a_baseline_is_the_newest_finished_run_of_equal_conditions(workspace: Workspace) -> None:
    taught = spec_of(teacher="shipped:big", seed=3)
    assert find_baseline(workspace, taught) is None
    finished = [workspace.create(spec_of(seed=3), Meta()) for _ in range(2)]
    for run in [*finished, workspace.create(taught, Meta())]:
        drive(run, execute)
    workspace.create(spec_of(seed=3), Meta())
    drive(workspace.create(spec_of(seed=4), Meta()), execute)
    found = find_baseline(workspace, taught)
    assert found is not None and found.id == finished[1].id


PRESET = """
title: A pair
source: nobody, nowhere
note: For a test
base:
  data: {name: fake}
  student: {name: small}
  method: {name: spot_adaptive}
  teacher: {name: big, weights: "run:0"}
  distiller: {name: at}
  policy: {name: learned}
  schedule: {epochs: 2}
  device: cpu
runs:
  - role: teacher
    label: teacher
    set: {student: big, teacher: null, distiller: null, policy: null, method: alone}
  - role: alone
    label: alone
    set: {teacher: null, distiller: null, policy: null, method: alone}
  - role: student
    label: taught
    set: {distiller.knobs.power: 4}
axes:
  policy: [learned, random]
  seed: [1, 2]
"""


def test_a_preset_is_read_and_planned(tmp_path: Path) -> None:
    (tmp_path / "pair.yaml").write_text(PRESET)
    (preset,) = load_presets(tmp_path)
    assert (preset.name, preset.title, preset.source) == ("pair", "A pair", "nobody, nowhere")
    planned = preset.planned()
    assert [plan.label for plan in planned] == [
        "teacher",
        "alone, seed 1",
        "alone, seed 2",
        "taught, learned, seed 1",
        "taught, learned, seed 2",
        "taught, random, seed 1",
        "taught, random, seed 2",
    ]
    assert planned[0].spec.student.name == "big" and planned[0].spec.teacher is None
    last = planned[-1].spec
    assert last.teacher is not None and last.teacher.weights == "run:0"
    assert last.distiller is not None and last.distiller.knobs == {"power": 4}
    assert planned == preset.planned()


def test_weights_in_a_preset_follow_the_first_run_of_their_entry(tmp_path: Path) -> None:
    moved = PRESET.replace('weights: "run:0"', 'weights: "run:1"').replace(
        "  - role: teacher\n    label: teacher\n",
        "  - role: alone\n    set: {teacher: null, distiller: null, policy: null, method: alone}\n"
        "  - role: teacher\n    label: teacher\n",
    )
    (tmp_path / "pair.yaml").write_text(moved)
    planned = load_presets(tmp_path)[0].planned()
    assert [plan.role for plan in planned[:3]] == ["alone", "alone", "teacher"]
    last = planned[-1].spec
    assert last.teacher is not None and last.teacher.weights == "run:2"


def test_a_preset_is_run_as_an_experiment(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "pair.yaml").write_text(PRESET)
    (preset,) = load_presets(tmp_path)
    made = create_experiment(workspace, preset.title, preset.planned(), preset=preset.name)
    executor = InlineExecutor(execute)
    for member in made.runs:
        executor.submit(workspace.run(member.run))
    assert {done.status for done in executor.poll()} == {"finished"}
    assert figures(workspace, made)["student"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("title: [", "preset bad.yaml: this is no YAML"),
        ("title: x", "preset bad.yaml: base is missing"),
        ("title: x\nbase: {}", "preset bad.yaml: data is missing"),
        ("title: x\nbase: {}\ncolour: red", "preset bad.yaml: a run has no setting 'colour'"),
    ],
)
def test_a_preset_that_describes_nothing_is_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(SpecError, match=why):
        load_presets(tmp_path)


def test_a_preset_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "pair.yaml").write_text(PRESET)
    presets = load_presets(tmp_path)
    assert find_preset(presets, "pair") is presets[0]
    with pytest.raises(SpecError, match="no preset 'other'; known: pair"):
        find_preset(presets, "other")
