"""Wide residual networks: wrn_DEPTH_WIDTH."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import SpecError
from engine.nets.layer import convolution, initialise, pooling
from engine.nets.staged import NETS, Inside, StagedNet
from engine.registry import Entry

PUBLIC_KEYS = (
    (r"^conv1\.", "stages.stem."),
    (r"^block(\d)\.layer\.(\d+)\.", r"stages.stage\1.\2."),
    (r"\.convShortcut\.", ".shortcut."),
    (r"^bn1\.", "stages.embedding.map.0."),
    (r"^fc\.", "stages.logits."),
)
SOURCE = "Zagoruyko & Komodakis, BMVC 2016"
FACTS: Mapping[str, Any] = MappingProxyType({"family": "wrn", "public_keys": PUBLIC_KEYS})


class Block(nn.Module):
    """Norm and ReLU before each of two 3x3 convolutions, beside a shortcut.

    Where the width changes, the shortcut begins after the first norm and ReLU.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = convolution(inputs, outputs, 3, stride=stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.keeps_width = inputs == outputs
        if not self.keeps_width:
            self.shortcut = convolution(inputs, outputs, 1, stride=stride)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        active = F.relu(self.bn1(feature))
        hidden = F.relu(self.bn2(self.conv1(active)))
        hidden = self.conv2(hidden)
        shortcut: Tensor = feature if self.keeps_width else self.shortcut(active)
        out: Tensor = hidden + shortcut
        return out


def _stage(inputs: int, outputs: int, num_blocks: int, stride: int) -> nn.Sequential:
    rest = [Block(outputs, outputs, 1) for _ in range(num_blocks - 1)]
    return nn.Sequential(Block(inputs, outputs, stride), *rest)


def _builder(depth: int, width: int) -> Callable[..., StagedNet]:
    def build(num_classes: int, input_shape: tuple[int, int, int]) -> StagedNet:
        """A wide residual network of three stages; its taps lie before norm and ReLU."""
        num_blocks = (depth - 4) // 6
        last = 64 * width
        final = nn.Sequential(nn.BatchNorm2d(last), nn.ReLU())
        net = StagedNet(
            {
                "stem": convolution(3, 16, 3),
                "stage1": _stage(16, 16 * width, num_blocks, 1),
                "stage2": _stage(16 * width, 32 * width, num_blocks, 2),
                "stage3": _stage(32 * width, last, num_blocks, 2),
                "embedding": Inside(OrderedDict(map=final, pool=pooling())),
                "logits": nn.Linear(last, num_classes),
            },
            input_shape=input_shape,
            after=dict.fromkeys(("stem", "stage1", "stage2", "stage3"), "linear"),
            last_map="embedding.map",
            norms={
                "stem": "stages.stage1.0.bn1",
                "stage1": "stages.stage2.0.bn1",
                "stage2": "stages.stage3.0.bn1",
                "stage3": "stages.embedding.map.0",
            },
        )
        initialise(net)
        return net

    return build


def _title(depth: int, width: int) -> str:
    return f"Wide ResNet {depth}-{width} (CIFAR)"


@NETS.register_family(r"wrn_(\d+)_(\d+)")
def wide_resnet(depth_text: str, width_text: str) -> Entry[StagedNet]:
    """The entry of a depth and width that are not listed, as in wrn_28_10."""
    depth, width = int(depth_text), int(width_text)
    name = f"wrn_{depth}_{width}"
    if depth % 6 != 4 or not 10 <= depth <= 100:
        raise SpecError(f"{name} has depth {depth}; allowed are 10, 16, 22, 28 and so on up to 100")
    if not 1 <= width <= 20:
        raise SpecError(f"{name} has width {width}, outside [1, 20]")
    build = _builder(depth, width)
    return Entry("net", name, _title(depth, width), SOURCE, build, facts=FACTS)


for _depth, _width in ((16, 1), (16, 2), (40, 1), (40, 2)):
    NETS.register(f"wrn_{_depth}_{_width}", title=_title(_depth, _width), source=SOURCE, **FACTS)(
        _builder(_depth, _width)
    )
