"""Shortcuts and inner taps of ResNets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.errors import SpecError
from engine.nets import NETS, build_net
from engine.nets.resnet import PaddedIdentity

SHAPE = (3, 32, 32)


def test_shortcut_a_takes_every_second_pixel_and_pads_channels_on_both_sides() -> None:
    feature = torch.arange(16.0).reshape(1, 1, 4, 4)
    out = PaddedIdentity(2, 2)(feature)
    assert out.shape == (1, 3, 2, 2)
    assert out[0, 1].tolist() == [[0.0, 2.0], [8.0, 10.0]]
    assert out[0, 0].abs().sum() == out[0, 2].abs().sum() == 0


def test_shortcut_a_has_no_parameters(images: Tensor) -> None:
    plain = build_net("resnet20", {"shortcut": "A"}, num_classes=10, input_shape=SHAPE)
    assert sum(p.numel() for p in plain.parameters()) == 269_722  # He et al.: 0.27 million
    assert plain(images).shape == (2, 10)


def test_another_shortcut_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(SpecError, match="A, B"):
        build_net("resnet20", {"shortcut": "C"}, num_classes=10, input_shape=SHAPE)


def test_thin_wide_and_full_resnets_are_three_families() -> None:
    families = [NETS[name].facts["family"] for name in ("resnet32", "resnet32x4", "ResNet50")]
    assert len(set(families)) == 3
    assert NETS["resnet110"].facts["family"] == NETS["resnet32"].facts["family"]


def test_the_full_resnet_and_torchvisions_are_told_apart_by_case() -> None:
    assert NETS["ResNet18"].facts["family"] != NETS["resnet18"].facts["family"]
    with pytest.raises(SpecError, match="ResNet18 or resnet18"):
        NETS["RESNET-18"]
