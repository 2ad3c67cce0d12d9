import numpy as np
import pytest

from engine.data.street_drawing import FINE, LENS, Camera, Canvas, Die, View


@pytest.fixture
def canvas():
    return Canvas(20, 40)


def share(canvas, area):
    """Of all dots, those that an area covers."""
    canvas.dots[:] = 0
    canvas.fill(area, 5)
    assert set(np.unique(canvas.dots)) <= {0, 10}
    return (canvas.dots == 10).mean()


def test_areas_have_their_size(canvas):
    assert share(canvas, canvas.box(0.5, 0.25, 1.0, 0.75)) == 0.5 * 0.5 / 2
    assert share(canvas, canvas.ellipse(1, 0.5, 0.6, 0.3)) == pytest.approx(
        np.pi * 0.6 * 0.3 / 2, rel=0.02
    )
    assert share(canvas, canvas.polygon((0, 0), (2, 0), (2, 1))) == pytest.approx(0.5, abs=0.01)


def test_corners_may_go_round_either_way(canvas):
    corners = ((0.3, 0.2), (1.5, 0.3), (1.2, 0.9), (0.4, 0.7))
    there, back = (share(canvas, canvas.polygon(*way)) for way in (corners, corners[::-1]))
    assert there == pytest.approx(back, abs=1e-3)
    assert there == pytest.approx(
        0.2825, abs=0.005
    )  # half of (1.17 * .5 + .17 * .8 - ...), counted


def test_what_lies_beyond_the_picture_is_cut_off(canvas):
    assert share(canvas, canvas.box(-3, -3, 9, 9)) == 1
    assert share(canvas, canvas.box(3, 0, 4, 1)) == 0
    assert share(canvas, canvas.ellipse(-1, 0.5, 0.5, 0.5)) == 0
    assert share(canvas, canvas.polygon((-1, 2), (3, 2), (1, 3))) == 0


def test_areas_that_touch_leave_no_gap_and_no_overlap(canvas):
    for left, right in ((0.3, 0.77), (0.77, 1.21)):
        rows, columns, _ = canvas.box(left, 0, right, 1)
        canvas.dots[rows, columns] += 1
    assert (canvas.dots > 1).sum() == 0
    assert (canvas.dots == 1).mean() == pytest.approx((1.21 - 0.3) / 2, abs=0.02)


def test_shade_darkens_once_and_keeps_the_ink(canvas):
    ink = canvas.ink("road", (90, 90, 90))
    canvas.fill(canvas.box(0, 0, 2, 1), ink)
    half = canvas.box(0, 0, 1, 1)
    canvas.shade(half)
    canvas.shade(half)
    assert (canvas.dots >> 1 == ink).all()
    assert (canvas.dots & 1).mean() == 0.5


def test_what_is_as_tall_as_the_eye_reaches_the_horizon(canvas):
    view = View(canvas, Camera(horizon=0.4, vanishing=1.1, eye=1.7), Die(0))
    pole = canvas.ink("sign", (90, 90, 90))
    middles = []
    for depth in (6.0, 20.0):
        canvas.dots[:] = 99
        view.stand([(depth, -2.0, lambda brush, die: brush.box(-0.4, 0, 0.4, 1.7, pole))])
        rows, columns = np.nonzero(canvas.dots == 2 * pole)
        assert rows.min() == 0.4 * 20 * FINE
        assert rows.max() + 1 == pytest.approx((0.4 + 1.7 * LENS / depth) * 20 * FINE, abs=1)
        middles.append(columns.mean() / (20 * FINE))
    assert middles == pytest.approx([1.1 - 2 * LENS / 6, 1.1 - 2 * LENS / 20], abs=0.02)


def test_far_things_are_drawn_first(canvas):
    seen = []
    view = View(canvas, Camera(0.4, 1, 1.7), Die(0))
    view.stand([(z, 0, lambda brush, die: seen.append(brush.metre)) for z in (4, 30, 9)])
    assert seen == sorted(seen)


def test_a_die_keeps_its_ranges_and_its_order():
    die, same = Die(1, 2), Die(1, 2)
    reals = np.array([die.real(-1, 3) for _ in range(2000)])
    assert reals.min() >= -1 and reals.max() < 3
    assert reals.mean() == pytest.approx(1, abs=0.1)
    assert [same.real(-1, 3) for _ in range(3)] == reals[:3].tolist()
    assert {die.whole(3) for _ in range(100)} == {0, 1, 2}
    assert {die.pick("ab") for _ in range(50)} == {"a", "b"}
    noise = die.noise(50, 40, 3)
    assert noise.shape == (50, 40, 3) and noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.std() == pytest.approx(1, abs=0.02)
