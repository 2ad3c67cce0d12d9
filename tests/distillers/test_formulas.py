"""Each formula against a computation written out by hand, in float64 and plain loops."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import tiny
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.distillers import Pair, Setting, Spot
from engine.distillers.relations import angles, distances
from engine.errors import SpecError

from .conftest import made, setting_of

Array = NDArray[np.float64]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def arrays(pair: Pair) -> tuple[Array, Array]:
    return pair.student.double().numpy(), pair.teacher.double().numpy()


def unit(values: list[float]) -> list[float]:
    norm = math.sqrt(sum(value * value for value in values))
    return [value / norm for value in values]


def huber(gap: float) -> float:
    return gap * gap / 2 if abs(gap) < 1 else abs(gap) - 0.5


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_is_temperature_squared_times_the_divergence(
    setting: Setting, temperature: float
) -> None:
    pair = Pair(draw(3, 4, seed=1) * 3, draw(3, 4, seed=2) * 3)
    found = made("kd", setting, temperature=temperature).measure(pair, tiny.batch_of(3))
    for row, (ours, theirs) in enumerate(zip(*arrays(pair), strict=True)):
        p, q = ([math.exp(x / temperature) for x in one] for one in (theirs, ours))
        p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
        expected = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        assert found[row].item() == pytest.approx(temperature**2 * expected, rel=1e-5)


def test_kd_of_two_classes_written_out() -> None:
    setting = setting_of("tiny_net_4_3", "tiny_net_6_3")
    pair = Pair(torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]]))
    found = made("kd", setting, temperature=1.0).measure(pair, tiny.batch_of(1))
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_kd_stays_finite_for_large_logits(setting: Setting) -> None:
    pair = Pair(torch.tensor([[1e4, -1e4, 0, 0]]), torch.tensor([[-1e4, 1e4, 0, 0]]))
    assert made("kd", setting).measure(pair, tiny.batch_of(1)).isfinite().all()


@pytest.mark.parametrize("power", [1, 2, 4])
def test_at_compares_unit_maps_of_the_mean_power(setting: Setting, power: int) -> None:
    pair = Pair(draw(2, 3, 2, 3, seed=1), draw(2, 5, 2, 3, seed=2))
    found = made("at", setting, power=power).measure(pair, tiny.batch_of(2))
    for row, (ours, theirs) in enumerate(zip(*arrays(pair), strict=True)):
        maps = []
        for feature in (ours, theirs):
            places = product(range(2), range(3))
            mean = [sum(abs(c[i, j]) ** power for c in feature) / len(feature) for i, j in places]
            maps.append(unit(mean))
        expected = sum((a - b) ** 2 for a, b in zip(*maps, strict=True)) / 6
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_at_pools_the_larger_map(setting: Setting) -> None:
    large = draw(1, 2, 4, 4, seed=1)
    small = torch.stack(
        [large[:, :, i : i + 2, j : j + 2].mean(dim=(2, 3)) for i in (0, 2) for j in (0, 2)], 2
    ).unflatten(2, (2, 2))
    at = made("at", setting)
    for pair in (Pair(large, small), Pair(small, large)):
        assert at.measure(pair, tiny.batch_of(1)).item() == pytest.approx(0, abs=1e-9)


def test_fitnet_is_the_mean_square_of_all_elements(setting: Setting) -> None:
    pair = Pair(draw(3, 2, 2, 2, seed=1), draw(3, 2, 2, 2, seed=2))
    found = made("fitnet", setting).measure(pair, tiny.batch_of(3))
    for row, (ours, theirs) in enumerate(zip(*arrays(pair), strict=True)):
        expected = sum((a - b) ** 2 for a, b in zip(ours.flat, theirs.flat, strict=True)) / 8
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_fitnet_translates_the_student_before_it_compares(setting: Setting) -> None:
    hint = made("fitnet", setting, hint=3)
    (spot,) = hint.spots
    assert spot == Spot("stage3", "stage3")
    student = {spot.student: draw(4, *setting.student[spot.student].shape)}
    teacher = {spot.teacher: draw(4, *setting.teacher[spot.teacher].shape, seed=1)}
    (pair,) = hint.train().project(student, teacher)
    assert pair.student.shape == pair.teacher.shape
    assert torch.equal(pair.teacher, teacher[spot.teacher])


def test_fitnet_refuses_a_feature_that_is_not_there(setting: Setting) -> None:
    assert made("fitnet", setting, hint=4).spots == (Spot("embedding", "embedding"),)
    with pytest.raises(SpecError, match="feature 5 does not exist: these nets share 5 features"):
        made("fitnet", setting, hint=5)


@pytest.mark.parametrize(("near", "bent"), [(25.0, 50.0), (1.0, 0.0), (0.0, 1.0)])
def test_rkd_compares_distances_and_angles(setting: Setting, near: float, bent: float) -> None:
    pair = Pair(draw(4, 3, seed=1), draw(4, 5, seed=2))
    rkd = made("rkd", setting, distance_weight=near, angle_weight=bent)
    found = rkd.measure(pair, tiny.batch_of(4)).mean()
    relations = []
    for rows in arrays(pair):
        apart = [[math.dist(a, b) for b in rows] for a in rows]
        mean = sum(map(sum, apart)) / 12
        scaled = [value / mean for row in apart for value in row]
        cosines = []
        for i, j, k in product(range(4), repeat=3):
            if i in (j, k):
                cosines.append(0.0)
                continue
            first, second = unit(list(rows[j] - rows[i])), unit(list(rows[k] - rows[i]))
            cosines.append(sum(a * b for a, b in zip(first, second, strict=True)))
        relations.append((scaled, cosines))
    (d_s, a_s), (d_t, a_t) = relations
    distance = sum(huber(a - b) for a, b in zip(d_s, d_t, strict=True)) / 16
    angle = sum(huber(a - b) for a, b in zip(a_s, a_t, strict=True)) / 64
    assert found.item() == pytest.approx(near * distance + bent * angle, rel=1e-4)


def test_rkd_of_two_samples_is_zero(setting: Setting) -> None:
    pair = Pair(draw(2, 3, seed=1), draw(2, 5, seed=2))
    assert made("rkd", setting).measure(pair, tiny.batch_of(2)).tolist() == pytest.approx([0, 0])


def test_distances_and_angles_of_a_right_triangle() -> None:
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert torch.allclose(distances(corners), torch.tensor([[0, 3.0, 4], [3, 0, 5], [4, 5, 0]]) / 4)
    found = angles(corners)
    assert found[0, 1, 2].item() == pytest.approx(0, abs=1e-6)
    assert found[1, 0, 2].item() == pytest.approx(0.6, rel=1e-5)
    assert found[2, 0, 1].item() == pytest.approx(0.8, rel=1e-5)


def test_distances_of_large_embeddings_do_not_drown_in_rounding() -> None:
    far = draw(4, 8) + 300.0
    expected = torch.cdist(far.double(), far.double())
    expected = expected / expected.sum() * 12
    assert torch.allclose(distances(far).double(), expected, atol=0.02)


def test_vid_is_the_likelihood_of_the_teacher_with_a_variance_for_each_channel(
    setting: Setting,
) -> None:
    mean, target = draw(2, 3, 2, 2, seed=1), draw(2, 3, 2, 2, seed=2)
    variance = torch.tensor([0.5, 1.0, 4.0])[None, :, None, None].expand_as(mean)
    found = made("vid", setting).measure(
        Pair(torch.stack([mean, variance], 1), target), tiny.batch_of(2)
    )
    for row in range(2):
        terms = [
            ((mean[row, c, y, x] - target[row, c, y, x]).item() ** 2 / v + math.log(v)) / 2
            for c, v in enumerate((0.5, 1.0, 4.0))
            for y, x in product(range(2), repeat=2)
        ]
        assert found[row].item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_vid_begins_with_a_variance_of_five(setting: Setting) -> None:
    distiller = made("vid", setting)
    student, teacher = (
        {tap: draw(2, *shape.shape) for tap, shape in side.items()}
        for side in (setting.student, setting.teacher)
    )
    for pair in distiller.project(student, teacher):
        assert torch.allclose(pair.student[:, 1], torch.tensor(5.0), atol=1e-4)


def test_ft_is_the_mean_absolute_gap_of_unit_maps(setting: Setting) -> None:
    pair = Pair(draw(2, 3, 2, 2, seed=1), draw(2, 3, 2, 2, seed=2))
    found = made("ft", setting).measure(pair, tiny.batch_of(2))
    for row, (ours, theirs) in enumerate(zip(*arrays(pair), strict=True)):
        maps = [
            unit([sum(c[i, j] ** 2 for c in one) / 3 for i, j in product(range(2), range(2))])
            for one in (ours, theirs)
        ]
        expected = sum(abs(a - b) for a, b in zip(*maps, strict=True)) / 4
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_fts_paraphraser_is_told_to_give_the_feature_back(setting: Setting) -> None:
    ft = made("ft", setting)
    (spot,) = ft.spots
    feature = draw(3, *setting.teacher[spot.teacher].shape)
    with torch.no_grad():
        found = ft.warm_up.loss({}, {spot.teacher: feature})
        again = ft.paraphraser(feature)
    expected = [float(((a - b) ** 2).mean()) for a, b in zip(again, feature, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("rate", "width"), [(0.5, 12), (0.25, 6), (1.0, 24), (0.01, 1)])
def test_fts_factors_have_a_share_of_the_teachers_channels(
    setting: Setting, rate: float, width: int
) -> None:
    ft = made("ft", setting, factor_rate=rate)
    student = {"stage3": draw(2, *setting.student["stage3"].shape)}
    teacher = {"stage3": draw(2, *setting.teacher["stage3"].shape, seed=1)}
    (pair,) = ft.project(student, teacher)
    assert pair.student.shape[1] == pair.teacher.shape[1] == width


@pytest.mark.parametrize("name", ["kd", "at", "rkd", "ft"])
def test_equal_signals_are_at_no_distance(setting: Setting, name: str) -> None:
    distiller = made(name, setting)
    shape = (5, 4) if name in ("kd", "rkd") else (5, 4, 3, 3)
    same = draw(*shape)
    assert distiller.measure(Pair(same, same), tiny.batch_of(5)).abs().max() < 1e-6


def test_distillers_look_where_the_design_says(setting: Setting) -> None:
    stages = tuple(Spot(f"stage{n}", f"stage{n}") for n in (1, 2, 3))
    assert made("at", setting).spots == stages
    assert made("fitnet", setting).spots == stages[1:2]
    assert made("ft", setting).spots == stages[2:]
    assert made("rkd", setting).spots == (Spot("embedding", "embedding"),)
    assert made("kd", setting).spots == (Spot("logits", "logits"),)


def test_nets_of_unequal_depth_are_paired_from_the_stem_or_from_the_embedding() -> None:
    setting = setting_of("tiny_net_4_2", "tiny_net_6_3")
    assert made("at", setting).spots == (Spot("stage1", "stage1"), Spot("stage2", "stage2"))
    assert made("ft", setting).spots == (Spot("stage2", "stage3"),)
    assert made("ft", setting).spots[0].name == "stage2:stage3"


def test_nets_of_different_classes_share_no_logits() -> None:
    setting = setting_of("tiny_net_4_2", "tiny_net_6_2")
    other = tiny.net("tiny_net_6_2", num_classes=9).taps()
    object.__setattr__(setting, "teacher", other)
    with pytest.raises(SpecError, match="the teacher knows 9 classes, the student 4"):
        made("kd", setting)


def test_nets_without_stages_to_compare_are_refused() -> None:
    setting = setting_of("tiny_net_4_2", "tiny_net_6_2")
    few = {name: setting.student[name] for name in ("stem", "embedding", "logits")}
    object.__setattr__(setting, "student", few)
    with pytest.raises(SpecError, match="share no stage"):
        made("at", setting)
