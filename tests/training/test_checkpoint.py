"""What is left on disk to go on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.errors import WeightsError
from engine.training.checkpoint import (
    Checkpoint,
    differing_weights,
    load_checkpoint,
    save_checkpoint,
)


@pytest.fixture
def checkpoint() -> Checkpoint:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    return Checkpoint(
        position=(1, 2, 3),
        modules=net.state_dict(),
        optimizers={"student": optimizer.state_dict()},
        tally={"count": 2, "terms": {"task": torch.tensor(1.5)}, "table": {}, "spots": ["a"]},
        best_figure=0.5,
        best_at=(1, 1, 0),
        circumstances={"torch": "2.0"},
    )


def test_a_checkpoint_comes_back_whole(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, checkpoint)
    found = load_checkpoint(path)
    assert (found.position, found.best_at, found.best_figure) == ((1, 2, 3), (1, 1, 0), 0.5)
    assert found.circumstances == checkpoint.circumstances
    assert found.tally["terms"]["task"].item() == 1.5
    for name, value in checkpoint.modules.items():
        assert torch.equal(found.modules[name], value)
        assert found.modules[name].stride() == value.stride()
    ours, theirs = (one.optimizers["student"] for one in (found, checkpoint))
    assert ours["param_groups"] == theirs["param_groups"]
    for number, state in theirs["state"].items():
        assert torch.equal(ours["state"][number]["momentum_buffer"], state["momentum_buffer"])


def test_it_holds_no_code(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", checkpoint)
    torch.load(tmp_path / "last.pt", weights_only=True)


def test_a_crash_while_saving_leaves_the_old_one(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, checkpoint)

    def half(plain: object, out: object) -> None:
        out.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, replace(checkpoint, position=(9, 9, 9)))
    monkeypatch.undo()
    assert load_checkpoint(path).position == (1, 2, 3)
    save_checkpoint(path, replace(checkpoint, position=(9, 9, 9)))
    assert load_checkpoint(path).position == (9, 9, 9)
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "missing", "other"])
def test_a_damaged_one_is_told_in_a_sentence(
    checkpoint: Checkpoint, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, checkpoint)
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "other":
        torch.save([1, 2], path)
    else:
        spoilt = {"empty": b"", "cut": data[: len(data) // 2], "noise": b"x" * len(data)}
        path.write_bytes(spoilt[damage])
    with pytest.raises(WeightsError, match=r"^The checkpoint last\.pt "):
        load_checkpoint(path)


def test_another_format_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, checkpoint)
    plain = torch.load(path, weights_only=True)
    torch.save({**plain, "format": 99}, path)
    with pytest.raises(WeightsError, match="a format that this version cannot read"):
        load_checkpoint(path)


def test_a_checkpoint_with_code_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 1, "code": Path("/")}, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_checkpoint(tmp_path / "last.pt")


def test_the_first_tensor_that_differs_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    modules = dict(checkpoint.modules)
    changed = {**modules, "1.weight": modules["1.weight"] + 1e-7}
    fewer = {name: value for name, value in modules.items() if name != "1.bias"}
    for folder, one in zip(folders, (modules, changed, fewer), strict=True):
        folder.mkdir()
        save_checkpoint(folder / "last.pt", replace(checkpoint, modules=one))
    first, second, third = folders
    assert differing_weights(first, first) == ""
    assert differing_weights(first, second) == "1.weight differs"
    assert differing_weights(first, third) == "the runs trained different modules"
