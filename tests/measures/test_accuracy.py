"""Figures of hand-made logits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.measures.accuracy import classification_figures
from engine.nets.staged import StagedNet


class Told(nn.Module):
    """Gives the logits that the batch carries as pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[bool] = []

    def forward(self, image: Tensor) -> Tensor:
        self.modes.append(self.training)
        assert not torch.is_grad_enabled()
        return image.flatten(1)


def net() -> StagedNet:
    return StagedNet({"logits": Told()})


def batches(logits: list[list[float]], target: list[int], size: int) -> Iterator[Batch]:
    for start in range(0, len(target), size):
        rows = slice(start, start + size)
        image, labels = torch.tensor(logits[rows]), torch.tensor(target[rows])
        yield Batch(image[:, :, None, None], labels, torch.arange(len(labels)))


LOGITS = [[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0], [0, 0, 2.0], [1.0, 0, 0]]
TARGET = [0, 1, 0, 2, 0]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_figures_are_means_over_all_images_however_they_come(size: int) -> None:
    found = classification_figures(net(), batches(LOGITS, TARGET, size))
    assert set(found) == {"accuracy", "loss"}
    assert found["accuracy"] == 4 / 5
    whole, half = math.exp(2) + 2, math.e + 2
    losses = [-math.log(math.exp(2) / whole)] * 3
    losses += [-math.log(1 / whole), -math.log(math.e / half)]
    assert found["loss"] == pytest.approx(sum(losses) / 5, rel=1e-6)


def test_the_best_five_are_counted_where_there_are_more_classes() -> None:
    logits = [[6.0, 5, 4, 3, 2, 1, 0]] * 7
    found = classification_figures(net(), batches(logits, [*range(7)], 4))
    assert found["accuracy"] == pytest.approx(1 / 7)
    assert found["top5"] == pytest.approx(5 / 7)
    five = classification_figures(net(), batches([[1.0, 2, 3, 4, 5]], [0], 1))
    assert "top5" not in five


@pytest.mark.parametrize("training", [True, False])
def test_a_net_is_measured_in_evaluation_mode_and_left_as_it_was(training: bool) -> None:
    measured = net().train(training)
    classification_figures(measured, batches(LOGITS, TARGET, 5))
    assert measured.stages["logits"].modes == [False]
    assert measured.training == measured.stages["logits"].training == training


def test_only_the_nets_pass_is_inside_the_given_context() -> None:
    inside: list[str] = []

    @contextmanager
    def around() -> Iterator[None]:
        inside.append("in")
        yield
        inside.append("out")

    classification_figures(net(), batches(LOGITS, TARGET, 2), around=around)
    assert inside == ["in", "out"] * 3
