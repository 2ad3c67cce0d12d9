"""The page Look of a segmentation run; the comparison itself is tested in a browser."""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.api import Studio
from engine.events import CheckpointSaved, Evaluated, PhaseBegan, RunEnded, RunQueued, RunStarted
from engine.jobs.pictures import samples
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.job_process import JobProcess, JobState
from engine.spec import Choice, NetChoice, RunSpec, Schedule
from pages.parts.look.scene_view import Scene, _plain
from tests.pages.canned import BEGAN, add_run, whole

CLASSES = ["road", "sidewalk", "building", "vegetation", "sky", "car", "person"]
OTHERS = ["sky", "ground", "boat"]
PALETTE = [[20 * n, 250 - 30 * n, 90] for n in range(7)]
PICTURES, TALL, WIDE = 20, 6, 12
END = (0, 3, 0)


@pytest.fixture(autouse=True)
def no_job_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobProcess, "ask", lambda *_args, **_more: JobState("waiting"))


def add_scenes(
    workspace: Workspace, name: str, *, is_taught: bool = True, seed: int = 0, **knobs: Any
) -> RunFolder:
    taught = NetChoice(name="bottleneck128", weights="shipped:street_bottleneck128")
    spec = RunSpec(
        task="segment",
        data=Choice(name="street_scenes", knobs=knobs),
        teacher=taught if is_taught else None,
        student=NetChoice(name="ds128"),
        method=Choice(name="spirit" if is_taught else "alone"),
        schedule=Schedule(epochs=3, steps=2, batch=4, optimizer="adam"),
        threads=1,
        device="cpu",
        seed=seed,
    )
    folder = workspace.create(spec, Meta(name=name, role="student", created=BEGAN))
    phase = PhaseBegan(
        at=(0, 0, 0), phase="train", epochs=3, steps=2, phases=("train",), total_steps=6
    )
    told = [
        Evaluated(
            at=END, net="student", weights="last", split=split, figures={"miou": 0.4}, samples=9
        )
        for split in ("validation", "test")
    ]
    saved = CheckpointSaved(position=END, which="last")
    ended = RunEnded(time=BEGAN + 9, status="finished", message="", hint="")
    folder.log.append([RunQueued(time=BEGAN), RunStarted(time=BEGAN), phase, *told, saved, ended])
    folder.write_environment({"classes": CLASSES, "data set": "one"})
    return folder


@pytest.fixture
def run(workspace: Workspace) -> RunFolder:
    return add_scenes(workspace, "Taught")


@pytest.fixture
def asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> list[tuple[str, list[int], list[Any]]]:
    """All jobs are done at once; what was asked for."""
    image, mask = tmp_path / "one.png", tmp_path / "one.mask"
    Image.new("RGB", (WIDE, TALL)).save(image)
    mask.write_bytes(zlib.compress(np.zeros((TALL, WIDE), np.uint8).tobytes()))
    questions: list[tuple[str, list[int], list[Any]]] = []

    def classes_of(net: Any) -> tuple[list[str], bool]:
        return (OTHERS, False) if net[1] == "teacher" else (CLASSES, True)

    def overlaps(_: object, _run: str, split: str, net: Any) -> JobState:
        classes, is_same = classes_of(net)
        value: dict[str, Any] = {"images": PICTURES, "classes": classes, "is_same": is_same}
        if is_same:
            # The last picture is the worst; only even ones show a person.
            shares = [[1 - n / 40] * 6 + [None if n % 2 else 1 - n / 40] for n in range(PICTURES)]
            value |= {"image_iou": shares, "class_iou": shares[0], "miou": 0.614}
        return JobState("done", value)

    def masks(_: object, _run: str, split: str, rows: list[int], nets: list[Any]) -> JobState:
        questions.append((split, list(rows), list(nets)))
        known = [classes_of(net) for net in nets]
        one = {"image": str(image), "truth": str(mask), "masks": [str(mask)] * len(nets)}
        one |= {"iou": [[0.25] * 7 if is_same else None for _, is_same in known]}
        told = [{"classes": classes, "is_same": is_same} for classes, is_same in known]
        value = {"size": [TALL, WIDE], "classes": CLASSES, "palette": PALETTE, "nets": told}
        return JobState("done", {**value, "scenes": {str(row): one for row in rows}})

    monkeypatch.setattr(Studio, "look_overlaps", overlaps)
    monkeypatch.setattr(Studio, "look_masks", masks)
    return questions


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Scene]:
    """What the comparison was asked to show."""
    found: list[Scene] = []
    monkeypatch.setattr(
        "pages.parts.look.viewer.scene_view", lambda scene, **_more: found.append(scene)
    )
    return found


def opened(open_page: Any, **query: str) -> AppTest:
    app = open_page("look", **query)
    assert not app.exception
    return app


def told(app: AppTest) -> str:
    kinds = (*app.main.markdown, *app.main.caption, *app.main.info, *app.main.warning)
    return "\n".join(str(one.value) for one in kinds)


def test_an_empty_workspace_says_what_the_page_is_for(open_page: Any, workspace: Workspace) -> None:
    app = opened(open_page)
    assert "no trained net to look at yet" in told(app)
    assert any("demo" in one.label for one in app.main.button)


def test_an_empty_workspace_shows_streets_with_their_truth(
    open_page: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Studio, "samples", lambda _, plain: JobState("done", samples(plain)))
    app = opened(open_page)
    assert len(app.main.get("image")) == 12
    assert "Classes: road, sidewalk" in told(app)


def test_where_runs_only_classify_the_street_demo_is_offered(
    open_page: Any, workspace: Workspace
) -> None:
    add_run(workspace, whole("alone"), role="alone", name="Shapes")
    labels = [one.label for one in opened(open_page).main.button]
    assert "Run the street demo" in labels
    add_scenes(workspace, "Streets")
    labels = [one.label for one in opened(open_page).main.button]
    assert "Run the street demo" not in labels


def test_a_run_without_saved_weights_says_why(open_page: Any, workspace: Workspace) -> None:
    folder = add_scenes(workspace, "Early")
    folder.log.path.write_text("")
    folder.log.append([RunQueued(time=BEGAN), RunStarted(time=BEGAN)])
    wanted = "This run ended before any weights of the student were saved."
    assert wanted in told(opened(open_page, run=folder.id))
    assert folder.lock.acquire(timeout=1.0)  # as a worker does
    try:
        wanted = "once the first weights of the student are saved"
        assert wanted in told(opened(open_page, run=folder.id))
    finally:
        folder.lock.release()


def test_the_page_waits_for_no_job(open_page: Any, run: RunFolder) -> None:
    app = opened(open_page, run=run.id)
    assert [one.label for one in app.status] == ["Measuring the overlap of every picture"]


def test_the_worst_picture_is_first_and_says_which_weights(
    open_page: Any, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    app = opened(open_page, run=run.id)
    (scene,) = drawn
    assert asked[0][:2] == ("test", [*range(19, 3, -1)])
    assert (scene.place, scene.count, scene.name) == (1, PICTURES, f"{run.id}-test-19")
    assert "Weights of epoch 3" in told(app)
    assert scene.words == "Picture 1 of 20, A overlaps the truth by 25 %"


def test_the_pictures_after_those_shown_are_asked_for_too(
    open_page: Any, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    opened(open_page, run=run.id)
    assert [rows for _, rows, _ in asked] == [[*range(19, 3, -1)], [3, 2, 1, 0]]


def test_the_pictures_beside_it_are_sent_along_the_nearest_first(
    open_page: Any, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    for at, beside in (
        ("1", [2, 3, 4, 5]),
        ("5", [6, 4, 7, 3, 8, 2, 9, 1]),
        ("16", [17, 15, 18, 14, 19, 13, 20, 12]),  # of which four were asked for separately
        ("20", [19, 18, 17, 16]),
    ):
        opened(open_page, run=run.id, look_at=at)
        assert [one.place for one in drawn[-1].near] == beside


def test_of_large_pictures_one_each_way_is_sent_along(
    open_page: Any,
    run: RunFolder,
    asked: list[Any],
    drawn: list[Scene],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Scene, "size", 600_000)
    opened(open_page, run=run.id, look_at="5")
    assert [one.place for one in drawn[-1].near] == [6, 4]


def test_the_place_is_in_the_address_and_kept_within_bounds(
    open_page: Any, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    for text, place in (("12", 12), ("0", 1), ("99", 20), ("-3", 1), ("x", 1), ("9" * 30, 1)):
        opened(open_page, run=run.id, look_at=text)
        assert drawn[-1].place == place


def test_a_class_leaves_the_pictures_that_show_it(
    open_page: Any, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    app = opened(open_page, run=run.id, look_at="3")
    app.selectbox(key="look_class").set_value(6).run()
    assert not app.exception
    assert (drawn[-1].place, drawn[-1].count) == (1, 10)


def test_a_teacher_of_other_classes_has_its_own_colours_and_no_overlap(
    open_page: Any, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    app = opened(open_page, run=run.id)
    truth, first, second = drawn[-1].layers
    assert (truth.role, first.role, second.role) == ("truth", "first", "second")
    assert second.classes == OTHERS and not second.is_same and second.scores == ()
    assert tuple(second.palette[0]) == tuple(truth.palette[CLASSES.index("sky")])
    assert "B knows other classes (sky, ground, boat)" in told(app)
    assert "gap" not in app.selectbox(key="look_order").options
    assert len(app.main.metric) == 1


def test_runs_of_the_same_pictures_can_be_seen_beside_it(
    open_page: Any, workspace: Workspace, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    alone = add_scenes(workspace, "Alone", is_taught=False, num_target=2)
    elsewhere = add_scenes(workspace, "Elsewhere", is_taught=False)
    elsewhere.write_environment({"classes": OTHERS, "data set": "two"})
    app = opened(open_page, run=run.id, look_beside=alone.id)
    assert app.selectbox(key="look_beside").options == ["Alone", "Its teacher", "No other net"]
    assert asked[0][2] == [(run.id, "student", END), (alone.id, "student", END)]
    assert [layer.name for layer in drawn[-1].layers] == ["Truth", "A: student", "B"]
    assert drawn[-1].layers[2].note == "Alone, epoch 3 · 25\N{NO-BREAK SPACE}%"
    app.selectbox(key="look_order").set_value("gap").run()
    assert not app.exception
    app.selectbox(key="look_beside").set_value("none").run()
    assert [layer.role for layer in drawn[-1].layers] == ["truth", "first"]


def test_a_run_of_another_seed_may_have_learnt_from_what_this_one_holds_back(
    open_page: Any, workspace: Workspace, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    add_scenes(workspace, "Other seed", seed=1)
    for pictures, is_offered in (("Test", True), ("Validation", False)):
        app = opened(open_page, run=run.id, look_pictures=pictures)
        assert ("Other seed" in app.selectbox(key="look_beside").options) is is_offered


def test_one_picture_takes_the_page_a_moment(
    open_page: Any, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    app = opened(open_page, run=run.id)
    begun = time.process_time()
    app.run()
    spent = time.process_time() - begun
    print(f"{1000 * spent:.0f} ms of processor time for the whole page")
    assert spent < 1.0


def test_own_pictures_ask_for_a_file_first(
    open_page: Any, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    app = opened(open_page, run=run.id, look_pictures="My own")
    assert "Drop pictures here" in told(app)
    assert not asked and not drawn


def test_own_pictures_are_shown_without_a_truth_and_bad_ones_get_a_sentence(
    open_page: Any, run: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mask = tmp_path / "own.mask"
    mask.write_bytes(zlib.compress(bytes(TALL * WIDE)))
    scenes: list[Scene] = []
    named: list[list[str]] = []

    def look_own(
        _: object, _run: str, nets: list[Any], pictures: list[tuple[str, str]]
    ) -> JobState:
        named.append([name for name, _ in pictures])
        known = [{"classes": CLASSES, "is_same": True}, {"classes": OTHERS, "is_same": False}]
        good = {"image": str(mask), "size": [TALL, WIDE], "masks": [str(mask)] * 2, "fault": ""}
        told = [{"name": "a.b.png", **good}, {"name": "bad.png", "fault": "It is damaged."}]
        value = {"classes": CLASSES, "palette": PALETTE, "nets": known, "scenes": told}
        return JobState("done", value)

    monkeypatch.setattr(Studio, "look_own", look_own)
    monkeypatch.setattr(
        "pages.parts.look.own_scenes.scene_view", lambda scene, **_more: scenes.append(scene)
    )
    app = opened(open_page, run=run.id, look_pictures="My own")
    files = [(f"{n}.png", b"%d" % n, "image/png") for n in range(9)]
    app.get("file_uploader")[0].set_value(files).run()
    assert not app.exception
    assert named[-1] == [f"{n}.png" for n in range(8)]
    assert "The first 8 of 9 pictures are shown" in told(app)
    assert "**bad.png** It is damaged." in told(app)
    assert [layer.role for layer in scenes[-1].layers] == ["first", "second"]
    assert (scenes[-1].place, scenes[-1].count, scenes[-1].name) == (1, 1, "a.b")


def test_the_run_is_chosen_in_the_box_too(
    open_page: Any, workspace: Workspace, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    other = add_scenes(workspace, "Other", is_taught=False)
    app = opened(open_page, run=run.id)
    app.selectbox(key="look_run").set_value(other.id).run()
    assert not app.exception
    assert app.query_params["run"] in (other.id, [other.id])
    assert drawn[-1].name.startswith(other.id)


def test_a_picture_is_drawn_anew_only_where_something_changed(
    open_page: Any, run: RunFolder, asked: list[Any], drawn: list[Scene]
) -> None:
    opened(open_page, run=run.id)
    opened(open_page, run=run.id)
    opened(open_page, run=run.id, look_at="2")
    versions = [_plain(scene)["version"] for scene in drawn]
    assert versions[0] == versions[1] != versions[2]
