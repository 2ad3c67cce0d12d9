"""What trained nets say of pictures in files: the same as in their evaluation, at any size."""

from __future__ import annotations

import csv
import json
import struct
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_masks
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine import cli
from engine.assembly import usable_device
from engine.class_colours import class_palette, tinted
from engine.data.device_loader import Normalise
from engine.data.file_split import decode
from engine.errors import DistillError, SpecError, WeightsError, WorkspaceError
from engine.execution import execute
from engine.jobs.painting import captioned, overlay
from engine.jobs.predict import TABLE, described, distinct_names, gathered, predictions
from engine.jobs.predictor import (
    PictureError,
    Predictor,
    find_run,
    load_predictor,
    predictor_of,
    views,
)
from engine.nets import StagedNet
from engine.nets.weights import save_weights
from engine.runs.folder import Meta, Workspace
from engine.runs.worker import drive

CPU = torch.device("cpu")
TALL, WIDE = tiny_masks.SHAPE[1:]
PALETTE = ((10, 20, 30), (40, 50, 60), (70, 80, 90))


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(tmp_path / "workspace"))
    return Workspace.open()


def saved(
    net: StagedNet,
    path: Path,
    name: str,
    classes: tuple[str, ...],
    shape: tuple[int, int, int],
    changes: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """A file as a run leaves it."""
    told = {
        "net": json.dumps({"name": name, "knobs": {}}),
        "classes": "\n".join(classes),
        "input_shape": " ".join(map(str, shape)),
        "mean": "0.4 0.4 0.4",
        "std": "0.3 0.3 0.3",
        **changes,
    }
    save_weights(net, path, {key: value for key, value in told.items() if value})
    return path


def segmenter(folder: Path, **changes: str) -> Path:
    net = tiny_masks.net(tiny_masks.STUDENT, seed=4)
    with torch.no_grad():  # so that it does not say one class everywhere
        image = (tiny_masks.pictures(4, 1)[0] / 255 - 0.4) / 0.3
        for _ in range(20):
            net.train()(image)
        logits = net.eval()(image).transpose(0, 1).flatten(1)
        net.stages["logits"].bias.sub_(logits.mean(dim=1))
    classes, shape = tiny_masks.CLASSES, tiny_masks.SHAPE
    path = folder / "segmenter.safetensors"
    return saved(net, path, tiny_masks.STUDENT, classes, shape, changes)


def classifier(folder: Path) -> Path:
    net = tiny.net(tiny.STUDENT, seed=4, num_classes=7)
    path = folder / "classifier.safetensors"
    return saved(net, path, tiny.STUDENT, tuple("abcdefg"), tiny.SHAPE)


def predict_pictures(
    name: str, files: list[str], out: str, weights: str = "", **more: bool
) -> dict[str, Any]:
    """What the command tells."""
    found = predictor_of(name, weights=weights, workspace=Workspace.open(), device=CPU)
    how = {"with_overlay": False, "may_replace": False, **more}
    return described(found, Path(out)) | gathered(
        predictions(found, files, Path(out), **how), Path(out)
    )


def picture(
    path: Path, size: tuple[int, int] = (WIDE, TALL), seed: int = 0, **options: object
) -> Path:
    """Large patches of colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    patches = np.random.default_rng(seed).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    Image.fromarray(patches).resize(size, Image.Resampling.NEAREST).save(path, **options)  # type: ignore[arg-type]
    return path


def head_of_png(width: int, height: int) -> bytes:
    """A PNG that only says how large it would be."""
    chunks = b""
    for name, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IEND", b""),
    ):
        chunks += (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )
    return b"\x89PNG\r\n\x1a\n" + chunks


def logits_of(found: Predictor, pixels: Tensor) -> Tensor:
    """(3, H, W) uint8 -> what an evaluation sees."""
    with torch.no_grad():
        return found.net(Normalise(found.facts, CPU)(pixels[None]))


# The same as in an evaluation


def test_a_picture_of_the_nets_size_gets_the_mask_of_its_evaluation(tmp_path: Path) -> None:
    found = load_predictor(segmenter(tmp_path), CPU)
    pixels = tiny_masks.pictures(1, 3)[0][0]
    file = tmp_path / "a.png"
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file)
    expected = logits_of(found, pixels).argmax(dim=1)[0]
    assert torch.equal(torch.from_numpy(found.segment(file)).long(), expected)
    assert len(expected.unique()) > 1


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_larger_picture_is_read_as_in_a_folder_and_its_logits_are_resized(
    tmp_path: Path, suffix: str
) -> None:
    found = load_predictor(segmenter(tmp_path), CPU)
    file = picture(tmp_path / f"a.{suffix}", (5 * WIDE, 5 * TALL))
    logits = logits_of(found, decode(file, (WIDE, TALL)))
    size = (5 * TALL, 5 * WIDE)
    expected = F.interpolate(logits, size, mode="bilinear", align_corners=False).argmax(dim=1)
    assert np.array_equal(found.segment(file), expected[0].numpy())


@pytest.mark.parametrize("size", [(90, 20), (20, 90), (33, 16), (32, 17), (200, 16)])
def test_the_middle_of_another_shape_is_what_an_evaluation_sees(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    found = load_predictor(segmenter(tmp_path), CPU)
    file = picture(tmp_path / "a.png", size)
    mask = found.segment(file)
    assert mask.shape == size[::-1]
    (view,) = [one for one in views(size, (WIDE, TALL)) if one.centring == (0.5, 0.5)]
    left, top, right, bottom = view.box
    logits = logits_of(found, decode(file, (WIDE, TALL)))
    inner = F.interpolate(logits, (bottom - top, right - left), mode="bilinear")
    assert np.array_equal(mask[top:bottom, left:right], inner.argmax(dim=1)[0].numpy())


def test_what_an_evaluation_cuts_off_is_seen_in_views_of_its_own(tmp_path: Path) -> None:
    found = load_predictor(segmenter(tmp_path), CPU)
    file = picture(tmp_path / "a.png", (100, 20), seed=5)
    mask = found.segment(file)
    with Image.open(file) as opened:  # the net's pictures are twice as wide as tall
        parts = [opened.crop((left, 0, left + 40, 20)) for left in (0, 30, 60)]
        small = [part.resize((WIDE, TALL), Image.Resampling.BILINEAR) for part in parts]
    pixels = [torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in small]
    left, middle, right = (
        F.interpolate(logits_of(found, one), (20, 40), mode="bilinear").argmax(dim=1)[0].numpy()
        for one in pixels
    )
    assert np.array_equal(mask, np.hstack([left[:, :30], middle, right[:, 10:]]))
    assert not np.array_equal(left, middle)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (3, 7), (1000, 40), (40, 999), (641, 321)])
def test_views_leave_no_pixel_out_and_end_in_the_middle(size: tuple[int, int]) -> None:
    covered = np.zeros(size[::-1], dtype=int)
    every = list(views(size, (WIDE, TALL)))
    for view in every:
        left, top, right, bottom = view.box
        assert all(0 <= place <= 1 for place in view.centring)
        covered[top:bottom, left:right] += 1
    assert covered.min() == 1 or len(every) > 1
    assert covered.min() >= 1
    assert every[-1].centring == (0.5, 0.5)


def test_a_shape_far_from_the_nets_is_refused() -> None:
    with pytest.raises(PictureError, match="is 9000 x 16 pixels, of a shape too far from"):
        list(views((9000, 16), (WIDE, TALL)))


def test_a_rotated_photograph_is_seen_as_its_camera_was_held(tmp_path: Path) -> None:
    found = load_predictor(segmenter(tmp_path), CPU)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(tmp_path / "turned.jpg", (80, 60), exif=exif, quality=95)
    with Image.open(turned) as opened:
        Image.fromarray(np.rot90(np.array(opened), -1)).save(tmp_path / "plain.png")
    mask = found.segment(turned)
    assert mask.shape == (80, 60)
    assert np.array_equal(mask, found.segment(tmp_path / "plain.png"))


def test_the_likeliest_classes_are_those_of_the_net(tmp_path: Path) -> None:
    found = load_predictor(classifier(tmp_path), CPU)
    file = picture(tmp_path / "a.png", (40, 40))
    shares = logits_of(found, decode(file, tiny.SHAPE[:0:-1])).softmax(dim=1)[0]
    ranked = found.rank(file)
    assert [share for _, share in ranked] == pytest.approx(shares.sort(descending=True)[0][:5])
    assert ranked[0][0] == "abcdefg"[int(shares.argmax())] and len(ranked) == 5


# Files


def test_a_mask_is_a_palette_picture_of_indices(tmp_path: Path) -> None:
    colours = "\n".join(" ".join(map(str, colour)) for colour in PALETTE)
    file = picture(tmp_path / "pictures/a.jpg", (64, 32))
    net = segmenter(tmp_path, palette=colours)
    told = predict_pictures(str(net), [str(file.parent)], str(tmp_path / "out"))
    (one,) = told["pictures"]
    assert one["mask"] == str(tmp_path / "out/a_mask.png") and told["failed"] == []
    with Image.open(one["mask"]) as stored:
        assert stored.mode == "P" and stored.size == (64, 32)
        indices, seen = np.array(stored), np.array(stored.convert("RGB"))
    assert np.array_equal(indices, load_predictor(net, CPU).segment(file))
    assert np.array_equal(seen, np.array(PALETTE)[indices])
    assert sum(one["shares"].values()) == pytest.approx(1)
    assert one["shares"]["grey"] == pytest.approx(float((indices == 1).mean()))
    assert told["palette"] == [list(colour) for colour in PALETTE]
    assert (told["task"], told["classes"]) == ("segment", list(tiny_masks.CLASSES))


def test_classes_are_written_as_a_table(tmp_path: Path) -> None:
    files = [picture(tmp_path / f'{n}, "{n}".png', (9, 8), seed=n) for n in range(3)]
    told = predict_pictures(
        str(classifier(tmp_path)), [*map(str, files)], str(tmp_path / "out"), with_overlay=True
    )
    assert told["table"] == str(tmp_path / "out" / TABLE)
    with Path(told["table"]).open() as opened:
        rows = list(csv.DictReader(opened))
    assert [row["file"] for row in rows] == [str(file) for file in files]
    for row, one in zip(rows, told["pictures"], strict=True):
        assert [row[f"class_{place}"] for place in range(1, 6)] == [name for name, _ in one["top"]]
        assert float(row["probability_1"]) == pytest.approx(one["top"][0][1], abs=1e-6)
        with Image.open(one["overlay"]) as shown:
            assert shown.width >= 320


def test_bad_pictures_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    picture(folder / "good.PNG")
    picture(folder / "cut.png", (300, 300))
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:200])
    (folder / "huge.png").write_bytes(head_of_png(20_000, 20_000))
    (folder / "text.jpg").write_text("no picture")
    picture(folder / "old.gif")
    (folder / "empty.webp").touch()
    for ignored in (".hidden.png", "Thumbs.db", ".DS_Store", "notes.txt"):
        (folder / ignored).write_text("x")
    (tmp_path / "nothing").mkdir()
    given = [str(folder), str(tmp_path / "nothing"), str(tmp_path / "gone.png")]
    told = predict_pictures(str(segmenter(tmp_path)), given, str(tmp_path / "out"))
    assert [Path(one["file"]).name for one in told["pictures"]] == ["good.PNG"]
    assert {Path(one["file"]).name: one["why"] for one in told["failed"]} == {
        "cut.png": "is damaged",
        "huge.png": "has more than 89,478,485 pixels",
        "text.jpg": "is no PNG, JPEG or WebP image",
        "empty.webp": "is no PNG, JPEG or WebP image",
        "old.gif": "is of a format that is not read",
        "nothing": "holds no PNG, JPEG or WebP image",
        "gone.png": "is not there",
    }
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["good_mask.png"]


def test_names_from_several_folders_do_not_meet(tmp_path: Path) -> None:
    places = ("a/x.png", "b/x.jpg", "b/X.PNG", "b/y.png", "c/b/x.png", "b_x.png")
    names = distinct_names([tmp_path / place for place in places])
    told = [names[tmp_path / place] for place in places]
    assert told == ["a_x", "b_x", "b_X_2", "y", "b_x_3", "b_x_4"]
    assert len({name.lower() for name in told}) == len(told)


def test_a_picture_named_twice_is_read_once(tmp_path: Path) -> None:
    file = picture(tmp_path / "pictures/a.png")
    given = [str(file), str(file.parent), str(file.parent / "../pictures/a.png")]
    told = predict_pictures(str(segmenter(tmp_path)), given, str(tmp_path / "out"))
    assert len(told["pictures"]) == 1


def test_what_is_there_is_replaced_only_where_that_is_allowed(tmp_path: Path) -> None:
    net, file = str(segmenter(tmp_path)), str(picture(tmp_path / "pictures/a.png"))
    out = tmp_path / "pictures/out"  # below the pictures: its masks are no pictures to read
    predict_pictures(net, [file], str(out))
    (out / "a_mask.png").write_text("mine")
    with pytest.raises(WorkspaceError, match=r"holds a_mask\.png already"):
        predict_pictures(net, [str(tmp_path / "pictures")], str(out))
    assert (out / "a_mask.png").read_text() == "mine"
    told = predict_pictures(net, [str(tmp_path / "pictures")], str(out), may_replace=True)
    assert len(told["pictures"]) == 1
    with Image.open(out / "a_mask.png") as mask:
        assert mask.mode == "P"


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png")
    with pytest.raises(WorkspaceError, match=r"a\.png"):
        predict_pictures(str(segmenter(tmp_path)), [str(file)], str(file))


# Nets


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"net": ""}, "does not say its net"),
        ({"classes": "", "mean": ""}, "does not say its classes, mean"),
        ({"input_shape": "3 16"}, "cannot be read"),
        ({"net": "bottleneck"}, "cannot be read"),
        ({"net": json.dumps({"name": "socks", "knobs": {}})}, "no net 'socks'"),
        ({"classes": "one\ntwo"}, "has 3 classes, the data set has 2 classes"),
    ],
)
def test_a_file_that_does_not_say_what_it_is_is_refused(
    tmp_path: Path, changes: dict[str, str], told: str
) -> None:
    with pytest.raises(DistillError, match=told):
        load_predictor(segmenter(tmp_path, **changes), CPU)


def test_a_run_is_found_by_the_beginning_of_its_id(workspace: Workspace) -> None:
    runs = [workspace.create(tiny.spec_of(), Meta()) for _ in range(2)]
    assert find_run(workspace, runs[0].id).id == runs[0].id
    with pytest.raises(
        SpecError, match=f"several runs begin with {runs[0].id[:4]}: .*{runs[1].id}"
    ):
        find_run(workspace, runs[0].id[:4])
    assert find_run(workspace, runs[1].id[:-1]).id == runs[1].id
    for wrong in ("nothing", "", "../runs"):
        with pytest.raises(WorkspaceError, match="there is no run"):
            find_run(workspace, wrong)


def test_a_run_without_weights_says_so(workspace: Workspace, tmp_path: Path) -> None:
    run = workspace.create(tiny.spec_of(), Meta())
    with pytest.raises(WeightsError, match=r"no last weights\. Train it"):
        predict_pictures(run.id, [], str(tmp_path / "out"))
    classifier(run.artefacts).rename(run.artefacts / "student_best.safetensors")
    with pytest.raises(WeightsError, match=r"no last weights\. Take its best weights"):
        predict_pictures(run.id, [], str(tmp_path / "out"))
    with pytest.raises(SpecError, match="'first' is not one of last, best"):
        predict_pictures(run.id, [], str(tmp_path / "out"), "first")
    with pytest.raises(SpecError, match="weights = best has no effect on a file"):
        file = str(run.artefacts / "student_best.safetensors")
        predict_pictures(file, [], str(tmp_path / "out"), "best")
    file = str(picture(tmp_path / "a.png"))
    told = predict_pictures(run.id, [file], str(tmp_path / "out"), "best")
    assert len(told["pictures"]) == 1


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "cuda:x"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(SpecError):
        usable_device(name)
    assert usable_device("cpu") == CPU


# In a terminal


def test_a_run_answers_in_a_terminal(
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = workspace.create(tiny_masks.spec_of(**{"schedule.epochs": 1}), Meta())
    assert drive(run, execute) == "finished"
    good = picture(tmp_path / "a.png", (48, 24))
    (tmp_path / "b.png").write_text("no picture")

    def call(*words: object) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["engine", "predict", *map(str, words), "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), json.loads(capsys.readouterr().out)

    out = tmp_path / "out"
    code, told = call(run.id[:12], good, tmp_path / "b.png", "--out", out, "--overlay")
    assert (code, told["failed"][0]["why"]) == (1, "is no PNG, JPEG or WebP image")
    with Image.open(told["pictures"][0]["mask"]) as mask:
        assert mask.size == (48, 24)
    assert (out / "a_overlay.png").is_file()
    code, told = call(run.id, good, "--out", out, "--weights", "best")
    assert code == 2 and "a_mask.png already" in told["error"]
    assert call(run.id, good, "--out", out, "--weights", "best", "--overwrite")[0] == 0
    assert call(run.artefacts / "student_last.safetensors", good, "--out", tmp_path / "two")[0] == 0
    assert call("nothing", good, "--out", out)[0] == 2


# Paintings


def test_colours_of_classes_are_apart() -> None:
    colours = class_palette((), 60)
    assert len(set(colours)) == 60 and all(0 <= tone < 256 for one in colours for tone in one)


def test_an_overlay_blends_the_colours_and_names_what_is_there() -> None:
    mask = np.zeros((400, 500), dtype=np.uint8)
    mask[:, 250:] = 2
    white = Image.new("RGB", (500, 400), (255, 255, 255))
    shown = overlay(white, mask, tiny_masks.CLASSES, PALETTE)
    assert shown.width == 500 and shown.height > 400
    assert (np.array(shown)[:400] == tinted(np.array(white), mask, PALETTE)).all()
    below = np.array(shown)[400:].reshape(-1, 3)
    found = {tuple(one) for one in below.tolist()}
    assert PALETTE[0] in found and PALETTE[2] in found and PALETTE[1] not in found


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3000, 20), (20, 3000)])
def test_a_picture_of_any_size_has_room_for_its_words(size: tuple[int, int]) -> None:
    shown = captioned(Image.new("RGB", size), [("a long name of a class", 0.9), ("b", 0.1)])
    assert shown.width >= 150 and shown.height >= 50
    assert max(shown.size) <= 2048 + 100
    mask = np.zeros(size[::-1], dtype=np.uint8)
    assert (
        max(overlay(Image.new("RGB", size), mask, ["a"], class_palette((), 1)).size) <= 2048 + 100
    )
