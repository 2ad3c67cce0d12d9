"""Rows, comparisons and words."""

from __future__ import annotations

import pytest

from engine.api import Summary
from engine.runs.summary import Cost, Figures, Labels
from engine.runs.view import RunView, fold
from pages.charts.colour import LIGHT
from pages.charts.compare import differences, frontier, over_seeds, pareto_figure
from pages.charts.narrator import narrate
from pages.charts.table import filtered, gains, ordered, rows_of
from pages.charts.words import amount, counted, duration, points, size
from tests.pages.canned import beginning, ending, epoch_events, spec_of, underway, whole


def summary(run_id: str, role: str, value: float, *, seed: int = 0, **more: object) -> Summary:
    spec = spec_of(role, seed=seed)
    return Summary(
        id=run_id,
        status="finished",
        name=f"{role} {seed}",
        role="alone" if role == "alone" else "student",
        labels=Labels(
            data="shapes",
            student="resnet8",
            teacher="" if role == "alone" else "resnet14",
            method="alone" if role == "alone" else "spot_adaptive",
        ),
        seed=seed,
        figures=Figures(last_test=value, teacher_test=None if role == "alone" else 0.99),
        costs={
            "student": Cost(parameters=78_042, multiply_adds=12_200_000),
            "teacher": Cost(parameters=175_258, multiply_adds=26_400_000),
        },
        baseline_hash=spec.baseline_hash(),
        **more,
    )


ROWS = [
    summary("a0", "alone", 0.80, seed=0),
    summary("a1", "alone", 0.86, seed=1),
    summary("t0", "taught", 0.97, seed=0),
    summary("t1", "taught", 0.98, seed=1, tags=("nice",)),
]
SPECS = {row.id: spec_of("alone" if row.id[0] == "a" else "taught", seed=row.seed) for row in ROWS}


def test_a_gain_is_taken_against_the_same_student_alone_with_the_same_seed() -> None:
    assert gains(ROWS) == pytest.approx({"t0": 0.17, "t1": 0.12})


def test_a_run_without_such_a_partner_has_no_gain() -> None:
    assert gains(ROWS[1:3]) == {}


def test_a_gain_is_never_taken_between_two_splits() -> None:
    other = ROWS[0].model_copy(update={"figures": Figures(last_validation=0.8)})
    assert gains([other, ROWS[2]]) == {}


def test_rows_hold_numbers_not_texts() -> None:
    row = rows_of(ROWS)[2]
    assert row["Accuracy"] == pytest.approx(97.0)
    assert row["Gain"] == pytest.approx(17.0)
    assert row["Fewer"] == pytest.approx(26.4 / 12.2)


def test_every_word_of_a_search_must_occur() -> None:
    assert [row.id for row in filtered(ROWS, search="resnet14 nice")] == ["t1"]
    assert [row.id for row in filtered(ROWS, tags=["nice"])] == ["t1"]
    assert filtered(ROWS, statuses=["failed"]) == []


def test_the_highest_accuracy_comes_first() -> None:
    assert [row.id for row in ordered(ROWS, "Accuracy")] == ["t1", "t0", "a1", "a0"]


def test_only_differences_are_compared() -> None:
    rows = differences({"A": SPECS["t0"], "B": SPECS["t1"]})
    assert rows == [{"Setting": "seed", "A": "0", "B": "1"}]


def test_the_mean_over_seeds_has_the_spread_of_a_sample() -> None:
    rows = over_seeds(SPECS, ROWS)
    assert [row["Accuracy (%)"] for row in rows] == ["83.00 ± 4.24", "97.50 ± 0.71"]
    assert over_seeds(SPECS, ROWS[:1])[0]["Accuracy (%)"] == "80.00 (one seed)"


def test_a_point_that_another_beats_is_not_on_the_frontier() -> None:
    assert frontier([(1, 5), (2, 4), (3, 9), (3, 8)]) == [(1, 5), (3, 9)]


def test_pareto_points_carry_their_run_and_arrows_lead_from_alone_to_taught() -> None:
    figure = pareto_figure(ROWS, LIGHT)
    by_name = {trace["name"]: trace for trace in figure["data"]}
    assert by_name["Student taught"]["customdata"] == ["t0", "t1"]
    assert by_name["Teacher"]["x"] == [26_400_000.0]
    assert [arrow["ay"] for arrow in figure["layout"]["annotations"]] == pytest.approx([80, 86])


def test_nothing_is_told_before_anything_happened() -> None:
    assert narrate(RunView()) == ""
    assert narrate(fold(RunView(), beginning("taught")[:2])) == "Getting ready."


def test_the_narrator_tells_progress_and_where_the_teacher_teaches() -> None:
    told = narrate(fold(RunView(), underway("taught", done=2)))
    assert told.startswith("The student rose from")
    assert "teaches" in told


def test_the_narrator_tells_a_plateau() -> None:
    events = beginning("alone", epochs=40)
    for epoch in range(40):
        events += epoch_events("alone", epoch, epochs=40)
    assert "No gain for" in narrate(fold(RunView(), events))


def test_the_narrator_tells_when_the_policy_no_longer_chooses() -> None:
    view = fold(RunView(), whole("taught", epochs=10))
    everywhere = [
        told.model_copy(update={"kept": tuple((300,) * 10 for _ in told.spots)})
        for told in view.counted
    ]
    collapsed = fold(fold(RunView(), beginning("taught")), everywhere)
    assert "no longer chooses" in narrate(collapsed)


def test_numbers_carry_their_unit() -> None:
    assert amount(1_083_000_000) == "1.08 G"
    assert counted(12_200_000) == "12.2 MMACs"
    assert counted(12, as_flops=True) == "24 FLOPs"
    assert duration(0.0031) == "3.1 ms"
    assert duration(3700) == "1 h 02 min"
    assert size(90_000_000) == "90 MB"
    assert points(-0.012) == "-1.2 points"


def test_the_cost_axis_is_written_in_ones_twos_and_fives_around_the_costs() -> None:
    axis = pareto_figure(ROWS, LIGHT)["layout"]["xaxis"]
    assert axis["ticktext"] == ["10 M", "20 M", "50 M", "100 M", "200 M", "500 M"]


def test_a_run_that_ended_before_its_first_step_is_not_getting_ready() -> None:
    ended = [*beginning("taught")[:2], *ending("taught", "failed", message="No.")]
    assert narrate(fold(RunView(), ended)) == "It ended before the first step."


def test_a_whole_number_written_two_ways_is_no_difference() -> None:
    specs = {
        name: spec_of("taught").replace(**{"policy.knobs": {"warm_start": value}})
        for name, value in (("a", 0), ("b", 0.0))
    }
    assert differences(specs) == []


def test_a_run_that_did_not_finish_has_no_gain() -> None:
    stopped = summary("s", "taught", 0.9).model_copy(update={"status": "stopped"})
    assert gains([summary("a", "alone", 0.8), stopped]) == {}
