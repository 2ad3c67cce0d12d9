"""A few pictures of a set to segment, with what their masks say drawn over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from engine.class_colours import class_palette, tinted
from engine.data import DataSet
from engine.data.batch import VOID, MaskedSplit
from engine.jobs.common import described, png

SHOWN = 8
OTHERS = 4  # proximity pictures
WIDTH = 256  # pixels, of a picture on the page
CHUNK = 64  # masks that are counted at once

Picture = NDArray[np.uint8]


def mask_samples(data: DataSet) -> dict[str, Any]:
    """Eight pictures with and without their masks, training first, and what the masks hold.

    `images` and `overlays` are PNG in base64; `labels` tell the split of each; `counts` the pixels
    of each class in all training masks, `unlabelled` those of none; `colours` are hexadecimal;
    `proximity` are some of the pictures without masks, `num_proximity` how many there are.
    """
    colours = class_palette(data.palette, len(data.classes))
    picked = _picked(data)
    pairs = [(_picture(split, row), _mask(split, row)) for _, split, row in picked]
    counts = _pixels(data)
    others = data.proximity
    num_others = 0 if others is None else len(others)
    return {
        "images": [png(_fitted(picture)) for picture, _ in pairs],
        "overlays": [
            png(tinted(_fitted(picture), _fitted(mask), colours)) for picture, mask in pairs
        ],
        "labels": [name for name, _, _ in picked],
        "counts": dict(zip(data.classes, counts[: len(data.classes)], strict=True)),
        "unlabelled": counts[VOID],
        "colours": {
            name: f"#{red:02X}{green:02X}{blue:02X}"
            for name, (red, green, blue) in zip(data.classes, colours, strict=True)
        },
        "proximity": [png(_fitted(_picture(others, row))) for row in _spread(num_others, OTHERS)],
        "num_proximity": num_others,
        **described(data),
    }


def _picked(data: DataSet) -> list[tuple[str, MaskedSplit, int]]:
    """Rows spread over the training split; where it has too few, some of validation."""
    found: list[tuple[str, MaskedSplit, int]] = []
    for name in ("train", "validation"):
        split = data.splits[name]
        assert isinstance(split, MaskedSplit)
        found += [(name, split, row) for row in _spread(len(split), SHOWN - len(found))]
    return found


def _spread(available: int, count: int) -> list[int]:
    """At most `count` rows, evenly spaced."""
    count = min(count, available)
    return [place * available // count for place in range(count)]


def _picture(split: Any, row: int) -> Picture:
    """(H, W, 3)"""
    found: Picture = split.images(torch.tensor([row]))[0].permute(1, 2, 0).numpy()
    return found


def _mask(split: MaskedSplit, row: int) -> Picture:
    """(H, W)"""
    found: Picture = split.masks(torch.tensor([row]))[0].numpy()
    return found


def _fitted(picture: Picture) -> Picture:
    """The same, some WIDTH pixels wide: small ones by whole pixels, masks by the nearest pixel."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.width <= WIDTH:
        times = max(1, WIDTH // image.width)
        size, how = (image.width * times, image.height * times), Image.Resampling.NEAREST
    else:
        size = (WIDTH, max(1, image.height * WIDTH // image.width))
        how = Image.Resampling.NEAREST if picture.ndim == 2 else Image.Resampling.BILINEAR
    return np.asarray(image.resize(size, how))


def _pixels(data: DataSet) -> list[int]:
    """Pixels of the training masks by their value, 0 to 255."""
    split = data.train
    assert isinstance(split, MaskedSplit)
    total = torch.zeros(256, dtype=torch.int64)
    for begin in range(0, len(split), CHUNK):
        rows = torch.arange(begin, min(begin + CHUNK, len(split)))
        total += torch.bincount(split.masks(rows).flatten().long(), minlength=256)
    found: list[int] = total.tolist()
    return found
