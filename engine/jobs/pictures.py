"""Images of a data set, as small pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from engine.jobs.common import (
    PICTURE_SIDE,
    changed,
    described,
    loaded_data,
    png,
    png_bytes,
    small,
)
from engine.jobs.mask_samples import mask_samples
from engine.runs.disk import disk_faults, replace_file
from engine.runs.folder import Workspace
from engine.spec import Choice


def samples(data: Mapping[str, Any]) -> dict[str, Any]:
    """Eight training images with their classes, one a class as far as there are classes.

    Of a set to segment see `mask_samples`.
    """
    found = loaded_data(Choice.model_validate(data), 0)
    if found.task == "segment":
        return mask_samples(found)
    targets = found.train.targets
    rows = [int((targets == label).nonzero()[0]) for label in sorted(set(targets.tolist()))[:8]]
    rows += [row for row in range(len(targets)) if row not in rows][: 8 - len(rows)]
    images = found.train.images(torch.tensor(rows)).permute(0, 2, 3, 1).numpy()
    counts = torch.bincount(targets, minlength=len(found.classes)).tolist()
    return {
        "images": [png(image) for image in images],
        "labels": [found.classes[int(targets[row])] for row in rows],
        "counts": dict(zip(found.classes, counts, strict=True)),
        **described(found),
    }


def pictures(
    data: Mapping[str, Any],
    seed: int,
    rows: Sequence[int],
    fingerprint: str,
    split: str = "train",
    side: int = PICTURE_SIDE,
) -> dict[str, str]:
    """Small pictures of a data set's images, kept as files: row -> path.

    Args:
        data, seed: those of the run that the rows come from.
        rows: in the split.
        fingerprint: of the data set that the run saw; empty where it is not known.
        side: about how many pixels the longer side has.

    Raises:
        DataError: the data set has changed since, so the rows may mean other images.
    """
    found = loaded_data(Choice.model_validate(data), seed)
    part = found.splits.get(split)
    known = range(len(part) if part is not None else 0)
    is_same = fingerprint in ("", found.fingerprint)
    if part is None or not is_same or not all(row in known for row in rows):
        raise changed(found)
    folder = Workspace.open().path / "pictures" / _name_of(data, seed, found.fingerprint)
    folder = folder / f"{split}-{side}"
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = {row: folder / f"{row}.png" for row in rows}
    missing = [row for row, path in paths.items() if not path.exists()]
    if missing:
        images = part.images(torch.tensor(missing)).permute(0, 2, 3, 1).numpy()
        for row, image in zip(missing, images, strict=True):
            picture = small(Image.fromarray(image), side)
            replace_file(paths[row], png_bytes(picture), is_lasting=False)
    return {str(row): str(path) for row, path in paths.items()}


def _name_of(data: Mapping[str, Any], seed: int, fingerprint: str) -> str:
    """16 hex digits for one data set as one run divides it."""
    text = json.dumps([data, seed, fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
