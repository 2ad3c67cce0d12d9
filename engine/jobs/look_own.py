"""What segmenters see in a person's own pictures, of which nobody tells the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from engine.data.file_split import decode, look, seen_size
from engine.errors import DataError
from engine.jobs.look import image_bytes, keep_mask, looks_folder
from engine.jobs.look_nets import SavedNet, data_of, known_net, segmenter
from engine.jobs.predictor import PictureError, Size, segment
from engine.runs.disk import replace_file

SHOWN_SIDE = 1024  # pixels, the longer side of a picture as it is shown
HINTS = {"is not there": "Drop it in again."}
HINT = "Save it as PNG, JPEG or WebP, and smaller."


def look_own(
    run: str, nets: Sequence[Sequence[Any]], pictures: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Masks of own pictures as `predict` makes them, of a large picture made smaller.

    A file that cannot be used gets a `fault` in words, and the others go on.

    Args:
        pictures: [{"name": as its owner calls it, "path"}]

    Raises:
        DataError, SpecError, WeightsError, WorkspaceError: a net is not as it was.
    """
    data = data_of(run)
    saved = [known_net(net) for net in nets]
    found = [segmenter(one, run) for one in saved]
    net_size = (data.input_shape[2], data.input_shape[1])
    shown = [
        {"name": one["name"], **_one(run, Path(one["path"]), saved, net_size)} for one in pictures
    ]
    return {
        "classes": data.classes,
        "palette": data.palette,
        "nets": [{"classes": net.classes, "is_same": net.is_same} for net in found],
        "scenes": shown,
    }


def _one(run: str, file: Path, nets: Sequence[SavedNet], net_size: Size) -> dict[str, Any]:
    try:
        return _drawn(run, file, nets, net_size)
    except PictureError as error:
        return {"fault": f"This file {error}. {HINTS.get(str(error), HINT)}"}
    except DataError as error:
        return {"fault": str(error)}


def _drawn(run: str, file: Path, nets: Sequence[SavedNet], net_size: Size) -> dict[str, Any]:
    if not file.is_file():
        raise PictureError("is not there")
    if fault := look(file).fault:
        raise PictureError(fault)
    size = shown_size(seen_size(file))
    folder = looks_folder() / "own" / file.stem
    folder.mkdir(parents=True, exist_ok=True)
    masks = []
    for saved in nets:
        path = folder / f"{saved.slug}.{net_size[0]}x{net_size[1]}.mask"
        if not path.exists():
            mask = segment(segmenter(saved, run).see, file, net_size, size)
            keep_mask(path, torch.from_numpy(mask))
        masks.append(str(path))
    image = folder / "shown.image"
    if not image.exists():
        replace_file(image, image_bytes(decode(file, size)), is_lasting=False)
    return {"image": str(image), "size": [size[1], size[0]], "masks": masks, "fault": ""}


def shown_size(own: Size) -> Size:
    """Width and height of the same shape; a large picture is made smaller."""
    times = min(1.0, SHOWN_SIDE / max(own))
    return max(1, round(own[0] * times)), max(1, round(own[1] * times))
