"""Small pictures of scenes: the image, and masks laid over it in the colours of their classes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.api import VOID, class_palette, tinted

Bytes = NDArray[np.uint8]
Colour = tuple[int, int, int]

TILE = 240  # pixels of a tile's longer side, about
GAP = 6  # pixels between two tiles
GREY = 128


def class_names(environment: Mapping[str, Any], count: int) -> list[str]:
    """The names that a run kept of its classes, else their numbers."""
    known = [str(name) for name in environment.get("classes", ())]
    return known if len(known) == count else [f"class {label}" for label in range(count)]


def class_colours(environment: Mapping[str, Any], count: int) -> tuple[Colour, ...]:
    """The colours that a run kept of its classes, where they stay apart; else others."""
    return class_palette(environment.get("palette", ()), count)


def mistakes(image: Bytes | None, mask: Bytes, truth: Bytes, colours: Sequence[Colour]) -> Bytes:
    """As `tinted`, but only where a prediction is wrong; what is right is dim and grey."""
    painted = tinted(image, mask, colours).astype(np.float32)
    fine = (mask == truth) | (truth == VOID)
    dim = GREY * 0.7 if image is None else image.mean(axis=2, keepdims=True) * 0.45
    return np.where(fine[..., None], dim, painted).astype(np.uint8)


def strip(
    image: Bytes | None,
    masks: Sequence[Bytes],
    colours: Sequence[Colour],
    *,
    truth: Bytes | None = None,
) -> bytes:
    """The image and each mask over it, side by side, as a PNG.

    Args:
        image: (H, W, 3); None leaves its tile out.
        masks: (h, w) of any size; the first sets the size where there is no image.
        truth: given, the masks after the first show their mistakes only.
    """
    height, width = (masks[0] if image is None else image).shape[:2]
    size = _tile_size(width, height)
    photo = None if image is None else _resized(image, size, is_mask=False)
    told = None if truth is None else _resized(truth, size, is_mask=True)
    tiles = [] if photo is None else [photo]
    for place, mask in enumerate(masks):
        fitted = _resized(mask, size, is_mask=True)
        is_plain = told is None or place == 0
        tiles.append(
            tinted(photo, fitted, colours) if is_plain else mistakes(photo, fitted, told, colours)
        )
    return side_by_side(tiles)


def side_by_side(tiles: Sequence[Bytes]) -> bytes:
    """(H, W, 3) pictures of one size -> a PNG, with clear gaps between them."""
    height, width = tiles[0].shape[:2]
    joined = np.zeros((height, len(tiles) * (width + GAP) - GAP, 4), dtype=np.uint8)
    for place, tile in enumerate(tiles):
        left = place * (width + GAP)
        joined[:, left : left + width, :3] = tile
        joined[:, left : left + width, 3] = 255
    return png(joined)


def png(pixels: Bytes) -> bytes:
    """(H, W, 3 or 4) -> a PNG: each row less the row above, squeezed lightly.

    Pillow tries five filters on each row, which takes three times as long.
    """
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), dtype=np.uint8)
    rows[:, 0] = 2  # the filter `up`
    plain = pixels.reshape(height, -1)
    rows[0, 1:], rows[1:, 1:] = plain[0], plain[1:] - plain[:-1]
    kind = {3: 2, 4: 6}[channels]
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 1)),
        (b"IEND", b""),
    )
    told = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(told)


def shares(mask: Bytes, names: Sequence[str], most: int = 3) -> str:
    """The largest areas of a mask in words, as in `road 41 %, sky 30 %`."""
    counts = np.bincount(mask[mask != VOID].ravel(), minlength=len(names))[: len(names)]
    total = max(1, int(counts.sum()))
    order = np.argsort(-counts, kind="stable")[:most]
    return ", ".join(f"{names[n]} {100 * counts[n] / total:.0f} %" for n in order if counts[n])


def legend(names: Sequence[str], colours: Sequence[Colour]) -> str:
    """Class colours with names, as HTML."""
    swatch = (
        '<span aria-hidden="true" style="display:inline-block;width:.85rem;height:.85rem;'
        "border-radius:3px;border:1px solid rgba(128,128,128,.7);margin-right:.35rem;"
        'background:rgb({},{},{})"></span>'
    )
    items = "".join(
        '<span role="listitem" style="display:inline-flex;align-items:center;white-space:nowrap">'
        f"{swatch.format(*colour)}{_escaped(name)}</span>"
        for name, colour in zip(names, colours, strict=True)
    )
    return (
        '<div role="list" style="display:flex;flex-wrap:wrap;gap:.15rem .9rem;font-size:.875rem">'
        f"{items}</div>"
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _tile_size(width: int, height: int) -> tuple[int, int]:
    """About TILE pixels wide or high: tiny pictures by whole pixels, so that they stay sharp."""
    longest = max(width, height)
    times = TILE // longest if longest <= TILE else TILE / longest
    return max(1, round(width * times)), max(1, round(height * times))


def _resized(pixels: Bytes, size: tuple[int, int], *, is_mask: bool) -> Bytes:
    if pixels.shape[1::-1] == size:
        return pixels
    grows = size[0] > pixels.shape[1]
    way = Image.Resampling.NEAREST if is_mask or grows else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize(size, way))
