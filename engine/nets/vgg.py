"""VGG with batch normalisation for small images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from engine.nets.layer import initialise, pooling
from engine.nets.staged import NETS, Inside, StagedNet

PUBLIC_KEYS = (
    (r"^block0\.", "stages.stem.pre.block."),
    (r"^block(\d)\.", r"stages.stage\1.pre.block."),
    (r"^classifier\.", "stages.logits."),
)

WIDTHS = (64, 128, 256, 512, 512)


def _stage(pool: nn.Module, inputs: int, outputs: int, num_layers: int) -> Inside:
    layers: list[nn.Module] = []
    for number in range(num_layers):
        before = inputs if number == 0 else outputs
        layers += [nn.Conv2d(before, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    block = nn.Sequential(*layers[:-1])
    pre = nn.Sequential(OrderedDict(pool=pool, block=block))
    return Inside(OrderedDict(pre=pre, relu=nn.ReLU()))


def _pools(side: int) -> list[nn.Module]:
    """What shrinks the map before each stage: small images are not pooled before the last."""
    last = nn.MaxPool2d(2) if side // 8 >= 8 else nn.Identity()
    return [nn.Identity(), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2), last]


def _builder(num_layers: tuple[int, ...]) -> Callable[..., StagedNet]:
    def build(num_classes: int, input_shape: tuple[int, int, int]) -> StagedNet:
        """Convolutions of 3x3 in five stages, and one linear layer."""
        names = ("stem", "stage1", "stage2", "stage3", "stage4")
        pools = _pools(min(input_shape[1:]))
        stages: dict[str, nn.Module] = {}
        inputs = 3
        for name, pool, outputs, count in zip(names, pools, WIDTHS, num_layers, strict=True):
            stages[name] = _stage(pool, inputs, outputs, count)
            inputs = outputs
        head = nn.Linear(inputs, num_classes)
        net = StagedNet(
            {**stages, "embedding": pooling(), "logits": head},
            input_shape=input_shape,
            after={f"{name}.pre": "norm" for name in names},
            last_map="stage4",
            norms={
                f"{name}.pre": f"stages.{name}.pre.block.{3 * count - 2}"
                for name, count in zip(names, num_layers, strict=True)
            },
        )
        initialise(net)
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
        return net

    return build


for _depth, _num_layers in (
    (8, (1, 1, 1, 1, 1)),
    (11, (1, 1, 2, 2, 2)),
    (13, (2, 2, 2, 2, 2)),
    (16, (2, 2, 3, 3, 3)),
    (19, (2, 2, 4, 4, 4)),
):
    NETS.register(
        f"vgg{_depth}",
        title=f"VGG-{_depth} (CIFAR)",
        source="Simonyan & Zisserman, ICLR 2015; batch norm and vgg8 of RepDistiller",
        family="vgg",
        public_keys=PUBLIC_KEYS,
    )(_builder(_num_layers))
