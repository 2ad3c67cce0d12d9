"""Compact segmenters of depthwise separable convolutions, students of larger ones.

Each gives the same map as its teacher's front and has the same head.
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from engine.nets.layer import initialise
from engine.nets.segmenter import StagedSegmenter, Stages, active, deeplab_head, normed
from engine.nets.small_segmenter import small_head
from engine.nets.staged import NETS

SOURCE = "ours, for Wu et al., KSEM 2021; blocks of Howard et al., arXiv:1704.04861"


class Separable(nn.Module):
    """Filter each channel, then mix them; the input is added where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise = normed(inputs, inputs, 3, stride=stride, dilation=dilation, groups=inputs)
        self.pointwise = normed(inputs, outputs, 1)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        hidden: Tensor = self.pointwise(F.relu(self.depthwise(feature)))
        return F.relu(feature + hidden if self.has_shortcut else hidden)


def _blocks(
    inputs: int, outputs: int, num_blocks: int, *, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Blocks of which the first changes width and size."""
    first = Separable(inputs, outputs, stride=stride, dilation=dilation)
    rest = [Separable(outputs, outputs, dilation=dilation) for _ in range(num_blocks - 1)]
    return nn.Sequential(first, *rest)


def _assemble(front: Stages, head: Stages, input_shape: tuple[int, int, int]) -> StagedSegmenter:
    """Both parts as one net; the head begins with torch's own weights, as torchvision's does."""
    initialise(nn.ModuleDict(front))
    return StagedSegmenter({**front, **head}, input_shape=input_shape, front="stage4")


@NETS.register(
    "ds2048",
    title="Separable front of 2048 channels, DeepLabV3 head",
    source=SOURCE,
    family="separable_segmenter",
    task="segment",
    front="stage4",
)
def ds2048(
    num_classes: int,
    input_shape: tuple[int, int, int],
    *,
    num_stage2: Annotated[
        int, Field(ge=1, le=16, description="Blocks of stage 2, 128 channels wide")
    ] = 6,
    num_stage3: Annotated[
        int, Field(ge=1, le=16, description="Blocks of stage 3, 256 channels wide, dilation 2")
    ] = 5,
    num_stage4: Annotated[
        int, Field(ge=1, le=16, description="Blocks of stage 4, 256 channels wide, dilation 4")
    ] = 2,
) -> StagedSegmenter:
    """A student for DeepLabV3 with a ResNet: its front costs a 22nd of the teacher's."""
    front: Stages = {
        "stem": active(3, 32, 3, stride=2),
        "stage1": _blocks(32, 64, 2, stride=2),
        "stage2": _blocks(64, 128, num_stage2, stride=2),
        "stage3": _blocks(128, 256, num_stage3, dilation=2),
        # The teacher's features are never negative, so the last layer ends in a ReLU.
        "stage4": _blocks(256, 256, num_stage4, dilation=4).append(active(256, 2048, 1)),
    }
    return _assemble(front, deeplab_head(2048, num_classes), input_shape)


@NETS.register(
    "ds128",
    title="Separable front of 128 channels, small head",
    source=SOURCE,
    family="separable_segmenter",
    task="segment",
    front="stage4",
)
def ds128(
    num_classes: int,
    input_shape: tuple[int, int, int],
    *,
    width: Annotated[
        int, Field(ge=8, le=256, description="Channels of the two dilated blocks")
    ] = 72,
) -> StagedSegmenter:
    """The student of bottleneck128, for drawn scenes of 48x96."""
    front: Stages = {
        "stem": active(3, 16, 3, stride=2),
        "stage1": _blocks(16, 48, 1, stride=2),
        "stage2": _blocks(48, 72, 1),
        "stage3": _blocks(72, width, 1, dilation=2),
        "stage4": _blocks(width, width, 1, dilation=4).append(active(width, 128, 1)),
    }
    return _assemble(front, small_head(num_classes), input_shape)
