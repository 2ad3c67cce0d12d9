"""ShuffleNet, the first version, for small images."""

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
    (r"^linear\.", "stages.logits."),
)

WIDTHS = (24, 240, 480, 960)
NUM_BLOCKS = (4, 8, 4)
NUM_GROUPS = 3


class Block(nn.Module):
    """Grouped 1x1 convolutions around a 3x3 convolution of each channel.

    At stride 2 the pooled input is stacked to the result, else added.
    The last block of a stage leaves out its ReLU.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, is_last: bool) -> None:
        super().__init__()
        added = outputs - inputs if stride == 2 else outputs
        width = added // 4
        # The stem's few channels are not divided, as the paper says in section 3.2.
        self.num_groups = 1 if inputs == WIDTHS[0] else NUM_GROUPS
        self.stride = stride
        self.conv1 = convolution(inputs, width, 1, groups=self.num_groups)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, stride=stride, groups=width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = convolution(width, added, 1, groups=NUM_GROUPS)
        self.bn3 = nn.BatchNorm2d(added)
        self.last = nn.Identity() if is_last else nn.ReLU()

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        hidden = F.relu(self.bn1(self.conv1(feature)))
        hidden = shuffle(hidden, self.num_groups)
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        hidden = self.bn3(self.conv3(hidden))
        if self.stride == 2:
            pooled = F.avg_pool2d(feature, 3, stride=2, padding=1)
            hidden = torch.cat([hidden, pooled], dim=1)
        else:
            hidden = hidden + feature
        out: Tensor = self.last(hidden)
        return out


def _stage(inputs: int, outputs: int, num_blocks: int) -> Inside:
    rest = [Block(outputs, outputs, 1, n == num_blocks - 1) for n in range(1, num_blocks)]
    pre = nn.Sequential(Block(inputs, outputs, 2, num_blocks == 1), *rest)
    return Inside(OrderedDict(pre=pre, relu=nn.ReLU()))


@NETS.register(
    "ShuffleNetV1",
    title="ShuffleNetV1, 3 groups (CIFAR)",
    source="Zhang et al., CVPR 2018, table 1; stem and ReLUs of RepDistiller",
    aliases=("ShuffleV1",),
    family="shufflenet_v1",
    public_keys=PUBLIC_KEYS,
)
def shufflenet_v1(num_classes: int, input_shape: tuple[int, int, int]) -> StagedNet:
    """Grouped convolutions with shuffled channels in three stages."""
    stem = OrderedDict(
        conv1=convolution(3, WIDTHS[0], 1), bn1=nn.BatchNorm2d(WIDTHS[0]), relu=nn.ReLU()
    )
    stages: dict[str, nn.Module] = {"stem": nn.Sequential(stem)}
    for number, count in enumerate(NUM_BLOCKS, 1):
        stages[f"stage{number}"] = _stage(WIDTHS[number - 1], WIDTHS[number], count)
    stages["embedding"] = pooling()
    stages["logits"] = nn.Linear(WIDTHS[-1], num_classes)
    return StagedNet(
        stages,
        input_shape=input_shape,
        after={f"stage{number}.pre": "linear" for number in range(1, len(WIDTHS))},
        last_map="stage3",
        norms={
            f"stage{number}.pre": f"stages.stage{number}.pre.{count - 1}.bn3"
            for number, count in enumerate(NUM_BLOCKS, 1)
        },
    )
