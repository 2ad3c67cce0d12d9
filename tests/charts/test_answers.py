"""What the answers of two nets come to, on cases counted by hand."""

from __future__ import annotations

import csv
import io

import numpy as np
import plotly.graph_objects as go
import pytest

from engine.api import Answers, Said
from pages.charts.answers import (
    ANY,
    PAGE,
    Pair,
    accuracy,
    as_csv,
    calibration,
    cell_words,
    chosen,
    confused,
    confusion,
    counted,
    headline,
    kinds,
    num_pages,
)
from pages.charts.answers_cards import (
    Bar,
    bars_html,
    card_html,
    large_html,
    own_html,
    share_words,
    told,
)
from pages.charts.answers_figure import MOST_NAMED, MOST_WRITTEN, confusion_figure
from pages.charts.colour import DARK, LIGHT

NAMES = ("cat", "dog", "owl")
TRUTH = np.array([0, 0, 0, 1, 1, 2])


def net(answers: list[int], losses: list[float] | None = None, sure: float = 0.8) -> Said:
    top = np.array([[label, (label + 1) % 3, (label + 2) % 3] for label in answers])
    chance = np.tile(np.array([sure, 0.9 - sure, 0.1], np.float32), (len(answers), 1))
    return Said(top, chance, np.array(losses or range(len(answers)), np.float32))


STUDENT = net([0, 1, 1, 1, 0, 2], [0.1, 2.0, 3.0, 0.2, 1.0, 0.3])
TEACHER = net([0, 0, 1, 0, 0, 2])


def found(teacher: Said | None = TEACHER, names: tuple[str, ...] = NAMES) -> Answers:
    return Answers("test", (0, 1, 0), names, TRUTH, STUDENT, teacher)


@pytest.mark.parametrize(
    ("show", "rows"),
    [
        ("worst", [2, 1, 4, 5, 3, 0]),
        ("teacher", [1]),
        ("student", [3]),
        ("both", [2, 4]),
        ("all", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_each_kind_shows_its_images_the_highest_loss_first(show: str, rows: list[int]) -> None:
    assert chosen(found(), show).tolist() == rows
    assert show in kinds(found())


def test_without_a_teacher_only_the_student_is_right_or_wrong() -> None:
    assert list(kinds(found(None))) == ["worst", "wrong", "all"]
    assert chosen(found(None), "wrong").tolist() == [2, 1, 4]


def test_a_cell_leaves_the_images_of_a_class_with_an_answer() -> None:
    assert chosen(found(), "worst", truth=0, answer=1).tolist() == [2, 1]
    assert chosen(found(), "worst", truth=0).tolist() == [2, 1, 0]
    assert chosen(found(), "worst", answer=1).tolist() == [2, 1, 3]
    assert chosen(found(), "all", truth=1, answer=0, whose="teacher").tolist() == [3, 4]
    assert chosen(found(), "both", truth=2, answer=2).tolist() == []


def test_pages_hold_the_same_number_of_images_and_there_is_always_one() -> None:
    counts = [num_pages(np.arange(count)) for count in (0, 1, PAGE, PAGE + 1)]
    assert counts == [1, 1, 1, 2]


def test_the_confusion_counts_truth_by_row_and_answer_by_column() -> None:
    counts = confusion(found(), STUDENT)
    assert counts.tolist() == [[1, 2, 0], [1, 1, 0], [0, 0, 1]]
    assert accuracy(found(), STUDENT) == pytest.approx(3 / 6)
    assert confused(counts) == [Pair(0, 1, 2, pytest.approx(2 / 3)), Pair(1, 0, 1, 0.5)]
    assert confused(counts, limit=1)[0].count == 2
    assert confused(np.eye(3, dtype=np.int64)) == []


def test_the_figure_shows_shares_of_a_row_and_leaves_empty_what_never_happened() -> None:
    figure = confusion_figure(confusion(found(), STUDENT), NAMES, LIGHT, (0, 1))
    go.Figure(figure)
    (trace,) = figure["data"]
    assert trace["z"][0] == [0.3333, 0.6667, None]
    assert trace["text"][0] == ["1", "2", ""]
    assert trace["hovertext"][0][1] == "cat taken for dog: 2 images<br>66.7 % of 3 of this class"
    assert trace["hovertext"][2][2].startswith("owl answered right: 1 image<br>100.0 %")
    shades = [shade for _, shade in trace["colorscale"]]
    assert len(set(shades)) == len(shades) == 9
    at = [stop for stop, _ in trace["colorscale"]]
    assert at[5] <= 0.1  # more than half of the steps are for less than a tenth
    frame = figure["layout"]["shapes"][-1]
    assert (frame["x0"], frame["x1"], frame["y0"], frame["y1"]) == (0.5, 1.5, -0.5, 0.5)


@pytest.mark.parametrize("size", [MOST_WRITTEN, MOST_NAMED, 100, 200])
def test_the_figure_stays_small_with_many_classes(size: int) -> None:
    counts = np.diag(np.full(size, 40)) + np.eye(size, k=1, dtype=np.int64)
    figure = confusion_figure(counts, [f"class {label}" for label in range(size)], DARK)
    go.Figure(figure)
    assert ("text" in figure["data"][0]) == (size <= MOST_WRITTEN)
    assert len(figure["layout"]["xaxis"]["ticktext"]) == (size if size <= MOST_NAMED else 0)
    assert figure["layout"]["height"] <= 600
    assert figure["data"][0]["hovertext"][0][5] == ""
    whole = [line for line in figure["layout"]["shapes"] if line["line"]["width"] == 3]
    assert whole == []
    figure = confusion_figure(counts, [""] * size, DARK, (ANY, 3))
    assert figure["layout"]["shapes"][-1]["y1"] == size - 0.5  # the whole column


def test_a_class_without_images_divides_by_nothing() -> None:
    counts = np.array([[0, 0], [1, 3]])
    assert confusion_figure(counts, ("a", "b"), LIGHT)["data"][0]["z"][0] == [None, None]
    assert confused(counts) == [Pair(1, 0, 1, 0.25)]


def test_the_headline_tells_both_shares_and_the_images() -> None:
    said = headline(found())
    assert "**50.0 %** of 6 test images" in said and "teacher **50.0 %**" in said
    assert "teacher" not in headline(found(None))


@pytest.mark.parametrize(
    ("sure", "words"),
    [(0.8, "30.0 points too sure"), (0.35, "15.0 points too unsure"), (0.51, "as it should be")],
)
def test_calibration_compares_confidence_with_accuracy(sure: float, words: str) -> None:
    student = net([0, 1, 1, 1, 0, 2], sure=sure)
    said = calibration(Answers("test", (0, 1, 0), NAMES, TRUTH, student, None))
    assert words in said and "right 50.0 % of the time" in said


def test_the_table_holds_every_image_and_quotes_what_needs_it() -> None:
    lines = list(csv.reader(io.StringIO(as_csv(found(names=("cat, black", "dog", "owl"))))))
    assert lines[0][:3] == ["row", "truth", "student"] and len(lines) == 7
    assert lines[2] == [
        "1",
        "cat, black",
        "dog",
        "0.8000",
        "2.0000",
        "cat, black",
        "0.8000",
        "1.0000",
    ]
    assert all(len(line) == 5 for line in csv.reader(io.StringIO(as_csv(found(None)))))


def test_words_say_what_is_left() -> None:
    assert cell_words(NAMES, 0, 1) == "cat, taken for dog"
    assert cell_words(NAMES, 0, 0) == "cat, answered right"
    assert cell_words(NAMES, 0, ANY) == "only cat"
    assert cell_words(NAMES, ANY, 2) == "only answered owl"
    assert cell_words(NAMES, ANY, ANY) == ""
    assert counted(3, 6, "test") == "3 of 6 test images"
    assert counted(6, 6, "test") == "All 6 test images"
    assert counted(0, 6, "test") == "None of the 6 test images."


def test_a_card_tells_truth_answers_and_shares_to_eyes_and_ears() -> None:
    card = card_html(found(), 1, "data:x", LIGHT)
    assert 'data-row="1"' in card and "✗ Student: dog" in card and "✓ Teacher: cat" in card
    assert card.count('class="track"') == 3 and "width:80.0%" in card
    said = told(found(), 1)
    assert said == "Test image 1, cat: the student says dog, 80.0 %; the teacher says cat, 80.0 %"
    assert f'aria-label="{said}' in card
    large = large_html(found(), 1, "data:x", LIGHT)
    assert large.count('class="bars"') == 2 and LIGHT.teacher in large and LIGHT.taught in large
    assert "loss 2.00 nats" in large
    assert large_html(found(None), 1, "", LIGHT).count('class="bars"') == 1


def test_names_from_outside_cannot_become_markup() -> None:
    bad = '<img src=x onerror="a()">'
    names = (bad, "dog", "owl")
    texts = [
        card_html(found(names=names), 0, "", LIGHT),
        large_html(found(names=names), 0, "", LIGHT),
        own_html(bad, "", {"student": [Bar(bad, 0.5)]}, LIGHT, has_teacher=False),
        bars_html([Bar(bad, 0.5)], "#000"),
    ]
    for text in texts:
        assert "<img src=x" not in text and "&lt;img src=x" in text


def test_a_share_is_never_said_to_be_nothing_or_all_when_it_is_not() -> None:
    shares = [0.0, 0.0004, 0.1234, 0.9996, 1.0]
    words = ["0.0 %", "< 0.1 %", "12.3 %", "> 99.9 %", "100.0 %"]
    assert [share_words(share) for share in shares] == words
