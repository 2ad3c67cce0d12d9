"""MobileNetV2 as RepDistiller builds it for small images."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from engine.nets.layer import convolution, initialise, pooling
from engine.nets.staged import NETS, Inside, StagedNet

# Groups of blocks of one width: expansion, channels, blocks, stride of the first block.
# The second group keeps the size of its map, against table 2, as RepDistiller does.
GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STAGES = ((0, 1), (2,), (3, 4), (5, 6))

PUBLIC_KEYS = (
    (r"^conv1\.", "stages.stem."),
    *(
        (rf"^blocks\.({'|'.join(map(str, groups))})\.", rf"stages.stage{number}.\1.")
        for number, groups in enumerate(STAGES, 1)
    ),
    (r"^conv2\.", "stages.embedding.map."),
    (r"^classifier\.(0\.)?", "stages.logits."),
)


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow; no activation at the end."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.conv = nn.Sequential(
            *_active(convolution(inputs, wide, 1)),
            *_active(convolution(wide, wide, 3, stride=stride, groups=wide)),
            convolution(wide, outputs, 1),
            nn.BatchNorm2d(outputs),
        )
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        hidden: Tensor = self.conv(feature)
        return feature + hidden if self.has_shortcut else hidden


def _active(layer: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU())


def _groups(width: float) -> dict[int, nn.Sequential]:
    """Every group of blocks, by its number."""
    groups: dict[int, nn.Sequential] = {}
    inputs = int(32 * width)
    for number, (expansion, channels, num_blocks, stride) in enumerate(GROUPS):
        outputs = int(channels * width)
        rest = [InvertedResidual(outputs, outputs, 1, expansion) for _ in range(num_blocks - 1)]
        groups[number] = nn.Sequential(InvertedResidual(inputs, outputs, stride, expansion), *rest)
        inputs = outputs
    return groups


@NETS.register(
    "MobileNetV2",
    title="MobileNetV2 (CIFAR)",
    source="Sandler et al., CVPR 2018, table 2; strides of RepDistiller",
    aliases=("mobile_half",),
    family="mobilenet_v2",
    public_keys=PUBLIC_KEYS,
    variants=({}, {"width": 1.0}),
)
def mobilenet_v2(
    num_classes: int,
    input_shape: tuple[int, int, int],
    *,
    width: Annotated[
        float, Field(ge=0.1, le=2.0, description="Multiplies the channels of all blocks")
    ] = 0.5,
) -> StagedNet:
    """Inverted residual blocks in four stages; its maps may be negative."""
    groups = _groups(width)
    stages: dict[str, nn.Module] = {"stem": _active(convolution(3, int(32 * width), 3, stride=2))}
    for number, members in enumerate(STAGES, 1):
        parts: dict[str, nn.Module] = {str(group): groups[group] for group in members}
        stages[f"stage{number}"] = nn.Sequential(OrderedDict(parts))
    last = int(1280 * max(1.0, width))
    final = _active(convolution(int(GROUPS[-1][1] * width), last, 1))
    head = nn.Linear(last, num_classes)
    stages["embedding"] = Inside(OrderedDict(map=final, pool=pooling()))
    stages["logits"] = head
    net = StagedNet(
        stages,
        input_shape=input_shape,
        after={f"stage{number}": "linear" for number in range(1, len(STAGES) + 1)},
        last_map="embedding.map",
        norms={
            f"stage{number}": f"stages.stage{number}.{group}.{len(groups[group]) - 1}.conv.7"
            for number, (*_, group) in enumerate(STAGES, 1)
        },
    )
    initialise(net)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return net
