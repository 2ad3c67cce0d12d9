"""What a net's parts cost by torch's own counter: quick, since the meta device does no work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from engine.nets import NETS, StagedNet

FRONT = ("stem", "stage1", "stage2", "stage3", "stage4")
HEAD = ("aspp", "refine", "logits")


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one image: convolutions alone, and as fvcore counts."""

    parameters: int
    plain: int
    fvcore: int


class Counted:
    """A net and what it costs at a size of the image."""

    def __init__(self, net: StagedNet, size: tuple[int, int]) -> None:
        self.net = net.eval()
        aten = torch.ops.aten
        # As fvcore counts them; torch's counter takes a multiply-add for two operations.
        extra = {
            aten.native_batch_norm: lambda *_, out_shape, **__: 2 * 2 * math.prod(out_shape[0]),
            aten.upsample_bilinear2d: lambda *_, out_shape, **__: 2 * 4 * math.prod(out_shape),
            aten.mean: lambda given, *_, **__: 2 * math.prod(given),
        }
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=extra) as counter:
            net(torch.zeros(1, 3, *size, device="meta"))
        self.found: dict[str, dict[Any, int]] = counter.get_flop_counts()

    def of(self, *paths: str) -> Cost:
        """The sum over parts, by their path within `stages`; the whole net without any."""
        keys = [f".stages.{path}" for path in paths] or [""]
        modules: list[nn.Module] = [self.net.get_submodule(key[1:]) for key in keys]
        counts = [self.found[f"{type(self.net).__name__}{key}"] for key in keys]
        return Cost(
            sum(p.numel() for module in modules for p in module.parameters()),
            sum(count[torch.ops.aten.convolution] for count in counts) // 2,
            sum(sum(count.values()) for count in counts) // 2,
        )


def counted(name: str, num_classes: int, size: tuple[int, int], **knobs: int) -> Counted:
    """A registered net on the meta device, counted."""
    with torch.device("meta"):
        net = NETS[name].make(num_classes, (3, *size), knobs=knobs)
    return Counted(net, size)


def filled(net: nn.Module) -> nn.Module:
    """A net of the meta device with weights drawn quickly, norms as at the start."""
    net = net.to_empty(device="cpu")
    for name, tensor in net.state_dict().items():
        if tensor.ndim == 4:
            bound = math.sqrt(3 / tensor[0].numel())
            tensor.uniform_(-bound, bound)
        else:
            tensor.fill_(name.endswith(("weight", "running_var")))
    return net.eval()
