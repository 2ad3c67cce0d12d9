"""Grad-CAM by parts, by hand and against the part logits."""

from __future__ import annotations

import pytest
import tiny
import torch
from torch import nn

from engine.errors import SpecError
from engine.measures.part_logits import part_logits
from engine.measures.part_maps import channel_maps, part_maps
from engine.measures.parts import Parts
from engine.nets.layer import pooling
from engine.nets.staged import StagedNet, build_net

from .small_net import PARTS, small_net

SMALL = small_net([[1.0, 2, 3], [-4, 5, -6]], [0.5, -1])
#   channels: 0 at the left top, 1 at the right top, 2 at the left top and the left bottom
IMAGE = torch.tensor([[[4.0, 0], [0, 0]], [[0, 4], [0, 0]], [[4, 0], [4, 0]]])[None]


def class_of(*label: int) -> torch.Tensor:
    return torch.tensor(label)


def wide(name: str) -> tuple[StagedNet, torch.Tensor, Parts]:
    """A net with an image of 32 x 32 and halves of its last map."""
    net = build_net(name, {}, num_classes=5, input_shape=(3, 32, 32), seed=2).double().eval()
    image = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    channels = net.stages["logits"].in_features
    return net, image, Parts(net.last_map, *torch.arange(channels).tensor_split(2))


@pytest.mark.parametrize("is_inner", [False, True])
def test_channels_add_their_weight_at_their_places(is_inner: bool) -> None:
    net = small_net([[1.0, 2, 3], [-4, 5, -6]], [0.5, -1], is_inner=is_inner)
    image = torch.cat([IMAGE, IMAGE])
    found = channel_maps(net, net.last_map, image, class_of(0, 1))
    assert found[0].tolist() == [[[1, 0], [0, 0]], [[0, 2], [0, 0]], [[3, 0], [3, 0]]]
    assert found[1].tolist() == [[[-4, 0], [0, 0]], [[0, 5], [0, 0]], [[-6, 0], [-6, 0]]]


def test_maps_as_written_by_hand() -> None:
    """The class 0: inherit (4 0, 3 0), explore (0 2, 0 0), whole (4 2, 3 0); 4 is the highest."""
    teacher = small_net([[0.0, 1, 0], [0, 0, 0]], [0.0, 0])
    found = part_maps(SMALL, teacher, PARTS, IMAGE, class_of(0))
    assert found.inherit.tolist() == [[[1, 0], [0.75, 0]]]
    assert found.explore.tolist() == [[[0, 0.5], [0, 0]]]
    assert found.whole.tolist() == [[[1, 0.5], [0.75, 0]]]
    assert found.teacher.tolist() == [[[0, 1], [0, 0]]], "on a scale of its own"


def test_a_channel_has_one_weight_wherever_its_gradient_lies() -> None:
    """A ReLU before the pooling lets the gradient 8 / 4 through at half of the places: 1."""
    linear = nn.Linear(1, 1)
    nn.init.constant_(linear.weight, 8)
    head = {"stage2": nn.ReLU(), "embedding": pooling(), "logits": linear}
    net = StagedNet({"stage1": nn.Identity(), **head}).eval()
    image = torch.tensor([[[[4.0, -4], [-2, 1]]]])
    assert torch.equal(channel_maps(net, "stage1", image, class_of(0)), image)


def test_what_speaks_against_a_class_is_nothing() -> None:
    against = small_net([[0.0, 0, 0], [-1, -1, -1]], [0.0, 0])
    found = part_maps(SMALL, against, PARTS, IMAGE, class_of(1))
    assert found.inherit.tolist() == [[[0, 0], [0, 0]]]
    assert found.explore.tolist() == found.whole.tolist() == [[[0, 1], [0, 0]]]
    assert found.teacher.tolist() == [[[0, 0], [0, 0]]]


def test_every_image_has_its_own_scale() -> None:
    found = part_maps(SMALL, SMALL, PARTS, torch.cat([IMAGE, 100 * IMAGE]), class_of(0, 0))
    for maps in (found.inherit, found.explore, found.whole, found.teacher):
        assert torch.equal(maps[0], maps[1])


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "MobileNetV2"])
def test_the_signed_sum_of_the_parts_is_the_whole(name: str) -> None:
    net, image, parts = wide(name)
    channels = channel_maps(net, parts.tap, image, class_of(0, 1, 4))
    inherit, explore = (part.sum(dim=1) for part in parts.of(channels))
    torch.testing.assert_close(inherit + explore, channels.sum(dim=1), rtol=1e-12, atol=1e-12)
    assert inherit.abs().max() > 0 and explore.abs().max() > 0


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1"])
def test_a_map_adds_up_to_what_its_part_says(name: str) -> None:
    net, image, parts = wide(name)
    target = class_of(0, 1, 4)
    said = part_logits(net, parts, image)
    channels = channel_maps(net, parts.tap, image, target)
    for part, logits in zip(parts.of(channels), (said.inherit, said.explore), strict=True):
        expected = logits.gather(1, target[:, None])[:, 0]
        torch.testing.assert_close(part.sum(dim=(1, 2, 3)), expected, rtol=1e-10, atol=1e-12)


def test_maps_have_the_size_of_the_image_and_one_highest_place() -> None:
    student, image, parts = wide("wrn_16_1")
    teacher, _, _ = wide("resnet8")
    found = part_maps(student, teacher, parts, image, class_of(0, 1, 4))
    ours = torch.stack([found.inherit, found.explore, found.whole])
    for maps in (ours, found.teacher):
        assert maps.shape[-3:] == (3, 32, 32) and maps.dtype == torch.float32
        assert maps.min() >= 0 and maps.max() <= 1
    assert ours.amax(dim=(0, 2, 3)).tolist() == [1, 1, 1]
    assert found.teacher.amax(dim=(1, 2)).tolist() == [1, 1, 1]


def test_a_head_of_any_kind_can_be_looked_through() -> None:
    net = tiny.net(tiny.STUDENT, seed=2).eval()
    parts = Parts("stage1", *torch.arange(8).tensor_split(2))
    batch = tiny.batch_of(4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        found = part_maps(net, net, parts, batch.image, batch.target)
    assert found.whole.shape == (4, 8, 8) and not found.whole.requires_grad
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_an_empty_part_shows_nothing() -> None:
    parts = Parts("stage1", torch.arange(3), torch.zeros(0, dtype=torch.int64))
    found = part_maps(SMALL, SMALL, parts, IMAGE, class_of(0))
    assert found.explore.tolist() == [[[0, 0], [0, 0]]]
    assert torch.equal(found.inherit, found.whole)


def test_a_tap_without_places_is_refused() -> None:
    with pytest.raises(SpecError, match="embedding is no map"):
        channel_maps(SMALL, "embedding", IMAGE, class_of(0))
