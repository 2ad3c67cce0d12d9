"""What student and teacher answer: for the images of a split, and for a person's own pictures.

Weights are those of a run, as [run, position that they were saved at].
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from engine.assembly import make_net, make_teacher
from engine.data import DataSet, Split
from engine.data.device_loader import Normalise, evaluation_batches
from engine.data.file_split import decode, look
from engine.errors import DataError, DistillError, SpecError
from engine.events import At
from engine.jobs.common import (
    CPU,
    Weights,
    changed,
    known,
    loaded_data,
    png,
    runs_folder,
    student_of,
)
from engine.nets import StagedNet
from engine.runs.answers import (
    DAMAGED,
    KEPT_FILES,
    is_kept,
    saved_at,
    student_path,
    teacher_path,
    unfinished,
)
from engine.runs.disk import disk_faults
from engine.runs.folder import RunFolder, Workspace
from engine.spec import RunSpec

TOP = 5
BATCH = 64  # small, so that a large net answers a batch in a moment
TURN_SECONDS = 3.0  # after which other jobs have their turn
OWN_SIDE = 224  # pixels to which a person's small picture is enlarged

Net = Callable[[], StagedNet]
Tables = Mapping[str, NDArray[Any]]


def answers(weights: Weights, split: str) -> dict[str, Any]:
    """Ask student and teacher about more images of a split; ask again until `is_whole`.

    fault: why the teacher cannot be asked; empty where it can, or there is none.

    Raises:
        DataError: the images are not what they were.
        WeightsError: the run has saved other weights since.
        SpecError: there is no such split, or the images have no class each.
    """
    run, at = known(weights)
    folder = Workspace.open().run(run)
    spec = folder.spec()
    data = _unchanged(folder, spec)
    part = data.splits.get(split)
    if part is None:
        raise SpecError(f"{data.name} has no {split} images", where="split")
    until = time.monotonic() + TURN_SECONDS
    is_whole = _asked(student_path(folder, at, split), lambda: _student(run, at), part, data, until)
    fault = ""
    if is_whole and spec.teacher is not None:
        try:
            teacher = teacher_path(folder, split)
            is_whole = _asked(teacher, lambda: _teacher(spec.to_json()), part, data, until)
        except DistillError as error:
            fault = str(error)
    return {"is_whole": is_whole, "fault": fault}


def own_answers(weights: Weights, pictures: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """What student and teacher say of pictures that are of no data set.

    Args:
        pictures: [{"name": as its owner calls it, "path"}]
    """
    run, at = known(weights)
    folder = Workspace.open().run(run)
    spec = folder.spec()
    data = _unchanged(folder, spec)
    nets = {"student": _student(run, at)}
    fault = ""
    if spec.teacher is not None:
        try:
            nets["teacher"] = _teacher(spec.to_json())
        except DistillError as error:
            fault = str(error)
    return [_own(one["name"], Path(one["path"]), nets, data, fault) for one in pictures]


def _own(
    name: str, path: Path, nets: Mapping[str, StagedNet], data: DataSet, fault: str
) -> dict[str, Any]:
    tall, wide = data.input_shape[1:]
    seen = look(path)  # before it is decoded
    if seen.fault:
        return {"name": name, "fault": f"{name} {seen.fault}.", "image": "", "said": {}}
    try:
        raw = decode(path, (wide, tall))
    except DataError:
        return {"name": name, "fault": f"{name} is damaged.", "image": "", "said": {}}
    image = Normalise(data, CPU)(raw[None])
    said = {}
    for who, net in nets.items():
        told = _said(net, image, torch.zeros(1, dtype=torch.int64))
        pairs = zip(told["top"][0].tolist(), told["probability"][0].tolist(), strict=True)
        said[who] = [[label, chance] for label, chance in pairs]
    picture = Image.fromarray(raw.permute(1, 2, 0).numpy())
    times = max(1, OWN_SIDE // max(picture.size))
    larger = picture.resize((wide * times, tall * times), Image.Resampling.NEAREST)
    return {
        "name": name,
        "fault": "",
        "image": png(np.asarray(larger)),
        "said": said,
        "size": list(seen.size),
        "classes": list(data.classes),
        "teacher_fault": fault,
    }


def _unchanged(folder: RunFolder, spec: RunSpec) -> DataSet:
    if spec.task != "classify":
        raise SpecError("the images of this run have no class each, but one for every pixel")
    data = loaded_data(spec.data, spec.seed)
    if folder.environment().get("data set", "") not in ("", data.fingerprint):
        raise changed(data)
    return data


def _asked(path: Path, net: Net, part: Split, data: DataSet, until: float) -> bool:
    """Go on asking a net until a time; whether it was asked about all images of a split."""
    if is_kept(path):
        return True
    partly = unfinished(path)
    pieces = [_before(partly, part)]
    done = len(pieces[0]["loss"])
    asked = net()
    rest = _Rest(part, done)
    for batch in evaluation_batches(rest, data, batch=BATCH, device=CPU, num_workers=0):
        pieces.append(_said(asked, batch.image, batch.target))
        done += len(batch)
        if time.monotonic() > until:
            break
    told = [piece for piece in pieces if len(piece["loss"])]
    found = {name: np.concatenate([piece[name] for piece in told]) for name in pieces[0]}
    is_whole = done == len(part)
    facts = {"classes": np.array(data.classes), "images": np.array(len(part))}
    _write(path if is_whole else partly, {**found, **facts})
    if is_whole:
        partly.unlink(missing_ok=True)
        _keep_newest(path.parent)
    return is_whole


def _said(net: StagedNet, image: Tensor, target: Tensor) -> dict[str, NDArray[Any]]:
    """The likeliest classes of (B, 3, H, W) images, and the loss of each."""
    with torch.no_grad():
        logits = net(image).float()
    chance, top = logits.softmax(dim=1).topk(min(TOP, logits.shape[1]), dim=1)
    return {
        "truth": target.numpy().astype(np.int32),
        "top": top.numpy().astype(np.int32),
        "probability": chance.numpy(),
        "loss": F.cross_entropy(logits, target, reduction="none").numpy(),
    }


class _Rest:
    """The images of a split from a row on."""

    def __init__(self, whole: Split, start: int) -> None:
        self._whole, self._start = whole, start

    @property
    def targets(self) -> Tensor:
        return self._whole.targets[self._start :]

    def images(self, rows: Tensor) -> Tensor:
        return self._whole.images(rows + self._start)

    def __len__(self) -> int:
        return len(self._whole) - self._start


def _before(path: Path, part: Split) -> dict[str, NDArray[Any]]:
    """What was told so far; nothing where it cannot be read or is of another split."""
    names = ("truth", "top", "probability", "loss")
    with (
        suppress(*DAMAGED),
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as tables,
    ):
        found = {name: tables[name] for name in names}
        if int(tables["images"]) == len(part) and len({len(one) for one in found.values()}) == 1:
            return found
    return {
        "truth": np.empty(0, np.int32),
        "top": np.empty((0, 0), np.int32),
        "probability": np.empty((0, 0), np.float32),
        "loss": np.empty(0, np.float32),
    }


def _write(path: Path, tables: Tables) -> None:
    with disk_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez_compressed(file, **tables)  # type: ignore[arg-type]
        temporary.replace(path)


def _keep_newest(folder: Path) -> None:
    files = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
    for path in files[:-KEPT_FILES]:
        path.unlink(missing_ok=True)


@lru_cache(maxsize=2)
def _student(run: str, at: At) -> StagedNet:
    """The student of a run, as one of its files or its checkpoint holds it.

    Raises:
        WeightsError: none was saved at this position.
    """
    folder = Workspace.open().run(run)
    spec = folder.spec()
    for which in ("best", "last"):
        path = folder.artefacts / f"student_{which}.safetensors"
        if saved_at(path) == at:
            choice = spec.student.model_copy(update={"weights": str(path)})
            data = loaded_data(spec.data, spec.seed)
            return make_net(choice, data, runs=runs_folder(), seed=spec.seed).net.eval()
    return student_of(run, at)


@lru_cache(maxsize=2)
def _teacher(spec: str) -> StagedNet:
    read = RunSpec.model_validate_json(spec)
    data = loaded_data(read.data, read.seed)
    teacher = make_teacher(read, data, runs=runs_folder(), device=CPU)
    assert teacher is not None
    return teacher.net.eval()
