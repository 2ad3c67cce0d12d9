"""A net seen from one of its maps, whose channels are in two parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.errors import SpecError
from engine.nets.staged import Inside, StagedNet


@dataclass(frozen=True, slots=True)
class Parts:
    """Channels of a map that inherit from the teacher, and channels that explore.

    tap:     the map, a cut as `stage3` or inside a stage as `embedding.map`
    inherit, explore: int64 channels; disjoint and covering; one of them may be empty
    """

    tap: str
    inherit: Tensor
    explore: Tensor

    def of(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, ...) -> the channels of inherit, the channels of explore."""
        channels = torch.cat([self.inherit, self.explore]).sort().values.tolist()
        assert channels == list(range(values.shape[1])), "the parts do not make up the map"
        return values[:, self.inherit], values[:, self.explore]


def divide(net: StagedNet, tap: str) -> tuple[nn.Sequential, nn.Sequential]:
    """The layers up to a map, and those after it; run in turn they are the net.

    Args:
        net: in evaluation mode, so that samples do not depend on each other.

    Raises:
        SpecError: the net has no such tap before its logits, or classifies no whole images.
    """
    assert not net.training, "parts are told in evaluation mode"
    if not isinstance(net.stages[net.names[-1]], nn.Linear):
        raise SpecError("this net cannot be told by parts: its last stage is no linear layer")
    layers = dict(_layers(net))
    taps = list(layers)[:-1]
    if tap not in taps:
        raise SpecError(f"there is no tap {tap!r} before the logits; there are: {', '.join(taps)}")
    modules, begin = list(layers.values()), taps.index(tap) + 1
    return nn.Sequential(*modules[:begin]), nn.Sequential(*modules[begin:])


def gradient_at(
    net: StagedNet, tap: str, image: Tensor, value: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """A map, and the gradient by it of a value of the logits; both (B, C, H, W).

    Args:
        net: in evaluation mode.
        image: (B, 3, H, W) of the images.
        value: logits (B, classes) -> (B,).

    Raises:
        SpecError: as for divide.
    """
    body, head = divide(net, tap)
    with torch.no_grad():
        feature = body(image)
    with torch.enable_grad():
        feature = feature.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(value(head(feature)).sum(), feature)
    return feature.detach(), gradient


def _layers(net: StagedNet) -> Iterator[tuple[str, nn.Module]]:
    """Every tap with the module that gives it, in the order they run."""
    for name, stage in net.stages.items():
        if isinstance(stage, Inside):
            *parts, (_, last) = stage.named_children()
            yield from ((f"{name}.{part}", module) for part, module in parts)
            yield name, last
        else:
            yield name, stage
