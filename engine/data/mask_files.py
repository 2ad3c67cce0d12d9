"""Reading pictures with their masks, at one size, and saying what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from engine.data.batch import VOID
from engine.data.class_list import ClassList
from engine.data.file_split import (
    FORMATS,
    SHOWN,
    UNREADABLE,
    FileSplit,
    decode,
    in_threads,
    look_at,
    refuse,
    seen_size,
)
from engine.data.mask_layout import Pairs
from engine.data.mask_split import MaskTensorSplit, TensorImages
from engine.errors import DataError

Size = tuple[int, int]  # width, height
Labels = NDArray[np.uint8]

COLOURED = ("RGB", "RGBA")
LISTED = 5  # values or colours that a message names


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with one mask, and what helps.

    damaged: the file that cannot be read, of the mask or its image; none where all can be.
    """

    text: str
    hint: str
    damaged: Path | None = None


_LOSSY = _Fault("masks are JPEGs, whose pixels are only about what was drawn", "Save them as PNG.")
_COLOURED = _Fault(
    "masks are coloured, and nothing says what the colours mean",
    "Put a classes.csv beside the splits, one class a line: index,name,r,g,b,ignore",
)


def check_files(pairs: Pairs) -> list[Size]:
    """Width and height of each image as it is seen.

    Raises:
        DataError: files that cannot be read, or masks of another size than their image.
    """
    files = [*pairs.images, *pairs.masks]
    looks = look_at(files)
    refuse({file: one.fault for file, one in zip(files, looks, strict=True)})
    sizes = in_threads(seen_size, files)
    count = len(pairs.images)
    wrong, is_turned = [], False
    for row, (mask, size, own) in enumerate(
        zip(pairs.masks, sizes[:count], sizes[count:], strict=True)
    ):
        if size != own:
            wrong.append(f"{mask.name} is {_times(own)}, its image {_times(size)}")
            is_turned |= own == looks[row].size
    turned = " Images are shown as their camera's EXIF note turns them; turn the masks too."
    hint = "Make both the same size." + turned * is_turned
    _refuse_masks(wrong, "masks differ from their images in size", hint)
    return sizes[:count]


def highest_value(masks: Sequence[Path]) -> int:
    """The highest class in some index masks, VOID apart; 0 where all is VOID.

    Raises:
        DataError: some are damaged, JPEGs, or colour masks, whose classes nobody tells.
    """
    found = in_threads(_highest, masks)
    refuse({one.damaged: one.text for one in found if isinstance(one, _Fault) and one.damaged})
    pairs = [*zip(masks, found, strict=True)]
    for fault in (_LOSSY, _COLOURED):
        bad = [mask.name for mask, one in pairs if one is fault]
        _refuse_masks(bad, fault.text, fault.hint)
    return max(one for one in found if isinstance(one, int))


def read_pairs(pairs: Pairs, classes: ClassList, size: Size) -> MaskTensorSplit:
    """All images and masks of a split, scaled to cover width and height, the middle cut out.

    A mask takes the nearest pixel.

    Raises:
        DataError: files that are damaged; values or colours that the classes do not list.
    """
    width, height = size
    pixels = torch.empty((len(pairs.images), 3, height, width), dtype=torch.uint8)
    labels = torch.empty((len(pairs.images), height, width), dtype=torch.uint8)

    def fill(row: int) -> _Fault | None:
        found = _labels(pairs.masks[row], classes)
        if isinstance(found, _Fault):
            return found
        try:
            pixels[row] = decode(pairs.images[row], size)
        except DataError:
            return _damaged(pairs.images[row])
        fitted = ImageOps.fit(Image.fromarray(found), size, Image.Resampling.NEAREST)
        labels[row] = torch.from_numpy(np.array(fitted))
        return None

    found = in_threads(fill, range(len(pairs.images)))
    refuse({one.damaged: one.text for one in found if one and one.damaged})
    faults = {m.name: fault for m, fault in zip(pairs.masks, found, strict=True) if fault}
    bad = [f"{name} {fault.text}" for name, fault in faults.items()]
    hint = next((fault.hint for fault in faults.values()), "")
    _refuse_masks(bad, "masks show what the list of classes does not have", hint)
    return MaskTensorSplit(pixels, labels)


def read_images(files: Sequence[Path], size: Size) -> TensorImages:
    """Plain images, scaled to cover width and height, the middle cut out.

    Raises:
        DataError: files that cannot be read.
    """
    refuse({file: one.fault for file, one in zip(files, look_at(files), strict=True)})
    return TensorImages(FileSplit(files, torch.zeros(len(files)).long(), size).load().pixels)


def _damaged(file: Path) -> _Fault:
    return _Fault("is damaged", "", file)


def _highest(mask: Path) -> int | _Fault:
    """The highest class of an index mask."""
    try:
        with Image.open(mask, formats=FORMATS) as image:
            if image.format == "JPEG":
                return _LOSSY
            if image.mode in COLOURED:
                return _COLOURED
            values = _indices(image)
    except UNREADABLE:
        return _damaged(mask)
    return int(values.max(initial=0, where=values != VOID))


def _labels(mask: Path, classes: ClassList) -> Labels | _Fault:
    """(H, W) class ids or VOID, turned as the camera's orientation says."""
    try:
        with Image.open(mask, formats=FORMATS) as opened:
            if opened.format == "JPEG":
                return _Fault("is a JPEG, whose pixels are only about what was drawn", _LOSSY.hint)
            image = ImageOps.exif_transpose(opened)
    except UNREADABLE:
        return _damaged(mask)
    # The palette of an index mask may be any; it counts where all its colours are listed.
    if image.mode == "P" and classes.colours:
        found = _by_colour(np.array(image.convert("RGB").convert("RGBA")), classes)
        if not isinstance(found, _Fault):
            return found
    if image.mode in COLOURED:
        return _by_colour(np.array(image.convert("RGBA")), classes)
    return _by_value(_indices(image), classes)


def _indices(image: Image.Image) -> NDArray[np.integer[Any]]:
    """(H, W) of a mask in one channel of up to 16 bits, without its alpha."""
    values = np.array(image.getchannel("L") if image.mode == "LA" else image)
    return values.astype(np.uint8) if values.dtype == bool else values


def _by_value(values: NDArray[np.integer[Any]], classes: ClassList) -> Labels | _Fault:
    """From an index mask of any depth; 255 is VOID also where nobody lists it."""
    present = np.flatnonzero(np.bincount(values.reshape(-1))).tolist()
    known = {VOID: VOID, **classes.values}
    strange = [value for value in present if value not in known]
    if strange:
        return _Fault(f"has the values {_few(strange)}", _told(sorted(classes.values)))
    table = np.zeros(max(present) + 1, dtype=np.uint8)
    table[present] = [known[value] for value in present]
    found: Labels = table[values]
    return found


def _by_colour(colours: Labels, classes: ClassList) -> Labels | _Fault:
    """From (H, W, 4); what is clear, of a colour that nobody lists, is VOID."""
    red, green, blue, alpha = (colours[:, :, channel].astype(np.int32) for channel in range(4))
    packed = red << 16 | green << 8 | blue
    present, place = np.unique(packed, return_inverse=True)
    opaque = present if alpha.all() else np.unique(packed[alpha > 0])
    tones = [(int(one) >> 16, int(one) >> 8 & 255, int(one) & 255) for one in present]
    is_strange = np.array([tone not in classes.colours for tone in tones])
    strange = [
        tone for tone, one in zip(tones, is_strange & np.isin(present, opaque), strict=True) if one
    ]
    if strange:
        return _Fault(f"has the colours {_few(strange)}", _told([*classes.colours]))
    table = np.array([classes.colours.get(tone, VOID) for tone in tones], dtype=np.uint8)
    return table[place].reshape(packed.shape)


def _told(known: Sequence[object]) -> str:
    if not known:
        return "Give each class its r, g and b in classes.csv."
    return f"The list has {_few(known)}. Add what is missing, with ignore = 1 if it is no class."


def _few(values: Sequence[object]) -> str:
    return ", ".join(map(str, values[:LISTED])) + (" ..." if values[LISTED:] else "")


def _times(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _refuse_masks(bad: Sequence[str], what: str, hint: str) -> None:
    """Do nothing if none is bad.

    Raises:
        DataError: names the first ten.
    """
    if bad:
        more = f"; and {len(bad) - SHOWN} more" if bad[SHOWN:] else ""
        raise DataError(f"{len(bad)} {what}: {'; '.join(bad[:SHOWN])}{more}.", hint=hint)
