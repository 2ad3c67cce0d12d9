import numpy as np
import pytest

from engine.data.outlines import CELLS, NAMES, OUTLINES, REACH, distance_table, signed_distance


def test_distance_to_a_square_is_that_of_a_hand_calculation():
    square = [np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])]
    found = signed_distance(square, np.array([0.0, 0.5, 4.0, 5.0]))
    assert found[0, 0] == -1  # the middle
    assert found[1, 1] == -0.5
    assert found[0, 2] == 3  # straight out of an edge
    assert found[2, 3] == pytest.approx(5)  # a corner: 3, 4, 5
    assert np.allclose(found, found.T)


def test_a_hole_lies_outside():
    outer = np.array([(-2.0, -2.0), (2.0, -2.0), (2.0, 2.0), (-2.0, 2.0)])
    found = signed_distance([outer, outer / 2], np.array([0.0, 1.5]))
    assert found[0, 0] == 1
    assert found[0, 1] == -0.5


def test_table_lies_on_a_grid_of_4096ths():
    table = distance_table()
    assert table.shape == (len(NAMES), CELLS, CELLS) and table.dtype == np.float32
    assert np.array_equal(table * 4096, np.floor(table * 4096))


def test_no_shadow_reaches_the_end_of_the_table():
    """Beyond the table distances are those of its edge: they must be out of a shadow's reach."""
    table = distance_table()
    edge = np.concatenate(
        [table[:, [0, -1], :].reshape(10, -1), table[:, :, 0], table[:, :, -1]], 1
    )
    smallest_radius_in_pixels = 0.56 * 16
    assert (edge.min(axis=1) * smallest_radius_in_pixels > 1 / 0.3 - 0.1).all()


@pytest.mark.parametrize("outline", OUTLINES, ids=NAMES)
def test_outline_is_of_about_unit_size_and_within_the_table(outline):
    corners = np.concatenate(outline())
    assert 0.7 < np.abs(corners).max() < REACH


def test_crescent_opens_to_the_right():
    table, middle = distance_table()[NAMES.index("crescent")], CELLS // 2
    inside = np.flatnonzero(table[middle] < 0)
    assert len(inside) and inside.max() < middle + 2
