"""What student and teacher answer: the jobs, on runs saved by hand, and the files they leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from PIL import Image

from engine.api import Studio
from engine.assembly import load_data, make_method, make_net, make_teacher
from engine.data.device_loader import evaluation_batches
from engine.errors import DataError, SpecError, WeightsError
from engine.jobs import answers as jobs
from engine.jobs.common import CPU, Weights
from engine.jobs.serve import answer
from engine.nets.staged import StagedNet
from engine.nets.weights import save_weights
from engine.runs import answers as files
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.runs.job_process import JobProcess, JobState
from engine.runs.uploads import keep_upload
from engine.spec import RunSpec
from engine.training.checkpoint import Checkpoint, save_checkpoint

AT = (0, 1, 5)
BEST = (0, 2, 5)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(tmp_path / "workspace"))
    return Workspace.open()


@pytest.fixture
def taught(tmp_path: Path) -> RunSpec:
    return tiny.spec_of(tiny.teacher_file(tmp_path), distiller="at")


def save(spec: RunSpec, nudge: float = 0.5) -> tuple[Weights, RunFolder, StagedNet]:
    """A run whose checkpoint holds a student with disturbed weights, as after some training."""
    workspace = Workspace.open()
    folder = workspace.create(spec, Meta())
    data, runs = load_data(spec.data, spec.seed), workspace.path / "runs"
    teacher = make_teacher(spec, data, runs=runs, device=CPU)
    student = make_net(spec.student, data, runs=runs, seed=spec.seed).net
    method = make_method(spec, data, student, teacher.net if teacher else None, device=CPU)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(nudge * torch.randn(parameter.shape))
    checkpoint = Checkpoint(
        position=AT,
        modules=method.modules.state_dict(),
        optimizers={},
        tally={},
        best_figure=0.0,
        best_at=AT,
        circumstances={},
    )
    save_checkpoint(folder.checkpoints / "last.pt", checkpoint)
    return (folder.id, AT), folder, student.eval()


def logits_of(net: StagedNet, split: str = "test") -> tuple[torch.Tensor, torch.Tensor]:
    data = load_data(tiny.spec_of().data, 3)
    (batch,) = evaluation_batches(data.splits[split], data, batch=100, device=CPU)
    with torch.no_grad():
        return net(batch.image), batch.target


def asked(weights: Weights, folder: RunFolder, split: str = "test") -> files.Answers:
    assert jobs.answers(weights, split) == {"is_whole": True, "fault": ""}
    found = files.read_answers(folder, weights[1], split)
    assert found is not None
    return found


@pytest.mark.parametrize("split", ["test", "validation"])
def test_answers_are_those_of_the_saved_student_and_its_teacher(
    taught: RunSpec, split: str
) -> None:
    weights, folder, student = save(taught)
    found = asked(weights, folder, split)
    data = load_data(taught.data, taught.seed)
    teacher = make_teacher(taught, data, runs=Path(), device=CPU)
    assert teacher is not None and found.teacher is not None
    assert (found.classes, found.split, found.at) == (tiny.CLASSES, split, AT)
    for said, net in ((found.student, student), (found.teacher, teacher.net)):
        logits, target = logits_of(net, split)
        assert found.truth.tolist() == target.tolist()
        chance, top = logits.softmax(dim=1).sort(dim=1, descending=True)
        assert said.top.tolist() == top.tolist()  # all classes, as there are fewer than five
        np.testing.assert_allclose(said.probability, chance.numpy(), rtol=1e-4, atol=1e-6)
        loss = F.cross_entropy(logits, target, reduction="none")
        np.testing.assert_allclose(said.loss, loss.numpy(), rtol=1e-4, atol=1e-6)
    assert (found.student.answer != found.teacher.answer).any()


def test_a_run_without_a_teacher_has_answers_of_its_student_alone() -> None:
    weights, folder, _ = save(tiny.spec_of())
    assert asked(weights, folder).teacher is None
    assert files.share_done(folder, AT, "test") == 1.0


def test_a_job_takes_turns_and_goes_on_where_it_was(
    taught: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, folder, _ = save(taught)
    whole = asked(weights, folder)
    for path in (files.student_path(folder, AT, "test"), files.teacher_path(folder, "test")):
        path.unlink()
    monkeypatch.setattr(jobs, "TURN_SECONDS", -1.0)
    monkeypatch.setattr(jobs, "BATCH", 8)
    told = []
    while True:
        state = jobs.answers(weights, "test")
        told.append(files.share_done(folder, AT, "test"))
        if state["is_whole"]:
            break
        assert files.read_answers(folder, AT, "test") is None or len(told) >= 3
    assert told == pytest.approx([0.2, 0.4, 0.7, 0.9, 1.0])
    found = files.read_answers(folder, AT, "test")
    assert found is not None and found.teacher is not None and whole.teacher is not None
    assert found.student.top.tolist() == whole.student.top.tolist()
    assert found.truth.tolist() == whole.truth.tolist()
    assert found.teacher.loss.tolist() == pytest.approx(whole.teacher.loss.tolist(), rel=1e-4)
    assert not [*folder.workspace.path.glob("answers/*.part.npz")]


def test_what_is_known_is_not_asked_again(taught: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, folder, _ = save(taught)
    asked(weights, folder)
    monkeypatch.setattr(jobs, "_said", lambda *_: pytest.fail("asked again"))
    assert jobs.answers(weights, "test")["is_whole"]


@pytest.mark.parametrize("is_part", [True, False])
def test_a_damaged_file_is_made_again_from_the_beginning(taught: RunSpec, is_part: bool) -> None:
    weights, folder, _ = save(taught)
    path = files.student_path(folder, AT, "test")
    path.parent.mkdir()
    (files.unfinished(path) if is_part else path).write_bytes(b"PK\x03\x04 no archive")
    assert files.read_answers(folder, AT, "test") is None
    assert files.share_done(folder, AT, "test") == (0.0 if is_part else 0.5)
    assert len(asked(weights, folder).truth) == tiny.HELD


def test_the_best_weights_are_read_from_their_file(taught: RunSpec) -> None:
    _, folder, _ = save(taught)
    best = tiny.net(tiny.STUDENT, seed=77)
    facts = {"at": " ".join(map(str, BEST)), "classes": "\n".join(tiny.CLASSES)}
    save_weights(best, folder.artefacts / "student_best.safetensors", facts)
    assert files.saved_weights(folder) == {"best": BEST}
    found = asked((folder.id, BEST), folder)
    logits, _ = logits_of(best.eval())
    assert found.student.answer.tolist() == logits.argmax(dim=1).tolist()
    (folder.artefacts / "student_last.safetensors").write_bytes(b"\xff" * 40)
    assert files.saved_weights(folder) == {"best": BEST}


def test_weights_that_are_no_longer_kept_are_refused(taught: RunSpec) -> None:
    _, folder, _ = save(taught)
    with pytest.raises(WeightsError, match="newer weights"):
        jobs.answers((folder.id, (0, 9, 9)), "test")


def test_images_that_have_changed_and_splits_that_do_not_exist_are_refused(taught: RunSpec) -> None:
    weights, folder, _ = save(taught)
    with pytest.raises(SpecError, match="no nonsense images"):
        jobs.answers(weights, "nonsense")
    folder.write_environment({"data set": "another"})
    with pytest.raises(DataError, match="have changed since this run"):
        jobs.answers(weights, "test")


def test_a_teacher_that_is_gone_leaves_the_student(taught: RunSpec, tmp_path: Path) -> None:
    weights, folder, _ = save(taught)
    jobs._teacher.cache_clear()
    Path(taught.teacher.weights).unlink() if taught.teacher else None
    found = jobs.answers(weights, "test")
    assert found["is_whole"] and "teacher" in found["fault"]
    told = files.read_answers(folder, AT, "test")
    assert told is not None and told.teacher is None
    picture = tmp_path / "one.png"
    Image.new("RGB", (9, 9)).save(picture)
    (one,) = jobs.own_answers(weights, [{"name": "one.png", "path": str(picture)}])
    assert set(one["said"]) == {"student"} and one["teacher_fault"] == found["fault"]


def test_runs_share_what_their_teacher_said(taught: RunSpec) -> None:
    first, second = (save(taught)[1] for _ in range(2))
    assert files.teacher_path(first, "test") != files.teacher_path(second, "test")  # not known
    for folder in (first, second):
        folder.write_environment({"teacher": "abc"})
    assert files.teacher_path(first, "test") == files.teacher_path(second, "test")
    assert files.teacher_path(first, "test") != files.teacher_path(first, "validation")


def test_only_the_newest_files_stay(taught: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, folder, _ = save(taught)
    monkeypatch.setattr(jobs, "KEPT_FILES", 2)
    asked(weights, folder, "validation")
    asked(weights, folder, "test")
    kept = {path.name for path in folder.workspace.path.glob("answers/*")}
    assert kept == {
        files.student_path(folder, AT, "test").name,
        files.teacher_path(folder, "test").name,
    }


# A person's own pictures


def own(weights: Weights, *paths: Path) -> list[dict[str, Any]]:
    pictures = [{"name": path.name, "path": str(path)} for path in paths]
    found = answer("own_answers", {"weights": weights, "pictures": pictures})["value"]
    told: list[dict[str, Any]] = json.loads(json.dumps(found))
    return told


def test_own_pictures_are_seen_as_the_nets_see_images(taught: RunSpec, tmp_path: Path) -> None:
    weights, _, student = save(taught)
    data = load_data(taught.data, taught.seed)
    pixels = data.validation.images(torch.tensor([4]))[0].permute(1, 2, 0).numpy()
    path = tmp_path / "mine.png"
    Image.fromarray(pixels).save(path)
    (one,) = own(weights, path)
    logits, _ = logits_of(student, "validation")
    chance = logits.softmax(dim=1)[4]
    assert one["fault"] == "" and one["size"] == [8, 8]
    assert [label for label, _ in one["said"]["student"]] == chance.argsort(
        descending=True
    ).tolist()
    assert one["said"]["student"][0][1] == pytest.approx(float(chance.max()), rel=1e-4)
    assert set(one["said"]) == {"student", "teacher"}


def test_a_turned_photo_is_set_upright(taught: RunSpec, tmp_path: Path) -> None:
    weights, *_ = save(taught)
    upright = Image.new("RGB", (40, 40))
    upright.paste((255, 255, 255), (0, 0, 40, 10))
    turned = upright.rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the top is at the right
    for name, image, more in (("a.jpg", upright, {}), ("b.jpg", turned, {"exif": exif})):
        image.save(tmp_path / name, quality=100, **more)
    first, second = own(weights, tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert second["said"]["student"][0][0] == first["said"]["student"][0][0]
    assert second["said"]["student"][0][1] == pytest.approx(
        first["said"]["student"][0][1], abs=0.05
    )


def huge(path: Path) -> Path:
    """A PNG whose head says 20,000 x 20,000, with hardly a pixel behind it."""
    import struct
    import zlib

    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    body = part(b"IDAT", zlib.compress(b"\0" * 10)) + part(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + body)
    return path


def test_a_huge_and_a_damaged_picture_are_refused_beside_a_good_one(
    taught: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, *_ = save(taught)
    good, text, cut = tmp_path / "good.webp", tmp_path / "text.png", tmp_path / "cut.jpg"
    Image.effect_noise((300, 200), 90).convert("RGB").save(good)
    Image.effect_noise((300, 200), 90).convert("RGB").save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    text.write_text("no picture")
    decoded: list[str] = []
    real = jobs.decode
    monkeypatch.setattr(
        jobs, "decode", lambda path, size: decoded.append(path.name) or real(path, size)
    )
    found = own(weights, huge(tmp_path / "huge.png"), good, text, cut)
    faults = [one["fault"] for one in found]
    assert faults[0].startswith("huge.png has more than 89") and faults[1] == ""
    assert faults[2] == "text.png is no PNG, JPEG or WebP image."
    assert faults[3] == "cut.jpg is damaged."
    assert "huge.png" not in decoded


def test_uploads_are_named_by_their_bytes_and_the_oldest_go(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runs.uploads.KEPT_FILES", 2)
    first = keep_upload(workspace, b"one")
    assert first.read_bytes() == b"one" and keep_upload(workspace, b"one") == first
    assert first.parent == workspace.path / "uploads"
    for data in (b"two", b"three", b"four"):
        newest = keep_upload(workspace, data)
    assert newest.exists() and len([*first.parent.iterdir()]) == 2


# The door


class Asked:
    """Stands for the job process: it works when told to."""

    def __init__(self) -> None:
        self.kinds: list[tuple[str, bool]] = []
        self.state = JobState("waiting")

    def ask(self, kind: str, params: Any, *, again: bool = False) -> JobState:
        self.kinds.append((kind, again))
        return self.state


@pytest.fixture
def door(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> tuple[Studio, Asked]:
    process = Asked()
    monkeypatch.setattr(JobProcess, "ask", lambda _, *args, **more: process.ask(*args, **more))
    return Studio(workspace.path), process


def test_the_studio_asks_on_until_all_is_known_and_then_asks_nobody(
    taught: RunSpec, door: tuple[Studio, Asked]
) -> None:
    studio, process = door
    weights, folder, _ = save(taught)
    assert studio.answers(weights, "test") == JobState("running", 0.0)
    process.state = JobState("done", {"is_whole": False, "fault": ""})
    assert studio.answers(weights, "test").status == "running"
    assert process.kinds[-2:] == [("answers", False), ("answers", True)]
    asked(weights, folder)
    count = len(process.kinds)
    state = studio.answers(weights, "test")
    assert state.status == "done" and isinstance(state.value, files.Answers)
    assert len(process.kinds) == count


def test_the_studio_gives_the_student_where_the_teacher_cannot_be_asked(
    taught: RunSpec, door: tuple[Studio, Asked]
) -> None:
    studio, process = door
    weights, folder, _ = save(taught)
    asked(weights, folder)
    files.teacher_path(folder, "test").unlink()
    process.state = JobState("done", {"is_whole": True, "fault": "it is gone"})
    state = studio.answers(weights, "test")
    assert (state.status, state.message) == ("done", "it is gone")
    assert state.value.teacher is None
    process.state = JobState("failed", message="no")
    assert studio.answers(weights, "test").status == "failed"
