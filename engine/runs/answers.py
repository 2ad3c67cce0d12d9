"""What the nets of a run answer for the images of a split, as a job keeps it in files.

A file holds one net. A file that is not whole yet ends in `.part.npz`.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.events import At
from engine.runs.folder import RunFolder

KEPT_FILES = 100  # of all runs together; the oldest go first
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one net says of N images.

    top:         (N, K) the K most likely class ids, the likeliest first; K is 5, or all classes
    probability: (N, K) of these, 0 to 1
    loss:        (N,) cross-entropy with the true class, in nats
    """

    top: NDArray[np.int64]
    probability: NDArray[np.float32]
    loss: NDArray[np.float32]

    @property
    def answer(self) -> NDArray[np.int64]:
        """(N,) the likeliest class."""
        return self.top[:, 0]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the nets of a run say of the N images of a split, in the order of the split.

    truth: (N,) class ids; at: the position at which the student was saved; teacher: None where
    the run has none, or it cannot be asked.
    """

    split: str
    at: At
    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    student: Said
    teacher: Said | None


def student_path(folder: RunFolder, at: At, split: str) -> Path:
    """Where the answers of a student are kept, as it was saved at a position."""
    return _path(folder, f"{folder.id}-{'-'.join(map(str, at))}-{split}")


def teacher_path(folder: RunFolder, split: str) -> Path:
    """Where the answers of a run's teacher are kept; runs that share it and the data share them."""
    spec, known = folder.spec(), folder.environment()
    digest = known.get("teacher") or folder.id
    same = (spec.data.model_dump(), spec.seed, known.get("data set", ""), digest, split)
    text = json.dumps(same, sort_keys=True)
    return _path(folder, f"teacher-{hashlib.sha256(text.encode()).hexdigest()[:20]}")


def unfinished(path: Path) -> Path:
    """The file of those images that have been asked about so far."""
    return path.with_suffix(".part.npz")


def is_kept(path: Path) -> bool:
    """Whether a file of answers is there and can be read."""
    return _read(path) is not None


def read_answers(folder: RunFolder, at: At, split: str) -> Answers | None:
    """The answers of a run; None where the student has not been asked about all images.

    Raises:
        WorkspaceError: there is no such run.
    """
    student = _read(student_path(folder, at, split))
    if student is None:
        return None
    teacher = _read(teacher_path(folder, split)) if folder.spec().teacher else None
    if teacher is not None and not np.array_equal(teacher["truth"], student["truth"]):
        teacher = None
    return Answers(
        split=split,
        at=at,
        classes=tuple(map(str, student["classes"])),
        truth=student["truth"].astype(np.int64),
        student=_said(student),
        teacher=None if teacher is None else _said(teacher),
    )


def share_done(folder: RunFolder, at: At, split: str) -> float:
    """How much of the images all nets have been asked about, 0 to 1."""
    paths = [student_path(folder, at, split)]
    if folder.spec().teacher:
        paths.append(teacher_path(folder, split))
    shares = [1.0 if path.exists() else _share_of(unfinished(path)) for path in paths]
    return sum(shares) / len(shares)


def _path(folder: RunFolder, name: str) -> Path:
    return folder.workspace.path / "answers" / f"{name}.npz"


def _share_of(path: Path) -> float:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
            return len(tables["loss"]) / max(int(tables["images"]), 1)
    except DAMAGED:
        return 0.0


def _said(tables: dict[str, NDArray[Any]]) -> Said:
    return Said(
        top=tables["top"].astype(np.int64),
        probability=tables["probability"].astype(np.float32),
        loss=tables["loss"].astype(np.float32),
    )


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    try:
        stat = path.stat()
        return _tables(path, stat.st_mtime_ns, stat.st_size)
    except DAMAGED:
        return None


@lru_cache(maxsize=8)
def _tables(path: Path, _changed: int, _size: int) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
        return {name: tables[name] for name in tables.files}


def saved_weights(folder: RunFolder) -> dict[str, At]:
    """`best` and `last` -> where the weights files of a run's student were saved."""
    found = {}
    for which in ("best", "last"):
        at = saved_at(folder.artefacts / f"student_{which}.safetensors")
        if at is not None:
            found[which] = at
    return found


def saved_at(path: Path) -> At | None:
    """The position that a weights file tells; None where there is no such file or word."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            facts = json.loads(file.read(min(length, 10**7)))["__metadata__"]
        phase, epoch, step = map(int, facts["at"].split())
    except DAMAGED:
        return None
    return phase, epoch, step
