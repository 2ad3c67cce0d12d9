"""The figures of the tab Parts, in numbers; each is also accepted by Plotly itself."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import pytest

from engine.events import Evaluated, PhaseBegan, StepTaken
from engine.runs.view import RunView, fold
from engine.spec import Choice, NetChoice, RunSpec
from pages.charts.colour import DARK, LIGHT
from pages.charts.curve import Line, Look, accuracy_figure, learners, terms_figure
from pages.charts.parts import (
    distances,
    distances_figure,
    has_two_parts,
    is_split,
    losses,
    losses_figure,
    num_classes,
    other_net,
)
from pages.charts.parts_bars import (
    Likeness,
    answers_figure,
    answers_sentence,
    guesses,
    likeness_figure,
    likeness_words,
    neurons_figure,
)
from pages.charts.parts_flat import Disturbed, Slope, flatness_figure, flatness_sentence
from pages.charts.parts_honesty import Verdict, verdict

TERMS = {
    "task": 2.0,
    "inherit": 0.5,
    "explore": -1.0,
    "inherit distance": 0.01,
    "explore distance": 0.02,
}


def spec_of(method: str, **knobs: float) -> RunSpec:
    plain = {"data": Choice(name="shapes"), "student": NetChoice(name="resnet8")}
    return RunSpec(**plain, method=Choice(name=method, knobs=knobs))


def view_of(*steps: Mapping[str, float]) -> RunView:
    count = len(steps)
    begun = PhaseBegan(
        at=(0, 0, 0), phase="distil", epochs=1, steps=count, phases=("distil",), total_steps=count
    )
    taken = [
        StepTaken(at=(0, 0, place), count=1, terms=terms, rates={})
        for place, terms in enumerate(steps, 1)
    ]
    return fold(RunView(), [begun, *taken])


# Which runs, and which terms


@pytest.mark.parametrize(
    ("spec", "split", "two"),
    [
        (spec_of("inherit_explore"), True, True),
        (spec_of("inherit_explore", ratio=1.0), True, False),
        (spec_of("inherit_explore", ratio=0), True, False),
        (spec_of("mutual"), False, False),
        (spec_of("mutual", explore_weight=50.0), True, True),
        (spec_of("spot_adaptive"), False, False),
    ],
)
def test_parts_are_those_of_a_split_student(spec: RunSpec, split: bool, two: bool) -> None:
    assert (is_split(spec), has_two_parts(spec)) == (split, two)


def test_without_a_teacher_the_other_net_takes_its_place() -> None:
    taught = spec_of("inherit_explore").model_copy(update={"teacher": NetChoice(name="resnet14")})
    assert (other_net(taught), other_net(spec_of("mutual"))) == ("teacher", "other net")


def test_classes_are_counted_where_the_run_told_them() -> None:
    assert (num_classes({"classes": ["a", "b", "c"]}), num_classes({})) == (3, 2)


def test_each_net_has_its_losses_and_nobody_the_policys() -> None:
    peers = {f"peer: {name}": value for name, value in TERMS.items()}
    view = view_of({**TERMS, **peers, "routed": 1.0})
    assert losses(view) == {
        "student": {"task": "task", "inherit": "inherit", "explore": "explore"},
        "peer": {
            "task": "peer: task",
            "inherit": "peer: inherit",
            "explore": "peer: explore",
        },
    }
    figure = losses_figure(view, "peer", LIGHT, Look())
    assert [trace["name"] for trace in figure["data"]] == ["task", "inherit", "explore"]
    go.Figure(figure)


def test_distances_share_a_chart_where_their_sizes_allow_it() -> None:
    view = view_of(TERMS)
    (told,) = distances(view)
    assert told == {"inherit": "inherit distance", "explore": "explore distance"}
    figure = distances_figure(view, told, DARK, Look())
    assert [trace["y"] for trace in figure["data"]] == [[0.01], [0.02]]
    go.Figure(figure)
    apart = view_of({**TERMS, "inherit distance": 900.0, "peer: explore distance": 0.1})
    assert [list(told) for told in distances(apart)] == [["inherit"], ["explore", "peer: explore"]]
    assert distances(view_of({"task": 1.0})) == []


def test_a_part_has_one_look_in_all_charts_and_a_peer_another_dash() -> None:
    view = view_of({**TERMS, "peer: explore distance": 0.03})
    by_name = {
        trace["name"]: trace["line"]
        for trace in distances_figure(view, distances(view)[0], LIGHT, Look())["data"]
    }
    loss = losses_figure(view, "student", LIGHT, Look())["data"][2]["line"]
    assert loss == by_name["explore"]
    assert by_name["peer: explore"]["color"] == loss["color"]
    assert by_name["peer: explore"]["dash"] != loss["dash"]


def test_a_distance_is_no_part_of_the_loss() -> None:
    names = [trace["name"] for trace in terms_figure(view_of(TERMS), LIGHT)["data"]]
    assert names == ["task", "inherit", "explore"]


# Every learner has its curve


def test_accuracy_shows_every_net_that_learns() -> None:
    told = [
        Evaluated(
            at=(0, epoch, 0),
            net=net,
            weights="given" if net == "teacher" else "last",
            split="validation",
            figures={"accuracy": 0.1 * epoch + 0.01 * place},
            samples=10,
        )
        for epoch in (0, 1)
        for place, net in enumerate(("teacher", "student", "peer 1", "peer 2"))
    ]
    view = fold(view_of(TERMS), told)
    assert learners(view) == ("student", "peer 1", "peer 2")
    figure = accuracy_figure([Line("r", "Together", "taught", view)], LIGHT)
    traces = figure["data"][1:]
    assert [trace["name"] for trace in traces] == [
        "Together",
        "Together: peer 1",
        "Together: peer 2",
    ]
    assert traces[2]["y"] == pytest.approx([3, 13])
    assert len({trace["line"]["color"] for trace in traces}) == 3
    assert len({trace["legendgroup"] for trace in traces}) == 3, "each is hidden by itself"
    assert learners(RunView()) == ("student",)


# Bars

OWN = {"teacher, inherit": 0.5, "teacher, explore": 0.4, "inherit, explore": None}
TOLD = [Likeness("this run, features", "features", OWN), Likeness("student alone", "alone", OWN)]


def test_likeness_has_a_bar_a_student_for_each_two_maps() -> None:
    figure = likeness_figure(TOLD, "teacher", LIGHT)
    assert [trace["name"] for trace in figure["data"]] == ["this run, features", "student alone"]
    assert figure["data"][0]["y"] == [0.5, 0.4, None]
    assert figure["data"][0]["text"] == [".50", ".40", ""]
    assert figure["layout"]["xaxis"]["ticktext"][0] == "teacher<br>inherits"
    assert len({trace["marker"]["pattern"]["shape"] for trace in figure["data"]}) == 2
    go.Figure(figure)


def test_likeness_in_words_leaves_out_what_is_undefined() -> None:
    said = likeness_words(TOLD[:1], "other net")
    assert said == (
        "Linear CKA. this run, features: other net and inherits 0.50, other net and explores 0.40."
    )


def figures_of(inherit: float, explore: float, both: float) -> dict[str, dict[str, float]]:
    right = {"inherit": inherit, "explore": explore, "both": both}
    return {name: {"accuracy": value, "agreement": value / 2} for name, value in right.items()}


def test_answers_are_shares_in_per_cent() -> None:
    figure = answers_figure(figures_of(0.6, 0.5, 0.8), "teacher", LIGHT)
    assert [trace["y"] for trace in figure["data"]] == [[60, 50, 80], [30, 25, 40]]
    go.Figure(figure)


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ((0.6, 0.5, 0.8), "each knows something that the other does not"),
        ((0.6, 0.7, 0.71), "The part that inherits adds little"),
        ((0.7, 0.1, 0.72), "explores is by itself no better than guessing."),
    ],
)
def test_answers_in_words(right: tuple[float, float, float], said: str) -> None:
    assert said in answers_sentence(figures_of(*right), 10)


def test_guessing_is_told_by_the_number_of_classes() -> None:
    assert guesses(figures_of(0.5, 0.14, 0.5), "explore", 10)
    assert not guesses(figures_of(0.5, 0.14, 0.5), "explore", 100)


def test_active_neurons_are_counted_for_each_share() -> None:
    counts = {"teacher": (9, 4, 2), "inherit": (5, 3, 2), "explore": (0, 0, 0)}
    figure = neurons_figure(counts, (0.01, 0.05, 0.1), "teacher", DARK)
    assert [trace["y"] for trace in figure["data"]] == [[9, 4, 2], [5, 3, 2], [0, 0, 0]]
    ticks = figure["layout"]["xaxis"]["ticktext"]
    assert ticks == ["99 % held", "95 % held", "90 % held"]
    go.Figure(figure)


# Flatness


def slope(label: str, *losses: float | None) -> Slope:
    points = [
        Disturbed(sigma, loss, None if loss is None else 0.1)
        for sigma, loss in zip((0.0, 0.01, 0.02), losses, strict=False)
    ]
    return Slope(label, "taught", points)


def test_flatness_draws_what_is_known_with_its_spread() -> None:
    figure = flatness_figure([slope("this", 0.5, 0.7, None)], LIGHT)
    (trace,) = figure["data"]
    assert (trace["x"], trace["y"]) == ([0.0, 0.01], [0.5, 0.7])
    assert trace["error_y"]["array"] == [0.1, 0.1]
    go.Figure(figure)


def test_flatness_compares_at_the_strongest_noise_that_all_have() -> None:
    said = flatness_sentence([slope("one", 0.5, 0.7, 1.5), slope("two", 0.1, 0.2)])
    assert said == (
        "At sigma 0.01 the loss rises, in nats: one by 0.20 ± 0.10, two by 0.10 ± 0.10."
    )
    assert flatness_sentence([slope("one", 0.5)]) == ""
    assert flatness_sentence([slope("one", None, 0.7)]) == flatness_sentence([]) == ""


# Honesty


def told(
    begun: float,
    ended: float,
    here: float | None,
    alone: float | None,
    *,
    has_codes: bool = True,
    is_empty: bool = False,
) -> Verdict | None:
    steps = [{"explore distance": begun}] * 10 + [{"explore distance": ended}] * 10
    return verdict(
        view_of(*steps),
        {"teacher, explore": here},
        None if alone is None else {"teacher, explore": alone},
        has_codes=has_codes,
        is_empty=is_empty,
        other="teacher",
    )


def kind_and_text(found: Verdict | None) -> tuple[str, str]:
    assert found is not None
    return found.kind, found.text


def test_a_distance_that_grew_without_the_features_was_the_encoders_work() -> None:
    kind, text = kind_and_text(told(0.02, 0.03, 0.45, 0.46))
    assert kind == "warning"
    assert "satisfied by its encoder alone" in text
    assert "from 0.02 to 0.03" in text and "0.45" in text and "0.46" in text


def test_without_an_encoder_none_is_blamed() -> None:
    kind, text = kind_and_text(told(0.02, 0.03, 0.45, 0.46, has_codes=False))
    assert kind == "warning" and "encoder" not in text


def test_features_that_moved_away_are_told_so() -> None:
    kind, text = kind_and_text(told(0.02, 0.03, 0.2, 0.46))
    assert kind == "success" and "The features themselves explore" in text


def test_a_part_that_moved_away_by_holding_nothing_is_no_success() -> None:
    kind, text = kind_and_text(told(0.02, 0.03, 0.06, 0.46, is_empty=True))
    assert kind == "warning" and "no better than guessing" in text


def test_a_distance_that_did_not_grow_had_no_effect() -> None:
    kind, text = kind_and_text(told(0.02, 0.0205, 0.2, 0.46))
    assert kind == "info" and "did not grow" in text


def test_without_a_student_alone_nothing_can_be_told() -> None:
    kind, text = kind_and_text(told(0.02, 0.03, 0.45, None))
    assert kind == "info" and "cannot be told without the same student alone" in text


def test_where_there_is_too_little_nothing_is_said() -> None:
    assert told(0.02, 0.03, None, 0.4) is None
    more = {"has_codes": True, "is_empty": False, "other": "teacher"}
    few = view_of({"explore distance": 0.1})
    assert verdict(few, {"teacher, explore": 0.4}, None, **more) is None
    assert verdict(view_of({"task": 0.1}), {"teacher, explore": 0.4}, None, **more) is None
