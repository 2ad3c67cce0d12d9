"""What an experiment of segmenters found: by setting, over seeds."""

from __future__ import annotations

from statistics import stdev
from typing import Any

import pytest

from engine.events import Evaluated, RunEnded, RunStarted
from engine.runs.experiment import Experiment, Member, Planned, create_experiment, figures
from engine.runs.folder import Meta, Workspace
from engine.runs.summary import summary_of_run
from engine.runs.view import RunView, fold
from engine.spec import RunSpec

from .fakes import evaluated, spec_of

MIOU = {"scratch": (0.30, 0.36), "sd": (0.40, 0.42)}


def spec(seed: int) -> RunSpec:
    return spec_of(seed=seed).replace(task="segment")


def measured(split: str, figures: dict[str, float], **changes: Any) -> Evaluated:
    return evaluated((0, 1, 0), split=split, figures=figures, **changes)


@pytest.fixture
def experiment(workspace: Workspace) -> Experiment:
    planned = [
        Planned(f"{label}, seed {seed}", "student", {"seed": seed}, spec(seed))
        for label in MIOU
        for seed in (0, 1)
    ]
    made = create_experiment(workspace, "streets", planned)
    for number, member in enumerate(made.runs):
        label, seed = member.label.split(", seed ")
        value = MIOU[label][int(seed)]
        events = [
            RunStarted(time=0),
            measured(
                "validation", {"miou": 0.1, "variance": 7.0, "feature_distance": 0.9 - number}
            ),
            measured("validation", {"miou": 0.2, "variance": 7.0}),
            measured("test", {"miou": value, "variance": 50.0 + number}),
            measured("test", {"miou": 0.99, "variance": 1.0}, weights="best"),
            measured("test", {"miou": 0.98, "variance": 1.0}, net="teacher", weights="given"),
            RunEnded(time=1, status="finished"),
        ]
        workspace.run(member.run).log.append(events)
    return made


def test_figures_are_means_over_seeds_of_each_label(
    workspace: Workspace, experiment: Experiment
) -> None:
    found = figures(workspace, experiment)
    assert list(found) == ["scratch", "sd"]
    assert found["scratch"]["miou"] == pytest.approx(0.33)
    assert found["scratch"]["miou_std"] == pytest.approx(stdev(MIOU["scratch"]))
    assert found["sd"]["variance"] == pytest.approx(52.5)
    assert found["sd"]["by_seed"]["miou"] == [0.40, 0.42]
    assert found["sd"]["by_seed"]["feature_distance"] == pytest.approx([-1.1, -2.1])


def test_one_seed_has_no_deviation_and_nothing_measured_is_left_out(workspace: Workspace) -> None:
    planned = [Planned("", "student", {}, spec(0)), Planned("sd", "student", {}, spec(1))]
    made = create_experiment(workspace, "streets", planned)
    folder = workspace.run(made.runs[1].run)
    folder.log.append([RunStarted(time=0), measured("validation", {"miou": 0.5, "variance": 4.0})])
    found = figures(workspace, made)
    assert found["student"] == {"by_seed": {}}
    assert found["sd"]["miou"] == 0.5 and found["sd"]["miou_std"] == 0.0


def test_splits_are_not_mixed_when_some_runs_are_not_over(
    workspace: Workspace, experiment: Experiment
) -> None:
    unfinished = workspace.create(spec(2), Meta(name="streets", experiment=experiment.id))
    unfinished.log.append([RunStarted(time=0), measured("validation", {"miou": 0.9})])
    member = Member(run=unfinished.id, role="student", label="sd, seed 2", axes={"seed": 2})
    grown = experiment.model_copy(update={"runs": (*experiment.runs, member)})
    found = figures(workspace, grown)["sd"]
    assert found["by_seed"]["miou"] == [0.40, 0.42]
    assert found["miou"] == pytest.approx(0.41)


def test_other_axes_than_the_seed_make_settings_of_their_own(workspace: Workspace) -> None:
    planned = [
        Planned(f"sd, {cut}, seed 1", "student", {"method.knobs.cut": cut, "seed": 1}, spec(1))
        for cut in ("aspp", "stage4")
    ]
    made = create_experiment(workspace, "streets", planned)
    assert list(figures(workspace, made)) == ["sd, aspp", "sd, stage4"]


def test_the_headline_follows_the_task(workspace: Workspace, experiment: Experiment) -> None:
    folder = workspace.run(experiment.runs[0].run)
    view = fold(RunView(), folder.log.read()[0])
    assert view.headline == "miou" and view.figure("student", weights="last") == 0.30
    summary = summary_of_run(folder)
    assert summary.headline == "miou"
    assert (summary.figures.last_test, summary.figures.best_test) == (0.30, 0.99)
    assert RunView().headline == "accuracy"
