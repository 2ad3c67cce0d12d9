"""The table of choices as it is read back."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import WorkspaceError
from engine.runs.choices import read_choices
from engine.runs.folder import Meta, RunFolder, Workspace

from .fakes import spec_of


@pytest.fixture
def folder(workspace: Workspace) -> RunFolder:
    return workspace.create(spec_of(), Meta())


def stored(folder: RunFolder, **changes: object) -> None:
    plain = {
        "label": np.array([1, -1, 0]),
        "kept": np.array([[True, False], [False, False], [True, True]]),
        "probability": np.array([[255, 0], [0, 0], [51, 102]], np.uint8),
        "gap": np.array([0.5, 0.0, -0.5], np.float32),
        "mean": np.array([[1, 0], [0, 0], [0.25, 0.5]], np.float16),
    }
    kept = {name: value for name, value in {**plain, **changes}.items() if value is not None}
    np.savez_compressed(folder.artefacts / "spots.npz", **kept)


def test_a_run_without_choices_has_none(folder: RunFolder) -> None:
    assert read_choices(folder) is None


def test_probabilities_are_shares_again(folder: RunFolder) -> None:
    stored(folder)
    found = read_choices(folder)
    assert found is not None and found.gap is not None and found.mean is not None
    np.testing.assert_allclose(found.probability, [[1, 0], [0, 0], [0.2, 0.4]])
    np.testing.assert_allclose(found.mean[2], [0.25, 0.5])
    assert found.label.tolist() == [1, -1, 0]
    assert found.gap[2] == -0.5


def test_a_file_of_an_older_run_has_neither_gap_nor_mean(folder: RunFolder) -> None:
    stored(folder, gap=None, mean=None)
    found = read_choices(folder)
    assert found is not None
    assert found.gap is None and found.mean is None


def test_a_file_that_changed_is_read_again(folder: RunFolder) -> None:
    stored(folder)
    read_choices(folder)
    stored(folder, label=np.array([5, 5, 5, 5, 5, 5])[:3])
    found = read_choices(folder)
    assert found is not None and found.label.tolist() == [5, 5, 5]


@pytest.mark.parametrize(
    "changes",
    [
        {"label": None},
        {"gap": np.zeros(2, np.float32)},
        {"mean": np.zeros((3, 5), np.float16)},
        {"kept": np.zeros(3, bool)},
        {"gap": np.array([None, None, None], object)},
    ],
)
def test_tables_that_do_not_fit_are_refused(folder: RunFolder, changes: dict[str, object]) -> None:
    stored(folder, **changes)
    with pytest.raises(WorkspaceError, match=r"spots\.npz of run"):
        read_choices(folder)


def test_a_damaged_file_is_told(folder: RunFolder) -> None:
    (folder.artefacts / "spots.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_choices(folder)
    (folder.artefacts / "spots.npz").write_bytes(b"")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_choices(folder)
