"""What each part of a map says by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.errors import SpecError
from engine.measures.parts import Parts, divide
from engine.nets.staged import StagedNet


@dataclass(frozen=True, slots=True)
class PartLogits:
    """The terms of the logits, float64.

    inherit, explore: (B, classes) what the part adds
    bias: (classes,)
    """

    inherit: Tensor
    explore: Tensor
    bias: Tensor

    def alone(self) -> dict[str, Tensor]:
        """(B, classes) logits with the other part at zero, and with none at zero: the net's."""
        said = {"inherit": self.inherit, "explore": self.explore}
        return {name: part + self.bias for name, part in said.items()} | {
            "both": self.inherit + self.explore + self.bias
        }


def part_logits(net: StagedNet, parts: Parts, image: Tensor) -> PartLogits:
    """Split the logits by the channels of the map that pooling and one linear layer end.

    Exact: the mean over the map and the linear layer treat each channel by itself.

    Args:
        net: in evaluation mode.
        image: (B, 3, H, W).

    Raises:
        SpecError: something else than pooling and one linear layer follows the map.
    """
    body, head = divide(net, parts.tap)
    linear = _linear(head, parts.tap)
    with torch.no_grad():
        pooled = body(image).double().mean(dim=(2, 3))
        weight, bias = linear.weight.double(), linear.bias.detach().double()
        pairs = zip(parts.of(pooled), parts.of(weight), strict=True)
        inherit, explore = (mean @ columns.T for mean, columns in pairs)
    return PartLogits(inherit, explore, bias)


def part_figures(
    student: StagedNet, teacher: StagedNet, parts: Parts, batches: Iterable[Batch]
) -> dict[str, dict[str, float]]:
    """How often each part alone is right, and how often it says what the teacher says.

    Args:
        student, teacher: in evaluation mode.
        parts: of the student's map.

    Returns:
        inherit, explore, both -> accuracy, agreement: shares from 0 to 1.

    Raises:
        SpecError: as for part_logits.
    """
    hits: dict[str, Tensor] = {}
    count = 0
    for batch in batches:
        with torch.no_grad():
            told = torch.stack([batch.target, teacher(batch.image).argmax(dim=1)])
        for name, logits in part_logits(student, parts, batch.image).alone().items():
            found = (logits.argmax(dim=1) == told).sum(dim=1)
            hits[name] = hits[name] + found if name in hits else found
        count += len(batch)
    figures = ("accuracy", "agreement")
    return {
        name: dict(zip(figures, (found / count).tolist(), strict=True))
        for name, found in hits.items()
    }


def _linear(head: nn.Sequential, tap: str) -> nn.Linear:
    match list(_steps(head)):
        case [
            nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)),
            nn.Flatten(start_dim=1),
            nn.Linear() as linear,
        ]:
            return linear
        case others:
            kinds = ", ".join(dict.fromkeys(type(module).__name__ for module in others))
            raise SpecError(
                f"the logits cannot be split by the channels of {tap}: after it come {kinds}, "
                "not mean pooling and one linear layer"
            )


def _steps(module: nn.Module) -> Iterator[nn.Module]:
    """The modules that run in turn and do something in evaluation mode."""
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from _steps(part)
    elif not isinstance(module, nn.Dropout | nn.Identity):
        yield module
