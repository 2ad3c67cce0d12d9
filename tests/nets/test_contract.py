"""What every registered classifier keeps, without being named; segmenters: test_segmenter.py."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.errors import SpecError
from engine.nets import NETS, StagedNet, build_net, taps_of
from engine.nets.weights import load_state, load_weights, save_weights

CLASSES = 7
SHAPE = (3, 32, 32)
CLASSIFIERS = [entry.name for entry in NETS if entry.facts.get("task") != "segment"]


@pytest.fixture(scope="module", params=CLASSIFIERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def net(name: str) -> StagedNet:
    return build_net(name, {}, num_classes=CLASSES, input_shape=SHAPE, seed=1).eval()


@pytest.fixture(scope="module")
def trace(net: StagedNet) -> dict[str, Tensor]:
    image = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return {"image": image, **net.trace(image, inside=True)}


def test_stages_go_from_stem_to_embedding_and_logits(net: StagedNet) -> None:
    first, *middle, before_last, last = net.names
    assert (first, before_last, last) == ("stem", "embedding", "logits")
    assert middle == [f"stage{number}" for number in range(1, len(middle) + 1)]


def test_stages_in_sequence_are_the_forward_pass(net: StagedNet, trace: dict[str, Tensor]) -> None:
    hidden = trace["image"]
    with torch.no_grad():
        for stage in net.stages.values():
            hidden = stage(hidden)
        assert torch.equal(hidden, net(trace["image"]))
    assert torch.equal(hidden, trace["logits"])
    assert hidden.shape == (2, CLASSES)
    assert hidden.isfinite().all()


def test_resuming_after_each_cut_gives_the_same_logits(
    net: StagedNet, trace: dict[str, Tensor]
) -> None:
    with torch.no_grad():
        for cut in net.cuts:
            assert torch.equal(
                net.resume(trace[cut], after=cut, until="logits"), trace["logits"]
            ), cut


def test_the_classifier_is_one_linear_layer_on_the_embedding(
    net: StagedNet, trace: dict[str, Tensor]
) -> None:
    head = net.stages["logits"]
    assert isinstance(head, nn.Linear)
    assert trace["embedding"].shape == (2, head.in_features)


def test_taps_of_the_meta_device_are_the_real_ones(name: str, trace: dict[str, Tensor]) -> None:
    taps = taps_of(name, {}, num_classes=CLASSES, input_shape=SHAPE)
    real = {tap: tuple(signal.shape[1:]) for tap, signal in trace.items() if tap != "image"}
    assert {tap: found.shape for tap, found in taps.items()} == real


def test_what_comes_after_a_relu_is_never_negative(
    net: StagedNet, trace: dict[str, Tensor]
) -> None:
    for name, tap in net.taps().items():
        if tap.after == "relu":
            assert (trace[name] >= 0).all(), name


def test_the_last_map_is_a_map_before_the_embedding(net: StagedNet) -> None:
    taps = list(net.taps().items())
    where = [name for name, _ in taps].index(net.last_map)
    assert taps[where][1].kind == "map"
    assert taps[where + 1][0] == "embedding"


def test_no_stage_changes_a_tap_that_was_read(net: StagedNet, images: Tensor) -> None:
    hidden, kept, copies = images, [], []
    with torch.no_grad():
        for stage in net.stages.values():
            hidden = stage(hidden)
            kept.append(hidden)
            copies.append(hidden.clone())
        trace = net.trace(images, inside=True)
    assert all(torch.equal(signal, copy) for signal, copy in zip(kept, copies, strict=True))
    for name in net.names:
        if f"{name}.pre" in trace:
            assert torch.equal(trace[f"{name}.pre"].relu(), trace[name])
            assert (trace[f"{name}.pre"] < 0).any()


def grown(net: StagedNet) -> StagedNet:
    """A copy whose norms do something, each for itself."""
    twin = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for module in twin.modules():
            if isinstance(module, nn.BatchNorm2d):
                for value, low, high in (
                    (module.weight, 0.5, 1.5),
                    (module.bias, -0.5, 0.5),
                    (module.running_mean, -0.5, 0.5),
                    (module.running_var, 0.5, 1.5),
                ):
                    value.uniform_(low, high, generator=generator)
    return twin


def after_norm(net: StagedNet, tap: str, image: Tensor) -> Tensor:
    """What a tap sees once its norm is done, as the net tells that norm."""
    norm = net.norms()[tap]
    signal = net.trace(image, until=tap.partition(".")[0], inside=True)[tap]
    return signal * norm.gain[:, None, None] + norm.offset[:, None, None]


def test_a_signal_lacks_what_its_norm_gives_once_the_norm_is_silent(
    net: StagedNet, images: Tensor
) -> None:
    if not net.norms():
        pytest.skip("it tells none")
    net, given, image = grown(net), {}, images[:1, :, ::2, ::2]
    norms = {m.bias.data_ptr(): m for m in net.modules() if isinstance(m, nn.BatchNorm2d)}
    for module in norms.values():
        module.register_forward_hook(lambda norm, _, out: given.update({norm: out.clone()}))
    with torch.no_grad():
        net(image)
        for tap, told in net.norms().items():
            norm = norms[told.shift.data_ptr()]
            whole, expected = after_norm(net, tap, image), given[norm]
            state = copy.deepcopy(norm.state_dict())
            norm.weight.zero_()
            norm.bias.zero_()
            rest = after_norm(net, tap, image)
            norm.load_state_dict(state)
            assert (whole - rest - expected).abs().max() < 1e-5 * whole.abs().max()
            assert expected.abs().max() > 1e-3 * whole.abs().max()


def test_a_net_tells_the_norms_of_all_its_maps_or_of_none(net: StagedNet) -> None:
    maps = [name for name in net.names if name.startswith("stage")]
    told = {tap.partition(".")[0] for tap in net.norms()}
    assert not told or told >= set(maps)
    taps = net.taps()
    assert all(taps[tap].after != "relu" for tap in net.norms())


def test_saved_weights_come_back_whole(
    name: str, net: StagedNet, trace: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(net, path, {"net": name})
    with torch.device("meta"):
        empty = NETS[name].make(CLASSES, SHAPE)
    other = empty.to_empty(device="cpu").to(memory_format=torch.channels_last).eval()
    report = load_weights(other, str(path), name=name, num_classes=CLASSES)
    assert report is not None
    assert report.count("matched") == len(report.rows) == len(net.state_dict())
    assert load_state(path)[1] == {"format": "safetensors", "net": name}
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]
    with torch.no_grad():
        assert torch.equal(other(trace["image"]), trace["logits"])


def test_images_of_64_pixels_work_or_are_refused_with_a_sentence(name: str) -> None:
    try:
        taps = taps_of(name, {}, num_classes=CLASSES, input_shape=(3, 64, 64))
    except SpecError as error:
        assert "64" in str(error)
        return
    assert taps["logits"].shape == (CLASSES,)


def test_an_entry_is_plain_data_and_names_its_family(name: str) -> None:
    entry = NETS[name]
    assert entry.facts["family"]
    described = json.loads(json.dumps(entry.describe()))
    assert described["title"] and described["source"] and described["help"]


def test_titles_tell_all_nets_apart() -> None:
    titles = [entry.title for entry in NETS]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    "name", ["resnet8x4", "ResNet50", "wrn_16_1", "vgg8", "ShuffleNetV1", "MobileNetV2"]
)
def test_the_norms_of_these_nets_are_told(name: str) -> None:
    assert build_net(name, {}, num_classes=CLASSES, input_shape=SHAPE).norms()
