"""Torchvision's segmenters in stages against torchvision's own forward pass and its files."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision import models

from engine.errors import WeightsError
from engine.measures.cost import measure_cost
from engine.nets import NETS
from engine.nets.torchvision_segmenter import PLANS
from engine.nets.weights import guess_net, import_weights, load_weights
from tests.nets.counted import FRONT, HEAD, Counted, counted, filled

SHAPE = (3, 32, 48)


def torchvisions(name: str, num_classes: int) -> nn.Module:
    """Torchvision's own, on the meta device, with the auxiliary head that its files have."""
    auxiliary = {} if name.startswith("lraspp") else {"aux_loss": True}
    with torch.device("meta"):
        model: nn.Module = models.get_model(
            name, weights=None, weights_backbone=None, num_classes=num_classes, **auxiliary
        )
    return model


def ours(name: str, num_classes: int) -> nn.Module:
    with torch.device("meta"):
        net = NETS[name].make(num_classes, SHAPE)
    return filled(net)


@pytest.mark.parametrize("name", PLANS)
def test_stages_compute_what_torchvision_computes(name: str) -> None:
    torch.manual_seed(1)
    model = filled(torchvisions(name, 5))
    for key, tensor in model.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 2)
    net = ours(name, 5)
    report = import_weights(net, model.state_dict(), name=name)
    assert report.count("matched") == len(report.rows) == len(net.state_dict())
    image = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(net(image), model(image)["out"], rtol=1e-4, atol=1e-5)


def test_a_file_of_torchvision_loads_by_its_path_and_its_auxiliary_head_is_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "deeplabv3_resnet50_coco-cd0a2569.pth"
    model = filled(torchvisions("deeplabv3_resnet50", 21))
    torch.save(model.state_dict(), path)
    net = ours("deeplabv3_resnet50", 21)
    report = load_weights(net, str(path), name="deeplabv3_resnet50", num_classes=21)
    assert report is not None and report.head_fits and report.num_classes == 21
    assert report.notes == ("deeplabv3_resnet50 has no aux_classifier; its 8 tensors are left out",)
    image = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(net(image), model(image)["out"], rtol=1e-4, atol=1e-5)


def test_the_default_file_by_its_path_leaves_another_classifier_at_random(tmp_path: Path) -> None:
    name = "deeplabv3_mobilenet_v3_large"
    path = tmp_path / "deeplabv3_mobilenet_v3_large-fc3c493d.pth"
    model = filled(torchvisions(name, 21))
    torch.save(model.state_dict(), path)
    net = ours(name, 19)
    before = net.stages["logits"].weight.clone()
    report = load_weights(net, str(path), name=name, num_classes=19)
    assert report is not None and not report.head_fits
    assert "aux_classifier" in report.notes[0]
    assert "21 classes; the classifier of 19 is left at random" in report.notes[1]
    assert torch.equal(net.stages["logits"].weight, before)
    assert torch.equal(net.stages["refine"].conv.weight, model.classifier[1].weight)

    other = path.rename(tmp_path / "mine.pth")
    with pytest.raises(WeightsError, match="has 21 classes, the data set has 19 classes"):
        load_weights(net, str(other), name=name, num_classes=19)


@pytest.mark.parametrize("name", PLANS)
def test_torchvisions_own_names_are_recognised(name: str) -> None:
    assert guess_net(torchvisions(name, 21).state_dict()) == (name, {})


@pytest.mark.parametrize("name", PLANS)
def test_parameters_are_those_that_torchvision_tells_of_its_files(name: str) -> None:
    told = models.get_model_weights(name).DEFAULT.meta["num_params"]
    model = torchvisions(name, 21)
    assert sum(p.numel() for p in model.parameters()) == told
    with torch.device("meta"):
        net = NETS[name].make(21, SHAPE)
    auxiliary = getattr(model, "aux_classifier", None)
    left_out = sum(p.numel() for p in auxiliary.parameters()) if auxiliary else 0
    assert sum(p.numel() for p in net.parameters()) == told - left_out


def test_a_download_that_fails_says_where_to_put_which_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    net = NETS["lraspp_mobilenet_v3_large"].make(21, SHAPE)
    with pytest.raises(WeightsError) as caught:
        load_weights(net, "DEFAULT", name="lraspp_mobilenet_v3_large", num_classes=21)
    assert "could not be downloaded" in str(caught.value)
    assert "lraspp_mobilenet_v3_large-d234d4ea.pth" in str(caught.value)


def test_lraspp_reads_two_maps_and_both_are_behind_its_last_early_cut() -> None:
    net = ours("lraspp_mobilenet_v3_large", 5)
    assert net.names == ("stem", "stage1", "stage2", "lraspp", "logits")
    low = torch.randn(1, 40, 8, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        both = net.stages["lraspp"](low)
    assert both.shape == (1, 40 + 128, 8, 12)
    assert torch.equal(both[:, :40], low)


@pytest.fixture(scope="module")
def small() -> Counted:
    return counted("deeplabv3_resnet50", 19, (520, 520))


@pytest.fixture(scope="module")
def large() -> Counted:
    return counted("deeplabv3_resnet50", 19, (512, 1024))


@pytest.mark.parametrize(
    ("parts", "parameters", "small_costs", "large_costs", "share"),
    [
        (("stem.conv1",), 9_408, (0.636, 0.636), (1.233, 1.233), 0.38),
        (("stage1",), 215_808, (3.647, 3.600), (7.072, 6.979), 2.16),
        (("stage2",), 1_219_584, (5.571, 5.538), (10.802, 10.737), 3.30),
        (("stage3",), 7_098_368, (29.991, 29.904), (58.150, 57.982), 17.74),
        (("stage4",), 14_964_736, (63.226, 63.131), (122.591, 122.407), 37.40),
        (FRONT, 23_508_032, (103.080, 102.808), (199.865, 199.338), 60.98),
        (HEAD, 16_130_323, (65.947, 65.921), (127.866, 127.816), 39.01),
        (("aspp.convs.1",), 4_719_104, (19.938, 19.936), (38.659, 38.655), 11.79),
        ((), 39_638_355, (169.047, 168.729), (327.771, 327.154), 100),
    ],
)
def test_the_teachers_parts_cost_what_the_table_says(
    small: Counted,
    large: Counted,
    parts: tuple[str, ...],
    parameters: int,
    small_costs: tuple[float, float],
    large_costs: tuple[float, float],
    share: float,
) -> None:
    """In thousand millions: as fvcore counts, then convolutions alone, as we count."""
    assert small.of(*parts).parameters == parameters
    for net, costs in ((small, small_costs), (large, large_costs)):
        cost = net.of(*parts)
        assert (cost.fvcore / 1e9, cost.plain / 1e9) == pytest.approx(costs, abs=6e-4)
    assert 100 * small.of(*parts).fvcore / small.of().fvcore == pytest.approx(share, abs=6e-3)


def test_a_head_of_21_classes_and_the_larger_image_cost_what_the_text_says(
    small: Counted, large: Counted
) -> None:
    assert counted("deeplabv3_resnet50", 21, (64, 64)).of(*HEAD).parameters == 16_130_837
    assert large.of().fvcore / small.of().fvcore == pytest.approx(1.939, abs=5e-4)


@pytest.mark.parametrize(("size", "front"), [((520, 520), (65, 65)), ((512, 1024), (64, 128))])
def test_the_front_gives_2048_channels_an_eighth_of_the_image(
    size: tuple[int, int], front: tuple[int, int]
) -> None:
    for name in ("deeplabv3_resnet50", "ds2048"):
        with torch.device("meta"):
            net = NETS[name].make(19, (3, *size))
        tap = net.taps()[net.front]
        assert (tap.shape, tap.after) == ((2048, *front), "relu")


def test_our_measure_counts_as_the_table_does() -> None:
    by_torch = counted("deeplabv3_resnet50", 19, (32, 64)).of()
    with torch.device("meta"):
        empty = NETS["deeplabv3_resnet50"].make(19, (3, 32, 64))
    found = measure_cost(
        filled(empty), role="teacher", name="", device=torch.device("cpu"), with_latency=False
    )
    assert found.parameters == by_torch.parameters
    assert found.multiply_adds == by_torch.plain
    assert found.fvcore_multiply_adds == by_torch.fvcore
