from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs.folder import Workspace
from engine.runs.slots import Slot, slot_of


@pytest.mark.parametrize(
    ("device", "slot"),
    [("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:3", "cuda:3")],
)
def test_a_device_has_one_slot(device: str, slot: str) -> None:
    assert slot_of(device) == slot


def test_auto_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(Path, "glob", lambda *_: iter([Path("/dev/nvidia0")]))
    assert slot_of("auto") == "cuda:0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert slot_of("auto") == "cpu"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(Path, "glob", lambda *_: iter([]))
    assert slot_of("auto") == "cpu"


def test_a_device_is_taken_by_one_run(workspace: Workspace) -> None:
    mine, other = Slot(workspace, "cuda:1"), Slot(workspace, "cuda:1")
    assert other.is_free() and other.holder() == ""
    assert mine.take("a-run", timeout=0.0)
    assert not other.take("b-run", timeout=0.0)
    assert not other.is_free() and other.holder() == "a-run"
    mine.release()
    assert other.is_free()


def test_slots_do_not_hinder_each_other(workspace: Workspace) -> None:
    cpu, gpu = Slot(workspace, "cpu"), Slot(workspace, "cuda:0")
    assert cpu.take("a-run", timeout=0.0) and gpu.take("b-run", timeout=0.0)
    cpu.release()
    gpu.release()
