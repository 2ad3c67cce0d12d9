"""Rows, comparisons and words."""

from __future__ import annotations

import pytest

from engine.api import Summary
from engine.runs.summary import Cost, Figures, Labels
from engine.runs.view import RunView, fold
from pages.charts.colour import LIGHT
from pages.charts.compare import differences, frontier, pareto_figure
from pages.charts.narrator import narrate, policy_hint
from pages.charts.table import filtered, gains, ordered, rows_of
from pages.charts.words import amount, counted, duration, points, size
from tests.pages.canned import beginning, ending, epoch_events, spec_of, underway


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


def routed(kept: list[list[int]], chances: list[list[float]], *told_after: object) -> RunView:
    """A learning policy's epochs: images kept of 3,000, and mean P, by epoch and spot."""
    begun = fold(RunView(), [*beginning("taught"), *epoch_events("taught", 0, part=0.1)])
    (one,) = fold(RunView(), [*beginning("taught"), *epoch_events("taught", 0)]).counted
    epochs = [
        one.model_copy(
            update={
                "at": (0, epoch + 1, 0),
                "kept": tuple((images // 10,) * 10 for images in images_by_spot),
                "probability": tuple(chances[epoch]),
            }
        )
        for epoch, images_by_spot in enumerate(kept)
    ]
    return fold(begun, [*epochs, *told_after])


ALL, HALF, SOME = [3000] * 4, [1500] * 4, [2970, 1500, 30, 1500]
CERTAIN, EVEN, NEVER = [0.999] * 4, [0.5] * 4, [0.001] * 4


def test_a_policy_that_taught_everywhere_after_it_had_chosen_is_told() -> None:
    view = routed([HALF, ALL], [EVEN, CERTAIN])
    assert (
        policy_hint(view) == "The policy now asks the teacher at every spot: it no longer chooses."
    )
    assert policy_hint(view) in narrate(view)


def test_spots_that_are_taught_always_or_never_are_named() -> None:
    assert policy_hint(routed([HALF, SOME], [EVEN, EVEN])) == (
        "Nearly every image is taught at stage1 (99 %). Nearly no image is taught at stage3 (1 %):"
        " the policy hardly chooses there."
    )


def test_a_warm_start_that_has_not_worn_off_is_told_from_the_first_epoch_on() -> None:
    told = "P is still above .99 at each spot: so far this is ordinary distillation."
    assert policy_hint(routed([ALL], [CERTAIN])) == told
    assert policy_hint(routed([ALL, ALL], [CERTAIN, CERTAIN])) == told
    assert "so far the teacher teaches nothing" in policy_hint(routed([[0] * 4], [NEVER]))


def test_a_warm_start_that_never_wore_off_is_told_at_the_end() -> None:
    ended = ending("taught")[-1]
    assert "to the end" in policy_hint(routed([ALL, ALL], [CERTAIN, CERTAIN], ended))
    assert "to the end" in policy_hint(routed([[0] * 4], [NEVER], ended))


def test_a_policy_that_chooses_gets_no_hint_and_one_that_does_not_learn_gets_none_either() -> None:
    assert policy_hint(routed([HALF, HALF], [EVEN, EVEN])) == ""
    (one,) = fold(RunView(), [*beginning("taught"), *epoch_events("taught", 0)]).counted
    everywhere = one.model_copy(update={"kept": ((300,) * 10,) * 4, "probability": (1.0,) * 4})
    assert policy_hint(fold(RunView(), [*beginning("taught"), everywhere, everywhere])) == ""


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
