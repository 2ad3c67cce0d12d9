"""Torchvision's segmenters, cut into stages, without their auxiliary heads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from torchvision.models.segmentation.fcn import FCNHead
from torchvision.models.segmentation.lraspp import LRASPPHead

from engine.nets.segmenter import StagedSegmenter, Stages, deeplab_head
from engine.nets.staged import NETS, After

Keys = tuple[tuple[str, str], ...]


class TwoMaps(nn.Module):
    """The rest of the front and most of LRASPP's head: what the classifiers read, as one map.

    The head reads an early and the last map of the front. So the early one is the last cut
    before it, and goes on beside the late one in the output's first channels.
    """

    def __init__(self, body: nn.Module, head: LRASPPHead) -> None:
        super().__init__()
        self.body = body
        self.cbr = head.cbr
        self.scale = head.scale

    def forward(self, low: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C + 128, h, w)."""
        high = self.body(low)
        high = self.cbr(high) * self.scale(high)
        high = F.interpolate(high, low.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([low, high], dim=1)


class TwoClassifiers(nn.Module):
    """The sum of two 1x1 convolutions, each on its share of the channels."""

    def __init__(self, low: nn.Conv2d, high: nn.Conv2d) -> None:
        super().__init__()
        self.low = low
        self.high = high

    def forward(self, feature: Tensor) -> Tensor:
        """(B, low + high, h, w) -> (B, classes, h, w)."""
        share = self.low.in_channels
        logits: Tensor = self.low(feature[:, :share]) + self.high(feature[:, share:])
        return logits


def _resnet(depth: int) -> Stages:
    """A ResNet whose last two stages dilate instead of striding: an eighth of the image."""
    dilates = [False, True, True]
    model = models.get_model(f"resnet{depth}", weights=None, replace_stride_with_dilation=dilates)
    stem = ("conv1", "bn1", "relu", "maxpool")
    return {
        "stem": nn.Sequential(OrderedDict((part, model.get_submodule(part)) for part in stem)),
        **{f"stage{n}": model.get_submodule(f"layer{n}") for n in (1, 2, 3, 4)},
    }


def _mobilenet(blocks: Mapping[str, range]) -> Stages:
    """MobileNetV3 large, dilated, a sixteenth of the image; its blocks by place."""
    features = models.mobilenet_v3_large(weights=None, dilated=True).features
    return {
        place: nn.Sequential(OrderedDict((str(n), features[n]) for n in members))
        for place, members in blocks.items()
    }


def _deeplabv3_resnet(depth: int, num_classes: int) -> Stages:
    return _resnet(depth) | deeplab_head(2048, num_classes)


def _deeplabv3_mobilenet(num_classes: int) -> Stages:
    return _mobilenet(DEEPLAB_BLOCKS) | deeplab_head(960, num_classes)


def _fcn_resnet(depth: int, num_classes: int) -> Stages:
    conv, bn, relu, dropout, logits = FCNHead(2048, num_classes)
    refine = OrderedDict(conv=conv, bn=bn, relu=relu, dropout=dropout)
    return _resnet(depth) | {"refine": nn.Sequential(refine), "logits": logits}


def _lraspp_mobilenet(num_classes: int) -> Stages:
    stages = _mobilenet(LRASPP_BLOCKS)
    head = LRASPPHead(40, 960, num_classes, 128)
    return {
        **{place: stages[place] for place in ("stem", "stage1", "stage2")},
        "lraspp": TwoMaps(stages["lraspp.body"], head),
        "logits": TwoClassifiers(head.low_classifier, head.high_classifier),
    }


# LRASPP reads the map of block 4, the first at an eighth of the image, and that of the last.
DEEPLAB_BLOCKS = {
    "stem": range(1),
    "stage1": range(1, 4),
    "stage2": range(4, 7),
    "stage3": range(7, 13),
    "stage4": range(13, 17),
}
LRASPP_BLOCKS = {
    "stem": range(1),
    "stage1": range(1, 4),
    "stage2": range(4, 5),
    "lraspp.body": range(5, 17),
}

RESNET_KEYS: Keys = (
    (r"^backbone\.(conv1|bn1)\.", r"stages.stem.\1."),
    (r"^backbone\.layer(\d)\.", r"stages.stage\1."),
)
DEEPLAB_KEYS: Keys = (
    (r"^classifier\.0\.", "stages.aspp."),
    (r"^classifier\.1\.", "stages.refine.conv."),
    (r"^classifier\.2\.", "stages.refine.bn."),
    (r"^classifier\.4\.", "stages.logits."),
)
FCN_KEYS: Keys = (
    (r"^classifier\.0\.", "stages.refine.conv."),
    (r"^classifier\.1\.", "stages.refine.bn."),
    (r"^classifier\.4\.", "stages.logits."),
)
LRASPP_KEYS: Keys = (
    (r"^classifier\.(cbr|scale)\.", r"stages.lraspp.\1."),
    (r"^classifier\.(low|high)_classifier\.", r"stages.logits.\1."),
)
NO_AUXILIARY: Keys = ((r"^aux_classifier\..*", ""),)


def _block_keys(blocks: Mapping[str, range]) -> Keys:
    return tuple(
        (rf"^backbone\.({'|'.join(map(str, members))})\.", rf"stages.{place}.\1.")
        for place, members in blocks.items()
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """How one of torchvision's segmenters is cut.

    Attributes:
        stages: makes all stages for a number of classes.
        public_keys: torchvision's key names as patterns, with ours.
        front: the first cut that holds the whole backbone.
        after: of the taps that may be negative.
    """

    title: str
    source: str
    family: str
    stages: Callable[[int], Stages]
    public_keys: Keys
    front: str = "stage4"
    after: Mapping[str, After] = field(default_factory=dict)


def _deeplab_plan(depth: int) -> Plan:
    return Plan(
        title=f"DeepLabV3 with ResNet-{depth} (torchvision)",
        source="Chen et al., arXiv:1706.05587",
        family="deeplabv3_resnet",
        stages=partial(_deeplabv3_resnet, depth),
        public_keys=RESNET_KEYS + DEEPLAB_KEYS + NO_AUXILIARY,
    )


PLANS = {
    "deeplabv3_resnet50": _deeplab_plan(50),
    "deeplabv3_resnet101": _deeplab_plan(101),
    "deeplabv3_mobilenet_v3_large": Plan(
        title="DeepLabV3 with MobileNetV3 large (torchvision)",
        source="Chen et al., arXiv:1706.05587; Howard et al., ICCV 2019",
        family="deeplabv3_mobilenet_v3",
        stages=_deeplabv3_mobilenet,
        public_keys=_block_keys(DEEPLAB_BLOCKS) + DEEPLAB_KEYS + NO_AUXILIARY,
        after=dict.fromkeys(DEEPLAB_BLOCKS, "linear"),
    ),
    "fcn_resnet50": Plan(
        title="FCN with ResNet-50 (torchvision)",
        source="Long et al., CVPR 2015",
        family="fcn_resnet",
        stages=partial(_fcn_resnet, 50),
        public_keys=RESNET_KEYS + FCN_KEYS + NO_AUXILIARY,
    ),
    "lraspp_mobilenet_v3_large": Plan(
        title="LRASPP with MobileNetV3 large (torchvision)",
        source="Howard et al., ICCV 2019",
        family="lraspp_mobilenet_v3",
        stages=_lraspp_mobilenet,
        public_keys=_block_keys(LRASPP_BLOCKS) + LRASPP_KEYS,
        front="lraspp",
        after=dict.fromkeys(("stem", "stage1", "stage2", "lraspp"), "linear"),
    ),
}


def _builder(plan: Plan) -> Callable[..., StagedSegmenter]:
    def build(num_classes: int, input_shape: tuple[int, int, int]) -> StagedSegmenter:
        """Torchvision's segmenter; DEFAULT weights know 21 classes and can be downloaded."""
        return StagedSegmenter(
            plan.stages(num_classes), input_shape=input_shape, front=plan.front, after=plan.after
        )

    return build


for _name, _plan in PLANS.items():
    NETS.register(
        _name,
        title=_plan.title,
        source=_plan.source,
        family=_plan.family,
        task="segment",
        front=_plan.front,
        public_keys=_plan.public_keys,
        default_weights=models.get_model_weights(_name).DEFAULT.url,
    )(_builder(_plan))
