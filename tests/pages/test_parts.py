"""The tab Parts."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.events import (
    ArtefactSaved,
    CheckpointSaved,
    Event,
    PhaseBegan,
    RunEnded,
    RunStarted,
    StepTaken,
)
from engine.runs.experiment import Planned, create_experiment
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.job_process import JobProcess, JobState
from engine.spec import Choice, RunSpec
from tests.pages.canned import BEGAN, CLASSES, spec_of

TERMS = {"task": 1.0, "inherit": 0.5, "explore": -1.0, "inherit distance": 0.01}
LIKENESS = {"teacher, inherit": 0.5, "teacher, explore": 0.45, "inherit, explore": 0.9}

Jobs = Callable[[str, Mapping[str, Any]], JobState]


def split(**knobs: Any) -> RunSpec:
    method = Choice(name="inherit_explore", knobs=knobs)
    return spec_of("taught").model_copy(
        update={"method": method, "distiller": Choice(name="coder"), "policy": None}
    )


def together(**knobs: Any) -> RunSpec:
    method = Choice(name="mutual", knobs=knobs)
    return spec_of("alone").model_copy(update={"method": method})


def events(*, phases: int = 2, saved: int = 2, whole: bool = True) -> list[Event]:
    """A factor phase and one that splits, with a distance that grows; saved after some epochs."""
    names = ("factor", "distil")[2 - phases :]
    told: list[Event] = [RunStarted(time=BEGAN)]
    for place, name in enumerate(names):
        begun = PhaseBegan(
            at=(place, 0, 0), phase=name, epochs=2, steps=20, phases=names, total_steps=40
        )
        told.append(begun)
    last = phases - 1
    for step in range(1, 21):
        terms = {**TERMS, "explore distance": 0.001 * step}
        told.append(StepTaken(at=(last, 0, step), count=1, terms=terms, rates={}))
    for epoch in range(1, saved + 1):
        told.append(CheckpointSaved(position=(last, epoch, 0), which="last"))
    return [*told, RunEnded(time=BEGAN + 9, status="finished")] if whole else told


def add(workspace: Workspace, spec: RunSpec, told: list[Event]) -> RunFolder:
    folder = workspace.create(spec, Meta(name="Split", role="student"))
    folder.log.append(told)
    folder.write_environment({"classes": CLASSES})
    return folder


def value_of(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the job of a kind may answer."""
    if kind == "part_answers":
        figures = {"accuracy": 0.6, "agreement": 0.5}
        return {"images": 9, "figures": dict.fromkeys(("inherit", "explore", "both"), figures)}
    if kind == "part_pictures":
        out = io.BytesIO()
        Image.new("RGBA", (8, 2)).save(out, "PNG")
        names = ("teacher", "inherit", "explore", "both")[:: 1 if params["fails"] else 3]
        shown = {
            "row": 4,
            "label": "shape 1",
            "said": dict.fromkeys(names, "shape 2"),
            "image": base64.b64encode(out.getvalue()).decode(),
        }
        return {"images": 7, "shown": [shown] if params["fails"] != "both" else []}
    if kind == "part_likeness":
        return {"images": 9, "raw": LIKENESS, "codes": {} if params["of"] else LIKENESS}
    if kind == "part_neurons":
        maps = ("teacher", "inherit", "explore")
        return {
            "images": 9,
            "left_out": [0.01, 0.05, 0.1],
            "counts": dict.fromkeys(maps, (3, 2, 1)),
            "sizes": dict.fromkeys(maps, 64),
        }
    return {"images": 9, "mean": 1 + params["sigma"], "std": 0.0}


class Asked:
    """Stands for the job process; remembers what was asked, in order."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, Mapping[str, Any]]] = []
        self.answer: Jobs = lambda kind, params: JobState("done", value_of(kind, params))

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(kind for kind, _ in self.jobs))

    def params(self, kind: str) -> list[Mapping[str, Any]]:
        return [params for asked, params in self.jobs if asked == kind]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found = Asked()

    def ask(_: object, kind: str, params: Mapping[str, Any], **_more: Any) -> JobState:
        if kind == "catalogue":
            return JobState("waiting")
        found.jobs.append((kind, params))
        return found.answer(kind, params)

    monkeypatch.setattr(JobProcess, "ask", ask)
    return found


def opened(open_page, folder: RunFolder, **query: str) -> AppTest:
    app = open_page("run", run=folder.id, run_tab="Parts", **query)
    assert not app.exception
    return app


def told(app: AppTest) -> str:
    boxes = (*app.main.info, *app.main.warning, *app.main.success)
    kinds = (*app.main.markdown, *app.main.caption, *boxes)
    return "\n".join(str(one.value) for one in kinds)


@pytest.mark.parametrize("spec", [spec_of("alone"), spec_of("taught"), together()])
def test_a_student_that_is_not_split_is_told_what_the_tab_is_for(
    workspace: Workspace, open_page, asked: Asked, spec: RunSpec
) -> None:
    said = told(opened(open_page, add(workspace, spec, events())))
    assert "This tab is for students whose last feature map is in two parts" in said
    assert asked.jobs == []


def test_jobs_are_asked_for_one_after_another_and_nobody_waits(
    workspace: Workspace, open_page, asked: Asked
) -> None:
    asked.answer = lambda kind, params: JobState("running")
    app = opened(open_page, add(workspace, split(), events()))
    assert asked.kinds == ["part_answers"]
    assert [one.label for one in app.status] == ["Asking each part alone"]
    assert "Parts of the loss of the student" in told(app)
    assert "How alike the maps are" not in told(app)


def test_what_is_measured_is_shown_in_full(workspace: Workspace, open_page, asked: Asked) -> None:
    folder = add(workspace, split(), events())
    app = opened(open_page, folder)
    assert asked.kinds == [
        *("part_answers", "part_likeness", "part_pictures", "part_neurons", "student_flatness"),
    ]
    assert all(tuple(params["weights"]) == (folder.id, (1, 2, 0)) for _, params in asked.jobs)
    said = told(app)
    for words in (
        "weights saved after epoch 2 of phase *distil*",
        "Distance from the teacher",
        "What each part knows by itself",
        "How alike the maps are",
        "Active neurons",
        "never more than 9, the classes less one",
        "Flatness of the minimum",
        "At sigma 0.05 the loss rises, in nats: this student by 0.05",
        "Such images: 7",
        "cannot be told without the same student alone",
    ):
        assert words in said
    assert not app.status


def test_curves_are_there_from_the_first_step_and_the_rest_from_the_first_weights(
    workspace: Workspace, open_page, asked: Asked
) -> None:
    empty = add(workspace, split(), [])
    assert "The curves begin with the first steps" in told(opened(open_page, empty))
    early = add(workspace, split(), events(saved=0))
    said = told(opened(open_page, early))
    assert "Parts of the loss" in said and "first weights are saved" in said
    assert asked.jobs == []


def test_one_part_alone_is_not_compared(workspace: Workspace, open_page, asked: Asked) -> None:
    said = told(opened(open_page, add(workspace, split(ratio=1.0), events())))
    assert "all channels are one part" in said
    assert asked.jobs == []


def test_two_nets_that_learn_together_are_compared_with_each_other(
    workspace: Workspace, open_page, asked: Asked
) -> None:
    spec = together(inherit_weight=50.0, explore_weight=50.0)
    told_too = {f"peer: {name}": value for name, value in TERMS.items()}
    step = StepTaken(at=(0, 1, 20), count=1, terms=told_too, rates={})
    plain = events(phases=1)
    said = told(opened(open_page, add(workspace, spec, [*plain[:-1], step, plain[-1]])))
    assert "Parts of the loss of the peer" in said
    assert "Distance from the other net" in said
    assert "Of the two nets it is the student that is measured" in said


@pytest.fixture
def experiment(workspace: Workspace) -> list[RunFolder]:
    """The student alone, taught by soft labels, and split; all finished."""
    soft = spec_of("taught").replace(distiller="kd", policy="all")
    planned = [
        Planned("alone", "alone", {}, spec_of("alone")),
        Planned("kd", "student", {}, soft),
        Planned("split", "student", {}, split()),
    ]
    made = create_experiment(workspace, "Split", planned, is_queued=False)
    folders = [workspace.run(member.run) for member in made.runs]
    for folder, phases in zip(folders, (1, 1, 2), strict=True):
        folder.log.append(events(phases=phases))
    return folders


def test_the_other_students_of_the_experiment_stand_beside(
    open_page, asked: Asked, experiment: list[RunFolder]
) -> None:
    alone, soft, mine = experiment
    app = opened(open_page, mine)
    of = [params["of"] for params in asked.params("part_likeness")]
    assert of == [None, (alone.id, (0, 2, 0)), (soft.id, (0, 2, 0))]
    disturbed = {params["weights"][0] for params in asked.params("student_flatness")}
    assert disturbed == {mine.id, alone.id}
    (warning,) = app.main.warning
    assert "satisfied by its encoder alone" in warning.value


def test_an_encoder_that_does_not_learn_is_not_blamed(
    workspace: Workspace, open_page, asked: Asked, experiment: list[RunFolder]
) -> None:
    folder = add(workspace, split(exploration_encoder="frozen"), events())
    (warning,) = opened(open_page, folder).main.warning
    assert "the features are as alike as before" in warning.value
    assert "encoder" not in warning.value


def test_the_verdict_waits_until_the_student_alone_is_measured(
    open_page, asked: Asked, experiment: list[RunFolder]
) -> None:
    def answer(kind: str, params: Mapping[str, Any]) -> JobState:
        is_open = kind == "part_likeness" and params["of"]
        return JobState("running") if is_open else JobState("done", value_of(kind, params))

    asked.answer = answer
    app = opened(open_page, experiment[2])
    assert "cannot be told without" not in told(app)
    assert [one.label for one in app.status] == ["Comparing the maps"]


def test_images_can_be_chosen_and_there_may_be_none(
    workspace: Workspace, open_page, asked: Asked
) -> None:
    app = opened(open_page, add(workspace, split(), events()))
    box = app.selectbox(key="run_part_images")
    assert box.options[1] == "wrong by the part that explores, right by both"
    box.set_value("both").run()
    assert not app.exception
    assert asked.params("part_pictures")[-1]["fails"] == "both"
    assert "no such image" in told(app)


def test_where_parts_cannot_answer_alone_it_is_said_once_and_the_rest_is_shown(
    workspace: Workspace, open_page, asked: Asked
) -> None:
    def answer(kind: str, params: Mapping[str, Any]) -> JobState:
        if kind == "part_answers":
            return JobState("failed", None, "the logits cannot be split.", "")
        return JobState("done", value_of(kind, params))

    asked.answer = answer
    app = opened(open_page, add(workspace, split(), events()), run_part_images="explore")
    (warning,) = app.main.warning
    assert warning.value.strip() == "The logits cannot be split."
    assert app.selectbox(key="run_part_images").options == ["the first of the split"]
    assert asked.params("part_pictures")[-1]["fails"] == ""
    assert "classes less one" not in told(app)


def test_one_fault_of_many_charts_is_told_once(
    workspace: Workspace, open_page, asked: Asked
) -> None:
    asked.answer = lambda kind, params: JobState("failed", None, "newer weights.", "Measure those.")
    app = opened(open_page, add(workspace, split(), events()))
    (warning,) = app.main.warning
    assert warning.value == "Newer weights. Measure those."


def test_of_a_run_under_way_the_weights_stay_until_newer_ones_are_asked_for(
    workspace: Workspace, open_page, asked: Asked
) -> None:
    folder = add(workspace, split(), events(saved=1, whole=False))
    assert folder.lock.acquire(timeout=1.0)
    try:
        app = opened(open_page, folder)
        assert "after epoch 1" in told(app)
        folder.log.append([CheckpointSaved(position=(1, 2, 0), which="last")])
        app.run()
        assert "after epoch 1" in told(app)
        newer = next(one for one in app.button if one.label == "Measure the newest weights")
        newer.click().run()
        assert not app.exception
        assert "after epoch 2" in told(app)
        app.run()
        assert not any(one.label == "Measure the newest weights" for one in app.button)
    finally:
        folder.lock.release()


def test_the_files_of_every_learner_are_named(
    workspace: Workspace, open_page, asked: Asked
) -> None:
    saved = ArtefactSaved(name="peer_last.safetensors", what="peer, last weights", bytes=1)
    folder = add(workspace, together(), [*events(phases=1), saved])
    (folder.artefacts / "peer_last.safetensors").write_bytes(b"x")
    app = open_page("run", run=folder.id, run_tab="Files")
    assert "`artefacts/peer_last.safetensors` · 1 B · peer, last weights" in told(app)
