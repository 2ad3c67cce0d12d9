"""What segmenters share: a head that gives a class to every pixel."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from engine.nets.staged import After, StagedNet

Stages = dict[str, nn.Module]


class StagedSegmenter(StagedNet):
    """A chain of stages that ends in a class for every pixel; it has no embedding.

    The stage `logits` gives (B, classes, h, w) at the head's own size, and so do `trace` and
    `resume`: losses and measures resize it to their target. `forward` alone resizes it, to
    the image.

    Args:
        stages: name -> module, in order; what follows the front is the head.
        input_shape: (3, H, W) of the images it is built for; taps are measured for it.
        front: the cut after which the head begins.
        after: tap -> what its signal last went through, where that is not a ReLU.
    """

    def __init__(
        self,
        stages: Mapping[str, nn.Module],
        *,
        input_shape: tuple[int, int, int],
        front: str,
        after: Mapping[str, After] | None = None,
    ) -> None:
        last_map = tuple(stages)[-2]
        super().__init__(stages, input_shape=input_shape, after=after, last_map=last_map)
        self.front = front

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, classes, H, W)."""
        size = image.shape[-2:]
        return F.interpolate(super().forward(image), size, mode="bilinear", align_corners=False)


def deeplab_head(
    inputs: int,
    num_classes: int,
    *,
    width: int = 256,
    rates: tuple[int, ...] = (12, 24, 36),
    dropout: float = 0.5,
) -> Stages:
    """The stages `aspp`, `refine` and `logits` of torchvision's DeepLabV3.

    Chen et al., arXiv:1706.05587, section 3.3; the 3x3 convolution of `refine` is
    torchvision's.

    Args:
        inputs: channels of the map that the front gives.
        width: channels of every branch and of what follows.
        rates: dilations of the 3x3 branches, in pixels of that map.
        dropout: share of the joined channels that training leaves out.
    """
    aspp = ASPP(inputs, rates, width)
    aspp.project[-1].p = dropout  # torchvision's own is fixed at a half
    refine = OrderedDict[str, nn.Module](
        conv=nn.Conv2d(width, width, 3, padding=1, bias=False),
        bn=nn.BatchNorm2d(width),
        relu=nn.ReLU(),
    )
    return {
        "aspp": aspp,
        "refine": nn.Sequential(refine),
        "logits": nn.Conv2d(width, num_classes, 1),
    }


def normed(
    inputs: int, outputs: int, size: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that keeps the map's size at stride 1, and its norm."""
    padding = dilation * (size // 2)
    layer = nn.Conv2d(inputs, outputs, size, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


def active(inputs: int, outputs: int, size: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution, its norm and a ReLU."""
    return normed(inputs, outputs, size, stride=stride).append(nn.ReLU())
