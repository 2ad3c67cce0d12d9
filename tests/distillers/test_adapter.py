"""Translators between the features of two nets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.distillers.adapter import adapter, pooled_alike
from engine.errors import SpecError
from engine.nets.staged import Tap


def a_map(channels: int, tall: int, wide: int) -> Tap:
    return Tap((channels, tall, wide), "map", "relu")


@pytest.mark.parametrize(
    ("size_in", "size_out"), [(32, 32), (32, 16), (16, 32), (8, 2), (2, 8), (7, 3), (3, 7), (1, 1)]
)
def test_a_map_reaches_the_size_of_the_other(size_in: int, size_out: int) -> None:
    made = adapter(a_map(3, size_in, size_in), a_map(5, size_out, size_out))
    assert made(torch.randn(2, 3, size_in, size_in)).shape == (2, 5, size_out, size_out)


@pytest.mark.parametrize(
    ("size_in", "size_out", "kind", "kernel", "stride", "padding"),
    [
        (32, 16, nn.Conv2d, 3, 2, 1),
        (16, 32, nn.ConvTranspose2d, 4, 2, 1),
        (8, 8, nn.Conv2d, 1, 1, 0),
        (8, 2, nn.Conv2d, 7, 1, 0),
        (2, 8, nn.ConvTranspose2d, 4, 4, 0),
        (3, 7, nn.ConvTranspose2d, 3, 2, 0),
    ],
)
def test_its_convolution_is_the_authors(
    size_in: int, size_out: int, kind: type, kernel: int, stride: int, padding: int
) -> None:
    found, norm, relu = adapter(a_map(3, size_in, size_in), a_map(5, size_out, size_out))
    assert type(found) is kind
    assert (found.kernel_size, found.stride, found.padding) == (
        (kernel, kernel),
        (stride, stride),
        (padding, padding),
    )
    assert found.bias is not None
    assert isinstance(norm, nn.BatchNorm2d) and isinstance(relu, nn.ReLU)


def test_sides_of_their_own_length_are_changed_each_in_its_way() -> None:
    made = adapter(a_map(2, 8, 6), a_map(2, 4, 3))
    assert made(torch.randn(1, 2, 8, 6)).shape == (1, 2, 4, 3)
    with pytest.raises(SpecError, match=r"\(8, 3\) cannot become one of \(4, 6\)"):
        adapter(a_map(2, 8, 3), a_map(2, 4, 6))


def test_a_vector_goes_through_one_linear_layer() -> None:
    made = adapter(Tap((4,), "vector", "relu"), Tap((7,), "vector", "relu"))
    assert isinstance(made, nn.Linear)
    assert made(torch.randn(2, 4)).shape == (2, 7)


def test_equal_shapes_are_translated_too() -> None:
    tap = Tap((4,), "vector", "relu")
    assert [*adapter(tap, tap).parameters()]


def test_a_map_does_not_become_a_vector() -> None:
    with pytest.raises(SpecError, match="a map of the one net cannot become a vector"):
        adapter(a_map(2, 4, 4), Tap((7,), "vector", "relu"))


def test_the_larger_map_is_pooled_along_each_axis() -> None:
    student, teacher = pooled_alike(torch.randn(2, 3, 8, 2), torch.randn(2, 5, 4, 6))
    assert (student.shape, teacher.shape) == ((2, 3, 4, 2), (2, 5, 4, 2))
    same = torch.randn(2, 3, 4, 4)
    assert pooled_alike(same, same)[0] is same
