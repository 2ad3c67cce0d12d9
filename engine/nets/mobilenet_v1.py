"""MobileNet, the first version, for small images."""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from engine.nets.layer import convolution, initialise, pooling
from engine.nets.staged import NETS, StagedNet

# Blocks keep the number that they have in pytorch-cifar.
STAGES = ((0,), (1, 2), (3, 4), (5, 6, 7, 8, 9, 10), (11, 12))
WIDTHS = (64, 128, 256, 512, 1024)

PUBLIC_KEYS = (
    (r"^(conv1|bn1)\.", r"stages.stem.\1."),
    *(
        (rf"^layers\.({'|'.join(map(str, blocks))})\.", rf"stages.stage{number}.\1.")
        for number, blocks in enumerate(STAGES, 1)
    ),
    (r"^linear\.", "stages.logits."),
)


class Separable(nn.Module):
    """A 3x3 convolution of each channel, then a 1x1 convolution across channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, inputs, 3, stride=stride, groups=inputs)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = convolution(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        hidden = F.relu(self.bn1(self.conv1(feature)))
        return F.relu(self.bn2(self.conv2(hidden)))


def _stage(blocks: tuple[int, ...], inputs: int, outputs: int, stride: int) -> nn.Sequential:
    first, *rest = blocks
    layers: dict[str, nn.Module] = {str(first): Separable(inputs, outputs, stride)}
    layers |= {str(number): Separable(outputs, outputs, 1) for number in rest}
    return nn.Sequential(OrderedDict(layers))


@NETS.register(
    "MobileNetV1",
    title="MobileNetV1 (CIFAR)",
    source="Howard et al., 2017, table 1; stem without stride for small images",
    family="mobilenet_v1",
    public_keys=PUBLIC_KEYS,
)
def mobilenet_v1(num_classes: int, input_shape: tuple[int, int, int]) -> StagedNet:
    """Depthwise separable convolutions in five stages."""
    stem = OrderedDict(conv1=convolution(3, 32, 3), bn1=nn.BatchNorm2d(32), relu=nn.ReLU())
    stages: dict[str, nn.Module] = {"stem": nn.Sequential(stem)}
    inputs = 32
    for number, (blocks, outputs) in enumerate(zip(STAGES, WIDTHS, strict=True), 1):
        stages[f"stage{number}"] = _stage(blocks, inputs, outputs, 1 if number == 1 else 2)
        inputs = outputs
    stages["embedding"] = pooling()
    stages["logits"] = nn.Linear(inputs, num_classes)
    net = StagedNet(stages, input_shape=input_shape, last_map="stage5")
    initialise(net)
    return net
