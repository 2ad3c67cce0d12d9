"""A net that tells classes by another net's classifier."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from engine.nets.layer import convolution, pooling
from engine.nets.staged import Inside, StagedNet

PROJECTED = "embedding.projector"  # the tap of the last map in the other net's channels


def projector(channels: int, width: int, out: int) -> nn.Sequential:
    """1x1, 3x3 and 1x1 convolutions with norms and ReLUs, `width` channels inside."""
    layers: list[nn.Module] = []
    for inputs, outputs, size in ((channels, width, 1), (width, width, 3), (width, out, 1)):
        layers += [convolution(inputs, outputs, size), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def reuse(net: StagedNet, translate: nn.Module, head: nn.Linear) -> None:
    """Put a projector behind the last map of a net, and another net's classifier at its end.

    What the net had between its last map and its logits, but for pooling, is gone.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    stage, _, part = net.last_map.partition(".")
    if part:
        parts[part] = net.stages[stage].get_submodule(part)
    parts["projector"], parts["pool"] = translate, pooling()
    net.stages["embedding"], net.stages["logits"] = Inside(parts), head
    net.last_map = PROJECTED


def reuse_as_stored(net: StagedNet, state: Mapping[str, Tensor]) -> None:
    """Give a plain net the projector and classifier of stored weights, where these have one."""
    first = state.get(f"stages.{PROJECTED}.0.weight")
    if first is not None and net.last_map != PROJECTED:
        classes, out = state["stages.logits.weight"].shape
        width, channels = first.shape[:2]
        reuse(net, projector(channels, width, out), nn.Linear(out, classes))
