"""Distill with the presets and the parts that there are: what a preset fills in, and whose
settings are said to be in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import jobs
from engine.runs.folder import Workspace
from engine.runs.job_process import JobProcess, JobState

PAIR = "sakd-cifar100-resnet56-resnet20"
SETTINGS = "Preset of these settings"


@pytest.fixture(scope="module")
def catalogue() -> Mapping[str, Any]:
    return jobs.catalogue()


@pytest.fixture(autouse=True)
def no_job_process(monkeypatch: pytest.MonkeyPatch, catalogue: Mapping[str, Any]) -> None:
    from engine.api import Studio

    check: dict[str, object] = {"errors": [], "warnings": [], "costs": {}}

    def ask(_: object, kind: str, *_args: object, **_more: object) -> JobState:
        return JobState("done", check) if kind == "check" else JobState("waiting")

    monkeypatch.setattr(JobProcess, "ask", ask)
    monkeypatch.setattr(Studio, "catalogue", lambda _, **_more: catalogue)
    monkeypatch.setattr(Studio, "is_working", lambda _: True)


def labelled(widgets: Any, label: str) -> Any:
    return next(one for one in widgets if one.label == label)


def in_use(app: AppTest) -> str:
    return str(labelled(app.main.segmented_control, SETTINGS).value)


def options(app: AppTest) -> list[str]:
    return list(labelled(app.main.segmented_control, SETTINGS).options)


def use(app: AppTest, name: str) -> None:
    labelled(app.main.segmented_control, SETTINGS).set_value(name).run()
    assert not app.exception


def copy(app: AppTest, distiller: str) -> None:
    labelled(app.selectbox, "What is copied").set_value(distiller).run()
    assert not app.exception


def spec_of(app: AppTest) -> str:
    """The YAML that the page shows."""
    return str(app.code[0].value)


def captions(app: AppTest) -> str:
    return "\n".join(str(one.value) for one in app.caption)


def test_one_click_fills_the_form_with_a_published_experiment(
    workspace: Workspace, open_page: Any
) -> None:
    app = open_page("distill", preset=PAIR)
    assert not app.exception
    assert in_use(app) == "SAKD"
    assert "All settings are those of the preset" in captions(app)
    next(one for one in app.button if "Queue 4 runs" in one.label).click().run()
    assert not app.exception
    specs = {run.meta().role + str(run.spec().policy): run.spec() for run in workspace.runs()}
    roles = sorted(run.meta().role for run in workspace.runs())
    assert roles == ["alone", "student", "student", "teacher"]
    for spec in specs.values():
        assert spec.schedule.milestones == (150, 180, 210) and spec.seed == 1029
        assert spec.select_on == "test" and spec.data.name == "cifar100"


def test_the_teacher_of_a_slow_student_keeps_its_own_rate(
    workspace: Workspace, open_page: Any
) -> None:
    app = open_page("distill", preset="sakd-cifar100-vgg13-MobileNetV2")
    assert "It keeps the preset's lr 0.05." in captions(app)
    next(one for one in app.button if "Queue 4 runs" in one.label).click().run()
    rates = {run.spec().student.name: run.spec().schedule.lr for run in workspace.runs()}
    assert rates == {"vgg13": 0.05, "MobileNetV2": 0.01}


def test_a_preset_is_found_among_many_by_a_select(open_page: Any) -> None:
    app = open_page("distill")
    choice = labelled(app.selectbox, "Start from")
    assert len(choice.options) > 28
    choice.set_value(PAIR).run()
    assert not app.exception
    assert "name: resnet56" in spec_of(app)


def test_both_codes_weights_are_named_and_can_be_taken(open_page: Any) -> None:
    app = open_page("distill", preset=PAIR, mode="expert")
    copy(app, "fitnet")
    assert in_use(app) == "SAKD"
    told = "SAKD: weight 1, logits weight 1 · RepDistiller: weight 100, logits weight 0"
    assert told in captions(app)
    use(app, "RepDistiller")
    assert in_use(app) == "RepDistiller"
    assert "weight: 100.0" in spec_of(app) and "logits_weight: 0.0" in spec_of(app)
    use(app, "SAKD")
    assert "weight" not in spec_of(app).replace("weights", "")


def test_a_changed_knob_makes_the_settings_one_s_own(open_page: Any) -> None:
    app = open_page("distill", preset=PAIR, mode="expert")
    assert options(app) == ["SAKD", "RepDistiller"]
    labelled(app.number_input, "Power").set_value(4).run()
    assert (in_use(app), options(app)) == ("Own", ["SAKD", "RepDistiller", "Own"])
    use(app, "SAKD")
    assert in_use(app) == "SAKD" and "power" not in spec_of(app)


def test_settings_in_use_stay_in_use_for_another_distiller(open_page: Any) -> None:
    app = open_page("distill", preset=PAIR, mode="expert")
    assert "gamma: 2.0" in spec_of(app)
    copy(app, "sp")
    assert in_use(app) == "SAKD" and "gamma" not in spec_of(app)
    copy(app, "rkd")
    assert in_use(app) == "SAKD" and "gamma: 2.0" in spec_of(app)
    assert "All settings are those of the preset" in captions(app)


def test_settings_in_use_stay_in_use_for_another_data_set(open_page: Any) -> None:
    app = open_page("distill", preset=PAIR, mode="expert")
    copy(app, "sp")
    labelled(app.selectbox, "Images to learn from").set_value("tiny_imagenet").run()
    assert not app.exception
    assert in_use(app) == "SAKD" and "gamma: 2.0" in spec_of(app)
    labelled(app.selectbox, "Images to learn from").set_value("cifar10").run()
    assert in_use(app) == "SAKD" and "gamma" not in spec_of(app)


def test_a_preset_sets_the_batch_that_a_distiller_was_published_with(open_page: Any) -> None:
    app = open_page("distill", preset="sakd-cifar100-wrn_40_2-ShuffleNetV1", mode="expert")
    copy(app, "nst")
    assert "batch: 32" in spec_of(app)
    assert "All settings are those of the preset" in captions(app)
    copy(app, "at")
    assert "batch" not in spec_of(app)


def test_what_only_a_learned_policy_uses_is_not_asked_of_others(open_page: Any) -> None:
    app = open_page("distill", preset=PAIR, mode="expert")
    labelled(app.multiselect, "Policies to compare").set_value([]).run()
    labelled(app.selectbox, "Where it is taught").set_value("all").run()
    assert in_use(app) == "SAKD"
    assert "gamma" not in spec_of(app)
    labelled(app.selectbox, "Where it is taught").set_value("learned").run()
    assert in_use(app) == "SAKD"
    assert "gamma: 2.0" in spec_of(app)


def test_a_policy_to_compare_brings_what_it_uses_at_once(open_page: Any) -> None:
    app = open_page("distill", preset=PAIR, mode="expert")
    compared = labelled(app.multiselect, "Policies to compare")
    labelled(app.selectbox, "Where it is taught").set_value("all")
    compared.set_value([]).run()
    assert "gamma" not in spec_of(app)
    labelled(app.multiselect, "Policies to compare").set_value(["all", "learned"]).run()
    assert "gamma: 2.0" in spec_of(app)


def test_the_guided_form_says_whose_settings_and_which_policies(open_page: Any) -> None:
    app = open_page("distill", preset=PAIR)
    assert in_use(app) == "SAKD"
    assert "One run for each policy: Everywhere, Learned (spot-adaptive)." in captions(app)


def test_published_figures_stand_beside_the_pair_and_no_other(open_page: Any) -> None:
    app = open_page("distill", preset="sakd-cifar100-resnet32x4-resnet8x4")

    def told() -> str:
        return "\n".join(str(one.value) for one in app.markdown)

    assert (
        "Published by RepDistiller**: teacher 79.42 %, student alone 72.50 %, KD 73.33 %" in told()
    )
    assert "Published by SAKD**: AT standard 75.16 %, AT adaptive 75.42 %" in told()
    assert "one seed, best test epoch" in captions(app)
    labelled(app.selectbox, "Images to learn from").set_value("cifar10").run()
    assert "Published" not in told()


def test_a_distiller_that_nobody_published_with_has_no_choice_of_settings(open_page: Any) -> None:
    app = open_page("distill", preset=PAIR, mode="expert")
    copy(app, "dist")
    assert not [one for one in app.main.segmented_control if one.label == SETTINGS]
