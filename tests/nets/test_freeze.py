"""A frozen net stays as it is."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from engine.nets import build_net
from engine.nets.freeze import freeze


def test_freeze_returns_the_net_in_evaluation_mode_without_gradients() -> None:
    net = build_net("resnet8", {}, num_classes=3, input_shape=(3, 32, 32))
    assert freeze(net) is net
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not any(module.training for module in net.modules())


def test_nothing_puts_a_frozen_net_back_into_training_mode() -> None:
    net = freeze(build_net("resnet8", {}, num_classes=3, input_shape=(3, 32, 32)))
    assert net.train() is net
    net.stages.train()
    nn.ModuleList([net]).train()
    assert not any(module.training for module in net.modules())


def test_a_frozen_net_is_the_same_after_a_forward_pass_in_training(images: Tensor) -> None:
    net = freeze(build_net("wrn_16_1", {}, num_classes=3, input_shape=(3, 32, 32)))
    before = copy.deepcopy(net.state_dict())
    net.train()(images)
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())


def test_a_copy_of_a_frozen_net_is_frozen_by_itself() -> None:
    net = freeze(build_net("resnet8", {}, num_classes=3, input_shape=(3, 32, 32)))
    other = copy.deepcopy(net)
    assert other.train() is other
    assert not other.training
