"""Watch and Run where runs segment: pictures, figures, and words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.api import Studio
from engine.events import RunEnded, StepTaken
from engine.runs.folder import Workspace
from engine.runs.job_process import JobProcess, JobState
from pages.parts.segments import scenes as shown
from tests.pages import canned_segments as canned


@pytest.fixture(autouse=True)
def no_job_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobProcess, "ask", lambda *_args, **_more: JobState("waiting"))
    shown.drawn_strip.clear()


@pytest.fixture
def found_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, list[int]]]:
    """The job is done at once; what was asked for."""
    image, truth = tmp_path / "image.png", tmp_path / "truth.png"
    Image.new("RGB", (canned.WIDTH, canned.HEIGHT), (90, 90, 90)).save(image)
    Image.fromarray(canned.truths()[0].astype(np.uint8)).save(truth)
    asked: list[tuple[str, list[int]]] = []

    def scenes(_: object, _run: str, split: str, rows: list[int]) -> JobState:
        asked.append((split, list(rows)))
        pair = {"image": str(image), "truth": str(truth)}
        return JobState("done", {str(row): pair for row in rows})

    monkeypatch.setattr(Studio, "scenes", scenes)
    return asked


@pytest.fixture
def runs(workspace: Workspace) -> dict[str, str]:
    return canned.fill(workspace, canned.experiment(workspace))


def told(app: AppTest) -> str:
    kinds = (*app.main.markdown, *app.main.caption, *app.main.info, *app.main.warning)
    return "\n".join(str(one.value) for one in kinds)


def opened(open_page: Any, page: str, run: str, **query: str) -> AppTest:
    app = open_page(page, run=run, **query)
    assert not app.exception
    return app


def pictures(app: AppTest) -> list[tuple[str, str]]:
    """Address and alt text of each picture."""
    return [(one.url, one.alt) for block in app.main.get("image") for one in block.proto.imgs]


def test_watch_shows_the_same_six_images_and_says_what_they_are(
    open_page, runs, found_images
) -> None:
    app = opened(open_page, "watch", runs["sd, seed 0"])
    assert found_images[-1] == ("validation", [0, 1, 2, 5, 6, 7])
    said = told(app)
    assert "Each row from left: the image, the truth, the student." in said
    assert "Newest: epoch 3, fine tuning. 4 evaluations so far." in said
    assert "mean overlap (mIoU)" in said and "images the nets get right" not in said
    assert "Where the teacher teaches" not in said
    assert "The teacher knows other classes" in str([one.help for one in app.main.caption])


def test_the_slider_goes_back_to_an_evaluation_and_the_pictures_change(
    open_page, runs, found_images
) -> None:
    app = opened(open_page, "watch", runs["sd, seed 0"])
    newest = pictures(app)
    slider = app.select_slider(key="watch_scene")
    assert slider.value == "newest"
    assert slider.options == [
        "epoch 0, imitation",
        "epoch 1, imitation",
        "epoch 2, head",
        "epoch 3, fine tuning",
        "newest",
    ]
    slider.set_value("epoch 1, imitation").run()
    assert not app.exception
    assert len(newest) == len(pictures(app)) == 6 and not set(newest) & set(pictures(app))
    assert all(
        "from left: image, truth, student. The student says: road" in alt for _, alt in newest
    )
    app.select_slider(key="watch_scene").set_value("epoch 3, fine tuning").run()
    assert pictures(app) == newest


def test_a_chosen_evaluation_stays_when_newer_ones_come_and_newest_follows(
    workspace: Workspace, open_page, found_images
) -> None:
    made = canned.experiment(workspace, ("sd",), seeds=1)
    folder = workspace.run(made.runs[0].run)
    folder.log.append(canned.beginning("sd"))
    for nth in range(2):
        folder.log.append(canned.evaluated(folder, "sd", nth))
    app = opened(open_page, "watch", folder.id)
    before = pictures(app)
    folder.log.append(canned.evaluated(folder, "sd", 2))
    app.run()
    assert "Newest: epoch 2, head" in told(app)
    assert pictures(app) != before
    app.select_slider(key="watch_scene").set_value("epoch 1, imitation").run()
    assert pictures(app) == before
    folder.log.append(canned.evaluated(folder, "sd", 3))
    app.run()
    assert app.select_slider(key="watch_scene").value == "epoch 1, imitation"
    assert pictures(app) == before


def test_mistakes_alone_are_other_pictures(open_page, runs, found_images) -> None:
    app = opened(open_page, "watch", runs["sd, seed 0"])
    plain = pictures(app)
    app.toggle(key="watch_mistakes").set_value(True).run()
    assert not app.exception and len(pictures(app)) == 6
    assert not {url for url, _ in plain} & {url for url, _ in pictures(app)}


def test_while_the_images_are_sought_what_the_student_says_is_shown(open_page, runs) -> None:
    app = opened(open_page, "watch", runs["sd, seed 0"])
    assert any(one.label == "Finding the images" for one in app.status)
    assert "Each row from left: what the student says" in told(app)
    assert len(pictures(app)) == 6


def test_images_that_have_changed_leave_the_masks_and_say_why(open_page, runs, monkeypatch) -> None:
    state = JobState("failed", None, "the images of x have changed since this run.", "As it was.")
    monkeypatch.setattr(Studio, "scenes", lambda *_: state)
    app = opened(open_page, "watch", runs["sd, seed 0"])
    assert "Only what the nets say is shown. The images of x have changed" in told(app)
    assert len(pictures(app)) == 6


def test_before_the_first_measurement_nothing_is_missing(workspace: Workspace, open_page) -> None:
    made = canned.experiment(workspace, ("sd",), seeds=1)
    workspace.run(made.runs[0].run).log.append(canned.beginning("sd"))
    app = opened(open_page, "watch", made.runs[0].run)
    assert "The pictures begin with the first measurement." in told(app)


def test_a_spoilt_file_is_told_and_the_page_goes_on(
    workspace: Workspace, open_page, runs, found_images
) -> None:
    run = workspace.run(runs["sd, seed 0"])
    for path in run.artefacts.glob("segmented_*.npz"):
        path.write_bytes(b"nonsense")
    app = opened(open_page, "watch", run.id)
    assert "cannot be read" in told(app) and "What the student is corrected for" in told(app)


def test_numbers_evidence_and_narrator_speak_of_overlap(open_page, runs, found_images) -> None:
    app = opened(open_page, "run", runs["sd, seed 0"])
    said = told(app)
    assert "The student reaches a mean overlap (mIoU) of" in said
    assert "The teacher knows other classes, so it has no figure of its own here." in said
    assert " right." not in said
    assert "mIoU (%)" in app.main.dataframe[0].value.columns


def test_a_segmentation_run_has_the_tab_segments_and_no_spots(open_page, runs) -> None:
    app = opened(open_page, "run", runs["sd, seed 0"])
    labels = [tab.label for tab in app.tabs]
    assert "Segments" in labels and not {"Spots", "Parts"} & set(labels)


def test_the_tab_compares_the_methods_of_the_experiment(open_page, runs, found_images) -> None:
    app = opened(open_page, "run", runs["esd, seed 1"], run_tab="Segments")
    said = told(app)
    assert "esd reaches a mean overlap (mIoU) of" in said and "mean of 2 seeds" in said
    assert "points against scratch" in said and "Measured on test images" in said
    assert "Hardly any image reaches 75 %" in said
    assert "arXiv 2103.13733" in said and "no goal" in said
    assert "the deviation (n - 1) as whiskers" in said
    variances, classes = (one.value for one in app.main.dataframe[:2])
    assert list(variances["Method"]) == ["scratch", "sd", "esd"]
    assert list(classes["Class"]) == list(canned.NAMES)
    assert list(classes.columns) == ["Class", "scratch", "sd", "esd"]
    assert app.main.selectbox[0].value == 0


def test_the_threshold_is_in_the_address_and_moves_the_figures(
    open_page, runs, found_images
) -> None:
    app = opened(open_page, "run", runs["sd, seed 0"], run_tab="Segments", run_threshold="0.55")
    assert app.slider(key="run_threshold").value == 0.55
    assert "High-precision accuracy at 0.55" in told(app)
    app.slider(key="run_threshold").set_value(0.5).run()
    assert "High-precision accuracy at 0.50" in told(app) and "At 0.50: scratch" in told(app)


def test_another_baseline_changes_ratios_and_gain(open_page, runs, found_images) -> None:
    app = opened(open_page, "run", runs["esd, seed 0"], run_tab="Segments")
    app.selectbox(key="run_segments_baseline_3").set_value(1).run()
    assert not app.exception
    assert "points against sd" in told(app)
    assert list(app.main.dataframe[0].value["Ratio"])[1] == "baseline"


def test_a_run_of_no_experiment_stands_alone(workspace: Workspace, open_page) -> None:
    from engine.runs.folder import Meta

    folder = workspace.create(canned.spec_of("scratch"), Meta(name="one", role="alone"))
    canned.whole(folder, "scratch")
    app = opened(open_page, "run", folder.id, run_tab="Segments")
    assert "this run reaches a mean overlap" in told(app)
    assert "One seed each" in told(app) and "No run of this experiment has a teacher" in told(app)


def test_runs_that_are_not_measured_yet_are_counted(
    workspace: Workspace, open_page, found_images
) -> None:
    made = canned.experiment(workspace)
    canned.whole(workspace.run(made.runs[0].run), "scratch")
    app = opened(open_page, "run", made.runs[0].run, run_tab="Segments")
    assert "5 runs of this experiment are not measured there yet." in told(app)


def test_feature_maps_are_shown_by_channel(
    open_page, runs, found_images, monkeypatch, tmp_path: Path
) -> None:
    maps = np.random.default_rng(0).random((4, 3, 6, 12)).astype(np.float32)
    path = tmp_path / "maps.npz"
    np.savez(path, teacher=maps, student=0.5 * maps)
    value = {"split": "test", "rows": [0, 2, 5, 7], "cut": "stage4", "size": [6, 12]}
    value |= {"distance": [0.25] * 4, "channels": [3, 90], "path": str(path)}
    asked: list[Any] = []

    def features(_: object, weights: Any) -> JobState:
        asked.append(weights)
        return JobState("done", value)

    monkeypatch.setattr(Studio, "scene_features", features)
    run = runs["sd, seed 0"]
    app = opened(open_page, "run", run, run_tab="Segments")
    assert asked[-1] == (run, (2, 1, 0)) and found_images[-1] == ("test", [0, 2, 5, 7])
    assert "the mean over all channels, at *stage4*" in told(app)
    before = pictures(app)
    assert len(before) == 6 + 4
    app.selectbox(key="run_channel").set_value(90).run()
    assert "channel 90, at *stage4*" in told(app)
    assert pictures(app)[:6] == before[:6] and pictures(app)[6:] != before[6:]


def test_a_student_alone_has_no_feature_maps(open_page, runs, found_images) -> None:
    app = opened(open_page, "run", runs["scratch, seed 0"], run_tab="Segments")
    assert "What the fronts of teacher and student see" not in told(app)


def test_the_table_of_runs_has_a_column_for_overlap(open_page, runs, canned_classifiers) -> None:
    app = open_page("runs")
    assert not app.exception
    table = app.main.dataframe[0].value
    assert table["mIoU"].notna().sum() == 6 and table["Accuracy"].notna().sum() == 1


@pytest.fixture
def canned_classifiers(workspace: Workspace) -> None:
    from tests.pages.canned import add_run, whole

    add_run(workspace, whole("alone"), role="alone", name="Alone")


def test_a_run_that_ended_early_is_told_by_its_last_validation(
    workspace: Workspace, open_page, found_images
) -> None:
    made = canned.experiment(workspace, ("sd",), seeds=1)
    folder = workspace.run(made.runs[0].run)
    folder.log.append(canned.beginning("sd"))
    folder.log.append(canned.evaluated(folder, "sd", 0))
    folder.log.append(canned.evaluated(folder, "sd", 1))
    folder.log.append([RunEnded(time=canned.BEGAN + 9, status="stopped")])
    app = opened(open_page, "run", folder.id, run_tab="Segments")
    assert "Measured on validation images" in told(app)


def test_the_loss_is_that_of_the_phase_that_goes_on(
    workspace: Workspace, open_page, found_images
) -> None:
    made = canned.experiment(workspace, ("sd",), seeds=1)
    folder = workspace.run(made.runs[0].run)
    folder.log.append(canned.beginning("sd"))
    for nth in range(3):
        folder.log.append(canned.evaluated(folder, "sd", nth))
    step = StepTaken(at=(1, 0, 2), count=1, terms={"task": 0.75}, rates={})
    folder.log.append([step])
    app = opened(open_page, "watch", folder.id)
    assert {one.label: one.value for one in app.main.metric}["Loss"] == "0.75"


def test_a_tab_chosen_on_a_run_of_another_task_does_not_break_this_one(
    workspace: Workspace, open_page, runs, found_images
) -> None:
    from tests.pages.canned import add_run, whole

    other = add_run(workspace, whole("taught"), role="taught", name="Taught")
    app = opened(open_page, "run", other.id, run_tab="Spots")
    app.query_params["run"] = runs["sd, seed 0"]
    app.run()
    assert not app.exception
    assert "Segments" in [tab.label for tab in app.tabs]
    assert "The student reaches a mean overlap" in told(app)
