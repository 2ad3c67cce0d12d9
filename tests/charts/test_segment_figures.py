"""Segmenters side by side, in numbers; pictures by their pixels."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from engine.api import Overlaps
from engine.class_colours import EDGE, OPACITY, tinted
from engine.runs.view import Curve, RunView, fold
from pages.charts.colour import DARK, LIGHT
from pages.charts.curve import Look, terms_figure
from pages.charts.segments import (
    Method,
    class_rows,
    floor_words,
    image_mean,
    looks_of,
    mean_overlap,
    reached,
    spread,
    summary_words,
    usual_baseline,
    variance,
    variance_ratio,
    variance_rows,
    variance_words,
)
from pages.charts.segments_bars import (
    bars_figure,
    bars_words,
    headlines,
    histogram_figure,
    precision_figure,
)
from pages.charts.segments_curves import (
    imitation_curves,
    imitation_figure,
    imitation_sentence,
    with_borders,
)
from pages.charts.segments_fronts import front_strip, gap_ratio, ramp, scale_end
from pages.charts.segments_overlay import (
    GAP,
    class_colours,
    class_names,
    legend,
    mistakes,
    png,
    shares,
    strip,
)
from tests.pages import canned_segments as canned

RED, BLUE = (200, 0, 0), (0, 0, 200)


def overlaps(image_miou: list[float], confusion: list[list[int]] | None = None) -> Overlaps:
    counts = np.array(confusion or [[3, 1], [2, 4]])
    values = np.array(image_miou)
    return Overlaps(
        confusion=counts,
        image_iou=np.stack([values, values], axis=1),
        image_miou=values,
        rows=np.array([0]),
        masks=np.zeros((1, 2, 2), dtype=np.uint8),
    )


def method(label: str, by_seed: Mapping[int, list[float]], **more: object) -> Method:
    runs = {seed: overlaps(values) for seed, values in by_seed.items()}
    return Method(label, runs, is_alone=label == "scratch", **more)  # type: ignore[arg-type]


def read(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


# Measures, by the numeric cases of the design


def test_overlap_is_the_mean_over_classes_that_are_somewhere() -> None:
    assert mean_overlap(overlaps([0.5])) == pytest.approx(0.535714, abs=1e-6)
    counts = [[5, 0, 0], [0, 0, 0], [1, 0, 4]]
    assert mean_overlap(overlaps([0.5], counts)) == pytest.approx(0.816667, abs=1e-6)


@pytest.mark.parametrize(
    ("threshold", "share"), [(0.5, 1), (0.75, 0.75), (0.8, 0.5), (0.9, 0.25), (0.95, 0)]
)
def test_images_at_the_threshold_count_as_done_well(threshold: float, share: float) -> None:
    assert reached(overlaps([0.80, 0.75, 0.74, 0.90]), threshold) == share


def test_the_variance_is_that_of_all_images_in_points_squared() -> None:
    assert variance(overlaps([0.5, 0.9])) == pytest.approx(400)
    assert variance(overlaps([0.80, 0.75, 0.74, 0.90])) == pytest.approx(40.1875)
    assert variance(overlaps([0.5, np.nan, 0.9])) == pytest.approx(400)
    assert image_mean(overlaps([0.5, np.nan, 0.9])) == pytest.approx(0.7)


def test_a_variance_is_compared_seed_by_seed() -> None:
    mine = method("sd", {0: [0.6, 0.8], 1: [0.5, 0.9], 7: [0.1, 0.2]})
    base = method("scratch", {0: [0.5, 0.9], 1: [0.5, 0.9], 2: [0.1, 0.9]})
    ratio = variance_ratio(mine, base)
    assert ratio.by_seed == {0: pytest.approx(0.25), 1: pytest.approx(1.0)}
    assert ratio.mean == pytest.approx(0.625)


# Words never claim what was not measured

WIDE, NARROW = [0.5, 0.9], [0.6, 0.8]


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ({0: WIDE, 1: WIDE}, "**it did not fall**", "it fell"),
        ({0: NARROW, 1: [0.4, 1.0]}, "1 of 2 seeds only, so **no fall can be claimed**", "each of"),
        (
            {0: NARROW, 1: [0.48, 0.92]},
            "73 % of scratch's on average: it fell with 1 of",
            "each of",
        ),
        ({0: NARROW, 1: NARROW}, "25 % of scratch's: it fell with each of 2 seeds", "claimed"),
        ({0: NARROW}, "it fell; one seed tells little", "each of"),
        ({9: NARROW}, "no seed in common", "fell"),
    ],
)
def test_a_fall_of_the_variance_is_told_as_measured(
    values: dict[int, list[float]], said: str, unsaid: str
) -> None:
    base = method("scratch", {0: WIDE, 1: WIDE})
    (text,) = variance_words([base, method("sd", values)], 0)
    assert said in text and unsaid not in text


def test_the_table_names_the_baseline_and_how_many_seeds() -> None:
    rows = variance_rows(
        [method("scratch", {0: WIDE, 1: WIDE}), method("sd", {0: NARROW, 1: NARROW})], 0
    )
    assert rows[0]["Ratio"] == "baseline"
    assert rows[1] == {
        "Method": "sd",
        "Mean, %": "70.0 ± 0.0 (2)",
        "Variance, points²": "100.0 ± 0.0 (2)",
        "Ratio": "25.0 % ± 0.0 (2)",
    }
    assert variance_rows([method("sd", {0: NARROW})], 0)[0]["Mean, %"] == "70.0 (one seed)"


def test_the_baseline_is_the_student_alone_where_there_is_one() -> None:
    methods = [method("sd", {0: WIDE}), method("scratch", {0: WIDE})]
    assert usual_baseline(methods) == 1
    assert usual_baseline(methods[:1]) == 0


def test_the_summary_tells_the_gain_of_common_seeds() -> None:
    base = Method("scratch", {0: overlaps([0.5], [[5, 5], [0, 10]])}, is_alone=True)
    mine = Method("sd", {0: overlaps([0.5], [[10, 0], [0, 10]]), 1: overlaps([0.5])})
    text = summary_words([base, mine], 0, "sd")
    gain = 100 * (1 - (5 / 10 + 10 / 15) / 2)
    assert f"{gain:+.1f} points against scratch" in text and "mean of 2 seeds" in text
    assert "points" not in summary_words([base, mine], 0, "scratch")


def test_a_threshold_at_the_floor_is_called_so() -> None:
    methods = [method("sd", {0: [0.61, 0.65, 0.3, 0.2]})]
    assert "at 60 % it is sd 50 %" in floor_words(methods, 0.75)
    assert floor_words(methods, 0.6) == ""
    assert floor_words([method("sd", {0: [0.9, 0.2]})], 0.75) == ""


def test_classes_are_means_over_seeds_and_empty_where_a_class_is_nowhere() -> None:
    counts = [[5, 0, 0], [0, 0, 0], [0, 5, 0]]
    one = Method("a", {0: overlaps([0.5], counts), 1: overlaps([0.5], [[1, 0, 0]] + [[0] * 3] * 2)})
    rows = class_rows([one], ("x", "y", "z"))
    assert rows == [{"Class": "x", "a": 100.0}, {"Class": "y", "a": 0.0}, {"Class": "z", "a": 0.0}]
    empty = Method("a", {0: overlaps([0.5], [[1, 0], [0, 0]])})
    assert class_rows([empty], ("x", "y"))[1] == {"Class": "y", "a": None}


# Figures

METHODS = [
    method("scratch", {0: [0.5, 0.7], 1: [0.5, 0.6]}, multiply_adds=40),
    method("sd", {0: [0.8, 0.7], 1: [0.5, 0.9]}, multiply_adds=40, teacher=100),
    method("esd", {0: [0.8, 0.8], 1: [0.9, 0.9]}, multiply_adds=40, teacher=100),
]


def test_the_lines_of_the_abstract_are_gains_on_the_baseline_that_is_chosen() -> None:
    overlap, high, spreads, costs = headlines(METHODS, 0, 0.75)
    base = spread(METHODS[0], mean_overlap).mean
    assert overlap.reference == pytest.approx(100 * base + 1.4)
    assert high.reference == pytest.approx(0 + 8.2)
    assert spreads.reference == pytest.approx(0.782 * (100 + 25) / 2)
    assert costs.reference == pytest.approx(41.8)
    assert [one.mean for one in costs.values] == [40.0] * 3
    assert high.values[1].by_seed == {0: 50.0, 1: 50.0}
    assert headlines(METHODS, 1, 0.75)[1].reference == pytest.approx(50 + 8.2)


def test_without_a_teacher_there_is_nothing_to_compare_costs_with() -> None:
    costs = headlines(METHODS[:1], 0, 0.75)[3]
    assert costs.reference is None and costs.values[0].by_seed == {}


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_bars_show_means_deviations_seeds_and_the_line(colours: object) -> None:
    bars = headlines(METHODS, 0, 0.75)[2]
    figure = bars_figure(bars, METHODS, colours, "esd")  # type: ignore[arg-type]
    go.Figure(figure)
    trace, dots = figure["data"]
    assert trace["x"] == ["scratch", "sd", "<b>esd</b>"]
    assert trace["y"] == pytest.approx([62.5, 212.5, 0])
    assert trace["error_y"]["array"][0] == pytest.approx(75 / 2**0.5)
    assert len(dots["x"]) == 6 and "seed 1" in dots["text"]
    assert figure["layout"]["shapes"][0]["y0"] == bars.reference
    assert figure["layout"]["annotations"][0]["text"] == "abstract"
    low, high = figure["layout"]["yaxis"]["range"]
    assert low == 0 and high > max(trace["y"])
    assert len(set(trace["marker"]["color"])) == 3
    assert len(set(trace["marker"]["pattern"]["shape"])) == 3
    assert "scratch 62.5, sd 212.5" in bars_words(bars, METHODS)


def test_methods_are_told_apart_without_colour() -> None:
    for part in zip(*looks_of(METHODS, LIGHT), strict=True):
        assert len(set(part)) == 3


def test_the_curve_over_the_threshold_falls_and_marks_the_one_chosen() -> None:
    figure = precision_figure(METHODS, 0.62, LIGHT)
    go.Figure(figure)
    scratch = figure["data"][0]
    assert scratch["x"][0] == 50 and scratch["x"][-1] == 95
    assert scratch["y"] == sorted(scratch["y"], reverse=True)
    assert scratch["y"][scratch["x"].index(60.0)] == 50.0
    assert scratch["y"][scratch["x"].index(61.0)] == 25.0
    assert figure["layout"]["shapes"][0]["x0"] == pytest.approx(62)


def test_the_histogram_counts_every_image_once() -> None:
    figure = histogram_figure([method("sd", {0: [0.0, 0.5, 1.0], 1: [np.nan]})], 0.75, LIGHT)
    go.Figure(figure)
    (trace,) = figure["data"]
    assert sum(trace["y"]) == pytest.approx(100, abs=0.1)
    assert trace["y"][0] > 0 and trace["y"][10] > 0 and trace["y"][19] > 0


def view_of(label: str, upto: int = 4) -> RunView:
    events = canned.beginning(label)
    for nth in range(upto):
        at, begun = canned.phase_of(label, nth)
        events += [*begun, *told_at(at, nth)]
    return fold(RunView(), events)


def told_at(at: tuple[int, int, int], nth: int) -> list:
    figures = {"miou": 0.1 * nth, **({"feature_distance": 1 - nth / 2} if nth < 2 else {})}
    step = canned.StepTaken(at=at, count=1, terms={"feature distance": 0.2, "task": 1.0}, rates={})
    told = canned.Evaluated(
        at=at, net="student", weights="last", split="validation", figures=figures, samples=1
    )
    return [step, told]


def test_held_out_and_training_distance_are_two_curves_with_phase_borders() -> None:
    view = view_of("sd")
    assert imitation_curves(view)["held-out images"].value == (1.0, 0.5)
    figure = imitation_figure(view, LIGHT)
    go.Figure(figure)
    assert [trace["name"] for trace in figure["data"]] == ["training images", "held-out images"]
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [1, 2]
    assert [one["text"] for one in figure["layout"]["annotations"]] == [
        "imitation",
        "head",
        "fine tuning",
    ]
    steps = imitation_figure(view, LIGHT, Look(over="step"))
    assert [shape["x0"] for shape in steps["layout"]["shapes"]] == [4, 8]
    assert "from 1.00 to 0.50" in imitation_sentence(view)
    assert "fits the training images" in imitation_sentence(view)


def test_a_run_of_one_phase_has_no_borders_and_no_imitation() -> None:
    view = view_of("scratch")
    figure = terms_figure(view, LIGHT)
    assert with_borders(figure, view, LIGHT, Look()) is figure
    alone = RunView(terms={"task": Curve((), (), ())})
    assert imitation_curves(alone) == {} and imitation_sentence(alone) == ""


# Pictures


def test_a_mask_is_laid_over_its_image_and_classes_part_by_a_darker_line() -> None:
    image = np.full((4, 4, 3), 100, dtype=np.uint8)
    mask = np.array([[0, 0, 1, 1]] * 4, dtype=np.uint8)
    painted = tinted(image, mask, [RED, BLUE])
    assert painted[0, 0].tolist() == [int(OPACITY * 200 + 40), 40, 40]
    assert painted[0, 1].tolist() == [int(EDGE * (OPACITY * 200 + 40)), *[int(EDGE * 40)] * 2]
    assert painted[0, 3, 2] > painted[0, 3, 0]


def test_pixels_that_the_truth_leaves_open_are_grey_stripes() -> None:
    image = np.zeros((8, 8, 3), dtype=np.uint8)
    image[..., 0] = 90
    painted = tinted(image, np.full((8, 8), 255, dtype=np.uint8), [RED])
    assert (painted[..., 0] == painted[..., 1]).all() and len(np.unique(painted)) == 2


def test_mistakes_keep_their_colour_and_what_is_right_is_grey() -> None:
    image = np.full((4, 4, 3), 100, dtype=np.uint8)
    truth = np.zeros((4, 4), dtype=np.uint8)
    truth[3] = 255
    mask = truth.copy()
    mask[0] = 1
    mask[3] = 1
    painted = mistakes(image, mask, truth, [RED, BLUE])
    assert painted[0, 0, 2] > painted[0, 0, 0]
    for row in (1, 3):
        assert len(set(painted[row, 0].tolist())) == 1


def test_a_strip_holds_image_truth_and_nets_side_by_side() -> None:
    image = np.zeros((48, 96, 3), dtype=np.uint8)
    mask = np.zeros((48, 96), dtype=np.uint8)
    drawn = read(strip(image, [mask, mask], [RED]))
    assert drawn.shape == (96, 3 * 192 + 2 * GAP, 4)
    assert drawn[5, 5].tolist() == [0, 0, 0, 255]
    assert drawn[5, 192 + 1, 3] == 0
    assert drawn[5, 192 + GAP + 5].tolist() == [int(OPACITY * 200), 0, 0, 255]
    assert read(strip(None, [mask], [RED]))[0, 0].tolist()[:3] == list(RED)
    large = np.zeros((360, 480, 3), dtype=np.uint8)
    assert read(strip(large, [mask], [RED])).shape == (180, 2 * 240 + GAP, 4)


def test_a_strip_marks_mistakes_of_the_nets_but_not_of_the_truth() -> None:
    image = np.full((240, 240, 3), 100, dtype=np.uint8)
    truth = np.zeros((240, 240), dtype=np.uint8)
    drawn = read(strip(image, [truth, truth], [RED], truth=truth))
    assert drawn[5, 245 + GAP, 0] > drawn[5, 245 + GAP, 1]
    assert len(set(drawn[5, -5, :3].tolist())) == 1


@pytest.mark.parametrize("channels", [3, 4])
def test_our_png_is_read_back_pixel_for_pixel(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, channels)).astype(np.uint8)
    assert np.array_equal(read(png(pixels)), pixels)


def test_eight_photographs_are_drawn_in_well_under_200_ms() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (360, 480, 3)).astype(np.uint8)
    mask = np.kron(rng.integers(0, 11, (12, 16)), np.ones((30, 30))).astype(np.uint8)
    colours = [(20 * n, 10 * n, 255 - 20 * n) for n in range(11)]

    def drawn() -> float:
        began = time.process_time()
        for _ in range(8):
            strip(image, [mask, mask], colours)
        return time.process_time() - began

    assert min(drawn() for _ in range(3)) < 0.2


def test_the_largest_areas_are_told_in_words() -> None:
    mask = np.array([[0, 0, 0, 1], [1, 2, 255, 255]], dtype=np.uint8)
    assert shares(mask, ("road", "sky", "car")) == "road 50 %, sky 33 %, car 17 %"


def test_colours_and_names_are_those_of_the_run_where_it_kept_them() -> None:
    kept = {"classes": ["a", "b"], "palette": [[200, 0, 0], [0, 0, 200]]}
    assert class_names(kept, 2) == ["a", "b"]
    assert class_colours(kept, 2) == (RED, BLUE)
    assert class_names({}, 2) == ["class 0", "class 1"]
    assert len(set(class_colours({"palette": []}, 12))) == 12


def test_the_legend_has_each_class_with_its_colour_and_no_foreign_marks() -> None:
    told = legend(["road", "<b>"], [RED, BLUE])
    assert "rgb(200,0,0)" in told and "road" in told and "&lt;b&gt;" in told and "<b>" not in told


def test_front_maps_share_one_scale() -> None:
    table = ramp(["#000000", "#FFFFFF"])
    assert table[0].tolist() == [0] * 3 and table[255].tolist() == [255] * 3
    teacher, student = np.full((2, 4), 4.0, "f4"), np.full((2, 4), 1.0, "f4")
    end = scale_end(teacher, student)
    assert end == pytest.approx(4.0)
    drawn = read(front_strip(None, teacher, student, end, table))
    width = (drawn.shape[1] - 2 * GAP) // 3
    tones = [int(drawn[3, place * (width + GAP) + 3, 0]) for place in range(3)]
    assert tones == [255, 64, 191]
    assert gap_ratio(teacher, student) == pytest.approx(9 / 16)
    image = np.zeros((4, 8, 3), dtype=np.uint8)
    assert read(front_strip(image, teacher, student, end, table)).shape[1] == 4 * width + 3 * GAP
