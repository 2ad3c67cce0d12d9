"""Each page on an empty workspace and on runs of every status; never a traceback."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.api import Experiment, Studio
from engine.runs.folder import Workspace
from engine.runs.view import RunView, fold
from tests.pages.canned import add_run, ending, underway, whole

PAGES = Path(__file__).resolve().parents[2] / "pages"
NAMES = ("start", "distill", "watch", "runs", "look", "run")


def texts(app: AppTest) -> str:
    """All that is written on the page, buttons' labels included."""
    kinds = (*app.title, *app.markdown, *app.caption, *app.info, *app.warning, *app.error)
    return "\n".join([*(str(one.value) for one in kinds), *(one.label for one in app.button)])


@pytest.fixture(autouse=True)
def no_job_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs stay waiting: these tests start no process."""
    from engine.runs.job_process import JobProcess, JobState

    monkeypatch.setattr(JobProcess, "ask", lambda *_args, **_more: JobState("waiting"))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_framed_on_an_empty_workspace(name: str, open_page) -> None:
    app = open_page(name)
    assert not app.exception
    assert len(app.title) == 1
    assert "Nothing is training" in texts(app)
    assert app.segmented_control(key="mode").value == "guided"


@pytest.mark.parametrize("name", ["start", "watch", "runs"])
def test_a_page_shows_runs_of_every_status(name: str, open_page, canned) -> None:
    app = open_page(name)
    assert not app.exception
    assert "Nothing is training" not in texts(app)


STATUSES = ("taught", "alone", "running", "paused", "queued", "failed", "interrupted", "unreadable")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", ["watch", "run"])
def test_a_run_of_any_status_can_be_opened(name: str, status: str, open_page, canned) -> None:
    app = open_page(name, run=canned[status])
    assert not app.exception
    assert len(app.title) == 1


@pytest.mark.parametrize("run_id", ["nothing-like-it", "../../etc", "a" * 300, "%00"])
@pytest.mark.parametrize("name", ["watch", "run"])
def test_an_id_that_names_no_run_gets_a_sentence(name: str, run_id: str, open_page, canned) -> None:
    app = open_page(name, run=run_id)
    assert not app.exception
    assert "This run cannot be shown" in texts(app)


@pytest.mark.parametrize(
    "tab", ["Curves", "Spots", "Parts", "Efficiency", "Config", "Log", "Files"]
)
def test_every_tab_of_a_run_opens_by_its_address(tab: str, open_page, canned) -> None:
    app = open_page("run", run=canned["taught"], run_tab=tab)
    assert not app.exception


def test_the_overview_tells_gain_and_gap(open_page, canned) -> None:
    told = texts(open_page("run", run=canned["taught"]))
    assert "+11.1 points" in told
    assert "84 % of the gap" in told


def test_a_failed_run_says_why_and_offers_to_resume(open_page, canned) -> None:
    told = texts(open_page("watch", run=canned["failed"]))
    assert "The loss is not finite in phase distil." in told
    assert "Resume" in told


def test_an_interrupted_run_offers_to_resume(open_page, canned) -> None:
    told = texts(open_page("watch", run=canned["interrupted"]))
    assert "The run was cut off" in told
    assert "Resume" in told


def test_an_unreadable_folder_is_told_and_hides_no_other(open_page, canned) -> None:
    told = texts(open_page("run", run=canned["unreadable"]))
    assert "cannot be read" in told
    assert len(open_page("runs").dataframe[0].value) == len(canned)


def test_a_running_run_can_be_paused_and_stopped_from_any_page(
    workspace: Workspace, open_page, canned
) -> None:
    app = open_page("runs")
    app.button(key=f"strip_pause_{canned['running']}").click().run()
    assert not app.exception
    folder = workspace.run(canned["running"])
    assert '"pause"' in (folder.path / "control.json").read_text()


def test_a_paused_run_can_be_continued(workspace: Workspace, open_page, canned) -> None:
    app = open_page("watch", run=canned["paused"])
    assert app.button(key=f"watch_pause_{canned['paused']}").label == "Continue"


def test_watch_follows_the_active_run_where_none_is_named(open_page, canned) -> None:
    assert "Under way" in open_page("watch").title[0].value or "Paused" in texts(open_page("watch"))


def test_without_an_engine_the_page_says_that_it_only_reads(open_page) -> None:
    app = open_page("start")
    assert "no run starts" in texts(app)
    assert next(one for one in app.button if "Try it now" in one.label).disabled


@pytest.mark.parametrize("name", NAMES)
def test_every_page_says_why_the_engine_could_not_be_started(
    name: str, workspace: Workspace, open_page
) -> None:
    from engine.api import studio

    studio(workspace.path).trouble = "another server (process 7) owns the workspace."
    app = open_page(name)
    told = [one.value for one in app.sidebar.warning]
    assert any("Another server (process 7) owns the workspace." in one for one in told)
    assert len([one for one in app.main.warning if "process 7" in one.value]) == (name == "start")


def test_a_workspace_that_cannot_be_used_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page
) -> None:
    place = tmp_path / "file"
    place.write_text("")
    monkeypatch.setenv("DISTILL_WORKSPACE", str(place))
    for name in NAMES:
        app = open_page(name)
        assert not app.exception
        assert "The workspace cannot be used" in texts(app)


def test_notes_and_tags_are_kept(workspace: Workspace, open_page, canned) -> None:
    app = open_page("run", run=canned["taught"])
    next(one for one in app.text_input if one.label == "Tags").set_value("a, b, a")
    next(one for one in app.button if one.label == "Keep").click().run()
    assert not app.exception
    assert workspace.run(canned["taught"]).meta().tags == ("a", "b")


def test_a_search_narrows_the_table(open_page, canned) -> None:
    app = open_page("runs", runs_search="too fast")
    assert len(app.dataframe[0].value) == 1


def test_expert_shows_more_columns(open_page, canned) -> None:
    app = open_page("runs", mode="expert")
    assert not app.exception
    assert app.segmented_control(key="mode").value == "expert"


def test_a_thousand_runs_are_listed_in_a_second(workspace: Workspace, open_page) -> None:
    """Of server time, once their summaries are known; twice that here, on shared cores."""
    import time

    for nth in range(1000):
        add_run(workspace, [], role="taught", name=f"Run {nth}")
    app = open_page("runs")
    began = time.perf_counter()
    app.run()
    assert time.perf_counter() - began < 2
    assert len(app.dataframe[0].value) == 1000


def test_pages_import_neither_torch_nor_more_of_the_engine_than_its_door() -> None:
    for path in PAGES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("torch"), path
                assert not name.startswith("engine") or name == "engine.api", path


def test_charts_do_not_know_streamlit() -> None:
    for path in (PAGES / "charts").glob("*.py"):
        assert "streamlit" not in path.read_text().replace("Streamlit's theme", ""), path


def draw(events: list) -> None:
    """A page of its own with the live accuracy chart and heat map."""
    import streamlit as st

    from pages.charts.curve import Line, Look
    from pages.parts.run_figures import accuracy_plot, spots_plot

    view = st.session_state["view"]
    accuracy_plot([Line("t", "Taught", "taught", view)], Look(), key="accuracy", keep="t")
    spots_plot(view, key="spots", keep="t")


def test_a_live_chart_keeps_its_identity_over_two_versions_of_its_data() -> None:
    ids = []
    app = AppTest.from_function(draw, args=([],))
    for events in (underway("taught", done=1), whole("taught")):
        app.session_state["view"] = fold(RunView(), events)
        app.run()
        assert not app.exception
        plots = [one for one in app.main if one.type == "bidi_component"]
        ids.append([one.proto.id for one in plots])
    assert len(ids[0]) == 2
    assert ids[0] == ids[1]


def entry(name: str, **facts: object) -> dict[str, object]:
    power = {"type": "integer", "minimum": 1, "maximum": 8, "default": 2, "description": "Exponent"}
    return {"name": name, "title": name.upper(), "source": "us", "help": "Helps.", "aliases": [],
            "knobs": {"power": power} if name == "at" else {}, "facts": facts}  # fmt: skip


CATALOGUE = {
    "nets": [entry("resnet14"), entry("resnet8")],
    "datasets": [entry("shapes"), entry("image_folder")],
    "distillers": [entry("at"), entry("kd")],
    "methods": [
        entry("alone", needs=[]),
        entry("spot_adaptive", needs=["teacher", "distiller", "policy"]),
    ],
    "policies": [entry("all"), entry("learned")],
    "folders": [],
}


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Jobs that are done at once; what they give may be changed by a test."""
    from engine.api import Studio
    from engine.runs.job_process import JobProcess, JobState

    check: dict[str, object] = {"errors": [], "warnings": [], "costs": {}}
    values = {"check": check, "pairs": {"resnet14": "It is no smaller.", "resnet8": ""}}

    def ask(_: object, kind: str, *_args: object, **_more: object) -> JobState:
        return JobState("done", values[kind]) if kind in values else JobState("waiting")

    monkeypatch.setattr(JobProcess, "ask", ask)
    monkeypatch.setattr(Studio, "catalogue", lambda _, **_more: CATALOGUE)
    monkeypatch.setattr(Studio, "is_working", lambda _: True)
    return values


@pytest.mark.parametrize("mode", ["guided", "expert"])
def test_the_form_is_drawn_from_the_catalogue(mode: str, open_page, answered) -> None:
    app = open_page("distill", mode=mode)
    assert not app.exception
    assert [one.value.split(" · ")[1] for one in app.subheader] == [
        "Goal",
        "Pair",
        "Method",
        "Data",
        "Budget",
        "Review",
    ]
    assert any(one.label == "Power" for one in app.number_input) is (mode == "expert")


def button(app: AppTest, words: str):
    return next(one for one in app.button if words in one.label)


def test_a_queued_form_becomes_runs_with_their_baseline(
    workspace: Workspace, open_page, answered
) -> None:
    app = open_page("distill")
    button(app, "Queue 2 runs").click().run()
    assert not app.exception
    specs = [folder.spec() for folder in workspace.runs()]
    assert sorted(spec.method.name for spec in specs) == ["alone", "spot_adaptive"]
    assert app.query_params["experiment"]


def test_switching_the_voice_loses_no_answer(open_page, answered) -> None:
    app = open_page("distill", mode="expert")
    next(one for one in app.number_input if one.label == "Power").set_value(4)
    app.run()
    app.segmented_control(key="mode").set_value("guided").run()
    app.segmented_control(key="mode").set_value("expert").run()
    assert next(one for one in app.number_input if one.label == "Power").value == 4
    assert "power: 4" in app.code[0].value


def test_an_error_stands_at_its_field_and_keeps_the_run_back(open_page, answered) -> None:
    answered["check"] = {
        "errors": [{"where": "distiller", "message": "The maps differ in size."}],
        "warnings": [],
        "costs": {},
    }
    app = open_page("distill")
    assert "The maps differ in size." in [one.value for one in app.error]
    assert button(app, "Queue").disabled


def test_a_pair_that_cannot_be_is_marked_with_its_reason(open_page, answered) -> None:
    answered["pairs"] = {"resnet8": "It has no such layer."}
    app = open_page("distill")
    assert any("It has no such layer." in one.value for one in app.error)


def test_seeds_multiply_the_runs(open_page, answered) -> None:
    app = open_page("distill", mode="expert")
    next(one for one in app.text_input if one.label == "Seeds").set_value("1, 2, 3").run()
    assert button(app, "Queue 6 runs")


def test_the_draft_is_there_after_a_reload(workspace: Workspace, open_page, answered) -> None:
    app = open_page("distill")
    next(one for one in app.text_input if one.label == "Name").set_value("Mine").run()
    again = open_page("distill")
    assert next(one for one in again.text_input if one.label == "Name").value == "Mine"


def test_what_ends_typing_in_a_text_area_does_not_queue_a_run(open_page, answered) -> None:
    assert button(open_page("distill"), "Queue").proto.shortcut.lower() != "ctrl+enter"


def test_the_form_is_filled_from_the_preset_of_the_address(open_page, answered) -> None:
    app = open_page("distill", preset="demo", mode="expert")
    assert not app.exception
    assert "preset" not in app.query_params  # a reload must keep what was changed since
    assert "All settings are those of the preset" in texts(app)
    next(one for one in app.number_input if one.label == "Power").set_value(4)
    app.run()
    assert any("1 setting differs" in one.label for one in app.expander)


def test_an_unknown_preset_is_told_and_the_form_is_there(open_page, answered) -> None:
    app = open_page("distill", preset="nothing-like-it")
    assert not app.exception
    assert any("no preset 'nothing-like-it'" in one.value for one in app.warning)
    assert button(app, "Queue")


def report(**knobs: object) -> dict[str, object]:
    rows = [
        {"status": "matched", "key": "a", "stored": "a", "shape": [3], "stored_shape": [3]},
        {"status": "missing", "key": "b", "stored": "", "shape": [], "stored_shape": []},
    ]
    counts = {"matched": 1, "missing": 1, "unexpected": 0, "wrong_shape": 0, "renamed": 0}
    return {
        "net": {"name": "resnet14", "knobs": knobs, "weights": "x"},
        "report": {"rows": rows, "notes": ["it has no aux_classifier"], **counts},
        "facts": {},
        "figures": {"accuracy": 0.924, "loss": 0.3},
        "split": "test",
        "samples": 1000,
    }


def test_a_checked_teacher_tells_its_accuracy_and_its_weights_with_the_faults_first(
    open_page, answered
) -> None:
    answered["teacher_check"] = report()
    app = open_page("distill")
    assert "92.4 %" not in texts(app)
    button(app, "Check this teacher").click().run()
    assert not app.exception
    assert "**92.4 %** of the 1,000 test images right" in texts(app)
    assert "It has no aux_classifier" in texts(app)
    assert "1 matched · 1 missing · 0 unexpected · 0 wrong shape" in texts(app)
    table = next(one.value for one in app.dataframe if "In the file" in one.value.columns)
    assert list(table["Status"]) == ["Missing", "Matched"]


def test_settings_that_the_weights_were_made_with_are_taken_over_once(open_page, answered) -> None:
    answered["teacher_check"] = report(shortcut="A")
    app = open_page("distill")
    button(app, "Check this teacher").click().run()
    assert any("Shortcut is now A" in one.value for one in app.info)
    assert "shortcut: A" in app.code[0].value
    assert "92.4 %" in texts(app)


def test_a_report_is_not_shown_for_another_teacher(open_page, answered) -> None:
    answered["teacher_check"] = report()
    app = open_page("distill")
    button(app, "Check this teacher").click().run()
    next(one for one in app.selectbox if "Teacher" in one.label).set_value("resnet8").run()
    assert not app.exception
    assert "92.4 %" not in texts(app)


def test_a_teacher_that_knows_no_more_than_chance_is_told(open_page, answered) -> None:
    answered["teacher_check"] = {**report(), "figures": {"accuracy": 0.1, "loss": 2.3}}
    answered["samples"] = {"images": [], "labels": [], "classes": list("0123456789")}
    app = open_page("distill")
    button(app, "Check this teacher").click().run()
    assert any("no better than guessing" in one.value for one in app.warning)


def test_weights_that_cannot_be_read_are_told_once_where_they_were_entered(
    open_page, answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.api import Studio
    from engine.runs.job_process import JobState

    failed = JobState("failed", None, "there is no file x", "Give another.", "teacher.weights")
    monkeypatch.setattr(Studio, "check_teacher", lambda *_: failed)
    fault = {"where": "teacher.weights", "message": "there is no file x. Give another."}
    answered["check"] = {"errors": [fault], "warnings": [], "costs": {}}
    app = open_page("distill")
    button(app, "Check this teacher").click().run()
    told = [one.value for one in app.error]
    assert told == ["There is no file x. Give another."]
    assert button(app, "Queue").disabled


def test_a_folder_of_images_is_chosen_by_its_name(open_page, answered) -> None:
    folder = {"name": "mine", "path": "/x/mine", "data": "image_folder", "num_classes": 3}
    answered["folders"] = [{**folder, "splits": ["train", "test"]}]
    app = open_page("distill")
    data = next(one for one in app.selectbox if one.label == "Images to learn from")
    assert "Folder: mine" in data.options
    data.set_value("mine").run()
    assert not app.exception
    assert "name: mine" in app.code[0].value
    assert "3 classes" in texts(app)


def test_a_catalogue_that_failed_is_told_and_tried_again(
    open_page, answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.api import DistillError, Studio

    asked: list[bool] = []

    def catalogue(_: Studio, *, again: bool = False):
        asked.append(again)
        if not any(asked):
            raise DistillError("the job process ended while it worked on catalogue.")
        return CATALOGUE

    monkeypatch.setattr(Studio, "catalogue", catalogue)
    app = open_page("distill")
    assert not app.exception
    assert any("The job process ended" in one.value for one in app.error)
    button(app, "Try again").click().run()
    assert True in asked
    assert button(app, "Queue")


def test_watch_asks_how_to_stop_and_stays_with_the_run_that_was_stopped(
    workspace: Workspace, open_page, canned
) -> None:
    app = open_page("watch")
    run_id = app.session_state["watch_shown"]
    app.button(key=f"watch_ask_{run_id}").click().run()
    assert button(app, "Keep running")
    button(app, "Now, and save").click().run()
    assert not app.exception
    assert run_id in app.query_params["run"]
    assert '"stop"' in (workspace.run(run_id).path / "control.json").read_text()


def test_running_may_go_on_after_all(workspace: Workspace, open_page, canned) -> None:
    run_id = canned["running"]
    app = open_page("watch", run=run_id)
    app.button(key=f"watch_ask_{run_id}").click().run()
    button(app, "Keep running").click().run()
    assert "Now, and save" not in texts(app)
    assert not (workspace.run(run_id).path / "control.json").exists()


def test_a_stop_from_another_page_leaves_its_address_alone(open_page, canned) -> None:
    app = open_page("runs")
    app.button(key=f"strip_ask_{canned['running']}").click().run()
    app.button(key=f"strip_stop_after_epoch_{canned['running']}").click().run()
    assert "run" not in app.query_params


def test_a_stop_without_effect_may_be_forced_after_a_while(
    open_page, canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pages.parts import controls

    run_id = canned["running"]
    app = open_page("watch", run=run_id)
    app.button(key=f"watch_ask_{run_id}").click().run()
    button(app, "Now, and save").click().run()
    assert app.button(key=f"watch_stopping_{run_id}").disabled
    monkeypatch.setattr(controls, "PATIENCE", -1.0)
    assert button(app.run(), "Force stop")


def test_a_run_that_waits_for_the_end_of_its_epoch_can_be_stopped_at_once(
    workspace: Workspace, open_page, canned
) -> None:
    from engine.events import RunStopping

    run_id = canned["running"]
    workspace.run(run_id).log.append([RunStopping(time=0.0)])
    app = open_page("watch", run=run_id)
    assert app.button(key=f"watch_stop_{run_id}").label == "Now, and save"


def test_letters_steer_the_run_that_is_watched(open_page, canned) -> None:
    app = open_page("watch", run=canned["running"])
    keys = {one.label: one.proto.shortcut for one in app.main.button}
    assert keys["Pause"].lower() == "p"
    assert keys["Stop"].lower() == "s"
    assert keys["Evaluate now"].lower() == "e"


def test_a_run_that_a_person_stopped_has_no_empty_warning(workspace: Workspace, open_page) -> None:
    log = [*underway("taught", done=2), *ending("taught", "stopped")]
    run = add_run(workspace, log, role="taught", name="Enough")
    app = open_page("run", run=run.id)
    assert not app.exception
    assert "" not in [one.value.strip() for one in app.warning]


def finished_preset(workspace: Workspace, name: str) -> Experiment:
    """All its runs have ended; each student by the log of its role."""
    experiment = Studio(workspace.path).launch_preset(name)
    for member in experiment.runs:
        role = "taught" if member.role == "student" else "alone"
        workspace.run(member.run).log.append(whole(role))
    return experiment


def test_a_teacher_s_own_run_is_not_taken_for_the_student_alone(
    workspace: Workspace, open_page
) -> None:
    experiment = finished_preset(workspace, "sakd-cifar100-resnet56-resnet20")
    teacher = next(member.run for member in experiment.runs if member.role == "teacher")
    told = texts(open_page("run", run=teacher))
    assert "The teacher gets 86.5 % of the test images right." in told
    assert "Without a teacher" not in told and "the gain is not measured" not in told
    taught = experiment.runs[-1].run
    app = open_page("run", run=taught)
    (box,) = (one for one in app.selectbox if one.label == "Compared with")
    assert len(set(box.options)) == len(box.options) == len(experiment.runs) - 1


def test_an_untouched_run_of_a_preset_does_not_differ_from_it(
    workspace: Workspace, open_page
) -> None:
    for name in ("demo", "sakd-cifar100-resnet56-resnet20"):
        for member in finished_preset(workspace, name).runs:
            app = open_page("run", run=member.run, run_tab="Config")
            assert any("Difference to the preset" in one.value for one in app.markdown)
            assert any(one.value == "None." for one in app.caption), (name, member.label)


def test_watch_leaves_out_runs_of_an_experiment_that_were_deleted(
    workspace: Workspace, open_page
) -> None:
    experiment = finished_preset(workspace, "spirit-demo")
    workspace_door = Studio(workspace.path)
    for member in experiment.runs[-2:]:
        workspace_door.delete(member.run)
    app = open_page("watch", experiment=experiment.id)
    assert "This run cannot be shown" not in texts(app)
    (switch,) = (one for one in app.segmented_control if one.label == "Run shown below")
    assert len(switch.options) == len(experiment.runs) - 2
