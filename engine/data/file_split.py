"""Image files: which can be read, and a split that decodes them when asked."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from engine.data.tensor_split import TensorSplit
from engine.errors import DataError

S = TypeVar("S")
T = TypeVar("T")

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 89_478_485  # of one image: Pillow's own limit, above which it suspects a bomb
SHOWN = 10  # files that a message names
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises
ORIENTATION = 0x0112  # EXIF's note how the camera was held
SWAPPED = (5, 6, 7, 8)  # its values that make width height
TAIL = 64  # bytes at a file's end that tell whether it was cut short


@dataclass(frozen=True, slots=True)
class Look:
    """What a file's head and tail tell without decoding the image.

    size: width and height as they are stored. fault: empty where the file can be used.
    """

    size: tuple[int, int]
    fault: str = ""


class FileSplit:
    """N image files, decoded when asked for.

    files: N paths; targets: (N,) int64; size: width and height of every decoded image.
    """

    def __init__(self, files: Sequence[Path], targets: Tensor, size: tuple[int, int]) -> None:
        assert len(files) == len(targets) and targets.dtype == torch.int64
        self.files = tuple(files)
        self.targets = targets
        self.size = size

    def images(self, rows: Tensor) -> Tensor:
        """(K,) int64 rows -> (K, 3, H, W) uint8.

        Raises:
            DataError: a file was damaged or removed since it was looked at.
        """
        return torch.stack([decode(self.files[row], self.size) for row in rows.tolist()])

    def select(self, rows: Tensor) -> FileSplit:
        """The split of the samples at `rows` (K,), in that order."""
        files = [self.files[row] for row in rows.tolist()]
        return FileSplit(files, self.targets[rows], self.size)

    def content(self) -> Iterator[bytes | memoryview]:
        """Name, length and last bytes of each file: enough to see that one was replaced."""
        for file, target in zip(self.files, self.targets.tolist(), strict=True):
            yield f"{file.name}/{file.stat().st_size}/{target}/{self.size}".encode()
            yield _tail(file)

    def load(self) -> TensorSplit:
        """The same split with all images decoded.

        Raises:
            DataError: files that cannot be decoded; all of them, in one message.
        """
        width, height = self.size
        pixels = torch.empty((len(self), 3, height, width), dtype=torch.uint8)

        def fill(row: int) -> str:
            try:
                pixels[row] = _read(self.files[row], self.size)
            except UNREADABLE:
                return "is damaged"
            return ""

        faults = in_threads(fill, range(len(self)))
        refuse(dict(zip(self.files, faults, strict=True)))
        return TensorSplit(pixels, self.targets)

    def __len__(self) -> int:
        return len(self.files)


def decode(file: Path, size: tuple[int, int]) -> Tensor:
    """(3, H, W) uint8: the image scaled to cover width and height, its middle cut out.

    Any mode becomes RGB, and the camera's orientation is honoured.

    Raises:
        DataError: the file cannot be decoded.
    """
    try:
        return _read(file, size)
    except UNREADABLE as error:
        raise DataError(
            f"{file} cannot be decoded ({error}).", hint="Replace the file or remove it."
        ) from None


def open_rgb(file: Path, size: tuple[int, int]) -> Image.Image:
    """An image as it is seen, in RGB, as large as it is stored.

    Of a JPEG far larger than width and height a smaller copy, with all detail that such a size
    can show. Raises what Pillow raises: UNREADABLE.
    """
    with Image.open(file, formats=FORMATS) as opened:
        opened.draft(None, (2 * max(size), 2 * max(size)))
        return _as_rgb(ImageOps.exif_transpose(opened))


def fit(
    image: Image.Image, size: tuple[int, int], centring: tuple[float, float] = (0.5, 0.5)
) -> Image.Image:
    """The image scaled to cover width and height, its middle cut out.

    centring: which part is cut out instead: across and down, 0 the first, 1 the last.
    """
    if image.size == size:
        return image
    return ImageOps.fit(image, size, Image.Resampling.BILINEAR, centering=centring)


def pixels_of(image: Image.Image) -> Tensor:
    """(3, H, W) uint8 of an image in RGB."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def seen_size(file: Path) -> tuple[int, int]:
    """Width and height as the camera's orientation turns them; for files that `look` can read."""
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if image.format == "PNG" and not _tells_orientation(file, image):
            return width, height  # Pillow would decode it all to learn that
        try:
            is_swapped = image.getexif().get(ORIENTATION) in SWAPPED
        except UNREADABLE:
            is_swapped = False  # whoever decodes it will say that it is damaged
        return (height, width) if is_swapped else (width, height)


def look(file: Path) -> Look:
    """What can be said of a file at once; decodes it only where its end looks cut off."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                return Look((0, 0), f"has more than {MOST_PIXELS:,} pixels")
            if not _ends_well(file, image.format):
                image.load()
            return Look(image.size)
    except UnidentifiedImageError:
        return Look((0, 0), "is no PNG, JPEG or WebP image")
    except Image.DecompressionBombError:
        return Look((0, 0), f"has more than {MOST_PIXELS:,} pixels")
    except UNREADABLE:
        return Look((0, 0), "is damaged")


def look_at(files: Sequence[Path]) -> list[Look]:
    """A look at each file, by several threads."""
    with warnings.catch_warnings():
        # `look` refuses what Pillow only warns of.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return in_threads(look, files)


def refuse(faults: dict[Path, str]) -> None:
    """Do nothing if all faults are empty.

    Raises:
        DataError: names the first ten files that have one.
    """
    bad = [f"{file} {fault}" for file, fault in faults.items() if fault]
    if bad:
        listed = "; ".join(bad[:SHOWN]) + (f"; and {len(bad) - SHOWN} more" if bad[SHOWN:] else "")
        files = "1 file cannot" if len(bad) == 1 else f"{len(bad)} files cannot"
        raise DataError(
            f"{files} be used: {listed}.",
            hint="Remove them, or replace them by whole PNG, JPEG or WebP images.",
        )


def in_threads(work: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """`work` of each item, in order; Pillow lets go of the interpreter while it decodes."""
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, items, chunksize=64))


def _read(file: Path, size: tuple[int, int]) -> Tensor:
    return pixels_of(fit(open_rgb(file, size), size))


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would clip the 65,536 grey levels of such a PNG to the lowest 256.
        return Image.fromarray((np.array(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P":
        image = image.convert("RGBA")  # a palette may hold its transparency as bytes
    return image.convert("RGB")


def _ends_well(file: Path, image_format: str | None) -> bool:
    tail = _tail(file)
    if image_format == "PNG":
        return b"IEND" in tail
    if image_format == "JPEG":
        return b"\xff\xd9" in tail
    with file.open("rb") as opened:
        head = opened.read(8)
    return int.from_bytes(head[4:], "little") + 8 <= file.stat().st_size


def _tells_orientation(file: Path, image: Image.Image) -> bool:
    """Whether a PNG has a note of its camera, before or after its pixels."""
    if "exif" in image.info or "Raw profile type exif" in image.info:
        return True
    with file.open("rb") as opened:
        opened.seek(8)
        while len(head := opened.read(8)) == 8:
            if head[4:] == b"eXIf":
                return True
            opened.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    return False


def _tail(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - TAIL))
        return opened.read()
