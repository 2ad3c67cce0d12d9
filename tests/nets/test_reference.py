"""Nets against the numbers of RepDistiller's networks."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.nets import NETS, StagedNet, build_net, taps_of
from engine.nets.weights import guess_net

FOLDER = Path(os.environ.get("DISTILL_REFERENCE", Path(__file__).parents[1] / "reference"))
MODELS = json.loads((FOLDER / "models.json").read_text())["models"]
FORWARD = np.load(FOLDER / "models_forward.npz")
SHAPE = (3, 32, 32)

# Times the reference's own distance to float64: another order of summing doubles it or so.
TOLERANCE = 10


def by_the_rule(net: StagedNet) -> StagedNet:
    """Set the weights as models.json says in its notes."""
    for number, (name, tensor) in enumerate(net.state_dict().items()):
        if name.endswith("running_var"):
            tensor.fill_(1)
        elif name.endswith(("running_mean", "num_batches_tracked")):
            tensor.zero_()
        else:
            drawn = np.random.RandomState(1000 + number).standard_normal(tensor.numel())
            if name.endswith("bias"):
                drawn = 0.1 * drawn
            elif tensor.ndim == 1:
                drawn = 1 + 0.1 * drawn
            else:
                drawn = drawn * np.sqrt(2 / np.prod(tensor.shape[1:]))
            tensor.copy_(torch.from_numpy(drawn.reshape(tensor.shape)))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    return net


def distance(found: torch.Tensor, expected: np.ndarray) -> float:
    """Largest gap, relative to the largest logit."""
    return float(np.abs(found.numpy() - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", MODELS)
def test_parameters_and_shapes_are_those_of_the_reference(name: str) -> None:
    expected = MODELS[name]
    with torch.device("meta"):
        net = NETS[name].make(100, SHAPE)
    assert sum(p.numel() for p in net.parameters()) == expected["num_parameters"]
    assert sum(b.numel() for b in net.buffers()) == expected["num_buffers_elements"]
    taps = taps_of(name, {}, num_classes=100, input_shape=SHAPE)
    features = [taps[cut] for cut in net.cuts]
    assert [list(tap.shape) for tap in features] == [s[1:] for s in expected["feature_shapes"]]
    assert [tap.after != "relu" for tap in features] == expected["feature_has_negative"]


@pytest.mark.parametrize("name", MODELS)
def test_names_of_the_reference_become_ours_in_the_same_order(name: str) -> None:
    with torch.device("meta"):
        own = NETS[name].make(100, SHAPE).state_dict()
    stored = {}
    for key, shape in MODELS[name]["state_dict"].items():
        for pattern, ours in NETS[name].facts["public_keys"]:
            key = re.sub(pattern, ours, key)
        stored[key] = shape
    assert list(stored.items()) == [(key, list(tensor.shape)) for key, tensor in own.items()]


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_features_are_those_of_the_reference(name: str) -> None:
    image = np.random.RandomState(999).standard_normal((4, *SHAPE)).astype(np.float32)
    # Weights are set by the rule, so the costly draw of initial ones is left out.
    with torch.device("meta"):
        empty = NETS[name].make(100, SHAPE)
    net = by_the_rule(empty.to_empty(device="cpu"))
    with torch.no_grad():
        in_training = net.train()(torch.from_numpy(image))
        trace = net.eval().trace(torch.from_numpy(image))
    error = MODELS[name]["float32_error_relative_to_largest"]
    assert distance(in_training, FORWARD[f"{name}__logits_train"]) <= TOLERANCE * error["train"]
    assert distance(trace["logits"], FORWARD[f"{name}__logits_eval"]) <= TOLERANCE * error["eval"]
    features = [trace[cut] for cut in net.cuts]
    means = np.array([float(feature.mean()) for feature in features])
    stds = np.array([float(feature.std()) for feature in features])
    np.testing.assert_allclose(means, FORWARD[f"{name}__feature_mean"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stds, FORWARD[f"{name}__feature_std"], rtol=1e-4, atol=1e-5)
    has_negative = [bool((feature < 0).any()) for feature in features]
    assert has_negative == MODELS[name]["feature_has_negative"]


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_with_names_of_the_reference_is_recognised(name: str) -> None:
    stored = MODELS[name]["state_dict"]
    state = {key: torch.empty(shape, device="meta") for key, shape in stored.items()}
    assert guess_net(state) == (NETS[name].name, {})


def test_mobilenet_v2_of_full_width_has_the_parameters_of_spot_adaptive_distillation() -> None:
    with torch.device("meta"):
        net = NETS["MobileNetV2"].make(100, SHAPE, knobs={"width": 1.0})
    assert sum(parameter.numel() for parameter in net.parameters()) == 2_353_060


def test_reference_names_find_our_nets() -> None:
    assert NETS["ShuffleV1"].name == "ShuffleNetV1"
    assert NETS["mobile_half"].name == "MobileNetV2"
    net = build_net("WRN-16-2", {}, num_classes=100, input_shape=SHAPE)
    assert sum(p.numel() for p in net.parameters()) == MODELS["wrn_16_2"]["num_parameters"]
