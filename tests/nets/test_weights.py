"""Reading stored weights, and saying why they do not fit."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.errors import WeightsError
from engine.nets import NETS, StagedNet, build_net
from engine.nets.weights import (
    compare,
    guess_net,
    import_weights,
    load_state,
    load_weights,
    save_weights,
)

SHAPE = (3, 32, 32)
TEACHERS = Path(os.environ.get("DISTILL_DATA", "no-such-folder"), "teachers", "cifar10")
with_teachers = pytest.mark.skipif(
    not TEACHERS.is_dir(), reason="DISTILL_DATA does not name a folder with teachers/cifar10"
)

State = dict[str, Tensor]


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("attacked",))


@pytest.fixture
def net() -> StagedNet:
    return build_net("resnet8", {}, num_classes=10, input_shape=SHAPE, seed=1)


@pytest.fixture
def public(net: StagedNet) -> State:
    """The net's weights under RepDistiller's names."""
    renames = (
        ("stages.stem.", ""),
        ("stages.stage", "layer"),
        (".pre.", "."),
        (".shortcut.", ".downsample."),
        ("stages.logits.", "fc."),
    )
    state = {}
    for key, tensor in net.state_dict().items():
        for ours, theirs in renames:
            key = key.replace(ours, theirs)
        state[key] = tensor.clone()
    return state


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


WRAPPED: dict[str, Callable[[State], object]] = {
    "bare": lambda s: s,
    "repdistiller": lambda s: {"model": s, "epoch": 240, "best_acc": torch.tensor(72.5)},
    "akamaster": lambda s: {"state_dict": prefixed(s, "module."), "best_prec1": 91.7},
    "net": lambda s: {"net": s, "acc": 91.0},
    "mdistiller student": lambda s: {"model": s},
    "mdistiller distiller": lambda s: {
        "model": prefixed(s, "module.student.") | prefixed(s, "module.teacher."),
        "best_acc": np.float64(72.5),
    },
    "student": lambda s: prefixed(s, "student."),
    "sakd": lambda s: {"model": s, "policy": {"weight": torch.ones(4, 2)}, "epoch": 3},
    "twice": lambda s: {"state_dict": {"student": s}},
}


@pytest.mark.parametrize("form", WRAPPED)
def test_weights_are_found_in_every_common_wrapping(
    form: str, public: State, net: StagedNet, tmp_path: Path
) -> None:
    path = saved(WRAPPED[form](public), tmp_path / "ckpt.pth.tar")
    other = build_net("resnet8", {}, num_classes=10, input_shape=SHAPE, seed=2)
    report = load_weights(other, str(path), name="resnet8", num_classes=10)
    assert report is not None
    assert report.count("matched") == len(report.rows) and report.num_classes == 10
    assert ("fc.weight", "stages.logits.weight") in report.renamed
    for key, tensor in net.state_dict().items():
        assert torch.equal(other.state_dict()[key], tensor), key


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.th", "a.pth.tar", "student_best"])
def test_files_of_torch_are_known_by_any_of_their_names(
    name: str, public: State, tmp_path: Path
) -> None:
    state, facts = load_state(saved(public, tmp_path / name))
    assert state.keys() == public.keys() and facts == {"format": "torch"}


def test_numbers_beside_the_weights_are_facts(public: State, tmp_path: Path) -> None:
    content = {"model": public, "epoch": 240, "best_acc": torch.tensor(72.5), "optimizer": {}}
    _, facts = load_state(saved(content, tmp_path / "a.pth"))
    assert facts == {"format": "torch", "wrapper": "model", "epoch": 240, "best_acc": 72.5}


def test_a_number_of_numpy_is_read_whatever_version_wrote_it(public: State, tmp_path: Path) -> None:
    for dtype in (np.float32, np.float64):
        content = {"model": public, "best_acc": dtype(0.5)}
        assert load_state(saved(content, tmp_path / "a.pth"))[1]["best_acc"] == 0.5


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(
    is_zip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pth"
    content = {"model": Attack()}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(WeightsError, match="carries code") as caught:
        load_state(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "attacked").exists()


def test_a_bare_pickle_with_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(WeightsError):
        load_state(path)
    assert not (tmp_path / "attacked").exists()


def test_a_whole_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"Linear.*state_dict"):
        load_state(saved(nn.Linear(2, 2), tmp_path / "a.pth"))


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(
    is_zip: bool, share: float, public: State, tmp_path: Path
) -> None:
    path = tmp_path / "a.pth"
    torch.save(public, path, _use_new_zipfile_serialization=is_zip)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match=r"a\.pth is damaged"):
        load_state(path)


def test_a_truncated_safetensors_file_is_refused(net: StagedNet, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(net, path, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"a\.safetensors is damaged"):
        load_state(path)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + b"x" * 99, b"hello\n" * 9, b"<html>"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_another_kind_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged or no"):
        load_state(path)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no weights"):
        load_state(saved({"epoch": 3}, tmp_path / "a.pth"))
    with pytest.raises(WeightsError, match="holds no weights but a list"):
        load_state(saved([1, 2], tmp_path / "a.pth"))


def test_a_missing_file_and_another_suffix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no file"):
        load_state(tmp_path / "a.pth")
    (tmp_path / "a.onnx").touch()
    with pytest.raises(WeightsError, match=r"known are \.pth"):
        load_state(tmp_path / "a.onnx")


def test_weights_of_other_classes_are_refused(public: State, tmp_path: Path) -> None:
    path = saved(public, tmp_path / "a.pth")
    net = build_net("resnet8", {}, num_classes=100, input_shape=SHAPE)
    with pytest.raises(WeightsError, match="has 10 classes, the data set has 100 classes"):
        load_weights(net, str(path), name="resnet8", num_classes=100)


def test_weights_of_another_net_are_refused_with_its_name(public: State, tmp_path: Path) -> None:
    path = saved(public, tmp_path / "a.pth")
    net = build_net("resnet32x4", {}, num_classes=10, input_shape=SHAPE)
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(net, str(path), name="resnet32x4", num_classes=10)
    assert str(caught.value) == "these weights do not fit resnet32x4; they look like resnet8"
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())


def test_a_deeper_net_does_not_fit_a_shallower_one_of_its_family() -> None:
    deep = build_net("resnet14", {}, num_classes=10, input_shape=SHAPE).state_dict()
    net = build_net("resnet8", {}, num_classes=10, input_shape=SHAPE)
    report = compare(net, deep, name="resnet8")
    assert not report.body_fits
    assert report.count("unexpected") > 0 and report.count("missing") == 0


def test_weights_of_no_listed_net_are_refused_with_counts(tmp_path: Path) -> None:
    path = saved({"encoder.weight": torch.ones(3)}, tmp_path / "a.pth")
    net = build_net("resnet8", {}, num_classes=10, input_shape=SHAPE)
    with pytest.raises(WeightsError, match=r"tensors are missing, 1 unexpected"):
        load_weights(net, str(path), name="resnet8", num_classes=10)


def test_weights_without_a_classifier_are_refused(public: State, tmp_path: Path) -> None:
    body = {key: tensor for key, tensor in public.items() if not key.startswith("fc.")}
    net = build_net("resnet8", {}, num_classes=10, input_shape=SHAPE)
    with pytest.raises(WeightsError, match="has no classifier"):
        load_weights(net, str(saved(body, tmp_path / "a.pth")), name="resnet8", num_classes=10)


def test_the_report_has_a_row_for_each_tensor(net: StagedNet, public: State) -> None:
    wrong = dict(public)
    del wrong["conv1.weight"]
    wrong["extra"] = torch.ones(2)
    wrong["bn1.weight"] = torch.ones(3)
    rows = {(row.key or row.stored): row for row in compare(net, wrong, name="resnet8").rows}
    assert rows["stages.stem.conv1.weight"].status == "missing"
    assert rows["extra"].status == "unexpected" and rows["extra"].stored_shape == (2,)
    assert rows["stages.stem.bn1.weight"].status == "wrong shape"
    assert rows["stages.stem.bn1.weight"].shape == (16,)
    assert len(rows) == len(net.state_dict()) + 1


def test_counters_of_batches_may_be_missing(net: StagedNet, public: State) -> None:
    old = {key: tensor for key, tensor in public.items() if "num_batches" not in key}
    assert import_weights(net, old, name="resnet8").body_fits


@pytest.mark.parametrize("knobs", [{}, {"shortcut": "A"}])
def test_a_net_is_recognised_by_its_weights_and_so_are_its_knobs(knobs: dict[str, object]) -> None:
    with torch.device("meta"):
        state = NETS["resnet20"].make(13, SHAPE, knobs=knobs).state_dict()
    assert guess_net(state) == ("resnet20", knobs)


def test_the_width_of_a_mobilenet_is_recognised() -> None:
    with torch.device("meta"):
        state = NETS["MobileNetV2"].make(13, SHAPE, knobs={"width": 1.0}).state_dict()
    assert guess_net(state) == ("MobileNetV2", {"width": 1.0})


def test_none_leaves_a_net_at_random_and_default_is_refused_where_there_is_none() -> None:
    net = build_net("resnet8", {}, num_classes=10, input_shape=SHAPE)
    assert load_weights(net, "none", name="resnet8", num_classes=10) is None
    with pytest.raises(WeightsError, match="resnet8 has no DEFAULT weights"):
        load_weights(net, "DEFAULT", name="resnet8", num_classes=10)


def test_saving_replaces_the_old_file(net: StagedNet, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    path.write_text("old")
    save_weights(net, path, {"classes": "10"})
    state, facts = load_state(path)
    assert facts["classes"] == "10" and state.keys() == net.state_dict().keys()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@with_teachers
@pytest.mark.parametrize("depth", [20, 32, 56])
def test_public_teachers_fit_with_shortcut_a(depth: int) -> None:
    path = next(TEACHERS.glob(f"akamaster_resnet{depth}-*.th"))
    name = f"resnet{depth}"
    net = build_net(name, {"shortcut": "A"}, num_classes=10, input_shape=SHAPE)
    report = load_weights(net, str(path), name=name, num_classes=10)
    assert report is not None and report.count("matched") == len(report.rows)
    with pytest.raises(WeightsError, match=f"they look like {name} with shortcut = A"):
        net = build_net("resnet32x4", {}, num_classes=10, input_shape=SHAPE)
        load_weights(net, str(path), name="resnet32x4", num_classes=10)
