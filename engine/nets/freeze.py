"""Nets that do not change any more."""

from __future__ import annotations

from types import MethodType
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def freeze(net: M) -> M:
    """Put a net into evaluation mode for good, without gradients, and return it.

    A later `train()` has no effect, on the net, on its parts, or on a module that holds it:
    the running statistics of a teacher would move without a word.
    """
    net.eval().requires_grad_(False)
    for module in net.modules():
        module.train = MethodType(_stay, module)  # type: ignore[method-assign]
    return net


def _stay(module: M, mode: bool = True) -> M:
    return module
