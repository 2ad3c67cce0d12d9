"""What the figures hold, in numbers; each is also accepted by Plotly itself."""

from __future__ import annotations

import math
import time

import plotly.graph_objects as go
import pytest

from engine.api import Evidence
from engine.events import RunResumed
from engine.runs.view import Curve, RunView, fold
from pages.charts.colour import DARK, LIGHT, palette
from pages.charts.cost import cost_rows, fewer_computations, stage_rows, uncounted_text
from pages.charts.curve import (
    MAX_POINTS,
    Line,
    Look,
    accuracy_figure,
    clipped_range,
    rate_figure,
    smoothed,
    terms_figure,
    thinned,
)
from pages.charts.evidence import bars_figure, sentence
from pages.charts.spot import class_by_spot, epoch_by_spot, newest_shares
from tests.pages.canned import SPOTS, STEPS, beginning, epoch_events, underway, whole


@pytest.fixture
def taught() -> RunView:
    return fold(RunView(), whole("taught"))


@pytest.fixture
def alone() -> RunView:
    return fold(RunView(), whole("alone"))


def both(alone: RunView, taught: RunView) -> list[Line]:
    return [
        Line("a", "Student alone", "alone", alone),
        Line("t", "Student taught", "taught", taught),
    ]


def test_smoothing_of_a_constant_is_the_constant_from_the_first_point_on() -> None:
    assert smoothed([3.0] * 5, 0.9) == pytest.approx([3.0] * 5)


def test_smoothing_follows_the_moving_average_written_by_hand() -> None:
    second = (0.5 * 0.5 * 2 + 0.5 * 4) / (0.25 + 0.5)
    assert smoothed([2.0, 4.0], 0.5) == pytest.approx([2.0, second])


def test_thinning_keeps_the_highest_and_the_lowest_point() -> None:
    xs = [float(x) for x in range(100_000)]
    ys = [math.sin(x / 50) for x in range(100_000)]
    ys[777], ys[50_001] = 9.0, -9.0
    x, y = thinned(xs, ys)
    assert len(x) <= MAX_POINTS
    assert x == sorted(x)
    assert (777.0, 9.0) in zip(x, y, strict=True)
    assert (50_001.0, -9.0) in zip(x, y, strict=True)


def test_a_short_curve_is_drawn_point_by_point() -> None:
    assert thinned([1, 2], [5, 6]) == ([1, 2], [5, 6])


def test_clipping_leaves_a_single_outlier_outside() -> None:
    low, high = clipped_range([float(v) for v in range(200)] + [1e6])  # type: ignore[misc]
    assert low < 2
    assert 195 < high < 300


def test_the_accuracy_chart_shows_teacher_alone_and_taught_in_their_colours(
    alone: RunView, taught: RunView
) -> None:
    figure = accuracy_figure(both(alone, taught), LIGHT)
    by_name = {trace["name"]: trace for trace in figure["data"]}
    assert by_name["Teacher"]["y"] == [99.67, 99.67]
    assert by_name["Teacher"]["line"]["dash"] == "dash"
    assert by_name["Student alone"]["line"] == {
        "color": LIGHT.alone,
        "width": 2,
        "dash": "dashdot",
    }
    assert by_name["Student alone"]["marker"]["symbol"] == "triangle-up"
    assert by_name["Student taught"]["line"]["color"] == LIGHT.taught
    assert by_name["Student taught"]["x"] == list(range(1, 11))
    assert by_name["Student taught"]["y"][-1] == pytest.approx(97.7, abs=0.2)
    go.Figure(figure)


def test_steps_count_over_the_whole_run(taught: RunView) -> None:
    figure = accuracy_figure([Line("t", "Taught", "taught", taught)], LIGHT, Look(over="step"))
    assert figure["data"][-1]["x"] == [STEPS * epoch for epoch in range(1, 11)]


def test_a_smooth_curve_keeps_the_measured_one_behind_it(taught: RunView) -> None:
    figure = terms_figure(taught, DARK, Look(smoothing=0.6))
    ghosts = [trace for trace in figure["data"] if trace.get("opacity") == 0.25]
    assert len(ghosts) == len(taught.terms)
    assert ghosts[0]["y"] == list(taught.terms["loss"].value)
    go.Figure(figure)


def test_second_and_third_taught_runs_differ_in_colour_and_marker(taught: RunView) -> None:
    lines = [Line(str(n), f"Run {n}", "taught", taught) for n in range(3)]
    traces = accuracy_figure(lines, LIGHT)["data"][1:]
    assert len({trace["line"]["color"] for trace in traces}) == 3
    assert len({trace["marker"]["symbol"] for trace in traces}) == 3


def test_a_logarithmic_axis_starts_where_a_logarithm_exists(taught: RunView) -> None:
    look = Look(log_x=True, log_y=True)
    figure = accuracy_figure([Line("t", "Taught", "taught", taught)], LIGHT, look)
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert figure["data"][0]["x"][0] > 0


def test_charts_of_an_empty_log_are_empty() -> None:
    empty = RunView()
    assert accuracy_figure([Line("t", "Taught", "taught", empty)], LIGHT)["data"][0]["x"] == []
    assert terms_figure(empty, LIGHT)["data"] == []
    assert newest_shares(empty) == {}


def test_the_learning_rate_is_never_smoothed(taught: RunView) -> None:
    figure = rate_figure(taught, LIGHT, Look(smoothing=0.9))
    assert figure["data"][0]["y"] == list(taught.rates["student"].value)


def test_the_heat_map_has_a_column_for_each_planned_epoch_and_fills_from_the_left() -> None:
    view = fold(RunView(), underway("taught", done=4))
    trace = epoch_by_spot(view, LIGHT)["data"][0]
    assert trace["x"] == [str(epoch) for epoch in range(1, 11)]
    assert trace["y"] == list(SPOTS)
    for row in trace["z"]:
        assert all(value is not None for value in row[:5])  # four whole epochs and the open one
        assert row[5:] == [None] * 5


def test_a_whole_epoch_is_what_was_counted_and_an_open_one_what_was_chosen() -> None:
    view = fold(RunView(), underway("taught", done=1))
    row = epoch_by_spot(view, LIGHT)["data"][0]["z"][0]
    told = view.counted[0]
    assert row[0] == pytest.approx(sum(told.kept[0]) / sum(told.samples))
    curve = view.share["stage1"]
    open_epoch = [v for e, v in zip(curve.epoch, curve.value, strict=True) if e > 1]
    assert row[1] == pytest.approx(sum(open_epoch) / len(open_epoch))


def test_values_are_written_in_the_cells_of_a_short_run_only() -> None:
    short = fold(RunView(), whole("taught", epochs=3))
    assert epoch_by_spot(short, LIGHT)["data"][0]["text"][0][0].isdecimal()
    long = fold(RunView(), beginning("taught", epochs=240) + epoch_events("taught", 0, epochs=240))
    assert "text" not in epoch_by_spot(long, LIGHT)["data"][0]


def test_the_class_map_divides_by_the_images_of_each_class(taught: RunView) -> None:
    figure = class_by_spot(taught, DARK, ["circle"] * 10)
    assert figure["data"][0]["z"][0][0] == pytest.approx(taught.counted[-1].kept[0][0] / 300)
    assert figure["layout"]["xaxis"]["ticktext"] == ["circle"] * 10
    go.Figure(class_by_spot(taught, DARK))


def test_a_resumed_run_counts_its_epochs_once() -> None:
    events = underway("taught", done=3)
    again = [RunResumed(time=1.0, position=(0, 2, STEPS)), *underway("taught", done=3)[-60:]]
    view = fold(RunView(), [*events, *again])
    assert len(epoch_by_spot(view, LIGHT)["data"][0]["x"]) == 10


EVIDENCE = Evidence(
    split="test",
    teacher=0.9967,
    alone=0.8653,
    student=0.9763,
    best=0.977,
    baseline="a",
    published={},
    published_source="",
)


def test_the_bars_hold_what_was_measured_and_nothing_else() -> None:
    trace = bars_figure(EVIDENCE, LIGHT)["data"][0]
    assert trace["y"] == ["Teacher", "Student alone", "Student taught"]
    assert trace["x"] == pytest.approx([99.67, 86.53, 97.63])
    go.Figure(bars_figure(EVIDENCE, LIGHT))


def test_the_sentence_names_gain_and_gap() -> None:
    told = sentence(EVIDENCE)
    assert "+11.1 points" in told
    assert "84 % of the gap" in told


def test_the_cost_table_divides_figures_of_one_way_of_counting(taught: RunView) -> None:
    rows = {row[""]: row for row in cost_rows(taught)}
    assert rows["Multiply-adds (MACs)"]["Ratio"] == "2.2×"
    assert rows["Multiply-adds (MACs)"]["Teacher"] == "26.4 MMACs"
    assert fewer_computations(taught) == pytest.approx(26.4 / 12.2)
    doubled = {row[""]: row for row in cost_rows(taught, as_flops=True)}
    assert doubled["FLOPs (2 for each multiply-add)"]["Teacher"] == "52.8 MFLOPs"
    assert doubled["FLOPs (2 for each multiply-add)"]["Ratio"] == "2.2×"


def test_a_net_that_was_not_measured_has_no_ratio(alone: RunView) -> None:
    assert {row["Ratio"] for row in cost_rows(alone)} == {"-"}


def test_stages_share_the_whole(taught: RunView) -> None:
    rows = stage_rows(taught.costs["teacher"])
    assert sum(row["Share"] for row in rows) == pytest.approx(1.0)


def test_operators_that_are_not_counted_are_named(taught: RunView) -> None:
    assert "add (6)" in uncounted_text(taught.costs)


def test_a_tick_of_a_long_run_costs_at_most_30_ms() -> None:
    """Not a benchmark: three times the budget, as other programs share the machine."""
    events = beginning("taught", epochs=240)
    for epoch in range(240):
        events += epoch_events("taught", epoch, epochs=240)
    view = fold(RunView(), events)
    began = time.perf_counter()
    fold(view, epoch_events("taught", 239, epochs=240, part=0.1))
    accuracy_figure([Line("t", "Taught", "taught", view)], LIGHT)
    terms_figure(view, LIGHT)
    epoch_by_spot(view, LIGHT)
    assert time.perf_counter() - began < 0.09


def test_the_theme_decides_the_palette() -> None:
    assert palette("dark") is DARK
    assert palette("light") is LIGHT
    assert palette(None) is LIGHT


def test_a_curve_without_points_has_no_range() -> None:
    assert clipped_range(Curve().value) is None


def test_cells_of_a_long_run_touch_so_that_no_gap_hides_them() -> None:
    long = fold(RunView(), [*beginning("taught", epochs=60), *epoch_events("taught", 0, epochs=60)])
    assert epoch_by_spot(long, LIGHT)["data"][0]["xgap"] == 0
