"""Which images to show of all that two nets answered, and what their answers come to."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api import Answers, Said
from pages.charts.words import percent

Rows = NDArray[np.int64]

ANY = -1  # in place of a class
PAGE = 24  # images
MOST_PAIRS = 10
FEW_POINTS = 0.02  # a gap of confidence and accuracy that is not worth a word
SHOWN = {
    "worst": "Worst first",
    "teacher": "Teacher right, student wrong",
    "student": "Student right, teacher wrong",
    "both": "Both wrong",
    "all": "All, in their order",
}
SHOWN_ALONE = {"worst": "Worst first", "wrong": "Student wrong", "all": "All, in their order"}
HEADER = (
    "row", "truth", "student", "student probability", "student loss",
    "teacher", "teacher probability", "teacher loss",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """Images of one class that were taken for another."""

    truth: int
    answer: int
    count: int
    share: float  # of the images of the class, 0 to 1


def kinds(found: Answers) -> dict[str, str]:
    """What can be shown, with its words: less where there is no teacher."""
    return SHOWN_ALONE if found.teacher is None else SHOWN


def said_by(found: Answers, whose: str) -> Said:
    """What the `teacher` says where there is one, else the student."""
    return found.teacher if whose == "teacher" and found.teacher is not None else found.student


def chosen(
    found: Answers, show: str, *, truth: int = ANY, answer: int = ANY, whose: str = "student"
) -> Rows:
    """The rows to show, in order: highest loss of the student first, but for `all`.

    Args:
        show: one of `kinds`.
        truth, answer: only images of this class, or with this answer of `whose`.
    """
    right = found.student.answer == found.truth
    taught = found.teacher is not None and found.teacher.answer == found.truth
    keep = {
        "teacher": ~right & taught,
        "student": right & ~np.asarray(taught),
        "both": ~right & ~np.asarray(taught),
        "wrong": ~right,
    }.get(show, np.ones(len(found.truth), dtype=bool))
    if truth != ANY:
        keep = keep & (found.truth == truth)
    if answer != ANY:
        keep = keep & (said_by(found, whose).answer == answer)
    rows = np.flatnonzero(keep)
    return rows if show == "all" else rows[np.argsort(-found.student.loss[rows], kind="stable")]


def num_pages(rows: Rows) -> int:
    return max(1, -(-len(rows) // PAGE))


def accuracy(found: Answers, said: Said) -> float:
    """Share of the images that a net gets right, 0 to 1."""
    return float((said.answer == found.truth).mean())


def confusion(found: Answers, said: Said) -> NDArray[np.int64]:
    """(C, C) images of each class (rows) by what a net takes them for (columns)."""
    size = len(found.classes)
    return np.bincount(found.truth * size + said.answer, minlength=size * size).reshape(size, size)


def confused(counts: NDArray[np.int64], limit: int = MOST_PAIRS) -> list[Pair]:
    """The pairs of different classes that are mixed up most often, most often first."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    whole = counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    cells = [(int(place) // len(counts), int(place) % len(counts)) for place in order]
    return [
        Pair(truth, answer, int(wrong[truth, answer]), float(wrong[truth, answer] / whole[truth]))
        for truth, answer in cells
        if wrong[truth, answer]
    ]


def headline(found: Answers) -> str:
    """How often each net is right."""
    images = f"{len(found.truth):,} {found.split} images"
    student = f"The student gets **{percent(accuracy(found, found.student))}** of {images} right"
    if found.teacher is None:
        return f"{student}."
    return f"{student}, the teacher **{percent(accuracy(found, found.teacher))}**."


def calibration(found: Answers) -> str:
    """Whether the student is as sure as it is right."""
    sure, right = (
        float(found.student.probability[:, 0].mean()),
        accuracy(found, found.student),
    )
    told = (
        f"On average it gives its answer {percent(sure)} and is right {percent(right)} of the time"
    )
    gap = sure - right
    if abs(gap) < FEW_POINTS:
        return f"{told}: it is as sure as it should be."
    return f"{told}: {100 * abs(gap):.1f} points too {'sure' if gap > 0 else 'unsure'} of itself."


def counted(shown: int, of: int, split: str) -> str:
    """How many images a choice leaves."""
    if not shown:
        return f"None of the {of:,} {split} images."
    return f"{shown:,} of {of:,} {split} images" if shown < of else f"All {of:,} {split} images"


def as_csv(found: Answers) -> str:
    """One line for each image: what it is, what each net says, how likely, and at what loss."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(HEADER if found.teacher is not None else HEADER[:5])
    sides = [_columns(found, said) for said in (found.student, found.teacher) if said is not None]
    for row, truth in enumerate(found.truth):
        table.writerow([row, found.classes[truth], *(cell for side in sides for cell in side[row])])
    return out.getvalue()


def _columns(found: Answers, said: Said) -> list[tuple[str, str, str]]:
    lines = zip(said.answer, said.probability[:, 0], said.loss, strict=True)
    return [(found.classes[label], f"{chance:.4f}", f"{loss:.4f}") for label, chance, loss in lines]


def cell_words(names: Sequence[str], truth: int, answer: int) -> str:
    """What is left when a class, an answer, or both are chosen; empty for neither."""
    if truth != ANY and answer != ANY:
        is_right = truth == answer
        verb = "answered right" if is_right else f"taken for {names[answer]}"
        return f"{names[truth]}, {verb}"
    if truth != ANY:
        return f"only {names[truth]}"
    return f"only answered {names[answer]}" if answer != ANY else ""
