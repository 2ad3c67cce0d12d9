"""The chain of stages on a net small enough to follow."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from engine.nets import Inside, StagedNet, build_net

SHAPE = (3, 32, 32)


@pytest.fixture
def net() -> StagedNet:
    return StagedNet(
        {
            "stem": Inside(OrderedDict(pre=nn.Conv2d(3, 2, 1), relu=nn.ReLU())),
            "embedding": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            "logits": nn.Linear(2, 5),
        },
        after={"stem.pre": "linear"},
        last_map="stem",
    )


def test_inner_parts_are_read_only_where_asked_and_the_last_part_is_the_stage(
    net: StagedNet, images: Tensor
) -> None:
    assert list(net.trace(images)) == ["stem", "embedding", "logits"]
    trace = net.trace(images, inside=True)
    assert list(trace) == ["stem.pre", "stem", "embedding", "logits"]
    assert torch.equal(trace["stem.pre"].relu(), trace["stem"])
    assert torch.equal(net.trace(images)["logits"], trace["logits"])


def test_taps_tell_shape_kind_and_what_came_before(net: StagedNet) -> None:
    taps = {name: (tap.shape, tap.kind, tap.after) for name, tap in net.taps().items()}
    assert taps == {
        "stem.pre": ((2, 32, 32), "map", "linear"),
        "stem": ((2, 32, 32), "map", "relu"),
        "embedding": ((2,), "vector", "relu"),
        "logits": ((5,), "logits", "linear"),
    }


def test_reading_taps_leaves_the_mode_as_it_was(net: StagedNet) -> None:
    net.train().taps()
    assert net.training and net.stages["stem"].training
    net.eval().taps()
    assert not net.training


def test_resuming_from_the_image_runs_the_first_stages(net: StagedNet, images: Tensor) -> None:
    trace = net.trace(images)
    assert torch.equal(net.resume(images, after=None, until="stem"), trace["stem"])
    assert torch.equal(
        net.resume(trace["stem"], after="stem", until="embedding"), trace["embedding"]
    )


def test_one_seed_gives_one_net() -> None:
    nets = [build_net("vgg8", {}, num_classes=5, input_shape=SHAPE, seed=s) for s in (1, 1, 2)]
    first, same, other = (net.stages["logits"].weight for net in nets)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_net_is_built_channels_last() -> None:
    net = build_net("resnet8", {}, num_classes=5, input_shape=SHAPE)
    assert net.stages["stem"][0].weight.is_contiguous(memory_format=torch.channels_last)
