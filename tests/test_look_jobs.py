"""What segmenters of runs see: masks as files and overlaps, on whole tiny runs."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_masks
import torch
from numpy.typing import NDArray
from PIL import Image

from engine.api import Studio
from engine.errors import DataError, SpecError, WeightsError
from engine.execution import execute
from engine.jobs import look_nets
from engine.jobs.common import CPU
from engine.jobs.look import look_masks, look_overlaps, looks_folder
from engine.jobs.look_own import look_own, shown_size
from engine.jobs.predictor import load_predictor
from engine.jobs.serve import answer
from engine.runs.answers import saved_weights
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.job_process import JobProcess, JobState
from engine.runs.overlaps import read_overlaps
from engine.runs.worker import drive

TALL, WIDE = tiny_masks.SHAPE[1:]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("look")


@pytest.fixture(autouse=True)
def workspace(place: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(place))
    return Workspace.open()


@pytest.fixture(scope="module")
def taught(place: Path) -> RunFolder:
    """A student taught by a teacher of five other classes."""
    spec = tiny_masks.spec_of(
        tiny_masks.teacher_file(place), knobs={"imitation_share": 0.5, "head_share": 0.17}
    )
    run = Workspace.open(place).create(spec, Meta(name="taught"))
    assert drive(run, execute) == "finished"
    return run


@pytest.fixture(scope="module")
def alone(place: Path) -> RunFolder:
    run = Workspace.open(place).create(tiny_masks.spec_of(), Meta(name="alone"))
    assert drive(run, execute) == "finished"
    return run


def student(run: RunFolder, which: str = "last") -> tuple[str, str, tuple[int, int, int]]:
    return (run.id, "student", saved_weights(run)[which])


def teacher(run: RunFolder) -> tuple[str, str, tuple[int, int, int]]:
    return (run.id, "teacher", (0, 0, 0))


def mask_at(path: str, height: int = TALL, width: int = WIDE) -> NDArray[np.uint8]:
    flat = np.frombuffer(zlib.decompress(Path(path).read_bytes()), dtype=np.uint8)
    return flat.reshape(height, width)


def upload(place: Path, name: str, data: bytes) -> list[dict[str, str]]:
    path = place / name
    path.write_bytes(data)
    return [{"name": name, "path": str(path)}]


def test_masks_are_those_that_the_run_kept(taught: RunFolder) -> None:
    net = student(taught)
    kept = read_overlaps(taught, "student", "test", net[2])
    assert kept is not None
    found = look_masks(taught.id, "test", [0, 2, 5], [net])
    for row in (0, 2, 5):
        told = found["scenes"][str(row)]
        place = kept.rows.tolist().index(row)
        assert np.array_equal(mask_at(told["masks"][0]), kept.masks[place])
        expected = [None if np.isnan(v) else v for v in kept.image_iou[row].tolist()]
        assert told["iou"][0] == pytest.approx(expected, abs=1e-6)


def test_pictures_and_truths_are_those_of_the_data_set(taught: RunFolder) -> None:
    pixels, truths = tiny_masks.pictures(tiny_masks.HELD, 3)
    found = look_masks(taught.id, "test", [1, 4], [student(taught)])
    assert found["size"] == [TALL, WIDE] and tuple(found["classes"]) == tiny_masks.CLASSES
    for row in (1, 4):
        told = found["scenes"][str(row)]
        assert np.array_equal(mask_at(told["truth"]), truths[row].numpy())
        with Image.open(told["image"]) as image:
            assert np.array_equal(np.array(image), pixels[row].permute(1, 2, 0).numpy())


def test_a_teacher_of_other_classes_is_shown_but_not_measured(taught: RunFolder) -> None:
    found = look_masks(taught.id, "test", [0], [student(taught), teacher(taught)])
    assert [net["is_same"] for net in found["nets"]] == [True, False]
    assert tuple(found["nets"][1]["classes"]) == tiny_masks.OTHER_CLASSES
    told = found["scenes"]["0"]
    assert told["iou"][1] is None
    assert mask_at(told["masks"][1]).max() < len(tiny_masks.OTHER_CLASSES)
    assert look_overlaps(taught.id, "test", teacher(taught))["is_same"] is False


def test_overlaps_are_what_the_run_measured(taught: RunFolder) -> None:
    net = student(taught)
    kept = read_overlaps(taught, "student", "test", net[2])
    assert kept is not None
    found = look_overlaps(taught.id, "test", net)
    assert found["images"] == tiny_masks.HELD
    assert found["class_iou"] == pytest.approx(kept.iou.tolist(), abs=1e-6)
    assert found["miou"] == pytest.approx(float(np.nanmean(kept.iou)))
    measured = np.array(found["image_iou"], dtype=np.float64)
    assert np.allclose(measured, kept.image_iou, equal_nan=True, atol=1e-6)


def test_what_the_run_measured_needs_no_job(
    taught: RunFolder, alone: RunFolder, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(JobProcess, "ask", lambda _self, kind, _params, **_more: asked.append(kind))
    found = Studio(place)
    for of in (taught, alone):
        state = found.look_overlaps(taught.id, "test", student(of))
        assert state.status == "done" and state.value == look_overlaps(
            taught.id, "test", student(of)
        )
    assert asked == []
    found.look_overlaps(taught.id, "train", student(taught))
    assert asked == ["look_overlaps"]


def test_the_student_of_another_run_is_seen_on_the_same_pictures(
    taught: RunFolder, alone: RunFolder
) -> None:
    both = look_masks(taught.id, "test", [0, 1], [student(taught), student(alone)])
    own = look_masks(alone.id, "test", [0, 1], [student(alone)])
    for row in ("0", "1"):
        theirs = mask_at(both["scenes"][row]["masks"][1])
        assert np.array_equal(theirs, mask_at(own["scenes"][row]["masks"][0]))
    assert both["scenes"]["0"]["masks"][0] != both["scenes"]["0"]["masks"][1]


def test_what_was_drawn_is_not_drawn_again(
    taught: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = look_masks(taught.id, "validation", [0, 1], [student(taught)])
    monkeypatch.setattr(look_nets.Segmenter, "masks", None)
    assert look_masks(taught.id, "validation", [0, 1], [student(taught)]) == first
    with pytest.raises(TypeError):
        look_masks(taught.id, "validation", [2], [student(taught)])


def test_a_checkpoint_is_looked_at_where_no_file_of_weights_is_left(
    taught: RunFolder, tmp_path: Path
) -> None:
    net = student(taught)
    before = look_masks(taught.id, "train", [0], [net])["scenes"]["0"]["masks"][0]
    kept = Path(before).read_bytes()
    Path(before).unlink()
    look_nets.segmenter.cache_clear()
    moved = []
    for path in taught.artefacts.glob("student_*.safetensors"):
        moved.append((path, path.rename(tmp_path / path.name)))
    try:
        look_masks(taught.id, "train", [0], [net])
        assert Path(before).read_bytes() == kept
        look_nets.segmenter.cache_clear()
        with pytest.raises(WeightsError, match="newer weights"):
            look_masks(taught.id, "train", [1], [(taught.id, "student", (0, 1, 0))])
    finally:
        for path, away in moved:
            away.rename(path)
        look_nets.segmenter.cache_clear()


def test_what_is_not_there_is_refused(taught: RunFolder, alone: RunFolder) -> None:
    with pytest.raises(DataError, match="no such"):
        look_masks(taught.id, "test", [tiny_masks.HELD], [student(taught)])
    with pytest.raises(SpecError, match="no split 'else'"):
        look_masks(taught.id, "else", [0], [student(taught)])
    with pytest.raises(SpecError, match="no teacher"):
        look_masks(alone.id, "test", [0], [teacher(alone)])


def test_pictures_that_have_changed_are_told(taught: RunFolder) -> None:
    before = taught.environment()
    taught.write_environment({**before, "data set": "another"})
    try:
        with pytest.raises(DataError, match="have changed"):
            look_masks(taught.id, "test", [0], [student(taught)])
    finally:
        taught.write_environment(before)


def test_the_masks_of_many_nets_are_not_kept_for_ever(
    taught: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.jobs.look.KEPT_NETS", 1)
    look_masks(taught.id, "test", [0], [student(taught, "best")])
    (folder,) = {path.parent.parent for path in looks_folder().rglob("*.mask")}
    for old in [path for path in folder.iterdir() if path.is_dir()]:
        if old.name != Path(look_nets.SavedNet(*teacher(taught)).slug).name:  # type: ignore[arg-type]
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
    look_masks(taught.id, "test", [0], [student(taught)])
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 1


def test_an_own_picture_of_the_size_of_the_set_is_seen_as_one_of_the_set(
    taught: RunFolder, tmp_path: Path
) -> None:
    pixels = tiny_masks.pictures(tiny_masks.HELD, 3)[0][2]
    out = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(out, "PNG")
    net = student(taught)
    (own,) = look_own(taught.id, [net], upload(tmp_path, "a.png", out.getvalue()))["scenes"]
    known = look_masks(taught.id, "test", [2], [net])["scenes"]["2"]
    assert own["size"] == [TALL, WIDE] and own["fault"] == "" and "truth" not in own
    assert np.array_equal(mask_at(own["masks"][0]), mask_at(known["masks"][0]))


def test_a_picture_that_a_camera_turned_is_seen_upright(taught: RunFolder, tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((100, 200, 3), dtype=np.uint8) + 90)
    image.paste((250, 20, 20), (0, 0, 100, 100))  # left; turned by 90 degrees it is above
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    (own,) = look_own(taught.id, [student(taught)], upload(tmp_path, "b.jpg", out.getvalue()))[
        "scenes"
    ]
    height, width = own["size"]
    assert height == 2 * width
    with Image.open(own["image"]) as shown:
        assert shown.size[1] == 2 * shown.size[0]
        assert shown.convert("RGB").getpixel((shown.width // 2, 10))[0] > 200
        assert shown.convert("RGB").getpixel((shown.width // 2, shown.height - 10))[0] < 150


def test_pictures_that_cannot_be_used_get_a_sentence_each(
    taught: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b""))
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    monkeypatch.setattr(
        "engine.jobs.look_own.decode", lambda *_: pytest.fail("it was decoded"), raising=True
    )
    pictures = [
        *upload(tmp_path, "huge.png", bomb),
        *upload(tmp_path, "words.png", b"no picture at all"),
        {"name": "gone.png", "path": str(tmp_path / "gone.png")},
    ]
    huge, words, gone = look_own(taught.id, [student(taught)], pictures)["scenes"]
    assert "more than 89,478,485 pixels" in huge["fault"]
    assert "no PNG, JPEG or WebP" in words["fault"]
    assert gone["fault"] == "This file is not there. Drop it in again."


@pytest.mark.parametrize(
    ("own", "expected"),
    [((640, 320), (640, 320)), ((4000, 3000), (1024, 768)), ((9000, 10), (1024, 1))],
)
def test_own_pictures_keep_their_shape(own: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shown_size(own) == expected


def test_an_own_picture_is_seen_as_predict_sees_it(taught: RunFolder, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (TALL * 3, WIDE, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    pictures = upload(tmp_path, "tall.png", out.getvalue())
    (own,) = look_own(taught.id, [student(taught)], pictures)["scenes"]
    artefact = taught.artefacts / "student_last.safetensors"
    expected = load_predictor(artefact, CPU).segment(Path(pictures[0]["path"]))
    assert np.array_equal(mask_at(own["masks"][0], *expected.shape), expected)


def test_own_pictures_are_read_from_one_folder_only(
    taught: RunFolder, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def ask(_: object, _kind: str, params: Any, **_more: Any) -> JobState:
        asked.append(params["pictures"])
        return JobState("waiting")

    monkeypatch.setattr(JobProcess, "ask", ask)
    found = Studio(place)
    kept = found.keep_picture(b"some bytes")
    found.look_own(taught.id, [student(taught)], [("a", kept), ("b", "../../etc/passwd")])
    folder = place / "uploads"
    assert [one["path"] for one in asked[0]] == [str(folder / kept), str(folder / "passwd")]
    assert (folder / kept).read_bytes() == b"some bytes"


def test_the_answers_are_plain_data_and_take_what_json_makes(
    taught: RunFolder, tmp_path: Path
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 32)).save(out, "PNG")
    nets = [student(taught), teacher(taught)]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("look_overlaps", {"split": "test", "net": nets[0]}),
        ("look_masks", {"split": "test", "rows": [0], "nets": nets}),
        ("look_own", {"nets": nets, "pictures": upload(tmp_path, "c.png", out.getvalue())}),
    ]
    for kind, more in asked:
        params = json.loads(json.dumps({"run": taught.id, **more}))
        assert "value" in json.loads(json.dumps(answer(kind, params)))
    assert torch.is_grad_enabled()
