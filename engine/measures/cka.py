"""How alike two nets see the same samples."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 1024  # columns multiplied at once: 200 MB beside 25,000 others, not 5 GB


def linear_cka(first: Tensor, second: Tensor) -> Tensor:
    """() float64 linear CKA from 0 to 1: 1 where one is the other turned, scaled or shifted.

    Kornblith et al., ICML 2019, section 3, over features centred over the samples (the biased
    estimator):

        ||Y^T X||^2 / (||X^T X|| ||Y^T Y||), Frobenius norms

    A map is flattened: each of its C H W values is a feature. Sizes may differ. NaN where one of
    the two is the same for all samples. Gradients reach both.

    Args:
        first, second: (N, ...), row n of the same sample; they stay as they are.
    """
    x, y = (_centred(feature) for feature in (first, second))
    return _energy(x, y) / (_energy(x, x) * _energy(y, y)).sqrt()


def _centred(feature: Tensor) -> Tensor:
    """(N, ...) -> (N, D) float64 whose columns have mean 0."""
    rows = feature.double().flatten(1)
    return rows - rows.mean(dim=0)


def _energy(x: Tensor, y: Tensor) -> Tensor:
    """(N, D), (N, E) -> () squared Frobenius norm of their D x E cross products."""
    products = (block.T @ y for block in torch.split(x, BLOCK, dim=1))
    return torch.stack([product.square().sum() for product in products]).sum()
