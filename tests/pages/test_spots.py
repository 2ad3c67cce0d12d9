"""The tab Spots and the tables over seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.api import Studio
from engine.events import RunEnded, SpotsCounted
from engine.runs.experiment import Planned, create_experiment
from engine.runs.folder import RunFolder, Workspace
from engine.runs.job_process import JobProcess, JobState
from tests.pages.canned import add_run, beginning, keep_choices, spec_of, underway, whole


@pytest.fixture(autouse=True)
def no_job_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobProcess, "ask", lambda *_args, **_more: JobState("waiting"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[int]]:
    """The job is done at once; the rows that were asked for."""
    path = tmp_path / "one.png"
    Image.new("RGB", (8, 8)).save(path)
    asked: list[list[int]] = []

    def pictures(_: object, _run: str, rows: list[int]) -> JobState:
        asked.append(list(rows))
        return JobState("done", {str(row): str(path) for row in rows})

    monkeypatch.setattr(Studio, "pictures", pictures)
    return asked


def opened(open_page, run_id: str, **query: str) -> AppTest:
    app = open_page("run", run=run_id, run_tab="Spots", **query)
    assert not app.exception
    return app


def told(app: AppTest) -> str:
    kinds = (*app.main.markdown, *app.main.caption, *app.main.info, *app.main.warning)
    return "\n".join(str(one.value) for one in kinds)


def choose(app: AppTest, label: str, value: object) -> AppTest:
    app.selectbox(key=f"run_{label}").set_value(value).run()
    assert not app.exception
    return app


@pytest.fixture
def taught(workspace: Workspace, canned) -> RunFolder:
    folder = workspace.run(canned["taught"])
    keep_choices(folder)
    return folder


def test_the_page_says_that_images_are_being_drawn_and_does_not_wait(open_page, taught) -> None:
    app = opened(open_page, taught.id)
    assert any(one.label == "Drawing the images" for one in app.status)
    assert "Most often taught" not in told(app)
    assert "Routes that images took" in told(app)


def test_at_first_all_images_of_the_first_spot_are_shown(open_page, taught, drawn) -> None:
    said = told(opened(open_page, taught.id))
    assert "Most often taught at stage1" in said
    assert drawn[-1] == [*range(39, 27, -1), *range(12)]
    assert "from 40 training images" in said


def test_a_class_and_a_spot_can_be_chosen_without_a_mouse(open_page, taught, drawn) -> None:
    app = choose(opened(open_page, taught.id), "class", 3)
    assert drawn[-1] == [33, 23, 3, 13]
    app = choose(app, "spot", "logits")
    assert "Most often taught at logits, class shape 3" in told(app)
    assert app.selectbox(key="run_class").options[:2] == ["All classes", "shape 0"]


def test_a_choice_of_the_address_is_taken_and_one_that_cannot_be_is_not(
    open_page, taught, drawn
) -> None:
    app = opened(open_page, taught.id, run_spot="stage3", run_class="shape 7")
    assert "Most often taught at stage3, class shape 7" in told(app)
    app = opened(open_page, taught.id, run_spot="nowhere", run_class="no such class")
    assert "Most often taught at stage1" in told(app)


def test_a_click_sets_the_two_boxes() -> None:
    def click() -> None:
        from pages.parts.spots.images import take_cell

        take_cell(["stage2", 4])

    app = AppTest.from_function(click).run()
    assert (app.session_state["run_spot"], app.session_state["run_class"]) == ("stage2", 4)


def test_a_choice_made_for_another_run_does_not_break_this_one(
    workspace: Workspace, open_page, taught, drawn
) -> None:
    app = choose(choose(opened(open_page, taught.id), "spot", "stage3"), "class", 7)
    counted = SpotsCounted(
        at=(0, 1, 0),
        spots=("stage1", "logits"),
        samples=(2, 2, 2),
        kept=((1, 1, 1), (2, 2, 2)),
        routes={"11": 3, "01": 3},
        probability=(0.5, 0.9),
    )
    other = add_run(workspace, [*beginning("taught"), counted], role="taught", name="Other")
    app.query_params["run"] = other.id
    app.run()
    assert not app.exception
    assert app.selectbox(key="run_spot").value == "stage1"
    assert app.selectbox(key="run_class").options == [
        "All classes",
        "class 0",
        "class 1",
        "class 2",
    ]


def test_images_that_cannot_be_drawn_are_told(
    open_page, taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = JobState("failed", None, "the images of shapes have changed.", "Restore them.")
    monkeypatch.setattr(Studio, "pictures", lambda *_: failed)
    assert "The images of shapes have changed. Restore them." in told(opened(open_page, taught.id))


def test_a_policy_that_treats_all_images_alike_shows_none(open_page, taught, drawn) -> None:
    keep_choices(
        taught,
        mean=np.full((40, 4), 0.5, np.float16),
        probability=np.full((40, 4), 127, np.uint8),
    )
    said = told(opened(open_page, taught.id))
    assert "P is 0.50 at stage1 for each of these 40 images" in said
    assert "P is the same for every image at stage1" in said
    assert drawn == []


def test_a_run_of_an_older_version_says_what_it_lacks(open_page, taught, drawn) -> None:
    keep_choices(taught, gap=None, mean=None)
    said = told(opened(open_page, taught.id))
    assert "made by an older version: P is that of each image's last visit" in said
    assert "did not keep the gap" in said
    assert "Most often taught at stage1" in said


def test_a_run_without_a_table_shows_the_rest(open_page, canned) -> None:
    said = told(opened(open_page, canned["taught"]))
    assert "keeps no choices by image" in said
    assert "Routes that images took" in said


def test_a_table_that_cannot_be_read_is_told(open_page, taught) -> None:
    (taught.artefacts / "spots.npz").write_bytes(b"nothing like it")
    assert "Spots.npz of run" in told(opened(open_page, taught.id))


@pytest.mark.parametrize("name", ["alone", "queued"])
def test_a_run_that_is_not_routed_says_so(name: str, open_page, canned) -> None:
    assert "This map fills where a policy chooses" in told(opened(open_page, canned[name]))


def test_before_the_first_whole_epoch_there_are_shares_only(
    workspace: Workspace, open_page, canned
) -> None:
    folder = add_run(workspace, underway("taught", done=0), role="taught", name="Early")
    said = told(opened(open_page, folder.id))
    assert "follow at the end of the first epoch" in said
    assert "Routes that images took" not in said


def test_the_hint_stands_above_the_charts(workspace: Workspace, open_page, taught) -> None:
    (info,) = opened(open_page, taught.id).main.info
    assert "Nearly every image is taught at stage3" in info.value


def test_without_another_policy_the_page_says_what_to_do(open_page, taught) -> None:
    assert "No other policy was run on this pair" in told(opened(open_page, taught.id))


@pytest.fixture
def experiment(workspace: Workspace) -> list[RunFolder]:
    """Alone, learned and random, two seeds each; all finished."""
    planned = []
    for seed in (0, 1):
        for policy in ("alone", "learned", "random"):
            role = "alone" if policy == "alone" else "taught"
            spec = spec_of(role, seed=seed)
            if role == "taught":
                spec = spec.replace(policy=policy)
            planned.append(
                Planned(
                    f"{policy}, seed {seed}",
                    "alone" if role == "alone" else "student",
                    {"policy": policy, "seed": seed},
                    spec,
                )
            )
    made = create_experiment(workspace, "Policies", planned, is_queued=False)
    folders = [workspace.run(member.run) for member in made.runs]
    for folder, plan in zip(folders, planned, strict=True):
        role = "alone" if plan.role == "alone" else "taught"
        folder.log.append(whole(role))
    return folders


def test_the_policies_of_an_experiment_are_compared_with_their_seeds(
    open_page, experiment, drawn
) -> None:
    app = opened(open_page, experiment[1].id)
    said = told(app)
    assert "learned 2, random 2" in said
    assert "No other policy" not in said
    table = app.main.dataframe[-1].value
    assert list(table["Method"]) == ["alone", "learned", "random"]
    assert list(table["Noise"]) == ["-", "outside the noise", "outside the noise"]


def test_the_overview_shows_the_whole_experiment_and_its_baseline_can_be_chosen(
    open_page, experiment
) -> None:
    app = open_page("run", run=experiment[1].id)
    assert not app.exception
    table = app.main.dataframe[0].value
    assert table["Difference"][0] == "baseline"
    assert "The whole experiment" in told(app)
    next(one for one in app.selectbox if one.label == "Compared with").set_value(1).run()
    assert not app.exception
    assert app.main.dataframe[0].value["Difference"][1] == "baseline"


def test_an_experiment_of_one_run_and_its_baseline_needs_no_table(
    workspace: Workspace, open_page
) -> None:
    planned = [
        Planned("alone", "alone", {}, spec_of("alone")),
        Planned("taught", "student", {}, spec_of("taught")),
    ]
    made = create_experiment(workspace, "Two", planned, is_queued=False)
    for member, role in zip(made.runs, ("alone", "taught"), strict=True):
        workspace.run(member.run).log.append(whole(role))
    app = open_page("run", run=made.runs[1].run)
    assert not app.exception
    assert "The whole experiment" not in told(app)


def test_members_that_have_not_begun_or_were_deleted_do_not_break_the_comparison(
    workspace: Workspace, open_page, experiment, drawn
) -> None:
    workspace.trash(experiment[2].id)
    folder = experiment[5]
    folder.log.path.unlink()
    folder.log.append([*beginning("taught"), RunEnded(time=1.0, status="stopped")])
    assert "No other policy was run" in told(opened(open_page, experiment[1].id))
