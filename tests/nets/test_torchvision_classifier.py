"""Torchvision's nets in stages against torchvision's own forward pass."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor
from torchvision import models

from engine.errors import WeightsError
from engine.nets import build_net
from engine.nets.torchvision_classifier import PLANS
from engine.nets.weights import guess_net, import_weights, load_weights

SHAPE = (3, 64, 64)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch hub, without a network."""

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", PLANS)
def test_stages_compute_what_torchvision_computes(name: str) -> None:
    model = models.get_model(name, weights=None, num_classes=5).eval()
    net = build_net(name, {}, num_classes=5, input_shape=SHAPE).eval()
    report = import_weights(net, model.state_dict(), name=name)
    assert report.count("matched") == len(report.rows) == len(model.state_dict())
    image = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(net(image), model(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_large"])
def test_torchvisions_own_names_are_recognised(name: str) -> None:
    with torch.device("meta"):
        state = models.get_model(name, weights=None).state_dict()
    assert guess_net(state) == (name, {})


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0", "convnext_tiny"])
def test_training_changes_no_tap_behind_the_back(name: str, images: Tensor) -> None:
    net = build_net(name, {}, num_classes=5, input_shape=SHAPE)
    hidden = images
    for stage in net.stages.values():
        before = hidden.detach().clone()
        after = stage(hidden)
        assert torch.equal(hidden, before)
        hidden = after
    hidden.sum().backward()


def test_default_weights_come_from_the_cache_and_leave_another_classifier_at_random(
    hub: Path,
) -> None:
    name = "mobilenet_v3_small"
    model = models.get_model(name, weights=None)
    torch.save(model.state_dict(), hub / "mobilenet_v3_small-047dcff4.pth")
    net = build_net(name, {}, num_classes=5, input_shape=SHAPE)
    head = net.stages["logits"].weight.clone()
    report = load_weights(net, "DEFAULT", name=name, num_classes=5)
    assert report is not None and report.num_classes == 1000 and not report.head_fits
    assert "classifier of 5 is left at random" in report.notes[0]
    assert torch.equal(net.stages["logits"].weight, head)
    assert torch.equal(net.stages["stem"][0][0].weight, model.features[0][0].weight)


def test_default_weights_of_a_thousand_classes_bring_their_classifier(hub: Path) -> None:
    name = "mobilenet_v3_small"
    model = models.get_model(name, weights=None)
    torch.save(model.state_dict(), hub / "mobilenet_v3_small-047dcff4.pth")
    net = build_net(name, {}, num_classes=1000, input_shape=SHAPE)
    report = load_weights(net, "DEFAULT", name=name, num_classes=1000)
    assert report is not None and report.head_fits and not report.notes
    assert torch.equal(net.stages["logits"].weight, model.classifier[3].weight)


def test_a_download_that_fails_says_where_to_put_which_file(hub: Path) -> None:
    net = build_net("resnet18", {}, num_classes=5, input_shape=SHAPE)
    with pytest.raises(WeightsError) as caught:
        load_weights(net, "DEFAULT", name="resnet18", num_classes=5)
    message = str(caught.value)
    assert "could not be downloaded" in message and "no network" in message
    assert "resnet18-f37072fd.pth" in message and str(hub) in message and "path" in message
