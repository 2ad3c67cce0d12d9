"""A network as a chain of named stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from engine.errors import SpecError
from engine.nets.freeze import evaluating
from engine.registry import Registry

Trace = Mapping[str, Tensor]  # tap -> output, first dimension B
Kind = Literal["map", "vector", "tokens", "logits"]
After = Literal["relu", "linear", "norm"]


@dataclass(frozen=True, slots=True)
class Tap:
    """A place where a net's signal can be read.

    Attributes:
        shape: of one sample: (C, H, W), (D,) or (T, D).
        after: what the signal last went through; only `relu` means never negative.
    """

    shape: tuple[int, ...]
    kind: Kind
    after: After


@dataclass(frozen=True, slots=True)
class Norm:
    """The batch norm of a tap's signal before its ReLU, with fixed statistics; each (C,).

    scale, shift: the signal after the norm is about normal, with these as its moments
    gain, offset: what the norm still has to do to the tap; 1 and 0 where it lies before it
    """

    scale: Tensor
    shift: Tensor
    gain: Tensor
    offset: Tensor


class Inside(nn.Sequential):
    """A stage whose parts but the last can be read as taps: `stage1.pre` is the part `pre`."""


class StagedNet(nn.Module):
    """Named stages run in order; the last one is `logits`, the one before `embedding`.

    Each stage maps one tensor to one tensor, so the output of every stage but the last is
    a *cut*: it alone determines the rest. Parts of an `Inside` stage are taps to be read,
    no cuts.

    Args:
        stages: name -> module, in order.
        input_shape: (3, H, W) of the images it is built for; taps are measured for it.
        after: tap -> what its signal last went through, where that is not a ReLU.
        last_map: the tap of the final feature map after norm and activation, before pooling.
        norms: tap -> path of the batch norm that its signal has, or is to have, before a ReLU.
    """

    def __init__(
        self,
        stages: Mapping[str, nn.Module],
        *,
        input_shape: tuple[int, int, int] = (3, 32, 32),
        after: Mapping[str, After] | None = None,
        last_map: str = "",
        norms: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(stages)
        self.input_shape = input_shape
        self.last_map = last_map
        self._after = dict(after or {})
        self._norms = dict(norms or {})

    @property
    def names(self) -> tuple[str, ...]:
        """The stages, in order."""
        return tuple(self.stages)

    @property
    def cuts(self) -> tuple[str, ...]:
        """The taps after which one tensor determines the rest."""
        return self.names[:-1]

    def taps(self) -> dict[str, Tap]:
        """Every tap with the shape of one sample; call it on a net on the meta device."""
        parameter = next(self.parameters())
        image = torch.zeros(1, *self.input_shape, device=parameter.device, dtype=parameter.dtype)
        with evaluating(self), torch.no_grad():
            trace = self.trace(image, inside=True)
        return {name: self._tap(name, signal) for name, signal in trace.items()}

    def trace(
        self,
        hidden: Tensor,
        *,
        after: str | None = None,
        until: str | None = None,
        inside: bool = False,
    ) -> dict[str, Tensor]:
        """The output of every stage, and of their inner parts where asked.

        Args:
            hidden: the image (B, 3, H, W), or the signal at the cut `after`.
            after: the cut to begin at; None for the image.
            until: the last stage to run; None for the logits.
        """
        out: dict[str, Tensor] = {}
        for name in self._between(after, until):
            stage = self.stages[name]
            if inside and isinstance(stage, Inside):
                *parts, (_, last) = stage.named_children()
                for part, module in parts:
                    hidden = module(hidden)
                    out[f"{name}.{part}"] = hidden
                hidden = last(hidden)
            else:
                hidden = stage(hidden)
            out[name] = hidden
        return out

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, classes)."""
        hidden = image
        for stage in self.stages.values():
            hidden = stage(hidden)
        return hidden

    def resume(self, hidden: Tensor, *, after: str | None, until: str) -> Tensor:
        """Run the stages after one cut (None: from the image) up to and including another."""
        for name in self._between(after, until):
            hidden = self.stages[name](hidden)
        return hidden

    def norms(self) -> dict[str, Norm]:
        """Tap -> the norm before its ReLU, for the taps whose net tells it."""
        return {tap: self._norm(tap, path) for tap, path in self._norms.items()}

    def _norm(self, tap: str, path: str) -> Norm:
        norm = self.get_submodule(path)
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None
        scale, shift = norm.weight.detach(), norm.bias.detach()
        gain, offset = torch.ones_like(scale), torch.zeros_like(shift)
        if not path.startswith(f"stages.{tap.partition('.')[0]}."):
            assert norm.running_mean is not None
            gain = scale / (norm.running_var + norm.eps).sqrt()
            offset = shift - norm.running_mean * gain
        return Norm(scale, shift, gain, offset)

    def _between(self, after: str | None, until: str | None) -> tuple[str, ...]:
        names = self.names
        begin = 0 if after is None else names.index(after) + 1
        end = len(names) if until is None else names.index(until) + 1
        return names[begin:end]

    def _tap(self, name: str, signal: Tensor) -> Tap:
        shape = tuple(signal.shape[1:])
        if name == self.names[-1]:
            return Tap(shape, "logits", "linear")
        kinds: dict[int, Kind] = {1: "vector", 2: "tokens", 3: "map"}
        return Tap(shape, kinds[len(shape)], self._after.get(name, "relu"))


# A net's entry builds it from (num_classes, input_shape) and its knobs.
NETS: Registry[StagedNet] = Registry("net")


def build_net(
    name: str,
    knobs: Mapping[str, object],
    *,
    num_classes: int,
    input_shape: tuple[int, int, int],
    seed: int | None = None,
) -> StagedNet:
    """A net with random weights, in channels_last.

    Args:
        seed: of the initial weights; None leaves torch's generator as it is.

    Raises:
        SpecError: unknown net or knob, or the images are too small for it.
    """
    entry = NETS[name]
    if seed is not None:
        torch.manual_seed(seed)
    net = entry.make(num_classes, input_shape, knobs=knobs)
    return net.to(memory_format=torch.channels_last)


def taps_of(
    name: str,
    knobs: Mapping[str, object],
    *,
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> dict[str, Tap]:
    """Every tap of a net, found on the meta device: no memory, no arithmetic.

    Raises:
        SpecError: as for build_net.
    """
    with torch.device("meta"):
        net = NETS[name].make(num_classes, input_shape, knobs=knobs)
        try:
            return net.taps()
        except RuntimeError:
            side = " x ".join(str(n) for n in input_shape)
            raise SpecError(f"{name} cannot take images of {side}: they are too small") from None
