"""The page Look of a classification run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.api import Studio
from engine.events import CheckpointSaved
from engine.runs.folder import RunFolder, Workspace
from engine.runs.job_process import JobProcess, JobState
from pages.charts.answers import PAGE
from tests.pages.answers_by_hand import END, keep_answers
from tests.pages.canned import CLASSES, add_run, beginning, epoch_events, underway, whole

KINDS = ("markdown", "caption", "info", "warning")


@pytest.fixture(autouse=True)
def no_job_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobProcess, "ask", lambda *_args, **_more: JobState("waiting"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, list[int]]]:
    """The images are there at once; split and rows that were asked for."""
    path = tmp_path / "one.png"
    Image.new("RGB", (8, 8)).save(path)
    asked: list[tuple[str, list[int]]] = []

    def pictures(_: object, _run: str, rows: list[int], split: str, side: int = 96) -> JobState:
        if side == 96:
            asked.append((split, list(rows)))
        return JobState("done", {str(row): str(path) for row in rows})

    monkeypatch.setattr(Studio, "pictures", pictures)
    return asked


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> dict[str, Sequence[str]]:
    """What was drawn last as cards, by the element's name."""
    found: dict[str, Sequence[str]] = {}

    def draw(html: Sequence[str], *, key: str, on_open: Any = None) -> None:
        found[key] = html

    for place in ("answers_gallery", "answers_own"):
        monkeypatch.setattr(f"pages.parts.look.{place}.answer_cards", draw)
    return found


@pytest.fixture
def taught(workspace: Workspace) -> RunFolder:
    folder = add_run(workspace, whole("taught"), role="taught", name="Taught")
    keep_answers(folder)
    return folder


def opened(open_page: Any, run: RunFolder, **query: str) -> AppTest:
    app = open_page("look", run=run.id, **query)
    assert not app.exception
    return app


def told(app: AppTest) -> str:
    return "\n".join(str(one.value) for kind in KINDS for one in getattr(app.main, kind))


def box(app: AppTest, name: str) -> Any:
    return next(one for one in app.selectbox if str(one.key).startswith(f"answers_{name}_"))


def choose(app: AppTest, label: str, value: object) -> AppTest:
    box(app, label).set_value(value).run()
    assert not app.exception
    return app


def test_the_page_tells_how_often_the_nets_are_right_and_with_which_weights(
    open_page, taught, drawn, cards
) -> None:
    said = told(opened(open_page, taught))
    assert "The student gets **80.0 %** of 60 test images right, the teacher **85.0 %**" in said
    assert "Weights of epoch 10 (last and best)" in said
    assert "gives its answer 60.0 % and is right 80.0 %" in said
    assert "The nets know only their 10 classes" in said


def test_the_worst_images_come_first_and_pages_go_on(open_page, taught, drawn, cards) -> None:
    opened(open_page, taught)
    assert drawn[-1] == ("test", list(range(59, 35, -1)))
    assert len(cards["answers_cards"]) == PAGE
    assert "Test image 59, shape 9: the student says shape 9" in cards["answers_cards"][0]
    opened(open_page, taught, answers_page="3")
    assert drawn[-1] == ("test", list(range(11, -1, -1)))


def test_kinds_of_mistakes_are_chosen_and_counted(open_page, taught, drawn, cards) -> None:
    app = choose(opened(open_page, taught), "show", "teacher")
    assert drawn[-1][1] == [55, 50, 45, 40, 30, 25, 20, 15, 10, 5]  # 0 and 35 both get wrong
    assert "10 of 60 test images" in told(app)
    app = choose(app, "show", "both")
    assert drawn[-1][1] == [35, 0]
    app = choose(app, "show", "all")
    assert drawn[-1][1] == list(range(24))


def test_a_class_and_an_answer_leave_the_images_of_a_cell(open_page, taught, drawn, cards) -> None:
    app = choose(choose(opened(open_page, taught), "truth", 5), "answer", 6)
    assert drawn[-1][1] == [55, 45, 35, 25, 15, 5]
    chip = app.button(key="answers_clear")
    assert chip.label == "shape 5, taken for shape 6"
    chip.click().run()
    assert not app.exception and "All 60 test images" in told(app)
    assert box(app, "truth").value == -1


def test_a_link_shows_what_was_chosen(open_page, taught, drawn, cards) -> None:
    app = opened(
        open_page,
        taught,
        answers_truth="5",
        answers_answer="6",
        answers_show="both",
    )
    assert drawn[-1][1] == [35]
    assert app.button(key="answers_clear").label == "shape 5, taken for shape 6"


def test_a_click_on_a_cell_is_not_undone_by_a_browser_that_is_late(
    open_page, taught, drawn, cards
) -> None:
    app = choose(opened(open_page, taught, answers_page="2"), "show", "both")
    before = box(app, "truth")
    pair = next(one for one in app.main.button if str(one.key).startswith("answers_pair_5"))
    pair.click().run()
    assert drawn[-1][1] == [55, 45, 35, 25, 15, 5]  # as many as the cell says
    assert before.key != box(app, "truth").key  # what the old box still sends is nobody's choice
    assert (app.query_params["answers_truth"], app.query_params["answers_answer"]) == ("5", "6")
    assert "answers_page" not in app.query_params and "answers_show" not in app.query_params


def test_another_run_begins_with_all_its_images(workspace, open_page, taught, drawn, cards) -> None:
    app = choose(opened(open_page, taught), "truth", 5)
    other = add_run(workspace, whole("taught"), role="taught", name="Other")
    keep_answers(other, classes=CLASSES[:4])
    app.query_params.clear()
    app.query_params["run"] = other.id
    app.run()
    assert not app.exception and "All 60 test images" in told(app)
    assert len(box(app, "truth").options) == 5


def test_pairs_in_words_do_what_their_cells_do(open_page, taught, drawn, cards) -> None:
    app = opened(open_page, taught)
    pairs = [one for one in app.main.button if str(one.key).startswith("answers_pair")]
    assert [one.label for one in pairs] == [
        "shape 0 → shape 1: 6 (100.0\N{NO-BREAK SPACE}%)",
        "shape 5 → shape 6: 6 (100.0\N{NO-BREAK SPACE}%)",
    ]
    pairs[1].click().run()
    assert not app.exception and drawn[-1][1] == [55, 45, 35, 25, 15, 5]


def test_the_answers_of_the_teacher_can_be_asked_for(open_page, taught, drawn, cards) -> None:
    app = opened(open_page, taught, answers_whose="Teacher")
    assert box(app, "answer").label == "Answer of the teacher"
    labels = [one.label for one in app.main.button if str(one.key).startswith("answers_pair")]
    assert "shape 0 → shape 2: 1 (16.7\N{NO-BREAK SPACE}%)" in labels


def test_choices_that_cannot_be_are_not_taken(open_page, taught, drawn, cards) -> None:
    app = opened(
        open_page,
        taught,
        answers_truth="no such class",
        answers_show="nonsense",
        answers_page="99",
        answers_split="train",
    )
    assert "All 60 test images" in told(app)
    assert drawn[-1][1][0] == 59


def test_nothing_left_is_said_and_no_image_is_asked_for(open_page, taught, drawn, cards) -> None:
    app = choose(choose(opened(open_page, taught), "truth", 1), "answer", 7)
    assert "None of the 60 test images." in told(app)
    assert "No image is like that" in told(app)


def test_the_table_can_be_taken_along(open_page, taught, drawn, cards) -> None:
    app = opened(open_page, taught)
    button = app.get("download_button")[0]
    assert button.proto.label == "All answers as a table"


def test_a_run_without_a_teacher_has_fewer_choices(workspace, open_page, drawn, cards) -> None:
    alone = add_run(workspace, whole("alone"), role="alone", name="Alone")
    keep_answers(alone)
    app = opened(open_page, alone)
    assert box(app, "show").options == [
        "Worst first",
        "Student wrong",
        "All, in their order",
    ]
    assert "the teacher" not in told(app)
    assert "Teacher:" not in cards["answers_cards"][0]


def test_the_page_says_how_far_the_nets_were_asked_and_does_not_wait(
    workspace, open_page, monkeypatch
) -> None:
    run = add_run(workspace, whole("taught"), role="taught", name="Taught")
    monkeypatch.setattr(Studio, "answers", lambda *_: JobState("running", 0.25))
    app = opened(open_page, run)
    (bar,) = app.get("progress")
    assert bar.proto.value == 25
    assert bar.proto.text == "Asking the nets about every test image"


def test_why_nothing_can_be_asked_is_a_sentence(workspace, open_page, monkeypatch) -> None:
    run = add_run(workspace, whole("taught"), role="taught", name="Taught")
    fault = JobState("failed", message="the images of shapes have changed.", hint="Put them back.")
    monkeypatch.setattr(Studio, "answers", lambda *_: fault)
    app = opened(open_page, run)
    assert "The images of shapes have changed. Put them back." in told(app)


def test_a_teacher_that_cannot_be_asked_is_missed_with_a_word(
    workspace, open_page, drawn, cards, monkeypatch
) -> None:
    run = add_run(workspace, whole("taught"), role="taught", name="Taught")
    found = keep_answers(add_run(workspace, whole("alone"), role="alone", name=""))
    monkeypatch.setattr(Studio, "answers", lambda *_: JobState("done", found, "its file is gone"))
    said = told(opened(open_page, run))
    assert "The teacher cannot be asked.** Its file is gone" in said


def test_before_the_first_weights_there_is_nothing_to_ask(workspace, open_page) -> None:
    events = [*beginning("taught"), *epoch_events("taught", 0, part=0.5)]
    run = add_run(workspace, events, role="taught", name="Young")
    assert "ended before any weights of the student were saved" in told(opened(open_page, run))


def test_while_it_trains_validation_images_are_asked_about_and_the_weights_stay(
    workspace, open_page, drawn, cards
) -> None:
    run = add_run(workspace, underway("taught", done=2), role="taught", name="Under way")
    assert run.lock.acquire(timeout=1.0)
    try:
        keep_answers(run, at=(0, 1, 93), split="validation")
        app = opened(open_page, run)
        assert "test" not in app.segmented_control(key="answers_split").options
        assert "Weights of epoch 2; training goes on" in told(app)
        newer = (0, 2, 93)
        run.log.append([CheckpointSaved(position=newer, which="last")])
        app.run()
        assert "Weights of epoch 2; training goes on" in told(app)
        keep_answers(run, at=newer, split="validation")
        take = next(one for one in app.main.button if one.label == "Take those of epoch 3")
        take.click().run()
        assert not app.exception
        assert "Weights of epoch 3; training goes on" in told(app)
    finally:
        run.lock.release()


def test_the_best_weights_can_be_asked(workspace, open_page, drawn, cards, monkeypatch) -> None:
    run = add_run(workspace, whole("taught"), role="taught", name="Taught")
    best = (0, 6, 93)
    keep_answers(run)
    keep_answers(run, at=best)
    monkeypatch.setattr(Studio, "saved_weights", lambda *_: {"best": best, "last": END})
    app = opened(open_page, run)
    assert "Weights of epoch 10 (last)" in told(app)
    app.segmented_control(key="answers_weights").set_value("best").run()
    assert not app.exception and "Weights of epoch 7 (best)" in told(app)


def test_own_pictures_get_the_answers_of_both_nets(
    open_page, taught, drawn, cards, monkeypatch
) -> None:
    asked: list[list[tuple[str, bytes]]] = []

    def answers(_: object, _weights: object, pictures: list[tuple[str, bytes]]) -> JobState:
        asked.append(pictures)
        good = {
            "name": "cat.png",
            "fault": "",
            "image": "",
            "size": [9, 9],
            "said": {"student": [[3, 0.7], [1, 0.2]], "teacher": [[4, 0.9], [2, 0.1]]},
            "classes": CLASSES,
            "teacher_fault": "",
        }
        fault = "sky.png has more than 89,478,485 pixels."
        return JobState(
            "done", [good, {"name": "sky.png", "fault": fault, "image": "", "said": {}}]
        )

    monkeypatch.setattr(Studio, "own_answers", answers)
    app = opened(open_page, taught)
    app.get("file_uploader")[0].set_value(
        [("cat.png", b"one", "image/png"), ("sky.png", b"two", "image/png")]
    ).run()
    assert not app.exception
    assert asked[-1] == [("cat.png", b"one"), ("sky.png", b"two")]
    (card,) = cards["answers_own_cards"]
    assert "Student: shape 3" in card and "Teacher: shape 4" in card and "70.0 %" in card
    assert "sky.png has more than 89,478,485 pixels. Give a smaller" in told(app)
