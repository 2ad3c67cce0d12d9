"""Counts against the reference's, operator by operator."""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.events import CostMeasured
from engine.measures import cost
from engine.measures.cost import measure_cost
from engine.nets import NETS, StagedNet
from engine.nets.layer import pooling

FOLDER = Path(os.environ.get("DISTILL_REFERENCE", Path(__file__).parents[1] / "reference"))
MODELS = json.loads((FOLDER / "models.json").read_text())["models"]


def cost_of(name: str, *, with_latency: bool = False) -> CostMeasured:
    with torch.device("meta"):
        empty = NETS[name].make(100, (3, 32, 32))
    net = empty.to_empty(device="cpu")
    for tensor in net.state_dict().values():
        tensor.zero_()
    device = torch.device("cpu")
    return measure_cost(net, role="student", name=name, device=device, with_latency=with_latency)


@pytest.mark.parametrize("name", MODELS)
def test_multiply_adds_are_those_of_the_reference(name: str) -> None:
    """On screen: convolutions and linear layers; beside them what fvcore adds to these.

    Our last pooling is adaptive, which fvcore counts; some of the reference's are not.
    """
    expected = MODELS[name]
    found = cost_of(name)
    by_operator = expected["multiply_adds_by_operator"]
    assert found.multiply_adds == by_operator["conv"] + by_operator["linear"]
    (_, _, *side), (_, width) = expected["feature_shapes"][-2:]
    pooled = width * math.prod(side)
    assert found.fvcore_multiply_adds - expected["multiply_adds"] in (0, pooled)
    assert found.parameters == expected["num_parameters"]


@pytest.mark.parametrize("name", ["resnet8", "vgg8", "MobileNetV2", "ShuffleNetV2"])
def test_the_stages_add_up_to_the_net(name: str) -> None:
    found = cost_of(name)
    assert tuple(found.stages) == NETS[name].make(10, (3, 32, 32)).names
    for figure in ("parameters", "multiply_adds"):
        assert sum(stage[figure] for stage in found.stages.values()) == getattr(found, figure)


def test_a_small_net_counted_by_hand() -> None:
    stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    stages = {"stem": nn.Sequential(stem, nn.ReLU()), "embedding": pooling()}
    net = StagedNet({**stages, "logits": nn.Linear(4, 5)}, input_shape=(3, 6, 8))
    device = torch.device("cpu")
    found = measure_cost(net, role="student", name="small", device=device, with_latency=False)
    convolution, linear = 6 * 8 * 4 * 27, 4 * 5
    assert found.multiply_adds == convolution + linear
    assert found.stages["stem"] == {"parameters": 108, "multiply_adds": convolution}
    assert found.stages["embedding"] == {"parameters": 0, "multiply_adds": 0}
    assert found.fvcore_multiply_adds > found.multiply_adds
    assert (found.parameters, found.file_bytes) == (133, 4 * 133)
    assert (found.net, found.name, found.input_shape) == ("student", "small", (3, 6, 8))


def test_operators_that_are_not_counted_are_listed_with_their_calls() -> None:
    uncounted = cost_of("resnet8").uncounted
    assert uncounted["aten::add"] == 3, "one sum in each of three blocks"
    assert not any("batch_norm" in name or "conv" in name for name in uncounted)


def test_an_image_takes_time_and_no_time_where_it_is_not_asked_for() -> None:
    assert cost_of("resnet8", with_latency=True).latency > 0
    assert cost_of("resnet8").latency == 0


def test_twice_the_timed_runs_change_the_time_of_an_image_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numeric test 27 of the design of spirit distillation, on a machine that others use too."""

    def timed(runs: int) -> float:
        chance, now = random.Random(runs), 0.0

        def clock() -> float:  # an image takes 1 to 1.2 ms; now and then it has to wait
            nonlocal now
            now += (1 + 0.2 * chance.random()) * (20 if chance.random() < 0.25 else 1) / 1000
            return now

        monkeypatch.setattr(cost.time, "perf_counter", clock)
        monkeypatch.setattr(cost, "LATENCY_RUNS", runs)
        return cost_of("resnet8", with_latency=True).latency

    once, twice = timed(cost.LATENCY_RUNS), timed(2 * cost.LATENCY_RUNS)
    assert once == pytest.approx(0.0011, rel=0.15) and twice == pytest.approx(once, rel=0.15)


@pytest.mark.parametrize("training", [True, False])
def test_the_net_is_left_as_it_was(training: bool) -> None:
    net = NETS["resnet8"].make(10, (3, 32, 32)).train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    measure_cost(net, role="student", name="resnet8", device=torch.device("cpu"))
    assert net.training == training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
