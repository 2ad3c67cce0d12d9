"""The bench of a step: what it measures is checked by its own arithmetic, not by the clock."""

from __future__ import annotations

import itertools
import json

import pytest
from typer.testing import CliRunner

from engine import step_bench
from engine.cli import app
from engine.runs.executors.process import TUNED
from engine.step_bench import bench_steps


def test_ratios_are_of_medians_and_a_spread_policy_counts_each_of_its_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # seconds of bare, ordinary, then learned at share 1 (exact, spread), at share .5 (same)
    told = [2.0, 3.0, 6.0, 16.0, 9.0, 24.0]
    outlier = [100.0] * 6
    clock = itertools.chain(outlier, told, outlier, told)
    monkeypatch.setattr(step_bench, "_timed", lambda steps, count, device: next(clock))
    full, half = bench_steps(
        "resnet8", "resnet8", ["kd"], precision="float32", device="cpu", rounds=3
    )
    assert (full["share"], half["share"]) == (1.0, 0.5)
    for row, adaptive, amortised in ((full, 2.0, 4 / 3), (half, 3.0, 2.0)):
        assert row["bare_s"] == 2.0
        assert row["ordinary_over_bare"] == 1.5
        assert row["adaptive_over_ordinary"] == adaptive
        assert row["amortised_over_ordinary"] == pytest.approx(amortised)


def test_the_terminal_ends_with_one_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TUNED.items():
        monkeypatch.setenv(name, value)
    options = "--teacher resnet8 --student resnet8 --distillers at --precisions float32"
    command = ["bench", "step", *options.split(), "--rounds", "1", "--threads", "1", "--json"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    pairs = json.loads(answer.stdout.splitlines()[-1])["pairs"]
    assert [row["share"] for row in pairs] == [1.0, 0.5]
    for row in pairs:
        assert (row["teacher"], row["student"]) == ("resnet8", "resnet8")
        assert (row["distiller"], row["precision"]) == ("at", "float32")
        ratios = ("ordinary_over_bare", "adaptive_over_ordinary", "amortised_over_ordinary")
        assert all(row[ratio] > 0 for ratio in ratios)
        assert row["bare_s"] > 0


@pytest.mark.parametrize(("share", "bias"), [(1.0, 100.0), (0.5, 0.0)])
def test_the_policy_keeps_the_share_it_was_given(share: float, bias: float) -> None:
    import torch

    batch = step_bench._noise(torch.device("cpu"))
    made = step_bench._materials("resnet8", "resnet8", batch, torch.float32, "at", "learned")
    policies = []
    build = made.policy
    assert build is not None
    object.__setattr__(made, "policy", lambda *given: policies.append(build(*given)) or policies[0])
    steps = step_bench._ours(made, share)
    next(steps)
    next(steps)
    (policy,) = policies
    assert torch.allclose(policy.head.bias[0::2], torch.tensor(bias), atol=1e-6)
    assert policy.head.weight.abs().max() < 1e-6
