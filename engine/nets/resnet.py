"""ResNets for small images: thin (resnet20), four times wider (resnet8x4), full (ResNet18)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from engine.nets.layer import convolution, initialise, pooling
from engine.nets.staged import NETS, Inside, StagedNet

Shortcut = Literal["A", "B"]

# RepDistiller and mdistiller say downsample or shortcut, fc or linear; akamaster says linear.
PUBLIC_KEYS = (
    (r"^(conv1|bn1)\.", r"stages.stem.\1."),
    (r"^layer(\d)\.(\d+)\.", r"stages.stage\1.pre.\2."),
    (r"\.downsample\.", ".shortcut."),
    (r"^(fc|linear)\.", "stages.logits."),
)


class PaddedIdentity(nn.Module):
    """Shortcut A: every second pixel, and channels of zeros on both sides."""

    def __init__(self, missing: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = missing, stride

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C + missing, H / stride, W / stride)."""
        kept = feature[:, :, :: self.stride, :: self.stride]
        before = self.missing // 2
        return F.pad(kept, (0, 0, 0, 0, before, self.missing - before))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut. The last block of a stage leaves out its ReLU."""

    last_norm: ClassVar[str] = "bn2"

    def __init__(
        self, inputs: int, outputs: int, stride: int, shortcut: nn.Module, is_last: bool
    ) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride=stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = shortcut
        self.last = nn.Identity() if is_last else nn.ReLU()

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        hidden = F.relu(self.bn1(self.conv1(feature)))
        hidden = self.bn2(self.conv2(hidden))
        out: Tensor = self.last(hidden + self.shortcut(feature))
        return out


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 beside a shortcut, a quarter as wide as its output."""

    last_norm: ClassVar[str] = "bn3"

    def __init__(
        self, inputs: int, outputs: int, stride: int, shortcut: nn.Module, is_last: bool
    ) -> None:
        super().__init__()
        width = outputs // 4
        self.conv1 = convolution(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, stride=stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = convolution(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = shortcut
        self.last = nn.Identity() if is_last else nn.ReLU()

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        hidden = F.relu(self.bn1(self.conv1(feature)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        hidden = self.bn3(self.conv3(hidden))
        out: Tensor = self.last(hidden + self.shortcut(feature))
        return out


Block = type[BasicBlock] | type[Bottleneck]


def _shortcut(inputs: int, outputs: int, stride: int, kind: Shortcut) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    if kind == "A":
        return PaddedIdentity(outputs - inputs, stride)
    return nn.Sequential(convolution(inputs, outputs, 1, stride=stride), nn.BatchNorm2d(outputs))


def _stage(
    block: Block, inputs: int, outputs: int, num_blocks: int, stride: int, kind: Shortcut
) -> Inside:
    blocks = []
    for number in range(num_blocks):
        before, step = (inputs, stride) if number == 0 else (outputs, 1)
        shortcut = _shortcut(before, outputs, step, kind)
        blocks.append(block(before, outputs, step, shortcut, number == num_blocks - 1))
    return Inside(OrderedDict(pre=nn.Sequential(*blocks), relu=nn.ReLU()))


def _assemble(
    num_classes: int,
    input_shape: tuple[int, int, int],
    block: Block,
    widths: Sequence[int],
    num_blocks: Sequence[int],
    kind: Shortcut,
) -> StagedNet:
    """A net from the widths of stem and stages, and the number of blocks of each stage."""
    stem = OrderedDict(
        conv1=convolution(3, widths[0], 3), bn1=nn.BatchNorm2d(widths[0]), relu=nn.ReLU()
    )
    stages: dict[str, nn.Module] = {"stem": nn.Sequential(stem)}
    for number, count in enumerate(num_blocks, 1):
        inputs, outputs, stride = widths[number - 1], widths[number], 1 if number == 1 else 2
        stages[f"stage{number}"] = _stage(block, inputs, outputs, count, stride, kind)
    stages["embedding"] = pooling()
    stages["logits"] = nn.Linear(widths[-1], num_classes)
    net = StagedNet(
        stages,
        input_shape=input_shape,
        after={f"stage{number}.pre": "linear" for number in range(1, len(widths))},
        last_map=f"stage{len(num_blocks)}",
        norms={
            f"stage{number}.pre": f"stages.stage{number}.pre.{count - 1}.{block.last_norm}"
            for number, count in enumerate(num_blocks, 1)
        },
    )
    initialise(net)
    return net


def _thin(depth: int, widths: Sequence[int]) -> Callable[..., StagedNet]:
    def build(
        num_classes: int,
        input_shape: tuple[int, int, int],
        *,
        shortcut: Annotated[
            Shortcut,
            Field(description="Where widths change: A pads with zeros, B is a 1x1 convolution"),
        ] = "B",
    ) -> StagedNet:
        """A residual network of three stages for small images."""
        num_blocks = [(depth - 2) // 6] * 3
        return _assemble(num_classes, input_shape, BasicBlock, widths, num_blocks, shortcut)

    return build


def _full(
    block: Block, widths: Sequence[int], num_blocks: Sequence[int]
) -> Callable[..., StagedNet]:
    def build(num_classes: int, input_shape: tuple[int, int, int]) -> StagedNet:
        """The ImageNet network with a 3x3 stem and no pooling before its four stages."""
        return _assemble(num_classes, input_shape, block, widths, num_blocks, "B")

    return build


for _depth in (8, 14, 20, 32, 44, 56, 110):
    NETS.register(
        f"resnet{_depth}",
        title=f"ResNet-{_depth} (CIFAR, thin)",
        source="He et al., CVPR 2016, section 4.2",
        family="resnet",
        public_keys=PUBLIC_KEYS,
        variants=({}, {"shortcut": "A"}),
    )(_thin(_depth, (16, 16, 32, 64)))

for _depth in (8, 32):
    NETS.register(
        f"resnet{_depth}x4",
        title=f"ResNet-{_depth}x4 (CIFAR, four times wider)",
        source="He et al., CVPR 2016, section 4.2; widths of Tian et al., ICLR 2020",
        family="resnet_x4",
        public_keys=PUBLIC_KEYS,
        variants=({}, {"shortcut": "A"}),
    )(_thin(_depth, (32, 64, 128, 256)))

for _name, _block, _widths, _num_blocks in (
    ("ResNet18", BasicBlock, (64, 64, 128, 256, 512), (2, 2, 2, 2)),
    ("ResNet34", BasicBlock, (64, 64, 128, 256, 512), (3, 4, 6, 3)),
    ("ResNet50", Bottleneck, (64, 256, 512, 1024, 2048), (3, 4, 6, 3)),
):
    NETS.register(
        _name,
        title=f"ResNet-{_name[-2:]} (CIFAR, full width)",
        source="He et al., CVPR 2016, table 1; 3x3 stem of RepDistiller",
        family="resnet_full",
        public_keys=PUBLIC_KEYS,
    )(_full(_block, _widths, _num_blocks))
