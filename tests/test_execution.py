"""Whole runs on tiny nets, drawn by the worker's `drive` in this process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file

import engine.execution
from engine.data.batch import Batch
from engine.events import (
    ArtefactSaved,
    At,
    CheckpointSaved,
    CostMeasured,
    Evaluated,
    Event,
    Note,
    PhaseBegan,
    RunContinued,
    RunEnded,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopping,
    SpotsChosen,
    SpotsCounted,
    StepTaken,
    results_of,
)
from engine.execution import execute
from engine.runs.control import Control, Word
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.worker import Execute, drive
from engine.spec import RunSpec
from engine.training.checkpoint import Checkpoint, differing_weights, load_checkpoint

Make = Callable[[RunSpec], RunFolder]

POSITIONS = [
    *((0, 0, step) for step in range(1, 6)),
    *((1, epoch, step) for epoch in (0, 1) for step in range(1, 6)),
]


NUM_EVENTS = 42  # in the log of the whole run


class Killed(BaseException):
    """As SIGKILL: nothing after it is written."""


class Script(Control):
    """Says each word once, at its position; ends the n-th look from inside an evaluation."""

    def __init__(
        self,
        words: dict[At, list[Word]] | None = None,
        *,
        ends_at: tuple[int, Word] | None = None,
        before: list[Word] | None = None,
    ) -> None:
        self.at = (0, 0, 0)
        self.steps_per_second = 0.0
        self._words = {at: [*said] for at, said in (words or {}).items()}
        self._before = before or []
        self._has_begun = False
        self._ends_at, self._looks = ends_at, 0

    def look(self) -> Word | None:
        waiting = self._words.get(self.at, []) if self._has_begun else self._before
        return waiting.pop(0) if waiting else None

    def wait(self) -> Word:
        word = self.look()
        assert word is not None, "a paused run would wait for ever"
        return word

    def ending(self) -> Any:
        self._looks += 1
        if self._ends_at is not None and self._looks >= self._ends_at[0]:
            return self._ends_at[1]
        waiting = self._words.get(self.at, []) if self._has_begun else self._before
        return next((word for word in waiting if word in ("stop", "interrupt")), None)

    def beat(self, at: At, steps_per_second: float) -> None:
        self.at, self._has_begun = at, True


def told(script: Control) -> Execute:
    def run(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
        return (yield from execute(folder, script))

    return run


def killed_after(count: int) -> Execute:
    """Dies when so many events have been kept."""

    def run(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
        events = execute(folder, control)
        for _ in range(count):
            yield next(events)
        raise Killed

    return run


def events_of(run: RunFolder) -> list[Event]:
    events, _, skipped = run.log.read()
    assert skipped == 0
    return events


def of_kind(run: RunFolder, kind: type) -> list[Any]:
    return [event for event in events_of(run) if isinstance(event, kind)]


def ended(run: RunFolder) -> RunEnded:
    last = events_of(run)[-1]
    assert isinstance(last, RunEnded)
    return last


def checkpoint(run: RunFolder) -> Checkpoint:
    return load_checkpoint(run.checkpoints / "last.pt")


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of nested containers by its path."""
    if isinstance(value, dict):
        return {k: v for name in value for k, v in flat(value[name], f"{path}.{name}").items()}
    if isinstance(value, list | tuple):
        return {k: v for i, one in enumerate(value) for k, v in flat(one, f"{path}.{i}").items()}
    return {path: value}


def assert_same(found: Any, expected: Any) -> None:
    found, expected = flat(found), flat(expected)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(found[name], value), name
        else:
            assert found[name] == value, name


def assert_equal_runs(found: RunFolder, expected: RunFolder) -> None:
    """Results, weights, optimisers and what is left behind, bit for bit."""
    assert results_of(events_of(found)) == results_of(events_of(expected))
    assert differing_weights(found.checkpoints, expected.checkpoints) == ""
    ours, theirs = checkpoint(found), checkpoint(expected)
    for part in ("position", "optimizers", "tally", "best_figure", "best_at", "circumstances"):
        assert_same(getattr(ours, part), getattr(theirs, part))
    for name in ("student_last.safetensors", "student_best.safetensors"):
        assert_same(load_file(found.artefacts / name), load_file(expected.artefacts / name))
    if (expected.artefacts / "spots.npz").exists():
        with (
            np.load(found.artefacts / "spots.npz") as mine,
            np.load(expected.artefacts / "spots.npz") as other,
        ):
            assert all(np.array_equal(mine[name], other[name]) for name in other.files)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.open(tmp_path_factory.mktemp("runs") / "workspace")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.teacher_file(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module", autouse=True)
def some_steps_are_told_together() -> Any:
    """So that a run may be left with open sums, and in the middle of an evaluation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.training.loop.TELLINGS_PER_EPOCH", 2)
        patch.setattr("engine.assembly.EVALUATION_BATCH", tiny.HELD // 2)
        yield


@pytest.fixture(scope="module")
def make(workspace: Workspace) -> Make:
    return lambda spec: workspace.create(spec, Meta(name="run"))


@pytest.fixture(scope="module")
def spec(teacher: Path) -> RunSpec:
    """Two phases and a policy that learns at every second step."""
    return tiny.spec_of(teacher, knobs={"policy_every": 2})


@pytest.fixture(scope="module")
def whole(make: Make, spec: RunSpec) -> RunFolder:
    """The run that nobody disturbs."""
    run = make(spec)
    assert drive(run, execute) == "finished"
    return run


# What a run tells


def test_a_run_tells_its_phases_steps_choices_and_figures_in_order(whole: RunFolder) -> None:
    events = events_of(whole)
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunEnded)
    begun = of_kind(whole, PhaseBegan)
    assert [(one.at, one.phase, one.epochs, one.steps) for one in begun] == [
        ((0, 0, 0), "factor", 1, 5),
        ((1, 0, 0), "distil", 2, 5),
    ]
    assert {one.phases for one in begun} == {("factor", "distil")}
    assert {one.total_steps for one in begun} == {15}
    assert [(one.at, one.count) for one in of_kind(whole, StepTaken)] == [
        ((phase, epoch, step), count)
        for phase, epoch in ((0, 0), (1, 0), (1, 1))
        for step, count in ((2, 2), (4, 2), (5, 1))
    ]
    assert [one.at for one in of_kind(whole, SpotsChosen)] == [
        (1, epoch, step) for epoch in (0, 1) for step in (2, 4, 5)
    ]
    assert [one.at for one in of_kind(whole, SpotsCounted)] == [(1, 1, 0), (1, 2, 0)]


def test_positions_never_go_back(whole: RunFolder) -> None:
    positions = [event.at for event in events_of(whole) if event.is_result]
    assert positions == sorted(positions)


def test_the_student_is_measured_before_each_epoch_and_at_the_end(whole: RunFolder) -> None:
    figures = of_kind(whole, Evaluated)
    places = [(one.at, one.net, one.split, one.weights) for one in figures]
    assert places[:3] == [
        ((0, 0, 0), "teacher", "validation", "given"),
        ((0, 0, 0), "teacher", "test", "given"),
        ((0, 0, 0), "student", "validation", "last"),
    ]
    assert places[3:5] == [((1, epoch, 0), "student", "validation", "last") for epoch in (1, 2)]
    assert set(places[5:]) == {
        ((1, 2, 0), "student", "test", "last"),
        ((1, 2, 0), "student", "validation", "best"),
        ((1, 2, 0), "student", "test", "best"),
    }
    assert {one.samples for one in figures} == {tiny.HELD}
    assert not any(one.by_hand for one in figures)


def test_the_best_is_the_highest_figure_of_the_validation_split(whole: RunFolder) -> None:
    curve = {
        one.at: one.figures["accuracy"]
        for one in of_kind(whole, Evaluated)
        if one.net == "student" and one.weights == "last" and one.split == "validation"
    }
    trained = {at: value for at, value in curve.items() if at > (0, 0, 0)}
    kept = checkpoint(whole)
    assert kept.best_figure == max(trained.values())
    assert kept.best_at == max(trained, key=lambda at: trained[at])
    best = [one for one in of_kind(whole, Evaluated) if one.weights == "best"]
    by_split = {one.split: one.figures["accuracy"] for one in best}
    assert by_split["validation"] == kept.best_figure
    assert set(by_split) == {"validation", "test"}


def test_costs_and_artefacts_are_told_with_their_sizes(whole: RunFolder) -> None:
    assert [one.net for one in of_kind(whole, CostMeasured)] == ["teacher", "student"]
    saved = {one.name: one for one in of_kind(whole, ArtefactSaved)}
    assert set(saved) == {"student_best.safetensors", "student_last.safetensors", "spots.npz"}
    for name, one in saved.items():
        assert (whole.artefacts / name).stat().st_size == one.bytes
    left = {path.name for path in whole.artefacts.iterdir()}
    assert left == {*saved, "summary.json"}


def test_the_last_weights_are_those_of_the_last_checkpoint(whole: RunFolder) -> None:
    stored = load_file(whole.artefacts / "student_last.safetensors")
    modules = checkpoint(whole).modules
    own = {k.removeprefix("student."): v for k, v in modules.items() if k.startswith("student.")}
    assert_same(stored, own)


def test_the_table_of_choices_holds_every_sample_once(whole: RunFolder) -> None:
    with np.load(whole.artefacts / "spots.npz") as table:
        assert table["label"].tolist() == (np.arange(tiny.TRAIN) % 4).tolist()
        assert table["kept"].shape == table["probability"].shape == (tiny.TRAIN, 2)
        counted = of_kind(whole, SpotsCounted)[-1]
        assert sum(counted.samples) == tiny.TRAIN
        assert table["kept"].sum(axis=0).tolist() == [sum(row) for row in counted.kept]


def test_a_run_says_where_it_ran(whole: RunFolder) -> None:
    found = json.loads((whole.path / "environment.json").read_text())
    assert found["threads"] == "1"
    assert found["torch"] == torch.__version__
    assert found["settings"] == whole.spec().hash()
    assert found["data set"] and found["teacher"]
    assert {"torch", "numpy", "pydantic"} <= set(found["versions"])


def test_what_a_spec_leaves_open_is_settled_and_kept(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0})
    run = make(tiny.spec_of(device="auto", threads=0, **{"schedule.epochs": 1}))
    assert drive(run, execute) == "finished"
    assert (run.spec().device, run.spec().threads) == ("cpu", 1)


def test_an_open_precision_is_settled_before_training_and_kept(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.execution, "faster_precision", lambda *given: ("bfloat16", 1.5))
    run = make(tiny.spec_of(precision="auto", **{"schedule.epochs": 1}))
    assert drive(run, execute) == "finished"
    assert run.spec().precision == "bfloat16"
    assert any("1.50 x" in note.text for note in of_kind(run, Note))


def test_a_student_alone_needs_no_teacher_and_tells_no_choices(make: Make) -> None:
    run = make(tiny.spec_of())
    assert drive(run, execute) == "finished"
    assert [one.phase for one in of_kind(run, PhaseBegan)] == ["train"]
    assert of_kind(run, SpotsChosen) == of_kind(run, SpotsCounted) == []
    assert {one.net for one in of_kind(run, Evaluated)} == {"student"}


def test_a_run_may_choose_its_best_on_the_test_split(make: Make) -> None:
    run = make(tiny.spec_of(select_on="test"))
    assert drive(run, execute) == "finished"
    figures = of_kind(run, Evaluated)
    shown = [one.split for one in figures if one.weights == "last" and one.at < (0, 2, 0)]
    assert set(shown) == {"test"}
    assert {one.split for one in figures if one.at == (0, 2, 0)} == {"test", "validation"}


def test_evaluating_and_saving_less_often_changes_no_weight(make: Make) -> None:
    changes = {"schedule.epochs": 3}
    often = make(tiny.spec_of(**changes))
    seldom = make(tiny.spec_of(evaluate_every=2, save_every=3, **changes))
    for run in (often, seldom):
        assert drive(run, execute) == "finished"
    assert differing_weights(often.checkpoints, seldom.checkpoints) == ""
    trained = [one for one in of_kind(seldom, Evaluated) if one.weights == "last"]
    assert {one.at for one in trained} == {(0, 0, 0), (0, 2, 0), (0, 3, 0)}
    assert [one.position for one in of_kind(seldom, CheckpointSaved)] == [(0, 3, 0)]


def test_a_trained_student_can_teach_and_can_go_on(make: Make) -> None:
    first = make(tiny.spec_of())
    assert drive(first, execute) == "finished"
    taught = tiny.spec_of("none", distiller="kd").replace(
        **{"teacher.name": tiny.STUDENT, "teacher.weights": f"run:{first.id}"}
    )
    longer = tiny.spec_of(**{"student.weights": f"run:{first.id}"})
    for run in (make(taught), make(longer)):
        assert drive(run, execute) == "finished"
    best = next(
        one.figures
        for one in of_kind(first, Evaluated)
        if (one.weights, one.split) == ("best", "validation")
    )
    start = next(one for one in of_kind(run, Evaluated) if one.net == "student")
    assert start.at == (0, 0, 0)
    assert start.figures == best


# The same spec gives the same run


def test_two_runs_of_one_spec_are_equal(make: Make, spec: RunSpec, whole: RunFolder) -> None:
    again = make(spec)
    assert drive(again, execute) == "finished"
    assert_equal_runs(again, whole)


def test_another_seed_gives_another_run(make: Make, spec: RunSpec, whole: RunFolder) -> None:
    other = make(spec.replace(seed=4))
    assert drive(other, execute) == "finished"
    assert results_of(events_of(other)) != results_of(events_of(whole))
    assert differing_weights(other.checkpoints, whole.checkpoints)


@pytest.mark.parametrize(
    ("at", "word"),
    [
        *((at, "stop") for at in POSITIONS),
        *((at, "interrupt") for at in ((0, 0, 5), (1, 0, 3), (1, 1, 5))),
    ],
)
def test_a_run_ended_after_any_step_goes_on_exactly(
    make: Make, spec: RunSpec, whole: RunFolder, at: At, word: Word
) -> None:
    run = make(spec)
    assert drive(run, told(Script({at: [word]}))) == {"stop": "stopped"}.get(word, "interrupted")
    assert checkpoint(run).position == at
    assert drive(run, execute) == "finished"
    resumed = of_kind(run, RunResumed)
    assert [one.position for one in resumed] == [at]
    assert_equal_runs(run, whole)


# 3 looks while it prepares; 2 batches each for the teacher on two splits, the student before
# training, after each epoch and on the test split, and the best on two splits.
@pytest.mark.parametrize("number", range(1, 20))
def test_a_run_ended_during_any_evaluation_goes_on_exactly(
    make: Make, spec: RunSpec, whole: RunFolder, number: int
) -> None:
    run = make(spec)
    assert drive(run, told(Script(ends_at=(number, "interrupt")))) == "interrupted"
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


@pytest.mark.parametrize(
    "count", [pytest.param(n, marks=[pytest.mark.slow] * (n % 2)) for n in range(1, NUM_EVENTS)]
)
def test_a_run_killed_after_any_event_goes_on_exactly(
    make: Make, spec: RunSpec, whole: RunFolder, count: int
) -> None:
    assert len(events_of(whole)) == NUM_EVENTS
    run = make(spec)
    with pytest.raises(Killed):
        drive(run, killed_after(count))
    assert run.status() == "interrupted"
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


def test_a_run_stopped_again_and_again_goes_on_exactly(
    make: Make, spec: RunSpec, whole: RunFolder
) -> None:
    run = make(spec)
    for at in POSITIONS:
        assert drive(run, told(Script({at: ["stop"]}))) == "stopped"
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


def test_a_run_killed_far_after_its_last_checkpoint_goes_on_exactly(
    make: Make, teacher: Path
) -> None:
    spec = tiny.spec_of(teacher, distiller="at", save_every=10, **{"schedule.epochs": 3})
    plain, run = make(spec), make(spec)
    assert drive(plain, execute) == "finished"
    with pytest.raises(Killed):
        drive(run, killed_after(25))
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, plain)


@pytest.mark.parametrize("at", [(0, 0, 2), (1, 0, 3), (1, 0, 5), (1, 1, 4)], ids=str)
def test_pausing_saving_and_evaluating_by_hand_change_nothing(
    make: Make, spec: RunSpec, whole: RunFolder, at: At
) -> None:
    run = make(spec)
    words: list[Word] = ["evaluate", "save", "pause", "save", "evaluate", "pause", "continue"]
    assert drive(run, told(Script({at: words}))) == "finished"
    assert len(of_kind(run, RunPaused)) == len(of_kind(run, RunContinued)) == 1
    by_hand = [one for one in of_kind(run, Evaluated) if one.by_hand]
    assert [one.at for one in by_hand] == [at, at]
    assert [one.position for one in of_kind(run, CheckpointSaved) if one.by_hand] == [at, at]
    assert_equal_runs(run, whole)


def test_a_checkpoint_saved_by_hand_is_where_a_killed_run_goes_on(
    make: Make, spec: RunSpec, whole: RunFolder
) -> None:
    def dying(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
        for event in execute(folder, Script({(1, 1, 2): ["save"]})):
            yield event
            if isinstance(event, CheckpointSaved) and event.by_hand:
                break
        raise Killed

    run = make(spec)
    with pytest.raises(Killed):
        drive(run, dying)
    assert drive(run, execute) == "finished"
    assert [one.position for one in of_kind(run, RunResumed)] == [(1, 1, 2)]
    assert_equal_runs(run, whole)


# What a person asks for


def test_a_run_stopped_while_paused_continues_and_stops(make: Make, spec: RunSpec) -> None:
    run = make(spec)
    assert drive(run, told(Script({(1, 0, 2): ["pause", "stop"]}))) == "stopped"
    life = [type(event) for event in run_life(run)]
    assert life == [RunStarted, RunPaused, RunContinued, RunStopping, RunEnded]
    assert checkpoint(run).position == (1, 0, 2)


def run_life(run: RunFolder) -> list[Event]:
    kinds = (RunStarted, RunPaused, RunContinued, RunStopping, RunResumed, RunEnded)
    return [event for event in events_of(run) if isinstance(event, kinds)]


def test_stopping_after_the_epoch_closes_and_measures_it(
    make: Make, spec: RunSpec, whole: RunFolder
) -> None:
    run = make(spec)
    assert drive(run, told(Script({(1, 0, 2): ["stop_after_epoch"]}))) == "stopped"
    assert checkpoint(run).position == (1, 1, 0)
    assert of_kind(run, Evaluated)[-1].at == (1, 1, 0)
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


@pytest.mark.parametrize(("word", "status"), [("stop", "stopped"), ("interrupt", "interrupted")])
def test_a_run_can_be_ended_while_it_prepares(
    make: Make, spec: RunSpec, whole: RunFolder, word: Word, status: str
) -> None:
    run = make(spec)
    assert drive(run, told(Script(before=[word]))) == status
    assert not (run.checkpoints / "last.pt").exists()
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


def test_a_pause_asked_for_while_a_run_prepares_is_kept(
    make: Make, spec: RunSpec, workspace: Workspace
) -> None:
    class Early(Script):
        def look(self) -> Word | None:
            return self._before.pop(0) if self._before else None

    run = make(spec)
    assert drive(run, told(Early(before=["pause", "continue"]))) == "finished"
    assert len(of_kind(run, RunPaused)) == 1


def test_a_stop_during_an_evaluation_by_hand_saves_first(
    make: Make, spec: RunSpec, whole: RunFolder
) -> None:
    class Stopping(Script):
        def ending(self) -> Any:
            return "stop" if self.at == (1, 0, 3) else None

    run = make(spec)
    assert drive(run, told(Stopping({(1, 0, 3): ["evaluate"]}))) == "stopped"
    assert checkpoint(run).position == (1, 0, 3)
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


def test_a_finished_run_driven_again_only_measures_again(
    make: Make, spec: RunSpec, whole: RunFolder
) -> None:
    run = make(spec)
    drive(run, execute)
    assert drive(run, execute) == "finished"
    assert_equal_runs(run, whole)


def test_resuming_under_other_threads_is_told_as_not_exact(
    make: Make, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(spec)
    drive(run, told(Script({(1, 0, 2): ["stop"]})))
    run.write_spec(run.spec().replace(threads=2))
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert drive(run, execute) == "finished"
    notes = [note.text for note in of_kind(run, Note) if note.level == "warning"]
    assert any("these changed: settings, threads." in note for note in notes)


# What a policy must not disturb


@pytest.mark.parametrize("policy", ["all", "none", "random", "learned", "reversed"])
def test_a_policy_does_not_shift_the_order_of_the_images(
    make: Make, teacher: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = seen_batches(make(tiny.spec_of()), monkeypatch)
    routed = tiny.spec_of(teacher, distiller="at", policy=policy)
    assert seen_batches(make(routed), monkeypatch) == plain


def seen_batches(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, float]]:
    """Indices and pixels of every batch that the run trains on."""
    found: list[Any] = []
    real = engine.execution.fit

    def watching(phase: Any, lesson: Any, tally: Any, **rest: Any) -> Any:
        inner = lesson.step

        def step(batch: Batch, number: int) -> Any:
            found.append((batch.index.tolist(), float(batch.image.double().sum())))
            return inner(batch, number)

        object.__setattr__(lesson, "step", step)
        return real(phase, lesson, tally, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(engine.execution, "fit", watching)
        assert drive(run, execute) == "finished"
    return found


def test_teaching_nowhere_gives_the_student_alone(make: Make, teacher: Path) -> None:
    alone = make(tiny.spec_of())
    nowhere = make(tiny.spec_of(teacher, distiller="at", policy="none"))
    for run in (alone, nowhere):
        assert drive(run, execute) == "finished"
    a, b = (load_file(run.artefacts / "student_last.safetensors") for run in (alone, nowhere))
    assert_same(a, b)


# What goes wrong is told in a sentence


def failure(make: Make, spec: RunSpec) -> str:
    run = make(spec)
    assert drive(run, execute) == "failed"
    told = ended(run)
    assert "Error" not in told.message, told.message
    return f"{told.message} {told.hint}"


def test_a_teacher_without_weights_is_refused(make: Make) -> None:
    found = failure(make, tiny.spec_of("none", distiller="at"))
    assert f"the teacher {tiny.TEACHER} has no weights" in found


def test_a_teacher_of_other_classes_is_refused(make: Make, tmp_path: Path) -> None:
    found = failure(make, tiny.spec_of(tiny.teacher_file(tmp_path, num_classes=7)))
    assert "7" in found and "4" in found


def test_a_missing_file_of_weights_is_refused(make: Make, tmp_path: Path) -> None:
    assert "nothing.pt" in failure(make, tiny.spec_of(tmp_path / "nothing.pt"))


@pytest.mark.parametrize("path", ["data", "student", "method", "distiller", "policy"])
def test_an_unknown_part_is_refused(make: Make, teacher: Path, path: str) -> None:
    spec = tiny.spec_of(teacher, distiller="at").replace(**{path: "nonsense"})
    found = failure(make, spec)
    assert "'nonsense'" in found and "; known: " in found


def test_an_unknown_knob_is_refused(make: Make, teacher: Path) -> None:
    spec = tiny.spec_of(teacher, distiller="at").replace(**{"distiller.knobs.size": 3})
    assert failure(make, spec).startswith("at has no setting 'size'; it has: power, weight")


def test_a_part_that_the_method_does_not_use_is_refused(make: Make, teacher: Path) -> None:
    spec = tiny.spec_of(teacher, distiller="at").replace(method="alone")
    assert "method alone uses no teacher" in failure(make, spec)


def test_a_gpu_that_is_not_there_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = failure(make, tiny.spec_of(device="cuda"))
    assert found == "this machine has no GPU cuda Choose device cpu."


def test_a_batch_larger_than_the_data_is_refused(make: Make) -> None:
    changes = {"schedule.batch": 64, "schedule.drop_last": True}
    found = failure(make, tiny.spec_of(**changes))
    assert "a batch of 64 is larger than the training split of 50 images" in found


def test_an_incomplete_batch_is_trained_on(make: Make) -> None:
    run = make(tiny.spec_of(**{"schedule.batch": 49, "schedule.epochs": 1}))
    assert drive(run, execute) == "finished"
    assert [one.steps for one in of_kind(run, PhaseBegan)] == [2]


def test_a_loss_that_is_not_finite_ends_the_run_with_its_place(make: Make, teacher: Path) -> None:
    spec = tiny.spec_of(teacher, distiller="fitnet", policy="all")
    run = make(spec.replace(**{"schedule.lr": 10, "distiller.knobs.weight": 1e6}))
    assert drive(run, execute) == "failed"
    message = ended(run).message
    assert message.startswith("The loss is not finite in phase distil, epoch 1, step ")
    assert "term: " in message
    assert "lower the learning rate" in ended(run).hint
    assert b"NaN" not in run.log.path.read_bytes()


def test_a_teacher_whose_answers_are_not_finite_is_told_so(make: Make, tmp_path: Path) -> None:
    found = failure(make, tiny.spec_of(tiny.teacher_file(tmp_path, broken=True)))
    assert "not finite" in found and "teacher" in found


def test_a_damaged_checkpoint_is_told_in_a_sentence(make: Make) -> None:
    run = make(tiny.spec_of())
    drive(run, told(Script({(0, 0, 2): ["stop"]})))
    path = run.checkpoints / "last.pt"
    path.write_bytes(path.read_bytes()[:-200])
    assert drive(run, execute) == "failed"
    assert "last.pt cannot be read" in ended(run).message


def test_a_failed_run_can_go_on_when_its_cause_is_gone(
    make: Make, tmp_path: Path, teacher: Path
) -> None:
    path = tmp_path / "late.safetensors"
    run, plain = make(tiny.spec_of(path)), make(tiny.spec_of(teacher))
    assert drive(run, execute) == "failed"
    path.write_bytes(teacher.read_bytes())
    assert drive(run, execute) == drive(plain, execute) == "finished"
    assert results_of(events_of(run)) == results_of(events_of(plain))


def test_a_teacher_that_guesses_is_warned_of(whole: RunFolder) -> None:
    notes = Counter(note.level for note in of_kind(whole, Note))
    accuracy = of_kind(whole, Evaluated)[1].figures["accuracy"]
    assert (notes["warning"] == 1) == (accuracy < 1.5 / 4)
