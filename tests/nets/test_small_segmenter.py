"""The demo's small teacher against the numbers of the design."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.nets.small_segmenter import Bottleneck
from tests.nets.counted import FRONT, HEAD, counted


def test_bottleneck128_costs_what_the_text_says() -> None:
    found = counted("bottleneck128", 7, (48, 96))
    assert found.of(*FRONT).parameters == 139_696
    assert found.of().parameters == pytest.approx(209_100, abs=50)
    assert found.of().plain / 1e6 == pytest.approx(67.0, abs=0.06)
    assert found.of(*HEAD).plain / found.of().plain == pytest.approx(0.284, abs=6e-4)


def test_its_front_gives_128_channels_a_quarter_of_the_image() -> None:
    tap = counted("bottleneck128", 10, (48, 96)).net.taps()["stage4"]
    assert (tap.shape, tap.after) == ((128, 12, 24), "relu")


def test_its_head_leaves_out_nothing_in_training() -> None:
    net = counted("bottleneck128", 10, (48, 96)).net
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.0]


def test_a_silent_bottleneck_is_its_shortcut() -> None:
    feature = torch.rand(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    block = Bottleneck(8, 4, 8).eval()
    nn.init.zeros_(block.widen[1].weight)
    assert torch.equal(block(feature), feature)
    assert Bottleneck(8, 4, 12, stride=2)(feature).shape == (1, 12, 3, 3)
