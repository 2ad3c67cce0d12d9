"""Logits split by hand, and the split of real heads."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import tiny
import torch
from torch import nn

from engine.errors import SpecError
from engine.measures.part_logits import part_figures, part_logits
from engine.measures.parts import Parts
from engine.nets import NETS
from engine.nets.staged import Inside, StagedNet, build_net

from .small_net import PARTS, batch_of, small_net

NONE = torch.zeros(0, dtype=torch.int64)


@pytest.mark.parametrize("is_inner", [False, True])
def test_terms_as_written_by_hand(is_inner: bool) -> None:
    net = small_net([[1.0, 2, 3], [4, 5, 6]], [0.5, -1], is_inner=is_inner)
    image = torch.tensor([[[1.0, 3]], [[0, 4]], [[5, 5]]])[None]  # means 2, 2, 5
    parts = Parts(net.last_map, PARTS.inherit, PARTS.explore)
    found = part_logits(net, parts, image)
    assert found.inherit.tolist() == [[1 * 2 + 3 * 5, 4 * 2 + 6 * 5]]
    assert found.explore.tolist() == [[2 * 2, 5 * 2]]
    assert found.bias.tolist() == [0.5, -1]
    alone = {name: logits.tolist() for name, logits in found.alone().items()}
    assert alone == {"inherit": [[17.5, 37]], "explore": [[4.5, 9]], "both": [[21.5, 47]]}


def halves(net: StagedNet, seed: int) -> Parts:
    """Channels of the last map in random order; a third inherits."""
    channels = net.stages["logits"].in_features
    order = torch.randperm(channels, generator=torch.Generator().manual_seed(seed))
    return Parts(net.last_map, order[: channels // 3], order[channels // 3 :])


@pytest.mark.parametrize(
    "name", [tiny.STUDENT, "resnet8", "wrn_16_1", "vgg8", "MobileNetV2", "ShuffleNetV2"]
)
def test_the_parts_and_the_bias_are_the_logits(name: str) -> None:
    """Numeric test 16, of the design: within 1e-12 of the largest."""
    shape = tiny.SHAPE if name.startswith("tiny") else (3, 32, 32)
    net = build_net(name, {}, num_classes=5, input_shape=shape, seed=2).double().eval()
    image = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)).double()
    linear = net.stages["logits"]
    with torch.no_grad():
        linear.weight /= (net(image) - linear.bias).abs().max()  # else some say all but nothing
        linear.bias.normal_()
        logits = net(image)
    found = part_logits(net, halves(net, 1), image)
    gap = found.inherit + found.explore + found.bias - logits
    assert float(gap.abs().max()) <= 1e-12 * float(logits.abs().max())
    assert torch.equal(found.alone()["both"], found.inherit + found.explore + found.bias)
    assert not found.inherit.requires_grad and not found.bias.requires_grad


def test_a_part_alone_is_the_net_with_the_other_channels_at_zero() -> None:
    net = tiny.net(tiny.STUDENT, seed=2).double().eval()
    image, parts = tiny.batch_of().image.double(), halves(net, 3)
    alone = part_logits(net, parts, image).alone()
    with torch.no_grad():
        feature = net.trace(image)[parts.tap]
        for name, other in (("inherit", parts.explore), ("explore", parts.inherit)):
            cut = feature.index_fill(1, other, 0)
            expected = net.resume(cut, after=parts.tap, until="logits")
            torch.testing.assert_close(alone[name], expected, rtol=1e-12, atol=1e-12)


def test_an_empty_part_says_the_bias() -> None:
    net = small_net([[1.0, 2, 3], [4, 5, 6]], [0.5, -1])
    found = part_logits(net, Parts("stage1", torch.arange(3), NONE), torch.ones(2, 3, 2, 2))
    assert found.alone()["explore"].tolist() == [[0.5, -1]] * 2
    assert found.alone()["both"].tolist() == found.alone()["inherit"].tolist()


@pytest.mark.parametrize("size", [1, 3, 4])
def test_shares_of_right_and_of_agreeing_answers(size: int) -> None:
    """Channels 0 and 2 inherit, 1 explores; channel 0 votes for 0, 1 for 1, 2 for 2.

    The teacher weighs channel 1 fourfold.
    """
    eye = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]
    student = small_net(eye, [0.1, 0, 0])
    teacher = small_net([[1.0, 0, 0], [0, 4, 0], [0, 0, 1]], [0.0, 0, 0])
    votes = torch.tensor([[2.0, 1, 0], [0, 3, 1], [0, 1, 5], [1, 2, 0]])
    #   inherit says 0 2 2 0, explore 1 1 1 1, both 0 1 2 1, the teacher 1 1 2 1
    target = [0, 1, 2, 0]
    image = votes[:, :, None, None].expand(4, 3, 2, 2)
    batches = [
        batch_of(image[start : start + size], target[start : start + size])
        for start in range(0, 4, size)
    ]
    assert part_figures(student, teacher, PARTS, batches) == {
        "inherit": {"accuracy": 3 / 4, "agreement": 1 / 4},
        "explore": {"accuracy": 1 / 4, "agreement": 3 / 4},
        "both": {"accuracy": 3 / 4, "agreement": 3 / 4},
    }


@pytest.mark.parametrize(
    ("name", "tap", "kinds"),
    [
        (tiny.STUDENT, "stage1", "Conv2d, BatchNorm2d, ReLU, AdaptiveAvgPool2d, Flatten, Linear"),
        (tiny.STUDENT, "stage2.pre", "ReLU, AdaptiveAvgPool2d, Flatten, Linear"),
        (tiny.STUDENT, "embedding", "Linear"),
        ("wrn_16_1", "stage3", "BatchNorm2d, ReLU, AdaptiveAvgPool2d, Flatten, Linear"),
        ("mobilenet_v3_small", "embedding.map", "AdaptiveAvgPool2d, Flatten, Linear, Hardswish"),
        ("convnext_tiny", "stage4", "AdaptiveAvgPool2d, LayerNorm2d, Flatten, Linear"),
    ],
)
def test_other_heads_are_refused_by_what_they_are(name: str, tap: str, kinds: str) -> None:
    with torch.device("meta"):
        net = NETS[name].make(4, (3, 32, 32)).eval()
        with pytest.raises(SpecError) as refused:
            part_logits(net, Parts(tap, NONE, NONE), torch.zeros(1, 3, 32, 32))
    assert str(refused.value) == (
        f"the logits cannot be split by the channels of {tap}: after it come {kinds}, "
        "not mean pooling and one linear layer"
    )


def test_what_does_nothing_in_evaluation_mode_may_stand_in_the_head() -> None:
    pool = nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout(0.5), nn.Identity())
    stages = {"embedding": Inside(OrderedDict(map=nn.Identity(), pool=pool))}
    net = StagedNet({**stages, "logits": nn.Linear(3, 2)}).double().eval()
    image = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    parts = Parts("embedding.map", PARTS.inherit, PARTS.explore)
    with torch.no_grad():
        torch.testing.assert_close(part_logits(net, parts, image).alone()["both"], net(image))


@pytest.mark.parametrize("pool", [nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(1)])
def test_pooling_to_more_than_one_place_or_to_the_highest_is_refused(pool: nn.Module) -> None:
    embedding = nn.Sequential(pool, nn.Flatten())
    stages = {"stage1": nn.Identity(), "embedding": embedding, "logits": nn.Linear(12, 2)}
    with pytest.raises(SpecError, match="not mean pooling"):
        part_logits(StagedNet(stages).eval(), PARTS, torch.zeros(1, 3, 4, 4))


def test_a_layer_of_two_paths_is_no_chain() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat = nn.Flatten()

        def forward(self, pooled: torch.Tensor) -> torch.Tensor:
            return 2 * self.flat(pooled)

    embedding = nn.Sequential(nn.AdaptiveAvgPool2d(1), Twice())
    stages = {"stage1": nn.Identity(), "embedding": embedding, "logits": nn.Linear(3, 2)}
    with pytest.raises(SpecError, match="AdaptiveAvgPool2d, Twice, Linear"):
        part_logits(StagedNet(stages).eval(), PARTS, torch.zeros(1, 3, 4, 4))
