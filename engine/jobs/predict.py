"""What a trained net says of pictures that nobody has labelled, in files."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.data.file_split import UNREADABLE, open_rgb
from engine.data.folder_layout import pictures_below
from engine.errors import WorkspaceError
from engine.jobs.painting import captioned, index_png, overlay
from engine.jobs.predictor import PictureError, Predictor
from engine.runs.disk import disk_faults, replace_file

TABLE = "predictions.csv"
SHOWN = 10  # files that a message names

Told = dict[str, Any]


def described(found: Predictor, folder: Path) -> Told:
    """What holds for all pictures of an answer."""
    return {
        "net": found.facts.net.name,
        "task": found.task,
        "classes": list(found.facts.classes),
        "palette": [list(colour) for colour in found.facts.palette],
        "out": str(folder),
    }


def gathered(told: Iterator[Told], folder: Path) -> Told:
    """All pictures and those that failed; writes the table where there are classes to list."""
    every = list(told)
    pictures = [one for one in every if "why" not in one]
    answer: Told = {
        "pictures": pictures,
        "failed": [one for one in every if "why" in one],
    }
    ranked = [one for one in pictures if "top" in one]
    if ranked:
        answer["table"] = str(folder / TABLE)
        replace_file(folder / TABLE, _table(ranked).encode(), is_lasting=False)
    return answer


def predictions(
    found: Predictor,
    files: Sequence[str],
    folder: Path,
    *,
    with_overlay: bool = False,
    may_replace: bool = False,
) -> Iterator[Told]:
    """The same picture by picture; see `predict_pictures`.

    Raises:
        WorkspaceError: the folder cannot be used, or holds files that would be replaced.
    """
    pictures, faults = listed(files, folder)
    names = distinct_names(pictures)
    is_masked = found.task == "segment"
    planned = [f"{names[file]}_mask.png" for file in pictures if is_masked]
    planned += [f"{names[file]}_overlay.png" for file in pictures if with_overlay]
    planned += [] if is_masked else [TABLE]
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    there = [name for name in planned if (folder / name).exists()]
    if there and not may_replace:
        more = f" and {len(there) - SHOWN} more" if there[SHOWN:] else ""
        raise WorkspaceError(
            f"{folder} holds {', '.join(there[:SHOWN])}{more} already.",
            hint="Choose another folder, or allow files to be replaced.",
        )
    yield from ({"file": str(file), "why": why} for file, why in faults.items())
    for file in pictures:
        base = folder / names[file]
        try:
            yield {"file": str(file), **_written(found, file, base, with_overlay=with_overlay)}
        except PictureError as error:
            yield {"file": str(file), "why": str(error)}


def listed(files: Sequence[str], out: Path) -> tuple[list[Path], Mapping[Path, str]]:
    """The pictures that some paths name, each once, and what is wrong with other paths.

    Below a folder, what is hidden, no picture, or lies in `out` is passed over.
    """
    pictures: dict[Path, Path] = {}
    faults: dict[Path, str] = {}
    for place in map(Path, files):
        if not place.is_dir():
            pictures.setdefault(place.resolve(), place)
            continue
        known, foreign = (
            [file for file in found if not _is_inside(file, out, place)]
            for found in pictures_below(place)
        )
        for file in known:
            pictures.setdefault(file.resolve(), file)
        faults |= dict.fromkeys(foreign, "is of a format that is not read")
        if not known and not foreign:
            faults[place] = "holds no PNG, JPEG or WebP image"
    return list(pictures.values()), faults


def distinct_names(files: Sequence[Path]) -> dict[Path, str]:
    """A name of its own for each file, without suffix: its stem, with its folder's where needed."""
    taken: set[str] = set()
    names: dict[Path, str] = {}
    stems = Counter(file.stem.lower() for file in files)
    for file in files:
        base = file.stem
        if stems[base.lower()] > 1 and file.absolute().parent.name:
            base = f"{file.absolute().parent.name}_{base}"
        name, number = base, 2
        while name.lower() in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name.lower())
        names[file] = name
    return names


def _is_inside(file: Path, out: Path, place: Path) -> bool:
    """Whether a file lies in a folder of answers below the pictures."""
    return out.resolve() != place.resolve() and out.resolve() in file.resolve().parents


def _written(found: Predictor, file: Path, base: Path, *, with_overlay: bool) -> Told:
    """The answer for one picture, kept as files whose names begin with `base`."""
    facts = found.facts
    if found.task == "segment":
        mask = found.segment(file)
        path = base.with_name(f"{base.name}_mask.png")
        replace_file(path, _png(index_png(mask, facts.palette)), is_lasting=False)
        counts = np.bincount(mask.reshape(-1), minlength=len(facts.classes)) / mask.size
        shares = zip(facts.classes, counts.tolist(), strict=True)
        told: Told = {"mask": str(path), "shares": {name: one for name, one in shares if one}}
        if with_overlay:
            painted = overlay(_whole(file), mask, facts.classes, facts.palette)
    else:
        ranked = found.rank(file)
        told = {"top": [list(one) for one in ranked]}
        if with_overlay:
            painted = captioned(_whole(file), ranked)
    if with_overlay:
        path = base.with_name(f"{base.name}_overlay.png")
        replace_file(path, _png(painted), is_lasting=False)
        told["overlay"] = str(path)
    return told


def _png(image: Image.Image) -> bytes:
    """Packed quickly, not as small as can be: packing takes longer than the net."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _whole(file: Path) -> Image.Image:
    """The picture as it is seen, in RGB, of its own size."""
    try:
        return open_rgb(file, (2**15, 2**15))
    except UNREADABLE:
        raise PictureError("is damaged") from None


def _table(pictures: Sequence[Told]) -> str:
    count = max(len(one["top"]) for one in pictures)
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    columns = [
        f"{what}_{place}" for place in range(1, count + 1) for what in ("class", "probability")
    ]
    table.writerow(["file", *columns])
    for one in pictures:
        table.writerow(
            [
                one["file"],
                *(f"{v:.6f}" if isinstance(v, float) else v for pair in one["top"] for v in pair),
            ]
        )
    return out.getvalue()
