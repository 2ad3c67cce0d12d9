"""Losses and gradients against the numbers of the public implementations.

DISTILL_REFERENCE names another folder of such numbers; shapes and sizes are read from it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.data.batch import Batch
from engine.distillers import Distiller, Pair, Setting, distil, singular
from engine.distillers.overhaul import margins
from engine.methods.base import per_batch
from engine.methods.spot_policy import Learned
from engine.nets.staged import Kind, Norm, Tap

from .conftest import made, setting_of

Stored = Mapping[str, NDArray[Any]]

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
    "vid": "vid",
    "sakd_vid": "vid",
    "ab": "ab",
    "fsp": "fsp",
    "kdsvd": "kdsvd",
    "sakd_kdsvd": "kdsvd",
    "crd_first_step": "crd",
    "crd_later_step": "crd",
    "sakd_crd": "crd",
    "ofd": "ofd",
    "reviewkd_hcl": "reviewkd",
    "reviewkd_total": "reviewkd",
}


@dataclass(frozen=True)
class Traced:
    """An entry whose inputs are what taps see: it goes through `project`, learnt parts and all.

    A vector is the embedding; map number i is a stage.

    first:      the feature that input 0 is: 0 for the stem, 1 for the first stage
    inner:      what follows a stage's name, as in stage1.pre
    parameters: (pattern of the entry's name, ours) for the parts that learn
    doubles:    each map counts twice the one before, which the entry's terms do not show yet
    """

    first: int = 1
    inner: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    doubles: bool = False

    def tap(self, name: str, value: NDArray[Any]) -> str:
        """The tap that sees input `student_3`."""
        if value.ndim == 2:
            return "embedding"
        number = self.first + int(name.rpartition("_")[2])
        return (f"stage{number}" if number else "stem") + self.inner

    def parameter(self, name: str) -> str:
        """Our name of `param_0_weight`."""
        for pattern, ours in self.parameters:
            if re.fullmatch(pattern, name):
                return re.sub(pattern, ours, name)
        raise AssertionError(f"{name} is not in the table")


VID = Traced(
    parameters=(
        (r"param_(\d+)_regressor_(\d+)_weight", r"regressors.\1.\2.weight"),
        (r"param_(\d+)_log_scale", r"log_scales.\1"),
    )
)

CRD = Traced(
    parameters=(
        (r"param_embed_s_(\w+)", r"embed_student.\1"),
        (r"param_embed_t_(\w+)", r"embed_teacher.\1"),
    )
)
OFD = Traced(
    inner=".pre",
    parameters=(
        (r"param_connector_weight_(\d+)", r"connectors.\1.0.weight"),
        (r"param_connector_bn_(\w+)_(\d+)", r"connectors.\2.1.\1"),
    ),
    doubles=True,
)
REVIEW = Traced(
    first=0,
    parameters=(
        (r"param_abf_(\d+)_conv1_(\d)_(\w+)", r"enter.\1.\2.\3"),
        (r"param_abf_(\d+)_conv2_(\d)_(\w+)", r"leave.\1.\2.\3"),
        *((rf"param_abf_{n}_att_conv_0_(\w+)", rf"attend.{n - 1}.weigh.0.\1") for n in range(1, 9)),
    ),
)

# Entry -> how it goes through `project`; the others hold the pairs to be measured.
TRACED = {
    "vid": VID,
    "sakd_vid": VID,
    "ab": Traced(inner=".pre"),
    "fsp": Traced(first=0),
    "kdsvd": Traced(),
    "sakd_kdsvd": Traced(),
    "crd_first_step": CRD,
    "crd_later_step": CRD,
    "sakd_crd": CRD,
    "ofd": OFD,
    "reviewkd_total": REVIEW,
}

# Entries of one or two codes: each comes nearer to the teacher's, the second one parts from it.
CODES = ("ie_inheritance", "ie_exploration", "ie_difference", "ie_zero_sample")

# Entry -> why it is not one distiller's loss.
NOT_OFFERED = {
    "cka": "a measure, which nobody goes down; compared in tests/measures/test_cka.py",
    "dml": "each net learns from the other; compared in a test of its own",
    "ie_reconstruction": "the loss of coder's first phase; compared in a test of its own",
    "kd_with_cross_entropy": "a distiller has no task loss; compared in a test of its own",
    "logit_standardised_kd": "another distiller, which we do not have",
    "kdsvd_mdistiller": "its matrix stacks channels on rows: vectors over image columns",
    "ofd_original": "the loss of ofd in another scale; compared in a test of its own",
    "sakd_gumbel_softmax": "the choice of a policy; compared in a test of its own",
}

# (entry, case) -> (what we give instead, why); None where nothing of ours is comparable.
DIFFERENT: dict[tuple[str, str], tuple[float | None, str]] = {
    ("sakd_rkd", "k1"): (0.0, "the public code divides by the mean of nothing and gives NaN"),
    ("sakd_ft", "k0"): (0.0, "the public code falls back to the loss of everybody"),
    ("sakd_cc", "k1"): (0.0, "one sample has no neighbour: the public code gives NaN"),
}

KNOBS = ("temperature", "power", "margin", "momentum", "distance_weight", "angle_weight")
RENAMED = {
    "ft": {"p2": "gap_power"},
    "kdsvd": {"k": "num_vectors"},
    "dist": {"beta": "within_image", "gamma": "within_class"},
    "dkd": {"alpha": "target_weight", "beta": "others_weight"},
}


def cases_of(names: Iterable[str]) -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}-{case['case']}")
        for name in names
        for case in ENTRIES[name]["cases"]
    ]


def load(name: str) -> dict[str, NDArray[Any]]:
    with np.load(FOLDER / ENTRIES[name]["file"]) as found:
        return dict(found)


def inputs_of(stored: Stored, side: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """`student_0`, `student_1`, ... with their values; numbers may be missing."""
    names = [name for name in stored if re.fullmatch(rf"{side}_\d+", name)]
    for name in sorted(names, key=lambda name: int(name.rpartition("_")[2])):
        yield name, stored[name]


@dataclass(frozen=True)
class Given:
    """A distiller before what an entry holds.

    leaves: name in the entry -> the tensor whose gradient it tells
    """

    distiller: Distiller
    pairs: tuple[Pair, ...]
    leaves: dict[str, Tensor]


def given(name: str, stored: Stored, knobs: Mapping[str, Any]) -> Given:
    if name in TRACED:
        return traced(name, stored, knobs)
    leaves = {
        found: torch.from_numpy(value).requires_grad_(True)
        for found, value in inputs_of(stored, "student")
    }
    theirs = [torch.from_numpy(value) for _, value in inputs_of(stored, "teacher")]
    pairs = tuple(map(Pair, leaves.values(), theirs))
    distiller = made(OURS[name], setting_of("tiny_net_4_3", "tiny_net_6_3"), **knobs)
    return Given(distiller, pairs, leaves)


def traced(name: str, stored: Stored, knobs: Mapping[str, Any]) -> Given:
    way = TRACED[name]
    if "memory_student_before" in stored:
        knobs = {**knobs, "width": stored["memory_student_before"].shape[1]}
    distiller = made(OURS[name], setting_for(stored, way), **knobs).train()
    leaves: dict[str, Tensor] = {}
    traces: dict[str, dict[str, Tensor]] = {"student": {}, "teacher": {}}
    for side, trace in traces.items():
        for found, value in inputs_of(stored, side):
            leaves[found] = torch.from_numpy(value).requires_grad_(True)
            trace[way.tap(found, value)] = leaves[found]
    parameters = dict(distiller.named_parameters())
    for found in (found for found in stored if found.startswith("param_")):
        value, parameter = torch.from_numpy(stored[found]), parameters.pop(way.parameter(found))
        assert value.shape == parameter.shape
        with torch.no_grad():
            parameter.copy_(value)
        leaves[found] = parameter
    assert not parameters, "every learnt part is given"
    if "memory_student_before" in stored:
        remind(distiller, stored)
    return Given(distiller, distiller.project(traces["student"], traces["teacher"]), leaves)


def setting_for(stored: Stored, way: Traced) -> Setting:
    student, teacher = (
        taps_of({way.tap(name, value): value.shape[1:] for name, value in inputs_of(stored, side)})
        for side in ("student", "teacher")
    )
    rows = len(stored.get("memory_student_before", stored["student_0"]))
    return Setting(
        student=student,
        teacher=teacher,
        targets=torch.arange(rows) % 2,
        num_classes=2,
        seed=0,
        norms={
            way.tap(name, value): norm_of(stored, name.rpartition("_")[2])
            for name, value in inputs_of(stored, "teacher")
            if "teacher_bn_weight_0" in stored
        },
    )


def norm_of(stored: Stored, number: str) -> Norm:
    """The norm that gave a teacher's map."""
    scale, shift = (
        torch.from_numpy(stored[f"teacher_bn_{part}_{number}"]) for part in ("weight", "bias")
    )
    return Norm(scale, shift, torch.ones_like(scale), torch.zeros_like(shift))


def remind(distiller: Distiller, stored: Stored) -> None:
    """Give a contrasting distiller the memories and negatives of an entry."""
    with torch.no_grad():
        for side in ("student", "teacher"):
            memory = getattr(distiller, f"memory_{side}")
            memory.copy_(torch.from_numpy(stored[f"memory_{side}_before"]))
        distiller.totals.copy_(torch.from_numpy(stored["contrast_params_before"][2:4]))
    size = len(stored["memory_student_before"])
    others = dict(zip(stored["index"].tolist(), stored["contrast_index"][:, 1:], strict=True))

    def negatives(batch: Batch) -> tuple[Tensor, Tensor]:
        counts = [np.bincount(others[index], minlength=size) for index in batch.index.tolist()]
        return torch.arange(size), torch.tensor(np.stack(counts), dtype=torch.float32)

    distiller.num_negatives = stored["contrast_index"].shape[1] - 1
    distiller.negatives = negatives


def taps_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tap]:
    """The taps of a net that has these signals; stem, embedding and logits are added."""
    filled = {"stem": (1, 1, 1)} | dict(shapes)
    filled = filled | {"embedding": shapes.get("embedding", (1,)), "logits": (2,)}
    kinds: dict[int, Kind] = {1: "vector", 3: "map"}
    taps = {}
    for name, shape in filled.items():
        kind: Kind = "logits" if name == "logits" else kinds[len(shape)]
        taps[name] = taps[name.partition(".")[0]] = Tap(shape, kind, "linear")
    return taps


def kept_of(stored: Stored, case: dict[str, Any], pairs: tuple[Pair, ...]) -> Tensor:
    told = case["hyper_parameters"].get("kept")
    if told is None:
        return torch.ones(len(pairs[0].student), len(pairs), dtype=torch.bool)
    names = [told] if isinstance(told, str) else told[: len(pairs)]
    return torch.stack([torch.from_numpy(stored[name]) for name in names], dim=1)


def assert_close(found: Tensor, expected: NDArray[Any], tolerance: float) -> None:
    """Gap relative to the largest entry, where the public code is finite; ours always is."""
    finite = np.isfinite(expected)
    largest = max(float(np.abs(expected[finite]).max()), 1e-8)
    assert np.isfinite(found.numpy()).all()
    assert float(np.abs(found.numpy() - expected)[finite].max()) <= tolerance * largest


@pytest.mark.parametrize(("name", "case"), cases_of(OURS))
def test_loss_and_gradient_are_those_of_the_public_code(
    name: str, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The public code takes singular vectors with the sign that the routine happens to give.
    monkeypatch.setattr(singular, "of_one_sign", lambda vectors: vectors)
    value, _ = DIFFERENT.get((name, case["case"]), (case["expected_loss_float64"], ""))
    if value is None:
        return
    stored = load(name)
    renamed = RENAMED.get(OURS[name], {})
    told = {renamed.get(knob, knob): v for knob, v in case["hyper_parameters"].items()}
    knobs = {knob: v for knob, v in told.items() if knob in (*KNOBS, *renamed.values())}
    ours = given(name, stored, knobs)
    kept = kept_of(stored, case, ours.pairs)
    batch = tiny.batch_of(len(kept))
    if "labels" in stored:
        batch = replace(batch, target=torch.from_numpy(stored["labels"]))
    if "index" in stored:
        batch = replace(batch, index=torch.from_numpy(stored["index"]))
    losses = distil(ours.distiller, ours.pairs, batch, kept)
    loss = per_batch(losses)
    tolerance = case["tolerance"]["loss_absolute"]
    assert loss.item() == pytest.approx(value, abs=tolerance)
    if (name, case["case"]) in DIFFERENT:
        return
    if "loss_terms" in case["others"]:
        terms = stored[case["others"]["loss_terms"]]
        if TRACED.get(name, Traced()).doubles:
            terms = terms * 0.5 ** np.arange(len(terms))[::-1]
        assert losses.mean(dim=0).tolist() == pytest.approx(terms.tolist(), abs=tolerance)
    if loss.requires_grad:
        loss.backward()
    for leaf, key in case["gradients"].items():
        assert_gradient(ours.leaves[leaf], stored[key], case, leaf)
    if "memory_student_after" in case["others"]:
        ours.distiller.remember(ours.pairs, batch, kept)
        after = {name: stored[key] for name, key in case["others"].items()}
        for side in ("student", "teacher"):
            memory = getattr(ours.distiller, f"memory_{side}")
            assert_close(memory, after[f"memory_{side}_after"], 1e-5)
        assert_close(ours.distiller.totals, after["contrast_params_after"][2:4], 1e-5)


def assert_gradient(leaf: Tensor, expected: NDArray[Any], case: dict[str, Any], name: str) -> None:
    tolerance = case["tolerance"]["gradient_relative_to_its_largest_entry"][name]
    found = torch.zeros(expected.shape) if leaf.grad is None else leaf.grad
    if tolerance is not None:  # else a residue of rounding
        assert_close(found, expected, tolerance)


def test_every_loss_of_the_reference_is_compared_or_listed() -> None:
    losses = {name for name in ENTRIES if ENTRIES[name]["kind"] == "loss"}
    listed = [*OURS, *CODES, *NOT_OFFERED]
    assert losses - set(listed) == set()
    assert len(set(listed)) == len(listed)
    assert set(TRACED) <= set(OURS)
    with_parts = {name for name in OURS if any("param_" in key for key in ENTRIES[name]["inputs"])}
    assert with_parts <= set(TRACED)


def test_soft_labels_beside_labels_are_those_of_the_public_code() -> None:
    stored, (case,) = load("kd_with_cross_entropy"), ENTRIES["kd_with_cross_entropy"]["cases"]
    alpha, temperature = (case["hyper_parameters"][name] for name in ("alpha", "temperature"))
    ours = given("kd", stored, {"temperature": temperature})
    labels = torch.from_numpy(stored["labels"])
    (pair,) = ours.pairs
    soft = ours.distiller.measure(pair, tiny.batch_of(len(labels))).mean()
    loss = (1 - alpha) * F.cross_entropy(pair.student, labels) + alpha * soft
    expected = case["expected_loss_float64"]
    assert loss.item() == pytest.approx(expected, abs=case["tolerance"]["loss_absolute"])
    loss.backward()
    assert_gradient(
        ours.leaves["student_0"], stored[case["gradients"]["student_0"]], case, "student_0"
    )


@pytest.mark.parametrize(("name", "case"), cases_of(CODES))
def test_codes_come_nearer_and_part_as_in_the_public_code(name: str, case: dict[str, Any]) -> None:
    stored, told = load(name), case["hyper_parameters"]
    distance = {1: "l1", 2: "l2"}.get(told.get("p"), "cosine")
    coder = made("coder", setting_of("tiny_net_4_3", "tiny_net_6_3"), distance=distance)
    leaves = {
        found: torch.from_numpy(value).requires_grad_(True)
        for found, value in inputs_of(stored, "student")
    }
    ((_, theirs),) = inputs_of(stored, "teacher")
    batch, teacher = tiny.batch_of(len(theirs)), torch.from_numpy(theirs)
    measures = [coder.repel] if told.get("negative") else [coder.measure, coder.repel]
    loss = torch.zeros(())
    for leaf, measure in zip(leaves.values(), measures, strict=False):
        loss = loss + measure(Pair(leaf, teacher), batch).mean()
    expected = case["expected_loss_float64"]
    assert loss.item() == pytest.approx(expected, abs=case["tolerance"]["loss_absolute"])
    loss.backward()
    for leaf_name, key in case["gradients"].items():
        assert_gradient(leaves[leaf_name], stored[key], case, leaf_name)


@pytest.mark.parametrize(
    "case", ENTRIES["ie_reconstruction"]["cases"], ids=lambda case: case["case"]
)
def test_an_auto_encoder_learns_by_the_loss_of_the_public_code(case: dict[str, Any]) -> None:
    stored, power = load("ie_reconstruction"), case["hyper_parameters"]["norm"]
    again, feature = (torch.from_numpy(stored[name]) for name in ("student_0", "teacher_0"))
    coder = made("coder", setting_of("tiny_net_4_3", "tiny_net_6_3"), power=power)
    (spot,) = coder.spots
    again.requires_grad_(True)
    coder.auto_encoder.forward = lambda _: again
    loss = coder.reconstruction({}, {spot.teacher: feature}).mean()
    # With 2 the public code takes the root over the whole batch, and ours does not.
    loss = loss.sqrt() if power == 2 else loss
    expected = case["expected_loss_float64"]
    assert loss.item() == pytest.approx(expected, abs=case["tolerance"]["loss_absolute"])
    loss.backward()
    assert_gradient(again, stored[case["gradients"]["student_0"]], case, "student_0")


@pytest.mark.parametrize("case", ENTRIES["dml"]["cases"], ids=lambda case: case["case"])
def test_a_peer_is_a_teacher_at_temperature_1(case: dict[str, Any]) -> None:
    stored, sides = load("dml"), ("student_0", "teacher_0")
    learner, peer = sides if case["case"] == "student_learns" else sides[::-1]
    leaf, answer = torch.from_numpy(stored[learner]), torch.from_numpy(stored[peer])
    leaf.requires_grad_(True)
    kd = made("kd", setting_of("tiny_net_4_3", "tiny_net_6_3"), temperature=1.0)
    loss = kd.measure(Pair(leaf, answer), tiny.batch_of(len(answer))).mean()
    expected = case["expected_loss_float64"]
    assert loss.item() == pytest.approx(expected, abs=case["tolerance"]["loss_absolute"])
    loss.backward()
    assert_gradient(leaf, stored[case["gradients"][learner]], case, learner)


@pytest.mark.parametrize("name", ["ofd", "ofd_original"])
def test_margins_are_those_of_the_public_code(name: str) -> None:
    stored, (case, *_) = load(name), ENTRIES[name]["cases"]
    told = {key: stored[value] for key, value in case["others"].items() if "margin" in key}
    assert told
    for key, expected in told.items():
        norm = norm_of(stored, key.rpartition("_")[2])
        assert_close(margins(norm.scale, norm.shift), expected.reshape(-1), 1e-5)


@pytest.mark.parametrize("case", ENTRIES["ofd_original"]["cases"], ids=lambda case: case["case"])
def test_the_paper_and_mdistiller_scale_one_loss_for_what_fires(case: dict[str, Any]) -> None:
    stored, norm = load("ofd_original"), norm_of(load("ofd_original"), "0")
    student = torch.from_numpy(stored["student_0"]).requires_grad_(True)
    aim = torch.maximum(
        torch.from_numpy(stored["teacher_0"]), margins(norm.scale, norm.shift)[:, None, None]
    )
    distiller = made("ofd", setting_of("tiny_net_4_3", "tiny_net_6_3"))
    loss = distiller.measure(Pair(student, aim), tiny.batch_of(len(aim))).mean()
    loss = loss * {"sum": len(aim), "training_scale": 1e-3, "mdistiller_mean": 1}[case["case"]]
    expected = case["expected_loss_float64"]
    assert loss.item() == pytest.approx(expected, abs=case["tolerance"]["loss_absolute"])
    loss.backward()
    assert_gradient(student, stored[case["gradients"]["student_0"]], case, "student_0")


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
