"""Distill asks for what the chosen method needs, and offers what it may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import jobs
from engine.runs.folder import Workspace
from engine.runs.job_process import JobProcess, JobState
from engine.spec import parse_spec
from tests.pages.conftest import Open

COPIED = ("What is copied", "What the student copies, besides the answers")


@pytest.fixture(scope="module")
def catalogue() -> Mapping[str, Any]:
    return jobs.catalogue()


@pytest.fixture
def page(open_page: Open, monkeypatch: pytest.MonkeyPatch, catalogue: Mapping[str, Any]) -> AppTest:
    from engine.api import Studio

    check: dict[str, object] = {"errors": [], "warnings": [], "costs": {}}

    def ask(_: object, kind: str, *_args: object, **_more: object) -> JobState:
        return JobState("done", check) if kind == "check" else JobState("waiting")

    monkeypatch.setattr(JobProcess, "ask", ask)
    monkeypatch.setattr(Studio, "catalogue", lambda _, **_more: catalogue)
    monkeypatch.setattr(Studio, "is_working", lambda _: True)
    return open_page("distill")


def box(app: AppTest, *labels: str) -> Any:
    return next(one for one in app.selectbox if one.label in labels)


def choose(app: AppTest, method: str) -> None:
    box(app, "Method", "How the student learns").set_value(method).run()
    assert not app.exception


def spec_of(app: AppTest) -> Any:
    return parse_spec(str(app.code[0].value))


def titles(catalogue: Mapping[str, Any], names: list[str]) -> list[str]:
    by_name = {entry["name"]: entry["title"] for entry in catalogue["distillers"]}
    return [by_name[name] for name in names]


def test_a_method_offers_the_distillers_that_it_can_work_with(
    page: AppTest, catalogue: Mapping[str, Any]
) -> None:
    choose(page, "inherit_explore")
    assert box(page, *COPIED).options == titles(catalogue, ["coder", "at", "ofd"])
    assert spec_of(page).distiller.name == "at", "the one that was chosen is one of them"
    choose(page, "spot_adaptive")
    box(page, *COPIED).set_value("rkd").run()
    choose(page, "inherit_explore")
    assert spec_of(page).distiller.name == "coder"


def test_a_method_brings_the_weights_that_a_distiller_needs_in_it(page: AppTest) -> None:
    assert spec_of(page).distiller.name == "at"
    choose(page, "inherit_explore")
    assert spec_of(page).distiller.knobs == {"weight": 100.0}
    assert spec_of(page).method.knobs == {"explore_weight": 100.0}
    box(page, *COPIED).set_value("ofd").run()
    assert spec_of(page).distiller.knobs == spec_of(page).method.knobs == {}
    box(page, *COPIED).set_value("at").run()
    assert spec_of(page).distiller.knobs == {"weight": 100.0}
    choose(page, "spot_adaptive")
    assert "weight" not in spec_of(page).distiller.knobs
    assert "explore_weight" not in spec_of(page).method.knobs


def test_weights_are_brought_to_a_preset_whose_distiller_is_changed(
    page: AppTest, open_page: Open
) -> None:
    page = open_page("distill", preset="ie-demo")  # the fixture has answered its jobs
    assert spec_of(page).distiller.name == "coder"
    box(page, *COPIED).set_value("at").run()
    assert spec_of(page).distiller.knobs == {"weight": 100.0}
    assert spec_of(page).method.knobs["explore_weight"] == 100.0


def test_a_part_that_a_method_may_have_is_left_out_until_it_is_asked_for(page: AppTest) -> None:
    page.session_state["mode"] = "expert"
    page.run()
    choose(page, "inherit_explore")
    assert spec_of(page).policy is None
    next(one for one in page.toggle if one.label == "With a policy").set_value(True).run()
    assert not page.exception
    assert spec_of(page).policy is not None


def test_without_a_teacher_nets_may_learn_together(page: AppTest) -> None:
    next(one for one in page.toggle if one.label == "A teacher helps").set_value(False).run()
    assert not page.exception
    choose(page, "mutual")
    found = spec_of(page)
    assert found.method.name == "mutual"
    assert found.teacher is None and found.distiller is None and found.policy is None


def test_nets_that_learn_together_are_compared_with_one_alone(
    page: AppTest, workspace: Workspace
) -> None:
    next(one for one in page.toggle if one.label == "A teacher helps").set_value(False).run()
    toggle = next(one for one in page.toggle if one.label == "Also train the student alone")
    assert toggle.disabled, "it is the student alone already"
    choose(page, "mutual")
    next(one for one in page.button if "Queue 2 runs" in one.label).click().run()
    specs = {run.meta().role: run.spec() for run in workspace.runs()}
    assert {role: spec.method.name for role, spec in specs.items()} == {
        "alone": "alone",
        "student": "mutual",
    }
    assert specs["alone"].student == specs["student"].student
