"""Distill for segmentation: what fits the task, the few questions, data with masks, the teacher."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine import jobs
from engine.runs.folder import Workspace
from engine.runs.job_process import JobProcess, JobState
from engine.spec import RunSpec, parse_spec
from tests.pages.conftest import Open

SIMILAR = "Also look at pictures of a similar place, without labels"
METHOD = "How the student learns"


@pytest.fixture(scope="module")
def catalogue() -> Mapping[str, Any]:
    return jobs.catalogue()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, catalogue: Mapping[str, Any]) -> dict[str, JobState]:
    """What the job process says, by kind; a test may change it. Nothing else is ever done."""
    from engine.api import Studio

    check: dict[str, object] = {"errors": [], "warnings": [], "costs": {}}
    told = {"check": JobState("done", check)}

    def ask(_: object, kind: str, *_args: object, **_more: object) -> JobState:
        return told.get(kind, JobState("waiting"))

    monkeypatch.setattr(JobProcess, "ask", ask)
    monkeypatch.setattr(Studio, "catalogue", lambda _, **_more: catalogue)
    monkeypatch.setattr(Studio, "is_working", lambda _: True)
    return told


@pytest.fixture
def page(open_page: Open, answers: dict[str, JobState]) -> AppTest:
    app = open_page("distill", goal="segment")
    assert not app.exception
    return app


def one(widgets: Any, label: str) -> Any:
    return next(widget for widget in widgets if widget.label == label)


def has(widgets: Any, label: str) -> bool:
    return any(widget.label == label for widget in widgets)


def take(app: AppTest, kind: str, label: str, value: Any) -> None:
    one(getattr(app, kind), label).set_value(value).run()
    assert not app.exception


def spec_of(app: AppTest) -> RunSpec:
    return parse_spec(str(app.code[0].value))


def texts(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error)
    return "\n".join(str(element.value) for found in kinds for element in found)


def goal(app: AppTest, task: str) -> None:
    one(app.main.segmented_control, "What the student shall do").set_value(task).run()
    assert not app.exception


# What is offered


def test_the_form_holds_a_run_that_can_start_at_once(page: AppTest, workspace: Workspace) -> None:
    spec = spec_of(page)
    assert (spec.task, spec.data.name, spec.student.name) == ("segment", "street_scenes", "ds128")
    assert spec.teacher is not None and spec.teacher.weights == "shipped:street_bottleneck128"
    assert spec.method.name == "spirit" and spec.schedule.epochs * spec.schedule.steps == 380
    assert spec.distiller is None and spec.policy is None
    next(b for b in page.button if "Queue 2 runs" in b.label).click().run()
    assert not page.exception and page.query_params["experiment"]
    found = {run.meta().role: run.spec() for run in workspace.runs()}
    assert found["student"] == spec
    assert found["alone"].method.name == "alone" and found["alone"].teacher is None
    assert found["alone"].schedule == spec.schedule and found["alone"].task == "segment"


def test_only_parts_of_the_task_are_offered(page: AppTest, catalogue: Mapping[str, Any]) -> None:
    def titles(kind: str, *tasks: str) -> set[str]:
        return {e["title"] for e in catalogue[kind] if e["facts"].get("task", "classify") in tasks}

    segmenters = titles("nets", "segment")
    assert set(one(page.selectbox, "Teacher (large)").options) == segmenters
    assert set(one(page.selectbox, "Student (small)").options) == segmenters
    assert set(one(page.selectbox, "Images to learn from").options) == titles("datasets", "segment")
    assert set(one(page.selectbox, METHOD).options) == titles("methods", "segment")
    presets = one(page.selectbox, "Start from").options
    assert any("Spirit" in title for title in presets)
    assert not any("SAKD" in title for title in presets)
    goal(page, "classify")
    assert not segmenters & set(one(page.selectbox, "Student (small)").options)
    assert not any("Spirit" in title for title in one(page.selectbox, "Start from").options)


def test_going_back_and_forth_between_tasks_loses_nothing(page: AppTest) -> None:
    page.session_state["mode"] = "expert"
    page.run()
    take(page, "number_input", "Imitation learning rate", 0.005)
    take(page, "number_input", "Threads", 7)
    before = spec_of(page)
    assert before.method.knobs["imitation_lr"] == 0.005
    goal(page, "classify")
    other = spec_of(page)
    assert other.task == "classify" and other.threads == 7, "what fits both is kept"
    assert other.schedule.steps == 0
    take(page, "selectbox", "Student (small)", "vgg8")
    goal(page, "segment")
    assert spec_of(page) == before
    goal(page, "classify")
    assert spec_of(page) == other.replace(student="vgg8")
    goal(page, "segment")
    one(page.button, "Reset").click().run()
    goal(page, "classify")
    fresh = spec_of(page)
    assert fresh.student.name == "vgg8"
    assert (fresh.method, fresh.schedule) == (other.method, other.schedule)


def test_the_choice_of_the_task_is_there_after_a_reload(page: AppTest, open_page: Open) -> None:
    take(page, "toggle", SIMILAR, False)
    again = open_page("distill")
    assert spec_of(again) == spec_of(page)
    goal(again, "classify")
    goal(again, "segment")
    assert spec_of(again) == spec_of(page)


# The questions


def test_similar_pictures_are_a_plain_choice(page: AppTest) -> None:
    assert "mix" not in spec_of(page).method.knobs
    assert "ESD" in one(page.text_input, "Name").placeholder
    take(page, "toggle", SIMILAR, False)
    assert spec_of(page).method.knobs["mix"] == "target"
    assert one(page.text_input, "Name").placeholder.endswith("· SD")
    take(page, "toggle", SIMILAR, True)
    assert "mix" not in spec_of(page).method.knobs


def test_similar_pictures_need_some(page: AppTest) -> None:
    take(page, "number_input", "Similar pictures, without labels", 0)
    assert one(page.toggle, SIMILAR).disabled and not one(page.toggle, SIMILAR).value
    assert "name such pictures in step 4" in texts(page)
    take(page, "number_input", "Similar pictures, without labels", 8)
    assert not one(page.toggle, SIMILAR).disabled and one(page.toggle, SIMILAR).value


@pytest.mark.parametrize("method", ["pixel_kd", "spirit_joint"])
def test_a_baseline_is_another_way_to_learn(page: AppTest, method: str) -> None:
    take(page, "selectbox", METHOD, method)
    assert spec_of(page).method.name == method
    assert not has(page.toggle, SIMILAR)


def test_without_a_teacher_the_student_learns_alone_and_the_method_comes_back(
    page: AppTest,
) -> None:
    before = spec_of(page)
    take(page, "toggle", "A teacher helps", False)
    assert spec_of(page).method.name == "alone" and spec_of(page).teacher is None
    take(page, "toggle", "A teacher helps", True)
    assert spec_of(page) == before


def test_the_budget_is_told_in_steps(page: AppTest) -> None:
    budget = one(page.main.segmented_control, "How long the student learns, in steps")
    assert budget.value == "Quick · 380"
    budget.set_value("Normal · 1,500").run()
    schedule = spec_of(page).schedule
    assert schedule.epochs * schedule.steps == 1500 and schedule.optimizer == "adam"


def test_expert_shows_the_steps_and_leaves_out_what_has_no_effect(page: AppTest) -> None:
    page.session_state["mode"] = "expert"
    page.run()
    assert one(page.number_input, "Steps").value == 20
    assert not has(page.toggle, "Drop last")
    take(page, "number_input", "Epochs", 5)
    page.run()
    assert spec_of(page).schedule.epochs == 5, "the budget must not take it back"
    assert "5 epochs of 20 steps: 100 steps." in texts(page)
    assert one(page.selectbox, "Mix").value == "natural"


def test_seeds_make_a_run_each_with_its_baseline(page: AppTest, workspace: Workspace) -> None:
    page.session_state["mode"] = "expert"
    page.run()
    take(page, "text_input", "Seeds", "1, 2")
    next(b for b in page.button if "Queue 4 runs" in b.label).click().run()
    found = sorted((run.meta().role, run.spec().seed) for run in workspace.runs())
    assert found == [("alone", 1), ("alone", 2), ("student", 1), ("student", 2)]


def test_a_preset_of_segmentation_fills_the_form_and_the_goal(
    open_page: Open, answers: dict[str, JobState]
) -> None:
    app = open_page("distill", preset="spirit-demo")
    assert not app.exception
    assert one(app.main.segmented_control, "What the student shall do").value == "segment"
    assert spec_of(app).task == "segment"
    assert "All settings are those of the preset" in texts(app)


# Data


def picture(shade: int) -> str:
    out = io.BytesIO()
    Image.new("RGB", (8, 4), (shade, 0, 0)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def samples(**changes: object) -> JobState:
    value = {
        "images": [picture(1)] * 8,
        "overlays": [picture(2)] * 8,
        "labels": ["train"] * 4 + ["validation"] * 4,
        "counts": {"road": 750, "sky": 250, "car": 0},
        "unlabelled": 0,
        "colours": {"road": "#AA0000", "sky": "#0000AA", "car": "#00AA00"},
        "proximity": [picture(3)] * 2,
        "num_proximity": 64,
        "name": "street_scenes",
        "classes": ["road", "sky", "car"],
        "splits": {"train": 4, "validation": 64},
        "notes": ["images of another shape are cut"],
    }
    return JobState("done", {**value, **changes})


def test_eight_pictures_their_masks_and_the_pixels_of_each_class(
    open_page: Open, answers: dict[str, JobState]
) -> None:
    answers["samples"] = samples()
    app = open_page("distill", goal="segment")
    assert not app.exception
    table = next(one.value for one in app.dataframe if "Class" in one.value.columns)
    assert list(table["Class"]) == ["road", "sky", "car"]
    assert list(table["Of the labelled pixels"]) == [75.0, 25.0, 0.0]
    assert "No pixel shows car" in texts(app)
    assert "64 pictures of a similar place" in texts(app)
    assert "Images of another shape are cut." in texts(app)
    assert len(app.get("image")) == 10
    before = [one.proto.imgs[0].url for one in app.get("image")]
    take(app, "toggle", "Draw the masks over the pictures", False)
    after = [one.proto.imgs[0].url for one in app.get("image")]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False] * 8 + [True] * 2


def test_every_fault_of_the_data_is_named_with_the_remedy_and_keeps_the_run_back(
    open_page: Open, answers: dict[str, JobState]
) -> None:
    message = "2 masks differ from their images in size: a.png is 4 x 4; b.png is 5 x 5."
    hint = "Make both the same size."
    answers["samples"] = JobState("failed", None, message, hint, "data")
    fault = {"where": "data", "message": f"{message} {hint}"}
    answers["check"] = JobState("done", {"errors": [fault], "warnings": [], "costs": {}})
    app = open_page("distill", goal="segment")
    (told,) = [str(one.value) for one in app.error]
    assert "- a.png is 4 x 4\n- b.png is 5 x 5" in told
    assert told.endswith(hint)
    assert next(b for b in app.button if "Queue" in b.label).disabled


def test_an_answer_that_comes_while_the_page_is_drawn_is_shown(
    open_page: Open, answers: dict[str, JobState], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [JobState("waiting")]
    late = JobState("failed", None, "there is no folder 'x'.", "Name another.", "data.knobs.path")
    before = JobProcess.ask

    def ask(jobs_: Any, kind: str, *args: Any, **more: Any) -> JobState:
        if kind != "samples":
            return before(jobs_, kind, *args, **more)
        return told.pop() if told else late

    monkeypatch.setattr(JobProcess, "ask", ask)
    app = open_page("distill", goal="segment")
    assert not app.exception
    assert any("There is no folder 'x'." in str(one.value) for one in app.error)


def test_a_folder_is_asked_for_its_pictures_labels_and_similar_ones(page: AppTest) -> None:
    take(page, "selectbox", "Images to learn from", "segmentation_folder")
    take(page, "text_input", "Folder of pictures and masks", "/pictures/camvid")
    take(page, "number_input", "Labelled pictures to learn from", 8)
    assert one(page.toggle, SIMILAR).disabled
    take(page, "text_input", "Folder of similar pictures, without labels", "/pictures/kitti")
    wanted = {"path": "/pictures/camvid", "num_target": 8, "proximity": "/pictures/kitti"}
    assert spec_of(page).data.knobs == wanted
    assert not one(page.toggle, SIMILAR).disabled
    page.session_state["mode"] = "expert"
    page.run()
    take(page, "number_input", "Smallest", 0.75)
    page.session_state["mode"] = "guided"
    page.run()
    assert spec_of(page).data.knobs == {**wanted, "smallest": 0.75}, "what is not asked is kept"


def test_a_folder_with_masks_is_chosen_by_its_name(
    open_page: Open, answers: dict[str, JobState]
) -> None:
    folders = [
        {"name": "camvid", "path": "/x/camvid", "data": "segmentation_folder", "num_classes": 0},
        {"name": "ants", "path": "/x/ants", "data": "image_folder", "num_classes": 2},
    ]
    answers["folders"] = JobState("done", [{**f, "splits": ["train"]} for f in folders])
    app = open_page("distill", goal="segment")
    data = one(app.selectbox, "Images to learn from")
    assert "Folder: camvid" in data.options and "Folder: ants" not in data.options
    data.set_value("camvid").run()
    assert not app.exception
    assert spec_of(app).data.name == "camvid"
    take(app, "text_input", "Folder of similar pictures, without labels", "similar")
    assert not one(app.toggle, SIMILAR).disabled
    assert has(app.number_input, "Labelled pictures to learn from")


# The teacher


def checked(**changes: object) -> JobState:
    counts = {"matched": 1, "missing": 0, "unexpected": 0, "wrong_shape": 0, "renamed": 0}
    value = {
        "net": {"name": "bottleneck128", "knobs": {}, "weights": "x"},
        "report": {"rows": [], "notes": [], **counts},
        "facts": {},
        "classes": [f"thing {n}" for n in range(10)],
        "figures": {},
        "split": "test",
        "samples": 64,
    }
    return JobState("done", {**value, **changes})


def test_a_teacher_of_other_classes_is_fine_where_its_front_is_taught(
    page: AppTest, answers: dict[str, JobState]
) -> None:
    answers["teacher_check"] = checked()
    next(b for b in page.button if b.label == "Check this teacher").click().run()
    assert not page.exception
    assert "knows **10 other classes**" in texts(page)
    assert "its front is what is taught. So no accuracy is measured." in texts(page)
    take(page, "selectbox", METHOD, "pixel_kd")
    assert "This method needs a teacher of the data's own classes." in texts(page)


def test_a_teacher_of_the_same_classes_tells_its_overlap(
    page: AppTest, answers: dict[str, JobState]
) -> None:
    answers["teacher_check"] = checked(figures={"miou": 0.5701})
    next(b for b in page.button if b.label == "Check this teacher").click().run()
    assert "cover the true ones by **57.0 %** (mean overlap, mIoU) on 64 test" in texts(page)


def test_another_teacher_comes_with_weights_of_its_own(page: AppTest) -> None:
    take(page, "selectbox", "Teacher (large)", "deeplabv3_resnet50")
    assert spec_of(page).teacher.weights == "DEFAULT"
    take(page, "selectbox", "Teacher (large)", "bottleneck128")
    assert spec_of(page).teacher.weights == "shipped:street_bottleneck128"
    assert not any(
        "torchvision" in o for o in one(page.selectbox, "What the teacher knows").options
    )


# Start


def test_start_leads_to_the_form_for_scenes_and_to_their_demo(
    workspace: Workspace, open_page: Open, answers: dict[str, JobState]
) -> None:
    app = open_page("start")
    next(b for b in app.button if "drawn streets" in b.label).click().run()
    assert not app.exception
    found = [run.spec() for run in workspace.runs()]
    assert {spec.task for spec in found} == {"segment"} and len(found) >= 3
    app = open_page("start")
    app.button(key="set_up_segment").click().run()
    assert not app.exception
    assert spec_of(app).task == "segment"
