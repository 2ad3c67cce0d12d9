"""Numeric tests 1 to 4, 8, 9 and 11 of the design of inheritance and exploration."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.distillers import Distiller, Pair, Setting, Spot, distil
from engine.distillers.coder import coder, last_map
from engine.errors import SpecError
from engine.nets import NETS, taps_of
from engine.nets.staged import StagedNet

from .conftest import made, setting_of

DISTANCES = ("l1", "l2", "cosine")


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Factors in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def coder_of(setting: Setting | None = None, **knobs: Any) -> Distiller:
    return made("coder", setting or setting_of("tiny_net_4_3", "tiny_net_6_3"), **knobs)


def distance(student: Tensor, teacher: Tensor, name: str = "l1") -> Tensor:
    """(K,) what is measured between two factors."""
    return coder_of(distance=name).measure(Pair(student, teacher), tiny.batch_of(len(student)))


def repelled(student: Tensor, teacher: Tensor, name: str = "l1") -> Tensor:
    return coder_of(distance=name).repel(Pair(student, teacher), tiny.batch_of(len(student)))


def units(factor: Tensor) -> Tensor:
    flat = factor.flatten(1)
    return flat / flat.square().sum(dim=1, keepdim=True).sqrt()


# 1 to 4: the distance


@pytest.mark.parametrize("name", DISTANCES)
def test_the_distance_does_not_depend_on_the_length_of_a_factor_nor_on_the_side(name: str) -> None:
    ours, theirs = draw(5, 4, 3, 2, seed=1), draw(5, 4, 3, 2, seed=2)
    found = distance(ours, theirs, name)
    assert torch.allclose(distance(0.3 * ours, 70 * theirs, name), found, rtol=0, atol=1e-9)
    assert torch.allclose(distance(theirs, ours, name), found, rtol=0, atol=1e-9)
    by_sample = torch.arange(1, 6, dtype=torch.float64).view(5, 1, 1, 1)
    assert torch.allclose(distance(by_sample * ours, theirs, name), found, rtol=0, atol=1e-9)


def test_the_distance_is_at_most_two_over_the_root_of_the_size() -> None:
    for size in (1, 7, 2048):
        ours, theirs = draw(50, size, 1, 1, seed=1), draw(50, size, 1, 1, seed=2)
        assert (distance(ours, theirs) >= 0).all()
        assert (distance(ours, theirs) <= 2 / math.sqrt(size) + 1e-12).all()
    constant = torch.ones(1, 32, 8, 8, dtype=torch.float64)
    assert distance(constant, -constant).item() == pytest.approx(0.044194173824, abs=1e-12)


def test_the_distance_of_two_factors_written_out() -> None:
    ours, theirs = (torch.tensor(one).double().view(1, 2, 1, 1) for one in ([3, 4], [4, 3]))
    assert distance(ours, theirs).item() == pytest.approx(0.2, abs=1e-9)
    assert repelled(ours, theirs).item() == pytest.approx(-0.2, abs=1e-9)
    assert distance(ours, theirs, "l2").item() == pytest.approx(0.2, abs=1e-9)
    assert distance(ours, theirs, "cosine").item() == pytest.approx(0.04, abs=1e-9)


def test_the_gradient_of_the_distance_is_that_of_its_formula() -> None:
    ours, theirs = draw(3, 2, 2, 2, seed=1).requires_grad_(True), draw(3, 2, 2, 2, seed=2)
    (found,) = torch.autograd.grad(distance(ours, theirs).mean(), ours)
    (away,) = torch.autograd.grad(repelled(ours, theirs).mean(), ours)
    assert torch.equal(away, -found)
    for row in range(3):
        flat, unit = ours[row].detach().flatten(), units(ours.detach())[row]
        sign = (unit - units(theirs)[row]).sign()
        expected = (sign - unit * (unit @ sign)) / (3 * 8 * flat.norm())
        assert torch.allclose(found[row].flatten(), expected, rtol=0, atol=1e-12)
        assert (found[row].flatten() @ flat).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", DISTANCES)
def test_the_gradient_of_the_distance_is_that_of_finite_differences(name: str) -> None:
    distiller, batch, small = coder_of(distance=name), tiny.batch_of(3), 1e-6
    ours, theirs = draw(3, 8, 1, 1, seed=1).requires_grad_(True), draw(3, 8, 1, 1, seed=2)
    for measure in (distiller.measure, distiller.repel):
        (found,) = torch.autograd.grad(measure(Pair(ours, theirs), batch).mean(), ours)
        for row, column in product(range(3), range(8)):
            step = torch.zeros(3, 8, 1, 1, dtype=torch.float64)
            step[row, column] = small
            with torch.no_grad():
                there, back = (
                    measure(Pair(ours + way * step, theirs), batch).mean().item() for way in (1, -1)
                )
            slope = (there - back) / (2 * small)
            assert found[row, column].item() == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("name", DISTANCES)
def test_equal_factors_are_at_no_distance_and_have_no_gradient(name: str) -> None:
    theirs = draw(3, 2, 2, 2)
    ours = theirs.clone().requires_grad_(True)
    found = distance(ours, theirs, name)
    assert found.abs().max() < 1e-11
    (gradient,) = torch.autograd.grad(found.mean(), ours)
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize("name", DISTANCES)
def test_a_factor_of_zeros_is_finite(name: str) -> None:
    ours, theirs = draw(3, 2, 2, 2, seed=1), draw(3, 2, 2, 2, seed=2)
    ours[1] = 0
    ours.requires_grad_(True)
    found = distance(ours, theirs, name)
    if name == "l1":
        assert found[1].item() == pytest.approx(units(theirs)[1].abs().sum().item() / 8, abs=1e-9)
    if name == "cosine":
        assert found[1].item() == 1
    found.mean().backward()
    assert found.isfinite().all() and ours.grad.isfinite().all()


# 11: the other two distances


def test_l2_is_one_value_for_the_batch_the_root_of_the_mean_square() -> None:
    ours, theirs = draw(4, 3, 2, 2, seed=1), draw(4, 3, 2, 2, seed=2)
    cosines = (units(ours) * units(theirs)).sum(dim=1)
    expected = math.sqrt(((2 - 2 * cosines) / 12).mean().item())
    assert distance(ours, theirs, "l2").tolist() == pytest.approx([expected] * 4, abs=1e-9)
    assert repelled(ours, theirs, "l2").tolist() == pytest.approx([-expected] * 4, abs=1e-9)


def test_the_cosine_pulls_towards_equal_factors_and_pushes_towards_orthogonal_ones() -> None:
    ours = torch.tensor([[1, 0], [-1, 0], [0, 1], [3, 4]]).double().view(4, 2, 1, 1)
    theirs = torch.tensor([[2, 0]] * 4).double().view(4, 2, 1, 1)
    assert distance(ours, theirs, "cosine").tolist() == pytest.approx([0, 2, 1, 0.4], abs=1e-9)
    assert repelled(ours, theirs, "cosine").tolist() == pytest.approx([1, 1, 0, 0.6], abs=1e-9)
    some, others = draw(99, 5, 1, 1, seed=1), draw(99, 5, 1, 1, seed=2)
    pulled, pushed = distance(some, others, "cosine"), repelled(some, others, "cosine")
    assert (pulled >= 0).all() and (pulled <= 2).all()
    assert (pushed >= 0).all() and (pushed <= 1).all()


@pytest.mark.parametrize("name", DISTANCES)
def test_what_it_moves_away_by_is_told_as_a_distance_that_grows(name: str) -> None:
    theirs, aside = draw(8, 3, 2, 2, seed=1), draw(8, 3, 2, 2, seed=2)
    coder = coder_of(distance=name)
    near, far = (
        coder.apart(coder.repel(Pair(theirs + far * aside, theirs), tiny.batch_of(8)).mean())
        for far in (0.1, 1.0)
    )
    assert 0 <= near < far


# 9: a choice of samples


@pytest.mark.parametrize("moves_away", [False, True])
@pytest.mark.parametrize("name", DISTANCES)
def test_the_mean_over_the_batch_is_that_of_the_kept_times_their_share(
    name: str, moves_away: bool
) -> None:
    distiller = coder_of(distance=name)
    measure = distiller.repel if moves_away else distiller.measure
    pair, batch = Pair(draw(6, 3, 2, 2, seed=1), draw(6, 3, 2, 2, seed=2)), tiny.batch_of()
    rows = torch.tensor([0, 2, 3, 5])
    kept = torch.zeros(6, 1, dtype=torch.bool)
    kept[rows] = True
    found = distil(distiller, (pair,), batch, kept, measure)
    alone = measure(pair.select(rows), batch.select(rows)).mean() * 4 / 6
    assert found.mean().item() == pytest.approx(alone.item(), abs=1e-7)
    assert found[[1, 4]].abs().max() == 0
    assert distil(distiller, (pair,), batch, torch.zeros_like(kept), measure).abs().max() == 0


# 8: the encoders


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("inputs", "outputs", "parameters"),
    [
        *((64, 32, 64_768), (32, 64, 64_832), (32, 32, 27_840)),
        *((640, 32, 3_881_344), (1024, 32, 9_743_488)),
    ],
)
def test_a_coder_has_the_authors_number_of_parameters(
    inputs: int, outputs: int, parameters: int
) -> None:
    with torch.device("meta"):
        assert count(coder(inputs, outputs)) == parameters


def test_the_parts_of_a_published_pair_have_the_authors_number_of_parameters() -> None:
    taps = taps_of("resnet20", {}, num_classes=10, input_shape=(3, 32, 32))
    given = Setting(taps, taps, targets=torch.arange(10), num_classes=10, seed=0)
    with torch.device("meta"):
        ours, ft = made("coder", given), made("ft", given)
    assert count(ours.auto_encoder) == 129_600
    assert sum(p.numel() for p in ours.learning()) == 64_768
    assert (count(ft.paraphraser[0]), count(ft.paraphraser)) == (64_640, 129_312)


def test_a_coder_is_three_convolutions_each_with_norm_and_a_leaky_relu() -> None:
    torch.manual_seed(0)
    made_of = coder(5, 3).double().eval()
    for module in made_of.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.tolist() == [1] * len(module.weight)
            assert module.bias.tolist() == [0] * len(module.bias)
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    weights = [value for name, value in made_of.named_parameters() if value.ndim == 4]
    statistics = [value for name, value in made_of.named_buffers() if "running" in name]
    assert [tuple(w.shape) for w in weights] == [(5, 5, 3, 3), (3, 5, 3, 3), (3, 3, 3, 3)]
    feature = draw(2, 5, 4, 6)
    hidden = F.leaky_relu(feature, 0.1)
    for number, weight in enumerate(weights):
        mean, variance = (one.view(-1, 1, 1) for one in statistics[2 * number : 2 * number + 2])
        hidden = (F.conv2d(hidden, weight, padding=1) - mean) / (variance + 1e-5).sqrt()
        hidden = F.leaky_relu(hidden, 0.1)
    found = made_of(feature)
    assert found.shape == (2, 3, 4, 6), "the size stays"
    assert torch.allclose(found, hidden, rtol=0, atol=1e-9)


def test_the_weights_of_a_coder_begin_with_a_variance_of_two_over_the_fan_out() -> None:
    torch.manual_seed(0)
    weights = [p for p in coder(64, 32).parameters() if p.ndim == 4]
    for weight, outputs in zip(weights, (64, 32, 32), strict=True):
        assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * outputs)), rel=0.03)
        assert weight.mean().item() == pytest.approx(0, abs=3e-3)


# Where it looks, and what it is shown


@pytest.mark.parametrize(
    "name",
    [
        *("resnet20", "wrn_16_1", "vgg8", "ResNet18", "MobileNetV1", "MobileNetV2"),
        *("ShuffleNetV1", "ShuffleNetV2", "resnet18", "mobilenet_v2"),
    ],
)
def test_the_last_map_is_the_one_that_the_net_names(name: str) -> None:
    with torch.device("meta"):
        net: StagedNet = NETS[name].make(10, (3, 32, 32))
        taps = net.taps()
    assert last_map(taps) == net.last_map
    assert taps[net.last_map].after == "relu"


def test_maps_of_two_families_are_compared_after_norm_and_relu() -> None:
    shape = (3, 32, 32)
    wide, thin, small = (
        taps_of(name, {}, num_classes=10, input_shape=shape)
        for name in ("wrn_16_1", "resnet8", "MobileNetV2")
    )
    with torch.device("meta"):
        for student, teacher, expected in (
            (thin, wide, Spot("stage3", "embedding.map")),
            (wide, thin, Spot("embedding.map", "stage3")),
            (small, wide, Spot("embedding.map", "embedding.map")),
        ):
            given = Setting(student, teacher, targets=torch.arange(10), num_classes=10, seed=0)
            assert made("coder", given).spots == (expected,)


def test_a_net_without_maps_is_refused(setting: Setting) -> None:
    bare = {name: tap for name, tap in setting.student.items() if tap.kind != "map"}
    with pytest.raises(SpecError, match=r"^this net has no feature maps$"):
        last_map(bare)


def traces(setting: Setting, batch: int = 4) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Maps in float32, as leaves."""
    return tuple(
        {
            name: draw(batch, *tap.shape, seed=seed).float().requires_grad_(True)
            for name, tap in taps.items()
        }
        for seed, taps in ((1, setting.student), (2, setting.teacher))
    )


def test_the_students_code_meets_the_first_half_of_the_auto_encoder(setting: Setting) -> None:
    distiller = coder_of(setting, codes=5).eval()
    student, teacher = traces(setting)
    (pair,) = distiller.project(student, teacher)
    assert torch.equal(pair.student, distiller.encoder(student["stage3"]))
    assert torch.equal(pair.teacher, distiller.auto_encoder[0](teacher["stage3"]))
    assert pair.student.shape == pair.teacher.shape == (4, 5, *setting.student["stage3"].shape[1:])
    assert pair.student.requires_grad and not pair.teacher.requires_grad


def test_the_larger_map_is_pooled_before_it_is_encoded() -> None:
    large, small = draw(2, 16, 4, 4, seed=1).float(), draw(2, 24, 2, 2, seed=2).float()
    distiller = coder_of().eval()
    (pair,) = distiller.project({"stage3": large}, {"stage3": small})
    pooled = F.avg_pool2d(large, 2)
    assert torch.allclose(pair.student, distiller.encoder(pooled), atol=1e-6)
    assert torch.equal(pair.teacher, distiller.auto_encoder[0](small))
    given = setting_of("tiny_net_6_3", "tiny_net_4_3")
    distiller = coder_of(given).eval()
    (pair,) = distiller.project({"stage3": small}, {"stage3": large})
    assert torch.equal(pair.student, distiller.encoder(small))
    assert torch.allclose(pair.teacher, distiller.auto_encoder[0](pooled), atol=1e-6)


@pytest.mark.parametrize("power", [1, 2])
def test_the_auto_encoder_is_told_to_give_the_map_back(setting: Setting, power: int) -> None:
    distiller = coder_of(setting, power=power)
    _, teacher = traces(setting)
    found = distiller.warm_up.loss({}, teacher)
    again, feature = distiller.auto_encoder(teacher["stage3"]), teacher["stage3"]
    assert again.shape == feature.shape
    for row in range(len(found)):
        gaps = (again[row] - feature[row]).flatten().tolist()
        expected = sum(abs(gap) ** power for gap in gaps) / len(gaps)
        assert found[row].item() == pytest.approx(expected, rel=1e-5)
    found.mean().backward()
    assert all(p.grad is not None for p in distiller.auto_encoder.parameters())
    assert all(p.grad is None for p in distiller.encoder.parameters())
    assert teacher["stage3"].grad is None
    assert (distiller.warm_up.epochs, distiller.warm_up.lr) == (30, 0.1)
