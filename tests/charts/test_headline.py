"""Words for the figure that stands for the nets: accuracy, or mean overlap."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go
import pytest

from engine.api import Evidence, Summary
from engine.events import Evaluated, PhaseBegan, RunStarted
from engine.runs.summary import Cost, Figures
from engine.runs.view import RunView, fold
from engine.spec import HEADLINES as OF_TASKS
from pages.charts.colour import LIGHT
from pages.charts.compare import pareto_figure
from pages.charts.curve import Line, accuracy_figure
from pages.charts.evidence import bars_figure, sentence
from pages.charts.headline import HEADLINES, headline_of, short_of
from pages.charts.narrator import narrate
from pages.charts.seeds import Group, Paired, paired, seed_rows
from pages.charts.table import rows_of, shown_columns

EVIDENCE = Evidence(
    split="test",
    teacher=None,
    alone=0.40,
    student=0.45,
    best=None,
    baseline="x",
    published={},
    published_source="",
    headline="miou",
    is_teacher_apart=True,
)


def summary(run: str, headline: str, value: float) -> Summary:
    return Summary(
        id=run,
        status="finished",
        headline=headline,
        figures=Figures(last_test=value),
        costs={"student": Cost(parameters=1, multiply_adds=10)},
    )


ROWS = [summary("a", "accuracy", 0.9), summary("m", "miou", 0.4)]


def measured(values: list[float], phase: str = "train", **more: list[float]) -> RunView:
    begun = PhaseBegan(
        at=(0, 0, 0), phase=phase, epochs=5, steps=2, phases=(phase,), total_steps=10
    )
    told = [
        Evaluated(
            at=(0, nth, 0),
            net="student",
            weights="last",
            split="validation",
            figures={"miou": value, "loss": 1.0, **{k: v[nth] for k, v in more.items()}},
            samples=9,
        )
        for nth, value in enumerate(values)
    ]
    return fold(RunView(), [RunStarted(time=0), begun, *told])


def test_every_headline_of_a_task_has_words() -> None:
    assert set(HEADLINES) == set(OF_TASKS.values())
    assert short_of(["miou", "accuracy", "miou"]) == "Accuracy or mIoU"
    assert short_of(["miou"]) == "mIoU" and short_of([]) == "Accuracy"


def test_the_sentence_speaks_of_overlap_and_of_the_teacher_without_a_figure() -> None:
    assert sentence(EVIDENCE) == (
        "The student reaches a mean overlap (mIoU) of 45.0 % on the test images."
        " Alone it reaches 40.0 %, so teaching brings +5.0 points."
        " The teacher knows other classes, so it has no figure of its own here."
    )
    plain = replace(EVIDENCE, headline="accuracy", is_teacher_apart=False, teacher=0.5)
    assert sentence(plain).startswith("The student gets 45.0 % of the test images right. Alone it")
    assert sentence(plain).endswith(
        "The teacher gets 50.0 %. 50 % of the gap to the teacher is closed."
    )
    alone = replace(EVIDENCE, student=None)
    assert "Without a teacher, the student reaches a mean overlap" in sentence(alone)


def test_the_bars_leave_out_a_teacher_without_a_figure() -> None:
    figure = bars_figure(EVIDENCE, LIGHT)
    go.Figure(figure)
    assert figure["data"][0]["y"] == ["Student alone", "Student taught"]
    assert figure["layout"]["xaxis"]["title"]["text"] == "Mean overlap (mIoU), %"


def test_the_narrator_tells_overlap() -> None:
    assert narrate(measured([0.1])) == (
        "Before its first epoch the student reaches a mean overlap (mIoU) of 10.0 %."
    )
    assert narrate(measured([0.1, 0.2])) == "The student rose from 10.0 % to 20.0 %."


def test_while_the_front_imitates_the_narrator_tells_its_distance() -> None:
    view = measured([0.1, 0.1], "imitation", feature_distance=[1.0, 0.4])
    text = narrate(view)
    assert "went from 1.00 to 0.40 (0: a perfect copy)" in text
    assert "overlap" not in text and "Every spot" not in text


def test_curves_are_named_after_what_they_show() -> None:
    figure = accuracy_figure([Line("m", "Student", "taught", measured([0.1, 0.2]))], LIGHT)
    assert figure["layout"]["yaxis"]["title"]["text"] == "Mean overlap (mIoU), %"
    assert figure["data"][0]["y"] == pytest.approx([10.0, 20.0])


def test_overlap_and_accuracy_have_columns_of_their_own() -> None:
    first, second = rows_of(ROWS)
    assert (first["Accuracy"], first["mIoU"]) == (90.0, None)
    assert (second["Accuracy"], second["mIoU"]) == (None, 40.0)
    names = ["Run", "Accuracy", "mIoU"]
    assert shown_columns(names, ROWS) == names
    assert shown_columns(names, ROWS[1:]) == ["Run", "mIoU"]
    assert shown_columns(names, ROWS[:1]) == shown_columns(names, []) == ["Run", "Accuracy"]


def test_cost_is_drawn_against_the_figure_of_the_runs() -> None:
    assert pareto_figure(ROWS[1:], LIGHT)["layout"]["yaxis"]["title"]["text"] == "mIoU (%)"
    assert pareto_figure(ROWS[:1], LIGHT)["layout"]["yaxis"]["title"]["text"] == "Accuracy (%)"


def test_seeds_are_a_table_of_overlap() -> None:
    group = Group(
        labels=ROWS[1].labels, settings="", split="test", by_seed={0: 0.4}, headline="miou"
    )
    assert seed_rows([group], 0)[0]["mIoU (%)"] == "40.00 (one seed)"


def test_overlap_and_accuracy_are_not_subtracted() -> None:
    plain = {"settings": "", "split": "test", "by_seed": {0: 0.4, 1: 0.5}}
    overlap = Group(labels=ROWS[1].labels, headline="miou", **plain)
    right = Group(labels=ROWS[1].labels, headline="accuracy", **plain)
    elsewhere = Group(
        labels=ROWS[1].labels.model_copy(update={"data": "other"}), headline="miou", **plain
    )
    assert paired(right, overlap) == Paired({}, None, None, "another figure")
    assert paired(elsewhere, overlap) == Paired({}, None, None, "other data")
    assert paired(overlap, overlap).mean == 0


def test_an_unknown_figure_is_told_like_accuracy() -> None:
    assert headline_of("else").name == "accuracy"
