"""Torchvision's classifiers, cut into stages."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import nn
from torchvision import models

from engine.nets.staged import NETS, After, Inside, StagedNet


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a torchvision model is cut. Parts are named by their path in the model.

    Attributes:
        maps: the parts of stem, stage1, stage2 and so on.
        embedding: the parts from the pooling on; `mean` and `flatten` are ours.
        logits: the linear layer.
        last: the part between the last stage and the pooling, if there is one.
        after: of the taps that may be negative.
        norms: tap -> the batch norm that makes it, as a path within its stage.
        is_calculated: the model finds its widths with tensors, which the meta device cannot.
    """

    title: str
    source: str
    family: str
    maps: tuple[tuple[str, ...], ...]
    embedding: tuple[str, ...]
    logits: str
    last: str = ""
    after: Mapping[str, After] = field(default_factory=dict)
    norms: Mapping[str, str] = field(default_factory=dict)
    is_calculated: bool = False

    @property
    def stages(self) -> dict[str, tuple[str, ...]]:
        """Where each part of the model goes: path within our net -> parts."""
        places = {f"stage{n}" if n else "stem": parts for n, parts in enumerate(self.maps)}
        if self.last:
            places |= {"embedding.map": (self.last,), "embedding.pool": self.embedding}
        else:
            places |= {"embedding": self.embedding}
        return places

    @property
    def public_keys(self) -> tuple[tuple[str, str], ...]:
        """Torchvision's key names as patterns, with ours."""
        moved = {
            part: f"stages.{place}.{_label(part)}."
            for place, parts in self.stages.items()
            for part in parts
            if part not in _OURS
        }
        moved[self.logits] = "stages.logits."
        return tuple((rf"^{re.escape(part)}\.", ours) for part, ours in moved.items())


_OURS: Mapping[str, Callable[[], nn.Module]] = {
    "mean": lambda: nn.AdaptiveAvgPool2d(1),
    "flatten": nn.Flatten,
}


def _label(part: str) -> str:
    return part.replace(".", "_")


def _chain(model: nn.Module, parts: Iterable[str]) -> nn.Module:
    layers: dict[str, nn.Module] = {
        _label(part): _OURS[part]() if part in _OURS else model.get_submodule(part)
        for part in parts
    }
    return nn.Sequential(OrderedDict(layers))


def _features(*bounds: int) -> tuple[tuple[str, ...], ...]:
    """Stages of the list `features` between neighbouring bounds."""
    return tuple(tuple(f"features.{n}" for n in range(low, high)) for low, high in pairwise(bounds))


def _linear(*taps: str) -> dict[str, After]:
    return dict.fromkeys(taps, "linear")


_LAYERS = (("layer1",), ("layer2",), ("layer3",), ("layer4",))
_FOUR = ("stage1", "stage2", "stage3", "stage4")
_POOL = ("mean", "flatten")


def _resnet(depth: int) -> Plan:
    return Plan(
        title=f"ResNet-{depth} (torchvision)",
        source="He et al., CVPR 2016",
        family="torchvision_resnet",
        maps=(("conv1", "bn1", "relu", "maxpool"), *_LAYERS),
        embedding=_POOL,
        logits="fc",
    )


def _mobilenet_v3(size: str, *bounds: int) -> Plan:
    return Plan(
        title=f"MobileNetV3 {size} (torchvision)",
        source="Howard et al., ICCV 2019",
        family="torchvision_mobilenet_v3",
        maps=_features(*bounds),
        last=f"features.{bounds[-1]}",
        embedding=(*_POOL, "classifier.0", "classifier.1", "classifier.2"),
        logits="classifier.3",
        after=_linear("stem", *_FOUR, "embedding.map", "embedding"),
    )


PLANS = {
    "resnet18": _resnet(18),
    "resnet34": _resnet(34),
    "resnet50": _resnet(50),
    "mobilenet_v2": Plan(
        title="MobileNetV2 (torchvision)",
        source="Sandler et al., CVPR 2018",
        family="torchvision_mobilenet_v2",
        maps=_features(0, 1, 4, 7, 14, 18),
        last="features.18",
        embedding=(*_POOL, "classifier.0"),
        logits="classifier.1",
        after=_linear(*_FOUR),
        norms={
            f"stage{stage}": f"features_{block}.conv.3"
            for stage, block in enumerate((3, 6, 13, 17), 1)
        },
    ),
    "mobilenet_v3_small": _mobilenet_v3("small", 0, 1, 2, 4, 9, 12),
    "mobilenet_v3_large": _mobilenet_v3("large", 0, 1, 4, 7, 13, 16),
    "shufflenet_v2_x1_0": Plan(
        title="ShuffleNetV2 x1.0 (torchvision)",
        source="Ma et al., ECCV 2018",
        family="torchvision_shufflenet_v2",
        maps=(("conv1", "maxpool"), ("stage2",), ("stage3",), ("stage4",)),
        last="conv5",
        embedding=_POOL,
        logits="fc",
    ),
    "efficientnet_b0": Plan(
        title="EfficientNet-B0 (torchvision)",
        source="Tan & Le, ICML 2019",
        family="torchvision_efficientnet",
        maps=_features(0, 1, 3, 4, 6, 8),
        last="features.8",
        embedding=(*_POOL, "classifier.0"),
        logits="classifier.1",
        after=_linear("stem", *_FOUR, "embedding.map", "embedding"),
    ),
    "convnext_tiny": Plan(
        title="ConvNeXt tiny (torchvision)",
        source="Liu et al., CVPR 2022",
        family="torchvision_convnext",
        maps=_features(0, 1, 2, 4, 6, 8),
        embedding=("mean", "classifier.0", "classifier.1"),
        logits="classifier.2",
        after={**_linear(*_FOUR), "stem": "norm", "embedding": "norm"},
    ),
    "regnet_y_400mf": Plan(
        title="RegNetY 400MF (torchvision)",
        source="Radosavovic et al., CVPR 2020",
        family="torchvision_regnet",
        maps=(("stem",), *((f"trunk_output.block{n}",) for n in (1, 2, 3, 4))),
        embedding=_POOL,
        logits="fc",
        is_calculated=True,
    ),
}


def _builder(name: str, plan: Plan) -> Callable[..., StagedNet]:
    def build(num_classes: int, input_shape: tuple[int, int, int]) -> StagedNet:
        """Torchvision's network for ImageNet; DEFAULT weights can be downloaded."""
        device = torch.get_default_device()
        with torch.device("cpu" if plan.is_calculated else device):
            model = models.get_model(name, weights=None, num_classes=num_classes).to(device)
        stages = {place: _chain(model, parts) for place, parts in plan.stages.items()}
        if plan.last:
            final, pool = stages.pop("embedding.map"), stages.pop("embedding.pool")
            stages["embedding"] = Inside(OrderedDict(map=final, pool=pool))
        return StagedNet(
            {**stages, "logits": model.get_submodule(plan.logits)},
            input_shape=input_shape,
            after=plan.after,
            last_map="embedding.map" if plan.last else f"stage{len(plan.maps) - 1}",
            norms={tap: f"stages.{tap}.{path}" for tap, path in plan.norms.items()},
        )

    return build


for _name, _plan in PLANS.items():
    NETS.register(
        _name,
        title=_plan.title,
        source=_plan.source,
        family=_plan.family,
        public_keys=_plan.public_keys,
        default_weights=models.get_model_weights(_name).DEFAULT.url,
    )(_builder(_name, _plan))
