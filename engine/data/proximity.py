"""Unlabelled images beside a set: which of a folder are taken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from engine.data.file_split import TAIL, refuse
from engine.data.folder_layout import pictures_below
from engine.data.mask_layout import IMAGES
from engine.errors import DataError

WHERE = "data.knobs.proximity"


def find_proximity(
    folder: Path, own: Iterable[Path], count: int, drawn_by: int
) -> tuple[list[Path], list[str]]:
    """Images at any depth below a folder, and what is to be said of them.

    Args:
        own: images that train or measure the student, and masks: none of these is taken, nor a
            copy of one.
        count, drawn_by: see `chosen_rows`.

    Raises:
        DataError: the folder holds nothing that can be taken, or images of other formats.
    """
    files, foreign = pictures_below(folder)
    refuse(dict.fromkeys(foreign, "is of a format that is not read"))
    if not files:
        raise DataError(
            f"{folder} holds no PNG, JPEG or WebP image.",
            hint="Name a folder of plain images, or none.",
            where=WHERE,
        )
    files = _without_masks(folder, files)
    known = {_mark(file) for file in own}
    kept = [file for file in files if _mark(file) not in known]
    if not kept:
        raise DataError(
            f"all {len(files)} images of {folder} are those of the set itself.",
            hint="Name a folder of other images, or none.",
            where=WHERE,
        )
    notes = []
    if left := len(files) - len(kept):
        notes.append(f"{left} files of {folder.name} belong to the set; proximity leaves them out")
    taken = [kept[row] for row in chosen_rows(len(kept), count, drawn_by)]
    if len(taken) > 1 and len(_series(taken)) == 1 < len(_series(kept)):
        notes.append(
            f"the {len(taken)} proximity images are of one series and may be alike;"
            " drawn_by chooses others"
        )
    return taken, notes


def _without_masks(folder: Path, files: list[Path]) -> list[Path]:
    """Of a labelled set such as KITTI's the pictures only: those in folders named for them."""
    named = [
        file
        for file in files
        if any(part.lower() in IMAGES for part in file.relative_to(folder).parts[:-1])
    ]
    return named or files


def chosen_rows(available: int, count: int, drawn_by: int) -> list[int]:
    """Rows of `count` of the files, 0 for all, in their order: the first, or drawn by a number."""
    count = min(count or available, available)
    if drawn_by == 0:
        return [*range(count)]
    generator = torch.Generator().manual_seed(drawn_by)
    return sorted(torch.randperm(available, generator=generator)[:count].tolist())


def _mark(file: Path) -> tuple[int, bytes]:
    """Length and last bytes: what a copy has too."""
    with file.open("rb") as opened:
        length = opened.seek(0, 2)
        opened.seek(max(0, length - TAIL))
        return length, opened.read()


def _series(files: Sequence[Path]) -> set[tuple[Path, str]]:
    """Folders and names without their numbers, as frames of one video share them."""
    return {(file.parent, re.sub(r"\d+", "#", file.stem)) for file in files}
