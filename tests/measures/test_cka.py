"""Feature form against Gram form, and the numbers of the reference folder.

DISTILL_REFERENCE names another folder of such numbers; shapes and sizes are read from it.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.measures import cka
from engine.measures.cka import linear_cka

FOLDER = Path(os.environ.get("DISTILL_REFERENCE", Path(__file__).parents[1] / "reference"))
ENTRIES = {
    entry["name"]: entry
    for entry in json.loads((FOLDER / "index.json").read_text())["entries"]
    if entry["name"].startswith("cka")
}
CASES = [
    pytest.param(entry, case, id=f"{name}-{case['case']}")
    for name, entry in ENTRIES.items()
    for case in entry["cases"]
]

# Kernel of a case -> why there is nothing of ours to compare.
NOT_OFFERED = {"rbf": "the view shows linear CKA; the public code centres this one in place"}


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def gram_cka(first: Tensor, second: Tensor) -> float:
    """The same from N x N matrices: HSIC of centred Gram matrices, each over its own."""
    count = len(first)
    centre = torch.eye(count, dtype=torch.float64) - 1 / count
    k, m = (centre @ (x @ x.T) @ centre for x in (first.flatten(1), second.flatten(1)))
    return float((k * m).sum() / (k.norm() * m.norm()))


def test_three_samples_as_written_by_hand() -> None:
    """Centred: (-1, 0, 1) and (-1, 2, -1) / 3, (-1, -1, 2) / 3; cross products 0 and 1."""
    x = torch.tensor([[1.0], [2.0], [3.0]])
    y = torch.tensor([[0.0, 5.0], [1.0, 5.0], [0.0, 6.0]])
    own = math.sqrt((6 / 9) ** 2 + (6 / 9) ** 2 + 2 * (3 / 9) ** 2)
    assert linear_cka(x, y).item() == pytest.approx(1 / (2 * own), rel=1e-14)
    assert linear_cka(x, y[:, :1]).item() == 0
    assert linear_cka(x, y[:, 1:]).item() == pytest.approx(1 / (2 * 6 / 9), rel=1e-14)


@pytest.mark.parametrize(
    "shapes", [((9, 5), (9, 3)), ((7, 2, 3, 3), (7, 4, 2, 2)), ((4, 1), (4, 9))]
)
def test_feature_form_is_gram_form(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    x, y = random(*shapes[0]), random(*shapes[1], seed=1)
    assert linear_cka(x, y).item() == pytest.approx(gram_cka(x, y), rel=1e-9)


def test_wide_features_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = random(6, 7), random(6, 5, seed=1)
    whole = linear_cka(x, y).item()
    monkeypatch.setattr(cka, "BLOCK", 3)
    assert linear_cka(x, y).item() == pytest.approx(whole, rel=1e-12)


def test_turning_scaling_and_shifting_change_nothing() -> None:
    x, y = random(12, 6), random(12, 4, seed=1)
    turn, _ = torch.linalg.qr(random(6, 6, seed=2))
    value = linear_cka(x, y).item()
    for other in (x @ turn, 7.5 * x, x + 100 * random(6, seed=3), -0.1 * x @ turn + 5):
        assert linear_cka(other, y).item() == pytest.approx(value, rel=1e-9)
        assert linear_cka(x, other).item() == pytest.approx(1, rel=1e-9)
    assert linear_cka(y, x).item() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_it_lies_between_nothing_and_one(seed: int) -> None:
    value = linear_cka(random(5, 3, seed=seed), random(5, 8, seed=seed + 50)).item()
    assert 0 <= value < 1


def test_inputs_stay_as_they_are() -> None:
    x, y = random(6, 2, 2, 2), random(6, 3, seed=1)
    before = x.clone(), y.clone()
    linear_cka(x, y)
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])


def test_single_precision_is_reckoned_in_double() -> None:
    x, y = random(8, 5).float(), random(8, 4, seed=1).float()
    found = linear_cka(x + 1000, y)
    assert found.dtype == torch.float64
    assert found.item() == linear_cka((x + 1000).double(), y.double()).item()


def test_what_never_changes_cannot_be_compared() -> None:
    assert math.isnan(linear_cka(torch.full((5, 3), 0.1), random(5, 2)).item())
    assert math.isnan(linear_cka(random(1, 3), random(1, 2)).item()), "one sample"


def test_the_reference_holds_cka() -> None:
    assert ENTRIES


@pytest.mark.parametrize(("entry", "case"), CASES)
def test_value_and_gradient_are_those_of_the_public_code(
    entry: dict[str, Any], case: dict[str, Any]
) -> None:
    if case["hyper_parameters"]["kernel"] in NOT_OFFERED:
        return
    with np.load(FOLDER / entry["file"]) as stored:
        leaves = {
            name: torch.from_numpy(stored[name]).requires_grad_(name in entry["differentiated"])
            for name in entry["inputs"]
        }
        expected = {name: stored[key] for name, key in case["gradients"].items()}
    value = linear_cka(*leaves.values())
    tolerance = case["tolerance"]
    told = case["expected_loss_float64"]
    assert value.item() == pytest.approx(told, abs=tolerance["loss_absolute"])
    assert value.item() == pytest.approx(told, abs=1e-9), "ours is in double throughout"
    value.backward()
    for name, gradient in expected.items():
        found = leaves[name].grad
        assert found is not None
        gap = np.abs(found.numpy() - gradient).max() / np.abs(gradient).max()
        assert gap <= tolerance["gradient_relative_to_its_largest_entry"][name]
