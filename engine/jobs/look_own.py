"""What segmenters see in a person's own pictures, of which nobody tells the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.data.file_split import decode, look_at, seen_size
from engine.errors import DataError, DistillError
from engine.jobs.look import image_bytes, keep_mask, looks_folder
from engine.jobs.look_nets import SavedNet, data_of, known_net, segmenter
from engine.runs.disk import replace_file

SHOWN_SIDE = 1024  # pixels, the longer side of a picture as it is shown
STEP = 8  # pixels, of which the sides that a net sees are multiples
LEAST_SIDE = 16
MOST_RATIO = 4.0  # of the longer to the shorter side; beyond it the middle is kept

Size = tuple[int, int]  # width, height


def look_own(
    run: str, nets: Sequence[Sequence[Any]], pictures: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Masks of own pictures, scaled to about as many pixels as the run's pictures have.

    A file that cannot be used gets a `fault` in words, and the others go on.

    Args:
        pictures: [{"name": as its owner calls it, "path"}]

    Raises:
        DataError, SpecError, WeightsError, WorkspaceError: a net is not as it was.
    """
    data = data_of(run)
    saved = [known_net(net) for net in nets]
    found = [segmenter(one, run) for one in saved]
    height, width = data.input_shape[1:]
    shown = [
        {"name": one["name"], **_one(run, Path(one["path"]), saved, height * width)}
        for one in pictures
    ]
    return {
        "classes": data.classes,
        "palette": data.palette,
        "nets": [{"classes": net.classes, "is_same": net.is_same} for net in found],
        "scenes": shown,
    }


def _one(run: str, file: Path, nets: Sequence[SavedNet], pixels: int) -> dict[str, Any]:
    try:
        return _drawn(run, _checked(file), nets, pixels)
    except DistillError as error:
        return {"fault": f"{error.message} {error.hint}".strip()}


def _checked(file: Path) -> Path:
    """The same file.

    Raises:
        DataError: it is no picture, or too large to be opened; said before it is decoded.
    """
    if not file.is_file():
        raise DataError("The picture is no longer there.", hint="Drop it in again.")
    (seen,) = look_at([file])
    if seen.fault:
        is_large = "pixels" in seen.fault
        hint = "Make it smaller." if is_large else "Save it as a whole PNG, JPEG or WebP file."
        raise DataError(f"This file {seen.fault}.", hint=hint)
    return file


def _drawn(run: str, file: Path, nets: Sequence[SavedNet], pixels: int) -> dict[str, Any]:
    width, height = net_size(seen_size(file), pixels)
    folder = looks_folder() / "own" / file.stem
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / f"{width}x{height}.image"
    if not image.exists():
        times = SHOWN_SIDE / max(width, height)
        large = (round(width * times), round(height * times))
        replace_file(image, image_bytes(decode(file, large)), is_lasting=False)
    masks = []
    for saved in nets:
        path = folder / f"{saved.slug}.{width}x{height}.mask"
        if not path.exists():
            small = decode(file, (width, height))
            keep_mask(path, segmenter(saved, run).masks(small[None])[0])
        masks.append(str(path))
    return {"image": str(image), "size": [height, width], "masks": masks, "fault": ""}


def net_size(own: Size, pixels: int) -> Size:
    """Width and height of nearly the same shape, with about so many pixels."""
    ratio = min(max(own[0] / own[1], 1 / MOST_RATIO), MOST_RATIO)
    height = math.sqrt(pixels / ratio)
    width, height = (
        max(LEAST_SIDE, STEP * round(side / STEP)) for side in (height * ratio, height)
    )
    return width, height
