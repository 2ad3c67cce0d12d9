"""Means and deviations that published nets were trained with, of pixel values from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

Triple = tuple[float, float, float]


class Normalisation(NamedTuple):
    """What is taken from each channel, and what the rest is divided by."""

    mean: Triple
    std: Triple


NORMALISATIONS: Mapping[str, Normalisation] = MappingProxyType(
    {
        "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "cifar10": Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        "cifar100": Normalisation((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
        # The deviations within images, not among all pixels, as in SAKD's Tiny-ImageNet code.
        "tiny_imagenet": Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        "fashion_mnist": Normalisation((0.2860,) * 3, (0.3530,) * 3),
        "stl10": Normalisation((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713)),
        "half": Normalisation((0.5,) * 3, (0.5,) * 3),
        "none": Normalisation((0.0,) * 3, (1.0,) * 3),
    }
)

Norm = Annotated[
    Literal[
        "imagenet",
        "cifar10",
        "cifar100",
        "tiny_imagenet",
        "fashion_mnist",
        "stl10",
        "half",
        "none",
    ],
    Field(description="Mean and deviation of the channels; must be those of the teacher"),
]
