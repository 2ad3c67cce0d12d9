"""A net that is followed by hand: its map is the image, its head is given."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.measures.parts import Parts
from engine.nets.layer import pooling
from engine.nets.staged import Inside, StagedNet

PARTS = Parts("stage1", torch.tensor([0, 2]), torch.tensor([1]))


def small_net(weight: list[list[float]], bias: list[float], *, is_inner: bool = False) -> StagedNet:
    """Three channels; the map is the tap `stage1`, or `embedding.map` inside a stage."""
    linear = nn.Linear(3, len(bias))
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(weight))
        linear.bias.copy_(torch.tensor(bias))
    if is_inner:
        inside = Inside(OrderedDict(map=nn.Identity(), pool=pooling()))
        stages: dict[str, nn.Module] = {"embedding": inside, "logits": linear}
    else:
        stages = {"stage1": nn.Identity(), "embedding": pooling(), "logits": linear}
    last_map = "embedding.map" if is_inner else "stage1"
    return StagedNet(stages, input_shape=(3, 2, 2), last_map=last_map).eval()


def batch_of(image: Tensor, target: list[int]) -> Batch:
    return Batch(image, torch.tensor(target), torch.arange(len(target)))
