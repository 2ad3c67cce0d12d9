"""Which pictures Look shows in which order, its table, its files and its colours."""

from __future__ import annotations

import io
import itertools
import zlib

import numpy as np
import pytest
from PIL import Image

from engine.api import Choice
from engine.class_colours import APART, class_palette, distance, other_palette
from pages.charts.look import (
    group_of,
    iou_rows,
    mask_png,
    mean_of,
    ordered,
    picture_words,
    shares_pictures,
    unique_names,
)

FIRST = [[0.9, 0.5], [0.2, None], [None, None], [0.6, 0.6]]
SECOND = [[0.9, 0.9], [0.9, None], [None, None], [0.1, 0.1]]
STREETS = (
    *((221, 204, 119), (170, 68, 153), (221, 221, 221), (17, 119, 51)),
    *((136, 204, 238), (51, 34, 136), (204, 102, 119)),
)
CAMVID = (  # as its masks are painted: sky, building, pole, road, pavement, tree, ...
    *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222)),
    *((128, 128, 0), (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
)


def nearest(palette: tuple[tuple[int, int, int], ...]) -> float:
    return min(distance(one, other) for one, other in itertools.combinations(palette, 2))


def test_the_mean_leaves_out_what_is_not_there() -> None:
    assert mean_of([0.5, None, 1.0]) == 0.75
    assert mean_of([None]) is None


def test_the_worst_come_first_and_pictures_without_a_figure_last() -> None:
    assert ordered(FIRST, SECOND, "worst") == [1, 3, 0, 2]
    assert ordered(FIRST, SECOND, "order") == [0, 1, 2, 3]


def test_the_gap_puts_the_lead_of_b_first() -> None:
    assert ordered(FIRST, SECOND, "gap") == [1, 0, 3, 2]
    assert ordered(FIRST, (), "gap") == [0, 1, 2, 3]


def test_a_class_leaves_pictures_that_show_it_in_the_order_of_its_own_overlap() -> None:
    assert ordered(FIRST, SECOND, "worst", 1) == [0, 3]
    assert ordered(FIRST, SECOND, "gap", 0) == [1, 0, 3]


def test_the_table_has_the_classes_of_the_truth_and_their_mean() -> None:
    rows = iou_rows(["road", "car"], [0.2, None], [0.9, None])
    assert rows == [
        {"Class": "road", "A": 20.0, "B": 90.0, "B - A": 70.0},
        {"Class": "Mean", "A": 20.0, "B": 90.0, "B - A": 70.0},
    ]
    assert iou_rows(["road"], [0.5], None) == [
        {"Class": "road", "A": 50.0},
        {"Class": "Mean", "A": 50.0},
    ]
    assert iou_rows(["road"], None, None) == []


def test_small_pictures_are_asked_for_in_groups_and_large_ones_alone() -> None:
    rows = [*range(100, 140)]
    assert group_of(rows, 17, 48 * 96) == [*range(116, 132)]
    assert group_of(rows, 39, 48 * 96) == [*range(132, 140)]
    assert group_of(rows, 5, 1024 * 2048) == [105]


def test_runs_share_pictures_where_only_training_differs() -> None:
    one = Choice(name="segmentation_folder", knobs={"path": "a", "num_target": 8, "flip": True})
    assert shares_pictures(one, one.model_copy(update={"knobs": {"path": "a", "num_target": 45}}))
    assert not shares_pictures(one, one.model_copy(update={"knobs": {"path": "b"}}))
    other = {"path": "a", "height": 120}
    assert not shares_pictures(one, one.model_copy(update={"knobs": other}))
    assert not shares_pictures(one, Choice(name="street_scenes", knobs=one.knobs))


def test_a_mask_becomes_a_png_of_class_numbers_with_colours() -> None:
    labels = np.array([[0, 1, 2], [2, 255, 0]], dtype=np.uint8)
    palette = [(1, 2, 3), (40, 50, 60), (250, 0, 9)]
    with Image.open(io.BytesIO(mask_png(zlib.compress(labels.tobytes()), 3, 2, palette))) as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image), labels)
        colours = np.array(image.convert("RGB"))
    assert colours[0, 1].tolist() == [40, 50, 60]
    assert colours[1, 1].tolist() == [0, 0, 0]


def test_runs_of_one_name_are_told_apart() -> None:
    named = [("20261121-1-aaaaaa", "Student"), ("20261121-2-bbbbbb", "Student"), ("c", "Alone")]
    assert [*unique_names(named).values()] == ["Student · aaaaaa", "Student · bbbbbb", "Alone"]


def test_the_words_of_a_picture_name_only_what_was_measured() -> None:
    assert picture_words(3, 9, {"A": 0.614, "B": None}) == (
        "Picture 3 of 9, A overlaps the truth by 61 %"
    )


def test_black_and_white_are_a_hundred_apart_for_everyone() -> None:
    assert distance((0, 0, 0), (255, 255, 255)) == pytest.approx(100, abs=0.1)
    assert distance((10, 200, 30), (10, 200, 30)) == 0


def test_red_and_green_of_one_brightness_are_near_for_colour_blind_readers() -> None:
    assert distance((150, 90, 0), (105, 110, 0)) < APART


def test_colours_that_stay_apart_are_kept() -> None:
    assert class_palette(STREETS, 7) == STREETS


def test_colours_that_look_alike_are_replaced_and_the_others_kept() -> None:
    assert nearest(CAMVID) < APART
    found = class_palette(CAMVID, 11)
    assert nearest(found) >= APART
    assert sum(one == other for one, other in zip(found, CAMVID, strict=True)) == 7
    assert found[:5] == CAMVID[:5]


@pytest.mark.parametrize(("count", "least"), [(2, 40), (11, 19), (21, 14)])
def test_classes_without_colours_get_some(count: int, least: float) -> None:
    found = class_palette((), count)
    assert len(set(found)) == count
    assert nearest(found) >= least
    assert class_palette(CAMVID, count) == found or count == 11


def test_a_class_of_the_same_name_has_the_same_colour_in_another_net() -> None:
    found = other_palette(["Sky", "boat", "car"], {"sky": (1, 2, 3), "car": (200, 0, 0)})
    assert found[0] == (1, 2, 3) and found[2] == (200, 0, 0)
    assert distance(found[1], (200, 0, 0)) > APART
