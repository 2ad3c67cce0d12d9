"""Nets that tell classes by another net's classifier."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.nets import StagedNet, build_net
from engine.nets.reused import PROJECTED, projector, reuse
from engine.nets.weights import load_weights, save_weights

NAMES = ["resnet8", "wrn_16_1", "vgg8", "MobileNetV2", "ShuffleNetV2", "mobilenet_v3_small"]
CLASSES, CHANNELS = 5, 24


def plain(name: str, seed: int = 1) -> StagedNet:
    return build_net(name, {}, num_classes=7, input_shape=(3, 32, 32), seed=seed).eval()


def reusing(name: str) -> StagedNet:
    net = plain(name)
    channels = net.taps()[net.last_map].shape[0]
    reuse(net, projector(channels, 6, CHANNELS), nn.Linear(CHANNELS, CLASSES))
    return net.to(memory_format=torch.channels_last).eval()


@pytest.mark.parametrize("name", NAMES)
def test_classes_are_told_from_the_mean_of_the_projected_last_map(
    name: str, images: Tensor
) -> None:
    before, net = plain(name), reusing(name)
    with torch.no_grad():
        last = before.trace(images, inside=True)[before.last_map]
        projected = net.stages["embedding"].projector(last)
        expected = net.stages["logits"](projected.mean(dim=(2, 3)))
        assert torch.allclose(net(images), expected, atol=1e-5)
        assert torch.equal(net.trace(images, inside=True)[PROJECTED], projected)
    taps = net.taps()
    assert net.names == before.names
    assert set(taps) == {*before.taps(), PROJECTED}
    assert net.last_map == PROJECTED
    assert taps[PROJECTED].shape == (CHANNELS, *last.shape[2:])
    assert (taps["embedding"].shape, taps["logits"].shape) == ((CHANNELS,), (CLASSES,))


@pytest.mark.parametrize("name", NAMES)
def test_stored_weights_bring_projector_and_classifier_along(
    name: str, images: Tensor, tmp_path: Path
) -> None:
    net, other = reusing(name), plain(name, seed=2)
    save_weights(net, tmp_path / "net.safetensors", {})
    load_weights(other, str(tmp_path / "net.safetensors"), name=name, num_classes=CLASSES)
    with torch.no_grad():
        assert torch.equal(other.eval()(images), net(images))
    save_weights(other, tmp_path / "again.safetensors", {})
    load_weights(net, str(tmp_path / "again.safetensors"), name=name, num_classes=CLASSES)


def test_the_projector_is_a_bottleneck_of_the_authors() -> None:
    made = projector(8, 12, 24)
    kinds = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 3
    assert [type(layer) for layer in made] == kinds
    shapes = [tuple(layer.weight.shape) for layer in made[::3]]
    assert shapes == [(12, 8, 1, 1), (12, 12, 3, 3), (24, 12, 1, 1)]
    assert all(layer.bias is None for layer in made[::3])
