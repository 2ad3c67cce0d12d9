"""Answers of two nets, written by hand: every fifth is wrong, of the teacher every seventh."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.api import Answers, Said
from engine.events import At
from engine.runs.answers import student_path, teacher_path
from engine.runs.folder import RunFolder
from tests.pages.canned import CLASSES

END: At = (0, 9, 93)  # where the canned runs of ten epochs were saved last
CHANCES = (0.6, 0.2, 0.1, 0.06, 0.04)


def truth_of(images: int, classes: Sequence[str] = CLASSES) -> NDArray[np.int64]:
    return np.arange(images) % len(classes)


def said(truth: NDArray[np.int64], size: int, every: int, shift: int) -> Said:
    """Each `every`th answer is the class `shift` further; later images have higher losses."""
    rows = np.arange(len(truth))
    answer = np.where(rows % every == 0, truth + shift, truth) % size
    top = (answer[:, None] + np.arange(min(5, size))) % size
    chance = np.repeat(np.array(CHANCES, np.float32)[None, : top.shape[1]], len(truth), 0)
    return Said(top, chance, (rows / 100).astype(np.float32))


def answers_of(
    images: int = 60, classes: Sequence[str] = CLASSES, *, with_teacher: bool = True
) -> Answers:
    """What the files below hold."""
    truth = truth_of(images, classes)
    size = len(classes)
    teacher = said(truth, size, 7, 2) if with_teacher else None
    return Answers("test", END, tuple(classes), truth, said(truth, size, 5, 1), teacher)


def keep_answers(
    folder: RunFolder,
    *,
    at: At = END,
    split: str = "test",
    images: int = 60,
    classes: Sequence[str] = CLASSES,
) -> Answers:
    """The files that the job would have left for a run that has a teacher or not."""
    has_teacher = folder.spec().teacher is not None
    told = answers_of(images, classes, with_teacher=has_teacher)
    paths = {
        student_path(folder, at, split): told.student,
        teacher_path(folder, split): told.teacher,
    }
    for path, one in paths.items():
        if one is None:
            continue
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(
            path,
            truth=told.truth,
            top=one.top,
            probability=one.probability,
            loss=one.loss,
            classes=np.array(classes),
            images=np.array(images),
        )
    return told
