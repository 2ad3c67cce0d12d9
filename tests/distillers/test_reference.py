"""Losses and gradients against the numbers of the public implementations.

DISTILL_REFERENCE names another folder of such numbers; shapes and sizes are read from it.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor, nn

from engine.distillers import Pair, distil
from engine.methods.base import per_batch
from engine.methods.spot_policy import Learned

from .conftest import made, setting_of

FOLDER = Path(os.environ.get("DISTILL_REFERENCE", Path(__file__).parents[1] / "reference"))
ENTRIES = {
    entry["name"]: entry for entry in json.loads((FOLDER / "index.json").read_text())["entries"]
}

# Entry -> the distiller that must agree with it.
OURS = {
    "kd": "kd",
    "kd_large_logits": "kd",
    "sakd_kd": "kd",
    "fitnet_hint": "fitnet",
    "sakd_fitnet": "fitnet",
    "at": "at",
    "at_pooled": "at",
    "sakd_at": "at",
    "rkd": "rkd",
    "rkd_duplicate_rows": "rkd",
    "sakd_rkd": "rkd",
    "ft": "ft",
    "ft_pooled": "ft",
    "sakd_ft": "ft",
    "sp": "sp",
    "sp_zero_sample": "sp",
    "sakd_sp": "sp",
    "cc": "cc",
    "sakd_cc": "cc",
    "pkt": "pkt",
    "pkt_zero_row": "pkt",
    "sakd_pkt": "pkt",
    "nst": "nst",
    "nst_pooled": "nst",
    "sakd_nst": "nst",
    "dist": "dist",
    "dkd": "dkd",
}

# Entries without an implementation so far, and what is not one distiller's loss.
NOT_YET = (
    *("ab", "cka", "crd_first_step", "crd_later_step", "dml", "fsp"),
    *("ie_difference", "ie_exploration", "ie_inheritance", "ie_reconstruction"),
    *("ie_zero_sample", "kd_with_cross_entropy", "kdsvd", "kdsvd_mdistiller"),
    *("logit_standardised_kd", "ofd", "ofd_original", "reviewkd_hcl", "reviewkd_total"),
    *("sakd_crd", "sakd_kdsvd"),
    # Their learnt parts are given too: vid is compared in test_formulas.py instead.
    *("sakd_vid", "vid"),
)

# (entry, case) -> (what we give instead, why); None where nothing of ours is comparable.
DIFFERENT: dict[tuple[str, str], tuple[float | None, str]] = {
    ("sakd_rkd", "k1"): (0.0, "the public code divides by the mean of nothing and gives NaN"),
    ("sakd_ft", "k0"): (0.0, "the public code falls back to the loss of everybody"),
    ("sakd_cc", "k1"): (0.0, "one sample has no neighbour: the public code gives NaN"),
    ("ft", "p1_2_p2_2"): (None, "the square of the gap is not offered, only its absolute value"),
    ("ft_pooled", "p1_2_p2_2"): (None, "as for ft"),
}

KNOBS = ("temperature", "power", "distance_weight", "angle_weight")
RENAMED = {
    "dist": {"beta": "within_image", "gamma": "within_class"},
    "dkd": {"alpha": "target_weight", "beta": "others_weight"},
}
CASES = [
    pytest.param(name, case, id=f"{name}-{case['case']}")
    for name in OURS
    for case in ENTRIES[name]["cases"]
]


def load(name: str) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(FOLDER / ENTRIES[name]["file"]) as found:
        return dict(found)


def pairs_of(stored: dict[str, np.ndarray[Any, Any]]) -> tuple[Pair, ...]:
    count = sum(name.startswith("student_") for name in stored)
    return tuple(
        Pair(
            torch.from_numpy(stored[f"student_{i}"]).requires_grad_(True),
            torch.from_numpy(stored[f"teacher_{i}"]),
        )
        for i in range(count)
    )


def kept_of(
    stored: dict[str, np.ndarray[Any, Any]], case: dict[str, Any], pairs: tuple[Pair, ...]
) -> Tensor:
    given = case["hyper_parameters"].get("kept")
    if given is None:
        return torch.ones(len(pairs[0].student), len(pairs), dtype=torch.bool)
    names = [given] if isinstance(given, str) else given
    return torch.stack([torch.from_numpy(stored[name]) for name in names], dim=1)


def assert_close(found: Tensor, expected: np.ndarray[Any, Any], tolerance: float) -> None:
    """Gap relative to the largest entry, where the public code is finite; ours always is."""
    finite = np.isfinite(expected)
    largest = max(float(np.abs(expected[finite]).max()), 1e-8)
    assert np.isfinite(found.numpy()).all()
    assert float(np.abs(found.numpy() - expected)[finite].max()) <= tolerance * largest


@pytest.mark.parametrize(("name", "case"), CASES)
def test_loss_and_gradient_are_those_of_the_public_code(name: str, case: dict[str, Any]) -> None:
    value, _ = DIFFERENT.get((name, case["case"]), (case["expected_loss_float64"], ""))
    if value is None:
        return
    stored = load(name)
    renamed = RENAMED.get(OURS[name], {})
    given = {renamed.get(knob, knob): v for knob, v in case["hyper_parameters"].items()}
    knobs = {knob: v for knob, v in given.items() if knob in (*KNOBS, *renamed.values())}
    distiller = made(OURS[name], setting_of("tiny_net_4_3", "tiny_net_6_3"), **knobs)
    pairs = pairs_of(stored)
    kept = kept_of(stored, case, pairs)
    batch = tiny.batch_of(len(kept))
    if "labels" in stored:
        batch = replace(batch, target=torch.from_numpy(stored["labels"]))
    losses = distil(distiller, pairs, batch, kept)
    loss = per_batch(losses)
    assert loss.item() == pytest.approx(value, abs=case["tolerance"]["loss_absolute"])
    if (name, case["case"]) in DIFFERENT:
        return
    if "loss_terms" in case["others"]:
        terms = stored[case["others"]["loss_terms"]]
        assert_close(losses.detach().mean(dim=0), terms, 1e-5)
    if loss.requires_grad:
        loss.backward()
    for i, pair in enumerate(pairs):
        expected = stored[case["gradients"][f"student_{i}"]]
        found = torch.zeros(expected.shape) if pair.student.grad is None else pair.student.grad
        tolerance = case["tolerance"]["gradient_relative_to_its_largest_entry"][f"student_{i}"]
        if tolerance is not None:  # else a residue of rounding
            assert_close(found, expected, tolerance)


def test_every_loss_of_the_reference_is_compared_or_listed() -> None:
    losses = {name for name in ENTRIES if ENTRIES[name]["kind"] == "loss"}
    assert losses - {*OURS, *NOT_YET, "sakd_gumbel_softmax"} == set()
    assert set(OURS).isdisjoint(NOT_YET)


def test_choices_and_their_gradients_are_those_of_the_public_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored, (case,) = load("sakd_gumbel_softmax"), ENTRIES["sakd_gumbel_softmax"]["cases"]
    logits = torch.from_numpy(stored["logits"]).requires_grad_(True)
    weights = torch.from_numpy(stored["weights"])
    given = torch.from_numpy(stored[case["others"]["gumbel_noise"]])
    monkeypatch.setattr(
        torch.Tensor, "exponential_", lambda self, generator: self.copy_((-given).exp())
    )
    policy = Learned(
        1, logits.shape[1], False, gumbel_temperature=case["hyper_parameters"]["temperature"]
    )
    policy.head = nn.Identity()
    decision = policy(logits.flatten(1))
    # Of two equal scores the public code takes the first; a draw has none, and ours the second.
    soft = stored[case["others"]["soft"]]
    is_tie = torch.from_numpy(soft[..., 0] == soft[..., 1])
    keep = torch.from_numpy(stored[case["others"]["keep"]])
    assert torch.equal(decision.kept | is_tie, keep | is_tie)
    assert int(is_tie.sum()) <= 1
    route = decision.route + is_tie * (1 - decision.route.detach())
    loss = (weights[..., 0] * route + weights[..., 1] * (1 - route)).sum()
    expected = case["expected_loss_float64"]
    assert loss.item() == pytest.approx(expected, abs=case["tolerance"]["loss_absolute"])
    loss.backward()
    tolerance = case["tolerance"]["gradient_relative_to_its_largest_entry"]["logits"]
    assert_close(logits.grad, stored[case["gradients"]["logits"]], tolerance)
