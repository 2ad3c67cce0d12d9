"""Images of a run with the true class of every pixel, as files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from engine.data.batch import MaskedSplit
from engine.errors import SpecError
from engine.jobs.common import changed, loaded_data, png_bytes
from engine.runs.disk import disk_faults, replace_file
from engine.runs.folder import Workspace
from engine.spec import Choice

LONGEST = 480  # pixels of the longer side, at most


def scene_pictures(
    data: Mapping[str, Any], seed: int, split: str, rows: Sequence[int], fingerprint: str
) -> dict[str, dict[str, str]]:
    """Some images of a split and their true masks.

    Args:
        data, seed: those of the run that the rows come from.
        split: train, validation or test.
        rows: in the split.
        fingerprint: of the data set that the run saw; empty where it is not known.

    Returns:
        row -> {"image": path of a PNG, "truth": path of a grey PNG of class ids, 255 where
        nobody says}; both of the same size, the longer side LONGEST pixels at most.

    Raises:
        DataError: the data set has changed since, so the rows may mean other images.
        SpecError: it has no masks.
    """
    found = loaded_data(Choice.model_validate(data), seed)
    part = found.splits.get(split)
    if part is None or fingerprint not in ("", found.fingerprint):
        raise changed(found)
    if not isinstance(part, MaskedSplit):
        raise SpecError(f"the images of {found.name} have no masks")
    if not all(0 <= row < len(part) for row in rows):
        raise changed(found)
    name = json.dumps(["truths", data, seed, found.fingerprint], sort_keys=True)
    folder = Workspace.open().path / "pictures" / hashlib.sha256(name.encode()).hexdigest()[:16]
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = {row: _paths(folder, split, row) for row in rows}
    missing = [row for row, pair in paths.items() if not all(path.exists() for path in pair)]
    if missing:
        chosen = torch.tensor(missing)
        images = part.images(chosen).permute(0, 2, 3, 1).numpy()
        masks = part.masks(chosen).to(torch.uint8).numpy()
        for row, image, mask in zip(missing, images, masks, strict=True):
            _keep(Image.fromarray(image), paths[row][0], Image.Resampling.LANCZOS)
            _keep(Image.fromarray(mask), paths[row][1], Image.Resampling.NEAREST)
    return {
        str(row): {"image": str(image), "truth": str(truth)}
        for row, (image, truth) in paths.items()
    }


def _paths(folder: Path, split: str, row: int) -> tuple[Path, Path]:
    return folder / f"{split}_{row}_image.png", folder / f"{split}_{row}_truth.png"


def _keep(image: Image.Image, path: Path, way: Image.Resampling) -> None:
    scale = min(1.0, LONGEST / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    replace_file(path, png_bytes(image.resize(size, way)), is_lasting=False)
