"""A small segmenter of bottlenecks, the teacher of the demo's drawn scenes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from engine.nets.layer import initialise
from engine.nets.segmenter import StagedSegmenter, Stages, active, deeplab_head, normed
from engine.nets.staged import NETS


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, beside a shortcut."""

    def __init__(
        self, inputs: int, middle: int, outputs: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.narrow = normed(inputs, middle, 1)
        self.filter = normed(middle, middle, 3, stride=stride, dilation=dilation)
        self.widen = normed(middle, outputs, 1)
        has_shape = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if has_shape else normed(inputs, outputs, 1, stride=stride)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        hidden = F.relu(self.filter(F.relu(self.narrow(feature))))
        return F.relu(self.widen(hidden) + self.shortcut(feature))


def small_head(num_classes: int) -> Stages:
    """A DeepLab head for maps of 128 channels and some 12x24 pixels.

    It leaves out nothing in training: of 24 channels none is spare.
    """
    return deeplab_head(128, num_classes, width=24, rates=(3, 6), dropout=0.0)


@NETS.register(
    "bottleneck128",
    title="Bottlenecks to 128 channels, small head",
    source="ours; blocks of He et al., CVPR 2016, head of Chen et al., arXiv:1706.05587",
    family="small_segmenter",
    task="segment",
    front="stage4",
)
def bottleneck128(num_classes: int, input_shape: tuple[int, int, int]) -> StagedSegmenter:
    """The teacher of ds128, for drawn scenes of 48x96; a quarter as high and wide inside."""
    front: Stages = {
        "stem": active(3, 16, 3, stride=2),
        "stage1": nn.Sequential(Bottleneck(16, 16, 48), Bottleneck(48, 16, 48)),
        "stage2": nn.Sequential(Bottleneck(48, 32, 96, stride=2), Bottleneck(96, 32, 96)),
        "stage3": Bottleneck(96, 32, 128, dilation=2),
        "stage4": nn.Sequential(*(Bottleneck(128, 48, 128, dilation=4) for _ in range(2))),
    }
    initialise(nn.ModuleDict(front))
    head = small_head(num_classes)
    return StagedSegmenter({**front, **head}, input_shape=input_shape, front="stage4")
