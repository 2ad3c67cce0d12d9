from __future__ import annotations

import pytest

from engine.runs.diff import diff_runs
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.worker import drive

from .fakes import began, evaluated, execute, spec_of, step


@pytest.fixture
def pair(workspace: Workspace) -> tuple[RunFolder, RunFolder]:
    return workspace.create(spec_of(), Meta()), workspace.create(spec_of(), Meta())


def test_two_runs_of_one_spec_do_not_differ(pair: tuple[RunFolder, RunFolder]) -> None:
    for run in pair:
        drive(run, execute)
    found = diff_runs(*pair)
    assert found.is_equal
    assert (found.spec, found.results, found.weights) == ((), "", "")


def test_specs_are_compared_for_information(workspace: Workspace) -> None:
    a, b = (workspace.create(spec_of(epochs=e, seed=e), Meta()) for e in (1, 2))
    found = diff_runs(a, b)
    assert found.spec == ("schedule.epochs: 1 / 2", "seed: 1 / 2")
    assert found.is_equal


def test_the_first_difference_of_the_results_is_named(pair: tuple[RunFolder, RunFolder]) -> None:
    a, b = pair
    a.log.append([began(1), step((0, 0, 1)), evaluated((0, 1, 0))])
    b.log.append([began(1), step((0, 0, 1)), evaluated((0, 1, 0), figures={"accuracy": 0.25})])
    found = diff_runs(a, b)
    assert found.results == (
        "result 2, Evaluated at phase 0, epoch 1, step 0: figures.accuracy: 0.5 / 0.25"
    )
    assert not found.is_equal


def test_a_longer_log_differs(pair: tuple[RunFolder, RunFolder]) -> None:
    a, b = pair
    a.log.append([began(1)])
    b.log.append([began(1), step((0, 0, 1))])
    assert diff_runs(a, b).results == (
        "only the second run has StepTaken at phase 0, epoch 0, step 1"
    )
    assert diff_runs(b, a).results.startswith("only the first run has StepTaken")


def test_weights_are_compared_by_the_caller(pair: tuple[RunFolder, RunFolder]) -> None:
    found = diff_runs(*pair, weights=lambda a, b: f"{a.id} / {b.id}")
    assert found.weights == f"{pair[0].id} / {pair[1].id}"
    assert not found.is_equal
