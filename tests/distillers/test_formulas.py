"""Each formula against a computation written out by hand, in float64 and plain loops."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import tiny
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.distillers import Distiller, Pair, Setting, Spot
from engine.distillers.overhaul import margins
from engine.distillers.relations import angles, distances
from engine.distillers.singular import leading_vectors
from engine.errors import SpecError
from engine.nets.reused import PROJECTED
from engine.nets.staged import Norm, taps_of

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


@pytest.mark.parametrize("power", [1, 2])
def test_ft_is_the_mean_absolute_gap_of_unit_maps_or_its_square(
    setting: Setting, power: int
) -> None:
    pair = Pair(draw(2, 3, 2, 2, seed=1), draw(2, 3, 2, 2, seed=2))
    found = made("ft", setting, gap_power=power).measure(pair, tiny.batch_of(2))
    for row, (ours, theirs) in enumerate(zip(*arrays(pair), strict=True)):
        maps = [
            unit([sum(c[i, j] ** 2 for c in one) / 3 for i, j in product(range(2), range(2))])
            for one in (ours, theirs)
        ]
        expected = sum(abs(a - b) ** power for a, b in zip(*maps, strict=True)) / 4
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


def traces(setting: Setting, count: int = 2) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Noise at every tap of both nets."""
    student, teacher = (
        {tap: draw(count, *shape.shape, seed=seed) for tap, shape in side.items()}
        for seed, side in enumerate((setting.student, setting.teacher))
    )
    return student, teacher


@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_ab_is_the_square_by_which_neurons_miss_their_side(setting: Setting, margin: float) -> None:
    ab = made("ab", setting, margin=margin).eval()
    student, teacher = traces(setting)
    pairs = ab.project(student, teacher)
    for number, ((s, t), connect) in enumerate(zip(ab.spots, ab.connectors, strict=True)):
        found = ab.measure(pairs[number], tiny.batch_of(2))
        ours, theirs = connect(student[s]).detach().double(), teacher[t].double()
        for row in range(2):
            expected = 0.0
            signals = ours[row].flatten().tolist(), theirs[row].flatten().tolist()
            for a, b in zip(*signals, strict=True):
                if b > 0 and a <= margin:
                    expected += (a - margin) ** 2
                if b <= 0 and a > -margin:
                    expected += (a + margin) ** 2
            expected *= 3 / 1000 / 2 ** (len(ab.spots) - 1 - number)
            assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_ab_connects_maps_of_different_channels_only(setting: Setting) -> None:
    for connect in made("ab", setting).connectors:
        mix, norm = connect
        assert (mix.kernel_size, mix.bias) == ((1, 1), None)
        assert isinstance(norm, torch.nn.BatchNorm2d)
    alike = made("ab", setting_of("tiny_net_4_3", "tiny_net_4_3"))
    assert [*alike.parameters()] == []


def test_ab_has_done_with_a_neuron_that_reached_its_margin() -> None:
    setting = setting_of("tiny_net_4_3", "tiny_net_4_3")
    ab = made("ab", setting)
    student, teacher = traces(setting, 1)
    where = student["stage1.pre"]
    student["stage1.pre"] = torch.ones_like(where).requires_grad_(True)
    teacher["stage1.pre"] = torch.full_like(where, 1e-3)
    loss = ab.measure(ab.project(student, teacher)[0], tiny.batch_of(1))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student["stage1.pre"].grad.abs().max() < 1e-9
    teacher["stage1.pre"] = torch.zeros_like(where)  # silent: the student is 2 too high
    loss = ab.measure(ab.project(student, teacher)[0], tiny.batch_of(1))
    assert loss.item() == pytest.approx(where.numel() * 4 * 3e-3 / 4, rel=1e-5)


def test_ab_looks_before_the_relu_where_a_net_lets_it(setting: Setting) -> None:
    before = tuple(f"stage{number}.pre" for number in (1, 2, 3))
    assert made("ab", setting).spots == tuple(map(Spot, before, before))
    without = {tap: shape for tap, shape in setting.student.items() if "." not in tap}
    spots = made("ab", replace(setting, student=without)).spots
    assert [spot.name for spot in spots] == [f"stage{n}:stage{n}.pre" for n in (1, 2, 3)]


def test_ab_pools_the_larger_map(setting: Setting) -> None:
    spots = (Spot("stage1", "stage3"), Spot("stage3", "stage1"))
    ab = made("ab", replace(setting, spots=spots)).eval()
    student, teacher = traces(setting)
    teacher = {tap: value.abs() for tap, value in teacher.items()}  # all fire
    small = torch.nn.functional.adaptive_avg_pool2d(student["stage1"], teacher["stage3"].shape[2:])
    short = (1 - ab.connectors[0](small)).clamp(min=0).square().sum() * 3e-3 / 2
    found = [ab.measure(pair, tiny.batch_of(2)).sum() for pair in ab.project(student, teacher)]
    assert found[0].item() == pytest.approx(short.item(), rel=1e-5)
    short = (1 - ab.connectors[1](student["stage3"])).clamp(min=0).square().sum() * 3e-3
    assert found[1].item() == pytest.approx(short.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["ab", "fsp"])
def test_a_first_phase_has_the_loss_of_all_spots_or_is_left_out(name: str) -> None:
    setting = setting_of("tiny_net_4_3", "tiny_net_4_3")
    distiller = made(name, setting).eval()
    student, teacher = traces(setting)
    pairs = distiller.project(student, teacher)
    expected = sum(distiller.measure(pair, tiny.batch_of(2)) for pair in pairs)
    assert torch.allclose(distiller.warm_up.loss(student, teacher), expected)
    assert (distiller.warm_up.epochs, distiller.warm_up.lr) == (30, 0.05)
    assert made(name, setting, warm_up_epochs=0).warm_up is None


def test_fsp_is_the_mean_square_gap_of_products_of_neighbouring_maps() -> None:
    setting = setting_of("tiny_net_4_2", "tiny_net_4_2")
    fsp = made("fsp", setting)
    student, teacher = traces(setting)
    pairs = fsp.project(student, teacher)
    neighbours = pairwise(("stem", "stage1", "stage2"))
    for pair, (first, second) in zip(pairs, neighbours, strict=True):
        found = fsp.measure(pair, tiny.batch_of(2))
        ratio = setting.student[first].shape[1] // setting.student[second].shape[1]
        for row in range(2):
            flows = []
            for trace in (student, teacher):
                before, after = trace[first][row].double(), trace[second][row].double()
                height, width = after.shape[1:]
                flow = []
                for c, d in product(range(len(before)), range(len(after))):
                    total = 0.0
                    for y, x in product(range(height), range(width)):
                        tile = before[c, y * ratio : (y + 1) * ratio, x * ratio : (x + 1) * ratio]
                        total += float(tile.mean() * after[d, y, x])
                    flow.append(total / (height * width))
                flows.append(flow)
            gaps = [(a - b) ** 2 for a, b in zip(*flows, strict=True)]
            assert found[row].item() == pytest.approx(sum(gaps) / len(gaps), rel=1e-5)


@pytest.mark.parametrize("num_vectors", [1, 2])
def test_kdsvd_relates_the_entries_of_neighbouring_singular_vectors(num_vectors: int) -> None:
    setting = setting_of("tiny_net_4_3", "tiny_net_4_3")
    kdsvd = made("kdsvd", setting, num_vectors=num_vectors)
    student, teacher = traces(setting)
    pairs = kdsvd.project(student, teacher)
    for row in range(2):
        mixes = []
        for tap in ("stage1", "stage2", "stage3"):
            sides = []
            for feature in (student[tap][row], teacher[tap][row]):
                _, values, rows = np.linalg.svd(feature.double().flatten(1).T.numpy())
                sides.append((values, [v if v.sum() > 0 else -v for v in rows]))
            (_, ours), (values, theirs) = sides
            scale = values[:num_vectors] / np.linalg.norm(values[:num_vectors])
            mix = []
            for size, wanted in zip(scale, theirs, strict=False):
                cosines = [float(vector @ wanted) for vector in ours[: num_vectors + 3]]
                best = int(np.abs(cosines).argmax())
                mix.append((size * ours[best] * math.copysign(1, cosines[best]), size * wanted))
            mixes.append(mix)
        for pair, neighbours in zip(pairs, pairwise(mixes), strict=True):
            expected = 0.0
            for (s1, t1), (s2, t2) in zip(*neighbours, strict=True):
                for i, j in product(range(len(s1)), range(len(s2))):
                    ours_rbf, theirs_rbf = (
                        math.exp(-((one[i] - other[j]) ** 2) / 8)
                        for one, other in ((s1, s2), (t1, t2))
                    )
                    expected += (ours_rbf - theirs_rbf) ** 2
            found = kdsvd.measure(pair, tiny.batch_of(2))[row].item()
            assert found == pytest.approx(expected, rel=1e-4)


def test_kdsvd_finds_the_teachers_vector_among_the_students_and_whatever_its_sign() -> None:
    setting = setting_of("tiny_net_4_2", "tiny_net_4_2")
    student, teacher = traces(setting, 1)
    for tap in ("stage1", "stage2"):
        channels, height, width = setting.teacher[tap].shape
        places, mixes = (
            torch.linalg.qr(draw(size, 2, seed=size))[0] for size in (height * width, channels)
        )
        strong, weak = (places[:, i, None] * mixes[None, :, i] for i in (0, 1))
        for trace, matrix in ((teacher, 2 * strong + weak), (student, weak * 3 - strong)):
            trace[tap] = matrix.T.reshape(1, channels, height, width)
    kdsvd = made("kdsvd", setting)
    (pair,) = kdsvd.project(student, teacher)
    assert kdsvd.measure(pair, tiny.batch_of(1)).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (2, 12, 2, 3), (1, 1, 2, 2), (1, 3, 1, 1)])
def test_singular_vectors_move_as_the_decomposition_tells(shape: tuple[int, ...]) -> None:
    ours, plain = (draw(*shape).double().requires_grad_(True) for _ in range(2))
    found, values = leading_vectors(ours, 2)
    _, expected, rows = torch.linalg.svd(plain.flatten(2).transpose(1, 2), full_matrices=False)
    vectors = rows.transpose(1, 2)[:, :, :2]
    vectors = vectors * vectors.sum(dim=1, keepdim=True).sign()
    assert torch.allclose(values, expected[:, :2])
    assert torch.allclose(found, vectors)
    weights = draw(*found.shape, seed=1).double()
    for tensor in (found, vectors):
        (weights * tensor).sum().backward()
    assert torch.allclose(ours.grad, plain.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("apart", "largest"), [(0.0, 10), (1e-6, 1e5), (0.1, 100)])
def test_singular_vectors_of_near_values_have_a_gradient_all_the_same(
    apart: float, largest: float
) -> None:
    square = torch.diag(1 + apart * torch.arange(4.0)).reshape(1, 4, 2, 2).requires_grad_(True)
    vectors, _ = leading_vectors(square, 3)
    (vectors * draw(1, 4, 3)).sum().backward()
    assert square.grad.abs().max() < largest


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_kdsvd_of_maps_that_are_not_finite_is_not_finite(bad: float) -> None:
    setting = setting_of("tiny_net_4_2", "tiny_net_4_2")
    student, teacher = traces(setting)
    student["stage1"][0, 0, 0, 0] = bad
    kdsvd = made("kdsvd", setting)
    (pair,) = kdsvd.project(student, teacher)
    assert kdsvd.measure(pair, tiny.batch_of(2)).isfinite().tolist() == [False, True]


@pytest.mark.parametrize("name", ["fsp", "kdsvd"])
def test_neighbouring_maps_are_compared_in_float32_whatever_the_nets_compute_in(name: str) -> None:
    setting = setting_of("tiny_net_4_3", "tiny_net_4_3")
    distiller = made(name, setting)
    student, teacher = traces(setting)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = distiller.project(student, teacher)
    for one, other in zip(found, distiller.project(student, teacher), strict=True):
        assert torch.equal(one.student, other.student)
        assert torch.equal(one.teacher, other.teacher)


@pytest.mark.parametrize(("name", "spot"), [("fsp", "stem"), ("kdsvd", "stage1")])
def test_neighbouring_maps_need_equal_channels_and_no_spots(
    setting: Setting, name: str, spot: str
) -> None:
    message = f"equal numbers of channels: at {spot} the student has [48], the teacher (6|12)"
    with pytest.raises(SpecError, match=message):
        made(name, setting)
    equal = setting_of("tiny_net_4_2", "tiny_net_4_3")
    spots = made(name, equal).spots
    assert spots == (Spot("stage1", "stage1"), Spot("stage2", "stage2"))[: len(spots)]
    with pytest.raises(SpecError, match="spots cannot be chosen"):
        made(name, replace(equal, spots=spots))


def test_kdsvd_needs_two_maps_and_as_many_vectors_as_it_asks_for() -> None:
    with pytest.raises(SpecError, match="these nets share one"):
        made("kdsvd", setting_of("tiny_net_4_1", "tiny_net_4_3"))
    setting = setting_of("tiny_net_4_3", "tiny_net_4_3")
    fewest = min(setting.student["stage3"].shape[1] ** 2, 8)
    assert made("kdsvd", setting, num_vectors=fewest).spots
    with pytest.raises(SpecError, match=f"has {fewest} vectors, not {fewest + 1}"):
        made("kdsvd", setting, num_vectors=fewest + 1)


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


def contrast_by_hand(
    distiller: Distiller, sides: list[tuple[Array, Array]], index: list[int], drawn: list[int]
) -> tuple[list[float], list[float]]:
    """(each sample's loss, the two totals): anchors and the other net's memory for each side."""
    n, m, targets = len(distiller.targets), distiller.num_negatives, distiller.targets.tolist()
    losses, totals = [0.0] * len(index), []
    for anchors, memory in sides:
        table = []
        for anchor, own in zip(anchors, index, strict=True):
            others = [j for j in drawn if targets[j] != targets[own]]
            score = [math.exp(float(anchor @ memory[j]) / distiller.temperature) for j in others]
            positive = math.exp(float(anchor @ memory[own]) / distiller.temperature)
            table.append((positive, score, m / len(others)))
        summed = sum(positive + count * sum(score) for positive, score, count in table)
        totals.append(summed / len(index) / (1 + m) * n)
        for row, (positive, score, count) in enumerate(table):
            p = positive / totals[-1]
            losses[row] -= math.log(p / (p + m / n + 1e-7))
            for q in (value / totals[-1] for value in score):
                losses[row] -= count * math.log(m / n / (q + m / n + 1e-7))
    return losses, totals


def test_crd_tells_a_sample_from_those_of_other_classes(setting: Setting) -> None:
    crd = made("crd", setting, width=3, temperature=0.5, negatives=9_000)
    unit_rows = [torch.nn.functional.normalize(draw(4, 3, seed=seed)) for seed in (1, 2)]
    batch = replace(tiny.batch_of(4), index=torch.tensor([7, 12, 30, 49]))
    drawn = crd.negatives(batch)[0].tolist()
    assert len(drawn) == crd.num_negatives == 9
    memories = [crd.memory_teacher.double().numpy(), crd.memory_student.double().numpy()]
    sides = list(zip(arrays(Pair(*unit_rows)), memories, strict=True))
    losses, totals = contrast_by_hand(crd, sides, batch.index.tolist(), drawn)
    assert crd.totals.tolist() == [-1, -1]
    found = crd.measure(Pair(*unit_rows), batch)
    assert found.tolist() == pytest.approx(losses, rel=1e-5)
    assert crd.totals.tolist() == pytest.approx(totals, rel=1e-5)
    crd.measure(Pair(*reversed(unit_rows)), batch)
    assert crd.totals.tolist() == pytest.approx(totals, rel=1e-5), "once and for all"


def test_crd_counts_the_published_addend_in_full(setting: Setting) -> None:
    crd = made("crd", setting, width=1, temperature=0.02, negatives=50_000)
    crd.totals.fill_(1)
    for memory in (crd.memory_student, crd.memory_teacher):
        memory.fill_(-1)[0] = 1  # so that nothing is left to learn
    found = crd.measure(Pair(torch.ones(1, 1), torch.ones(1, 1)), tiny.batch_of(1))
    assert found.item() == pytest.approx(2 * 50 * 1e-7, rel=1e-3)


def test_crd_draws_anew_at_each_step_and_alike_for_all_others(setting: Setting) -> None:
    crd = made("crd", setting, negatives=10_000)
    batch, targets = tiny.batch_of(6), setting.targets
    seen = torch.zeros(6, 50)
    for seed in range(400):
        torch.manual_seed(seed)
        drawn, count = crd.negatives(batch)
        assert len(set(drawn.tolist())) == 10
        seen[:, drawn] += count / 400
    torch.manual_seed(0)
    again = crd.negatives(batch.select(torch.tensor([4, 1])))
    torch.manual_seed(0)
    assert torch.equal(again[1], crd.negatives(batch)[1][[4, 1]])
    is_other = targets != targets[batch.index, None]
    assert (seen[~is_other] == 0).all()
    assert torch.allclose(seen.sum(dim=1), torch.tensor(10.0), atol=1e-4)
    expected = (10 / is_other.sum(dim=1, keepdim=True)).expand(-1, 50)[is_other]
    assert torch.allclose(seen[is_other], expected, atol=5 * 0.6 / 20)


def test_crd_remembers_the_kept_and_lets_the_losses_be(setting: Setting) -> None:
    crd = made("crd", setting, width=3, momentum=0.9)
    student, teacher = ({"embedding": draw(6, w, seed=w)} for w in (16, 24))
    leaf = student["embedding"].requires_grad_(True)
    batch = replace(tiny.batch_of(6), index=torch.tensor([7, 12, 30, 49, 0, 1]))
    before = [memory.double().clone() for memory in (crd.memory_student, crd.memory_teacher)]
    pairs = crd.project(student, teacher)
    (expected,) = torch.autograd.grad(crd.measure(pairs[0], batch).mean(), leaf, retain_graph=True)
    loss = crd.measure(pairs[0], batch).mean()
    totals = crd.totals.clone()
    crd.remember(pairs, batch, torch.tensor([1, 0, 0, 1, 0, 0])[:, None].bool())
    loss.backward()
    assert torch.equal(leaf.grad, expected), "also of losses whose gradient comes later"
    assert torch.equal(crd.totals, totals)
    for memory, old, rows in (
        (crd.memory_student, before[0], pairs[0].student.tolist()),
        (crd.memory_teacher, before[1], pairs[0].teacher.tolist()),
    ):
        for row, place in ((0, 7), (3, 49)):
            mixed = zip(old[place].tolist(), rows[row], strict=True)
            new = unit([0.9 * a + 0.1 * b for a, b in mixed])
            assert memory[place].tolist() == pytest.approx(new, rel=1e-5)
        same = [place for place in range(50) if place not in (7, 49)]
        assert torch.equal(memory[same].double(), old[same])


def test_crds_memory_is_of_the_runs_seed_and_is_kept(setting: Setting) -> None:
    first, same, other = (
        made("crd", replace(setting, seed=seed)).state_dict() for seed in (0, 0, 1)
    )
    for name in ("memory_student", "memory_teacher"):
        assert first[name].shape == (50, 128)
        assert torch.equal(first[name], same[name])
        assert not torch.equal(first[name], other[name])
        assert first[name].abs().max() <= math.sqrt(3 / 128)
        assert first[name].square().sum(dim=1).mean().item() == pytest.approx(1, abs=0.1)
    assert not torch.equal(first["memory_student"], first["memory_teacher"])
    assert first["totals"].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("samples", "negatives", "found"),
    [(50, 16384, 16), (50, 1, 1), (50, 1_000_000, 50), (60_000, 16384, 16384)],
)
def test_crds_negatives_are_scaled_down_with_the_data_set(
    setting: Setting, samples: int, negatives: int, found: int
) -> None:
    given = replace(setting, targets=torch.arange(samples) % 4)
    assert made("crd", given, width=1, negatives=negatives).num_negatives == found


def test_crd_needs_several_classes(setting: Setting) -> None:
    with pytest.raises(SpecError, match="images of several classes; there is one"):
        made("crd", replace(setting, targets=torch.zeros(50, dtype=torch.int64)))


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (2.0, 1.0), (-0.5, -2.0), (0.3, 0.9)])
def test_ofds_margin_is_the_mean_of_the_negative_values(scale: float, shift: float) -> None:
    values = np.linspace(-40, 0, 400_001)
    density = np.exp(-(((values - shift) / scale) ** 2) / 2)
    found = margins(torch.tensor([scale]), torch.tensor([shift]))
    assert found.item() == pytest.approx((values * density).sum() / density.sum(), rel=1e-3)


def test_ofds_margin_of_rare_negative_values_is_three_scales() -> None:
    scale, shift = torch.tensor([1.0, -2.0, 0, 0, 0, 1e-6]), torch.tensor([3.2, 9, 1, 0, -1, -1])
    assert margins(scale, shift).tolist() == pytest.approx([-3, -6, 0, 0, -1, -1], abs=1e-9)


def test_ofd_counts_what_should_fire_and_what_fires_too_much(setting: Setting) -> None:
    ours, theirs = [1, 3, -1, 0, -0.2, -0.4, 1], [2, 2, -2, -2, -0.3, -0.3, -0.3]
    aims = [max(signal, -0.5) for signal in theirs]
    pair = Pair(*(torch.tensor(one).view(7, 1, 1, 1) for one in (ours, aims)))
    found = made("ofd", setting).measure(pair, tiny.batch_of(7))
    assert found.tolist() == pytest.approx([1, 1, 0, 0.25, 0.01, 0, 1.69], abs=1e-6)


def test_ofds_margins_are_those_of_the_design() -> None:
    shift, scale = torch.tensor([0, 1, -1, 0.5, 3.09, 3.1, 4]), torch.tensor([1, 1, 1, -2, 1, 1, 1])
    found = [-0.797885, -0.525135, -1.2876, -1.427108, -0.276874, -3, -3]
    assert margins(scale, shift).tolist() == pytest.approx(found, abs=1e-5)


def test_ofd_moves_away_by_a_bounded_distance(setting: Setting) -> None:
    ofd, batch = made("ofd", setting), tiny.batch_of(2)
    ours, theirs = draw(2, 3, 2, 2, seed=1), draw(2, 3, 2, 2, seed=2)
    found = ofd.repel(Pair(ours, theirs), batch)
    for row, flat in enumerate(zip(*arrays(Pair(ours.flatten(1), theirs.flatten(1))), strict=True)):
        gap = [abs(a - b) for a, b in zip(*(unit(list(one)) for one in flat), strict=True)]
        assert found[row].item() == pytest.approx(-sum(gap) / 12, rel=1e-5)
    assert ofd.repel(Pair(ours, 3 * ours), batch).abs().max() < 1e-6
    assert (ofd.repel(Pair(ours, -ours), batch) >= -2 / math.sqrt(12)).all()


def test_ofd_aims_at_the_teachers_signal_after_its_norm(setting: Setting) -> None:
    def norm(channels: int) -> Norm:
        ones = torch.ones(channels)
        return Norm(scale=ones, shift=0 * ones, gain=2 * ones, offset=-1 * ones)

    norms = {f"stage{n}.pre": norm(6 * (n + 1)) for n in (1, 2, 3)}
    ofd = made("ofd", replace(setting, norms=norms)).train()
    student, teacher = (
        {tap: draw(2, *shape.shape, seed=seed) for tap, shape in side.items()}
        for seed, side in enumerate((setting.student, setting.teacher))
    )
    margin = -math.sqrt(2 / math.pi)
    for number, (pair, spot) in enumerate(
        zip(ofd.project(student, teacher), ofd.spots, strict=True)
    ):
        share = (1 / 4, 1 / 2, 1)[number]
        expected = (2 * teacher[spot.teacher] - 1).clamp(min=margin) * math.sqrt(share)
        assert torch.allclose(pair.teacher, expected, atol=1e-6)
        connected = ofd.connectors[number](student[spot.student])
        assert torch.allclose(pair.student, connected * math.sqrt(share), atol=1e-5)


def test_ofd_needs_a_teacher_that_tells_its_norms(setting: Setting) -> None:
    with pytest.raises(SpecError, match=r"needs the batch norm before the ReLU of stage1\.pre"):
        made("ofd", replace(setting, norms={}))


def pooled_by_hand(feature: Array, side: int) -> Array:
    """(C, H, W) -> (C, side, side), means over windows that may overlap."""
    _, height, width = feature.shape

    def window(number: int, size: int) -> slice:
        return slice(number * size // side, -(-(number + 1) * size // side))

    rows = [
        [feature[:, window(i, height), window(j, width)].mean((1, 2)) for j in range(side)]
        for i in range(side)
    ]
    return np.array(rows).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("size", "sides"), [((8, 8), [4, 2, 1]), ((4, 4), [2, 1]), ((6, 3), [2, 1]), ((1, 1), [])]
)
def test_reviewkd_compares_maps_at_several_sizes(
    setting: Setting, size: tuple[int, int], sides: list[int]
) -> None:
    pair = Pair(draw(2, 3, *size, seed=1), draw(2, 3, *size, seed=2))
    found = made("reviewkd", setting).measure(pair, tiny.batch_of(2))
    for row, (ours, theirs) in enumerate(zip(*arrays(pair), strict=True)):
        terms = [((ours - theirs) ** 2).mean()]
        terms += [
            ((pooled_by_hand(ours, side) - pooled_by_hand(theirs, side)) ** 2).mean()
            for side in sides
        ]
        weights = [0.5**number for number in range(len(terms))]
        expected = sum(w * term for w, term in zip(weights, terms, strict=True)) / sum(weights)
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_reviewkd_goes_from_the_embedding_back_to_the_first_stage(setting: Setting) -> None:
    review = made("reviewkd", setting, width=4096).train()
    last = Spot("embedding", "embedding")
    assert review.spots == (*(Spot(f"stage{n}", f"stage{n}.pre") for n in (1, 2, 3)), last)
    student, teacher = (
        {tap: draw(2, *shape.shape, seed=seed) for tap, shape in side.items()}
        for seed, side in enumerate((setting.student, setting.teacher))
    )
    student["embedding"].requires_grad_(True)
    for pair, spot in zip(review.project(student, teacher), review.spots, strict=True):
        assert pair.student.shape == pair.teacher.shape
        assert torch.equal(pair.teacher.flatten(), teacher[spot.teacher].flatten())
        pair.student.square().sum().backward(retain_graph=True)
        assert student["embedding"].grad.abs().sum() > 0, "every level knows of the deepest"
        student["embedding"].grad = None


def test_reviewkd_takes_a_last_batch_of_one_image(setting: Setting) -> None:
    review = made("reviewkd", setting).train()
    student, teacher = (
        {tap: draw(1, *shape.shape, seed=seed) for tap, shape in side.items()}
        for seed, side in enumerate((setting.student, setting.teacher))
    )
    *_, deepest = review.project(student, teacher)
    expected = review.eval().project(student, teacher)[-1]
    assert torch.equal(deepest.student, expected.student)
    with pytest.raises(SpecError, match="spots cannot be chosen"):
        made("reviewkd", replace(setting, spots=review.spots))


def test_mgd_is_the_sum_of_squares_of_all_elements(setting: Setting) -> None:
    pair = Pair(draw(3, 2, 2, 2, seed=1), draw(3, 2, 2, 2, seed=2))
    found = made("mgd", setting).measure(pair, tiny.batch_of(3))
    for row, (ours, theirs) in enumerate(zip(*arrays(pair), strict=True)):
        expected = sum((a - b) ** 2 for a, b in zip(ours.flat, theirs.flat, strict=True))
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_mgd_hides_the_same_share_of_positions_from_all_channels(setting: Setting) -> None:
    mgd = made("mgd", setting, hidden=0.25)
    torch.manual_seed(1)
    student = {"stage3": draw(200, *setting.student["stage3"].shape).requires_grad_(True)}
    teacher = {"stage3": draw(200, *setting.teacher["stage3"].shape, seed=1)}
    (pair,) = mgd.project(student, teacher)
    pair.student.square().sum().backward()
    is_shown = student["stage3"].grad != 0
    assert torch.equal(is_shown.all(dim=1), is_shown.any(dim=1))
    spread = math.sqrt(0.25 * 0.75 / is_shown[:, 0].numel())
    assert is_shown[:, 0].float().mean().item() == pytest.approx(0.75, abs=4 * spread)
    assert torch.equal(mgd.project(student, teacher)[0].student, pair.student), "one step, one draw"
    torch.manual_seed(2)
    assert not torch.equal(mgd.project(student, teacher)[0].student, pair.student)


def test_mgd_that_hides_nothing_generates_from_the_whole_map(setting: Setting) -> None:
    mgd = made("mgd", setting, hidden=0)
    student = {"stage3": draw(2, *setting.student["stage3"].shape)}
    teacher = {"stage3": draw(2, *setting.teacher["stage3"].shape, seed=1)}
    (pair,) = mgd.project(student, teacher)
    assert torch.equal(pair.student, mgd.generate(mgd.align(student["stage3"])))
    assert torch.equal(pair.teacher, teacher["stage3"])
    assert [*made("mgd", setting_of("tiny_net_4_3", "tiny_net_4_3")).align.parameters()] == []


def test_simkd_is_the_mean_square_of_all_elements(setting: Setting) -> None:
    pair = Pair(draw(3, 2, 2, 2, seed=1), draw(3, 2, 2, 2, seed=2))
    found = made("simkd", setting).measure(pair, tiny.batch_of(3))
    for row, (ours, theirs) in enumerate(zip(*arrays(pair), strict=True)):
        expected = sum((a - b) ** 2 for a, b in zip(ours.flat, theirs.flat, strict=True)) / 8
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_simkds_student_ends_with_the_teachers_classifier(setting: Setting) -> None:
    simkd, student, teacher = (
        made("simkd", setting),
        *map(tiny.net, ("tiny_net_4_3", "tiny_net_6_3")),
    )
    simkd.deploy(student.train())
    image = tiny.batch_of(4).image
    trace, theirs = student.trace(image, inside=True), teacher.eval().trace(image)
    (pair,) = simkd.project(trace, theirs)
    assert torch.equal(pair.student, trace[PROJECTED])
    assert torch.equal(pair.teacher, theirs["stage3"])
    assert simkd.projector[1].num_batches_tracked == 1, "once a step"
    head, own = teacher.stages["logits"], student.stages["logits"]
    expected = pair.student.mean(dim=(2, 3)) @ head.weight.T + head.bias
    assert torch.allclose(trace["logits"], expected, atol=1e-6)
    assert own is not head and not any(p.requires_grad for p in own.parameters())
    learning = {id(p) for p in student.parameters() if p.requires_grad}
    assert learning >= {id(p) for p in simkd.learning()}


def test_simkd_compares_at_the_size_of_the_smaller_map(setting: Setting) -> None:
    simkd = made("simkd", setting).eval()
    student, teacher = draw(2, 16, 4, 4), draw(2, 24, 2, 2, seed=1)
    (pair,) = simkd.project({"stage3": student}, {"stage3": teacher})
    with torch.no_grad():
        large = simkd.projector(student)
    pooled = torch.nn.functional.avg_pool2d(large, 2)
    assert torch.allclose(pair.student, pooled, atol=1e-6)
    assert torch.equal(pair.teacher, teacher)


def test_simkd_refuses_what_it_cannot_reuse(setting: Setting) -> None:
    taps, head = taps_of("convnext_tiny", {}, num_classes=4, input_shape=(3, 32, 32)), setting.head
    deployed = tiny.net("tiny_net_4_3")
    made("simkd", setting).deploy(deployed)
    for changes, message in (
        ({"head": None}, "one linear layer on the mean of its last map"),
        ({"head": torch.nn.Linear(7, 4)}, "one linear layer on the mean of its last map"),
        ({"teacher": taps, "head": torch.nn.Linear(768, 4)}, "on the mean of its last map"),
        ({"num_classes": 9}, "the teacher knows 4 classes, the data set 9"),
        ({"spots": (Spot("stage2", "stage2"),)}, "spots cannot be chosen"),
        ({"student": deployed.taps(), "head": head}, "has the classifier of another net already"),
    ):
        with pytest.raises(SpecError, match=message):
            made("simkd", replace(setting, **changes))
