"""Nets divided at a map."""

from __future__ import annotations

import pytest
import tiny
import torch
from torch import Tensor, nn

from engine.errors import SpecError
from engine.measures.parts import Parts, divide, gradient_at
from engine.nets import NETS
from engine.nets.staged import build_net

from .small_net import small_net


def every_parameter(net: nn.Module) -> list[Tensor]:
    return [value.clone() for value in net.state_dict().values()]


@pytest.mark.parametrize(
    ("name", "side", "taps"),
    [
        (tiny.STUDENT, 8, ("stem", "stem.pre", "stage1", "stage2.pre", "stage2", "embedding")),
        ("wrn_16_1", 32, ("stem", "stage3", "embedding.map", "embedding")),
        ("MobileNetV2", 32, ("stage4", "embedding.map")),
    ],
)
def test_the_two_halves_are_the_net(name: str, side: int, taps: tuple[str, ...]) -> None:
    shape = (3, side, side)
    net = build_net(name, {}, num_classes=4, input_shape=shape, seed=1).eval()
    image = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    before = every_parameter(net)
    with torch.no_grad():
        trace = net.trace(image, inside=True)
        for tap in taps:
            body, head = divide(net, tap)
            assert torch.equal(body(image), trace[tap])
            assert torch.equal(head(trace[tap]), net(image))
    assert all(map(torch.equal, before, every_parameter(net)))


@pytest.mark.parametrize(
    "name", ["resnet8", "resnet8x4", "vgg8", "wrn_16_2", "MobileNetV1", "MobileNetV2"]
)
def test_every_net_tells_a_last_map_to_divide_at(name: str) -> None:
    with torch.device("meta"):
        net = NETS[name].make(10, (3, 32, 32)).eval()
        divide(net, net.last_map)


@pytest.mark.parametrize("tap", ["", "stage3", "logits", "embedding.pool", "stage2.relu"])
def test_taps_that_are_not_there_are_refused(tap: str) -> None:
    with pytest.raises(SpecError, match=r"there is no tap .*; there are: stem.pre, stem, "):
        divide(tiny.net(tiny.STUDENT).eval(), tap)


def test_segmenters_are_refused() -> None:
    with torch.device("meta"):
        net = NETS["bottleneck128"].make(10, (3, 48, 96)).eval()
    with pytest.raises(SpecError, match="its last stage is no linear layer"):
        divide(net, net.last_map)


def test_a_net_in_training_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="evaluation"):
        divide(tiny.net(tiny.STUDENT).train(), "stage2")


def test_values_are_shared_out_by_channel() -> None:
    parts = Parts("stage1", torch.tensor([3, 0]), torch.tensor([1, 2]))
    inherit, explore = parts.of(torch.tensor([[10, 11, 12, 13], [20, 21, 22, 23]]))
    assert inherit.tolist() == [[13, 10], [23, 20]]
    assert explore.tolist() == [[11, 12], [21, 22]]


@pytest.mark.parametrize(
    ("inherit", "explore"), [([0, 1], [1, 2]), ([0], [2]), ([0, 1], []), ([0, 1], [2, 3])]
)
def test_parts_that_overlap_or_leave_gaps_are_our_mistake(
    inherit: list[int], explore: list[int]
) -> None:
    parts = Parts("stage1", *(torch.tensor(part, dtype=torch.int64) for part in (inherit, explore)))
    with pytest.raises(AssertionError, match="make up the map"):
        parts.of(torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("is_inner", [False, True])
def test_the_gradient_of_a_logit_is_its_weight_over_the_map(is_inner: bool) -> None:
    net = small_net([[1.0, 2, 3], [4, 5, 6]], [0.0, 0], is_inner=is_inner)
    image = torch.arange(24.0).reshape(2, 3, 2, 2)
    with torch.no_grad():
        feature, gradient = gradient_at(net, net.last_map, image, lambda logits: logits[:, 1])
    assert torch.equal(feature, image)
    expected = torch.tensor([4.0, 5, 6])[None, :, None, None].expand(2, 3, 2, 2) / 4
    assert torch.equal(gradient, expected)
    assert not image.requires_grad and not feature.requires_grad
    assert all(p.grad is None for p in net.parameters())
