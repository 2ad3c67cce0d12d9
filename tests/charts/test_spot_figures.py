"""The figures of the tab Spots, in numbers; each is also accepted by Plotly itself."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from engine.api import Choices
from engine.events import Evaluated, SpotsCounted
from engine.runs.view import RunView, fold
from pages.charts.colour import DARK, LIGHT
from pages.charts.spot import MOST_CLASSES, class_by_spot, share_lines, standing_out
from pages.charts.spot_policies import (
    Spread,
    mean_curve,
    mean_shares,
    named,
    over_seeds,
    policies_figure,
    policy_shares_figure,
    same_but_policy,
)
from pages.charts.spot_routes import in_words, route_rows, routes_figure, routes_of
from pages.charts.spot_samples import (
    MOST_DOTS,
    ends,
    gap_figure,
    gap_sentence,
    tenths,
    usual_probability,
)
from tests.pages.canned import SPOTS, STEPS, beginning, spec_of, underway, whole


@pytest.fixture
def taught() -> RunView:
    return fold(RunView(), whole("taught"))


def counted(
    kept: list[list[int]], samples: list[int], routes: dict[str, int] | None = None
) -> SpotsCounted:
    """Two spots; kept by spot and class."""
    return SpotsCounted(
        at=(0, 1, 0),
        spots=("stage1", "logits"),
        samples=tuple(samples),
        kept=tuple(map(tuple, kept)),
        routes=routes or {},
        probability=(0.5, 0.5),
    )


# Share over epochs


def test_a_line_a_spot_follows_the_counted_shares_in_per_cent(taught: RunView) -> None:
    figure = share_lines(taught, LIGHT)
    assert [trace["name"] for trace in figure["data"]] == list(SPOTS)
    assert figure["data"][0]["x"] == list(range(1, 11))
    told = taught.counted[2]
    assert figure["data"][1]["y"][2] == pytest.approx(100 * sum(told.kept[1]) / sum(told.samples))
    assert "shapes" not in figure["layout"]
    go.Figure(figure)


def test_a_rule_for_the_logits_is_a_guide_with_its_share(taught: RunView) -> None:
    figure = share_lines(taught, DARK, 0.5)
    (guide,) = figure["layout"]["shapes"]
    assert (guide["y0"], guide["y1"]) == (50, 50)
    assert "50 %" in figure["layout"]["annotations"][0]["text"]
    go.Figure(figure)


def test_lines_differ_by_more_than_their_colour(taught: RunView) -> None:
    traces = share_lines(taught, LIGHT)["data"]
    assert len({trace["line"]["dash"] for trace in traces}) == len(traces)
    assert len({trace["marker"]["symbol"] for trace in traces}) == len(traces)


def test_an_empty_log_has_no_lines() -> None:
    assert share_lines(RunView(), LIGHT)["data"] == []


# Class by spot


def test_a_cell_carries_its_spot_and_class(taught: RunView) -> None:
    cells = class_by_spot(taught, LIGHT)["data"][0]["customdata"]
    assert cells[0][3] == ["stage1", 3]
    assert cells[3][9] == ["logits", 9]


def test_the_chosen_cell_has_a_frame(taught: RunView) -> None:
    figure = class_by_spot(taught, LIGHT, [], ("stage3", 4))
    (frame,) = figure["layout"]["shapes"]
    assert (frame["x0"], frame["x1"], frame["y0"], frame["y1"]) == (3.5, 4.5, 1.5, 2.5)
    assert "shapes" not in class_by_spot(taught, LIGHT, [], ("stage3", -1))["layout"]
    go.Figure(figure)


def test_classes_of_one_name_keep_a_column_each(taught: RunView) -> None:
    names = ["crane"] * 2 + [str(n) for n in range(8)]
    assert class_by_spot(taught, LIGHT, names)["data"][0]["x"] == list(range(10))


def test_a_class_without_images_is_an_empty_cell_that_says_so() -> None:
    view = fold(RunView(), [*beginning("taught"), counted([[1, 0], [2, 0]], [4, 0])])
    trace = class_by_spot(view, LIGHT)["data"][0]
    assert trace["z"] == [[0.25, None], [0.5, None]]
    assert trace["hovertext"][0] == ["class 0: 25 % taught", "class 1: no image"]


def test_of_very_many_classes_those_are_shown_that_stand_out() -> None:
    shares = [[0.5, 0.9, 0.5, 0.5], [0.5, 0.5, 0.5, 0.1]]
    assert standing_out(shares, 2) == [1, 3]
    assert standing_out(shares, 4) == [0, 1, 2, 3]
    many = MOST_CLASSES + 50
    view = fold(
        RunView(),
        [*beginning("taught"), counted([[1] * many, [0] * (many - 1) + [1]], [2] * many)],
    )
    trace = class_by_spot(view, LIGHT)["data"][0]
    assert len(trace["z"][0]) == MOST_CLASSES
    assert trace["customdata"][0][-1] == ["stage1", many - 1]


# Routes


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1111", "everywhere"),
        ("0000", "nowhere"),
        ("0100", "only stage2"),
        ("1101", "all but stage3"),
        ("1001", "stage1 + logits"),
    ],
)
def test_a_code_is_explained_in_words(code: str, words: str) -> None:
    assert in_words(code, SPOTS) == words


def test_a_single_spot_has_two_routes() -> None:
    assert [in_words(code, ("logits",)) for code in "10"] == ["everywhere", "nowhere"]


def test_the_most_frequent_routes_come_first_and_the_rest_is_one() -> None:
    told = counted([[0], [0]], [100], {"01": 20, "11": 60, "10": 15, "00": 5})
    assert [route.code for route in routes_of(told)] == ["11", "01", "10", "00"]
    found = routes_of(told, most=2)
    assert [(route.words, route.images, route.share) for route in found] == [
        ("everywhere", 60, 0.6),
        ("only logits", 20, 0.2),
        ("others", 20, 0.2),
    ]
    figure = routes_figure(found, LIGHT)
    assert figure["data"][0]["text"] == ["60.0 %", "20.0 %", "20.0 %"]
    assert figure["data"][0]["y"] == ["11", "01", "others"]
    assert route_rows(found)[2] == {
        "Code": "-", "Taught at": "others", "Images": 20, "Share (%)": 20.0
    }  # fmt: skip
    go.Figure(figure)


def test_a_log_that_holds_the_most_frequent_routes_only_counts_the_rest_as_others() -> None:
    found = routes_of(counted([[0], [0]], [100], {"11": 90}))
    assert found[-1].words == "others" and found[-1].images == 10


# Images


def choices(**changes: object) -> Choices:
    """Six images; the third was not visited, the last is of another class."""
    mean = np.array([[0.9, 0], [0.1, 0], [0.0, 0], [0.5, 0], [0.7, 0], [0.2, 0]], np.float32)
    plain = {
        "label": np.array([0, 0, -1, 0, 0, 1]),
        "kept": np.zeros((6, 2), bool),
        "probability": np.full((6, 2), 0.5, np.float32),
        "gap": np.arange(6, dtype=np.float32),
        "mean": mean,
    }
    return Choices(**{**plain, **changes})


def test_the_most_and_least_taught_images_are_those_of_the_highest_and_lowest_mean() -> None:
    found = ends(choices(), 0, None, count=2)
    assert [row for row, _ in found.most] == [0, 4]
    assert [row for row, _ in found.least] == [1, 5]
    assert found.most[0][1] == pytest.approx(0.9)
    assert found.images == 5
    assert not found.is_flat


def test_a_class_shows_its_own_images_and_none_at_both_ends() -> None:
    found = ends(choices(), 0, 0)
    assert [row for row, _ in found.most] == [0, 4]
    assert [row for row, _ in found.least] == [1, 3]
    assert [row for row, _ in ends(choices(), 0, 1).most] == [5]
    assert ends(choices(), 0, 1).least == ()
    assert ends(choices(), 0, 7).images == 0


def test_where_all_images_are_treated_alike_there_is_no_most_and_least() -> None:
    assert ends(choices(), 1, None).is_flat


def test_without_a_mean_the_last_visit_counts() -> None:
    old = choices(mean=None, gap=None)
    assert usual_probability(old) is old.probability
    assert ends(old, 0, None).is_flat


# The gap


def test_tenths_hold_equally_many_images_in_the_order_of_their_gap() -> None:
    gaps = np.arange(100, dtype=np.float32)[::-1].copy()
    chance = np.stack([gaps / 100, gaps * 0], 1)
    many = choices(label=np.zeros(100, int), gap=gaps, probability=chance)
    found = tenths(many, 0)
    assert [tenth.images for tenth in found] == [10] * 10
    assert found[0].gap == pytest.approx(4.5)  # 0 to 9
    assert found[9].probability == pytest.approx(0.945)  # 90 to 99
    assert "asked more" in gap_sentence(found)
    assert "hardly matters" in gap_sentence(tenths(many, 1))


def test_few_images_have_no_tenths() -> None:
    assert tenths(choices(), 0) == []
    assert gap_sentence([]) == ""
    go.Figure(gap_figure(choices(), 0, [], LIGHT))


def test_a_large_data_set_is_drawn_with_the_same_dots_each_time() -> None:
    rng = np.random.default_rng(1)
    size = 3 * MOST_DOTS
    large = choices(
        label=np.zeros(size, int),
        gap=rng.normal(size=size).astype(np.float32),
        probability=rng.random((size, 2)).astype(np.float32),
    )
    means = tenths(large, 0)
    figure = gap_figure(large, 0, means, DARK)
    assert len(figure["data"][0]["x"]) == MOST_DOTS
    assert figure == gap_figure(large, 0, means, DARK)
    assert figure["data"][1]["y"] == [tenth.probability for tenth in means]
    go.Figure(figure)


# Policies


def view_of(*accuracies: float) -> RunView:
    """A run measured after each of its epochs."""
    told = [
        Evaluated(
            at=(0, epoch, STEPS), net="student", weights="last", split="validation",
            figures={"accuracy": value}, samples=100,
        )
        for epoch, value in enumerate(accuracies)
    ]  # fmt: skip
    return fold(RunView(), [*beginning("taught"), *told])


def test_a_spread_is_that_of_a_sample_and_none_for_one_seed() -> None:
    assert over_seeds([0.1, 0.3]) == Spread(pytest.approx(0.2), pytest.approx(0.02**0.5), 2)
    assert over_seeds([0.5]) == Spread(0.5, None, 1)


def test_the_mean_curve_takes_each_epoch_over_the_seeds_that_have_it() -> None:
    curve = mean_curve([view_of(0.2, 0.4), view_of(0.4)])
    assert [epoch for epoch, _ in curve] == [1.0, 2.0]
    assert curve[0][1].mean == pytest.approx(0.3)
    assert (curve[1][1].mean, curve[1][1].seeds) == (pytest.approx(0.4), 1)


def test_a_policy_is_a_line_and_with_several_seeds_a_band_too() -> None:
    figure = policies_figure(
        {"learned": [view_of(0.2, 0.4), view_of(0.4, 0.6)], "all": [view_of(0.5, 0.5)]}, LIGHT
    )
    band, learned, everywhere, teacher = figure["data"]
    assert learned["y"] == pytest.approx([30, 50])
    spread = 100 * 0.02**0.5
    assert band["y"] == pytest.approx([30 + spread, 50 + spread, 50 - spread, 30 - spread])
    assert band["x"] == [1, 2, 2, 1]
    assert everywhere["name"] == "all"
    assert teacher["name"] == "Teacher" and teacher["y"] == pytest.approx([99.67, 99.67])
    go.Figure(figure)


def test_shares_stand_side_by_side_with_their_spread() -> None:
    early, late = fold(RunView(), underway("taught", done=1)), fold(RunView(), whole("taught"))
    shares = mean_shares([early, late])
    one = policy_shares_figure({"learned": [early, late], "all": [late]}, DARK)
    assert one["data"][0]["y"][0] == pytest.approx(100 * shares["stage1"].mean)
    assert one["data"][0]["error_y"]["array"][0] == pytest.approx(
        100 * (shares["stage1"].spread or 0)
    )
    assert one["data"][1]["error_y"]["array"] == [0.0] * 4
    assert one["data"][0]["x"] == list(SPOTS)
    go.Figure(one)


def test_policies_come_in_a_fixed_order_and_say_their_knobs_where_they_differ() -> None:
    specs = {name: spec_of("taught").replace(policy=name) for name in ("none", "all", "learned")}
    assert list(named(specs)) == ["learned", "all", "none"]
    specs["b"] = spec_of("taught", seed=1).replace(
        policy="learned", **{"policy.knobs": {"warm_start": 0}}
    )
    assert named(specs)["learned (warm_start 0)"] == ["b"]
    assert named(specs)["learned (defaults)"] == ["learned"]


def test_runs_that_differ_in_policy_and_seed_only_are_compared() -> None:
    mine = spec_of("taught")
    assert same_but_policy(mine) == same_but_policy(mine.replace(policy="random", seed=7))
    assert same_but_policy(mine) != same_but_policy(mine.replace(distiller="kd"))
