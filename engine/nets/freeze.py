"""Nets that do not change, for good or for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """The net in evaluation mode; afterwards, also on error, every part is as it was.

    `train(was_training)` would put the parts of a net into training whose norms are kept still.
    """
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def _stay(module: M, mode: bool = True) -> M:
    return module
