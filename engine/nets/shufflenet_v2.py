"""ShuffleNet, the second version, for small images."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.nets.layer import convolution, pooling, shuffle
from engine.nets.staged import NETS, Inside, StagedNet

PUBLIC_KEYS = (
    (r"^(conv1|bn1)\.", r"stages.stem.\1."),
    (r"^layer(\d)\.(\d+)\.", r"stages.stage\1.pre.\2."),
    (r"^(conv2|bn2)\.", r"stages.embedding.map.\1."),
    (r"^linear\.", "stages.logits."),
)

WIDTHS = (24, 116, 232, 464, 1024)
NUM_BLOCKS = (4, 8, 4)


class Halving(nn.Module):
    """Two branches see all channels and halve the map. Leaves out its last ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = outputs // 2
        self.conv1 = convolution(inputs, inputs, 3, stride=2, groups=inputs)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = convolution(inputs, width, 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = convolution(inputs, width, 1)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv4 = convolution(width, width, 3, stride=2, groups=width)
        self.bn4 = nn.BatchNorm2d(width)
        self.conv5 = convolution(width, width, 1)
        self.bn5 = nn.BatchNorm2d(width)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / 2, W / 2)."""
        left = self.bn1(self.conv1(feature))
        left = self.bn2(self.conv2(left))
        right = F.relu(self.bn3(self.conv3(feature)))
        right = self.bn4(self.conv4(right))
        right = self.bn5(self.conv5(right))
        return shuffle(torch.cat([left, right], dim=1), 2)


class Block(nn.Module):
    """One half of the channels passes, the other is transformed. Leaves out its ReLU.

    The ReLU stands at the beginning of the next block, or at the end of the stage. There
    it covers both halves: the half that passes has been through one, so nothing changes.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // 2
        self.conv1 = convolution(width, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, groups=width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = convolution(width, width, 1)
        self.bn3 = nn.BatchNorm2d(width)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        passing, hidden = F.relu(feature).chunk(2, dim=1)
        hidden = F.relu(self.bn1(self.conv1(hidden)))
        hidden = self.bn2(self.conv2(hidden))
        hidden = self.bn3(self.conv3(hidden))
        return shuffle(torch.cat([passing, hidden], dim=1), 2)


def _stage(inputs: int, outputs: int, num_blocks: int) -> Inside:
    rest = [Block(outputs) for _ in range(num_blocks - 1)]
    return Inside(OrderedDict(pre=nn.Sequential(Halving(inputs, outputs), *rest), relu=nn.ReLU()))


def _active(inputs: int, outputs: int, number: int) -> nn.Sequential:
    parts: dict[str, nn.Module] = {
        f"conv{number}": convolution(inputs, outputs, 1),
        f"bn{number}": nn.BatchNorm2d(outputs),
        "relu": nn.ReLU(),
    }
    return nn.Sequential(OrderedDict(parts))


@NETS.register(
    "ShuffleNetV2",
    title="ShuffleNetV2 (CIFAR)",
    source="Ma et al., ECCV 2018, table 5; stem of RepDistiller",
    aliases=("ShuffleV2",),
    family="shufflenet_v2",
    public_keys=PUBLIC_KEYS,
)
def shufflenet_v2(num_classes: int, input_shape: tuple[int, int, int]) -> StagedNet:
    """Blocks that transform half of their channels, in three stages."""
    stages: dict[str, nn.Module] = {"stem": _active(3, WIDTHS[0], 1)}
    for number, count in enumerate(NUM_BLOCKS, 1):
        stages[f"stage{number}"] = _stage(WIDTHS[number - 1], WIDTHS[number], count)
    final = _active(WIDTHS[-2], WIDTHS[-1], 2)
    stages["embedding"] = Inside(OrderedDict(map=final, pool=pooling()))
    stages["logits"] = nn.Linear(WIDTHS[-1], num_classes)
    return StagedNet(
        stages,
        input_shape=input_shape,
        after={f"stage{number}.pre": "linear" for number in range(1, len(NUM_BLOCKS) + 1)},
        last_map="embedding.map",
    )
