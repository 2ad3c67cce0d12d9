"""What public sets to segment need beside folders for splits.

PASCAL VOC and Oxford-IIIT Pet list the names of a split in a file.

They are read as torchvision unpacks them: VOCdevkit/VOC2012 or oxford-iiit-pet, or the folder that
holds these. Of the test images of Cityscapes the masks are given out empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from engine.data.batch import VOID
from engine.data.class_list import CITYSCAPES, ClassList, published
from engine.data.file_split import FORMATS, UNREADABLE
from engine.data.mask_layout import SHOWN, Layout, Pairs
from engine.errors import DataError

# VOC 2012 development kit: 255 lies around each thing and is no class.
VOC = published(
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,dining table,dog,horse,"
    "motorbike,person,potted plant,sheep,sofa,train,tv monitor",
    range(21),
)
# The README of its trimaps: 1 pet, 2 background, 3 not classified.
PETS = published("pet,background", (1, 2), void=(3,))

LOOKED_AT = 3  # masks of a test split

_VOC_LISTS = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
_PET_LISTS = {"train": "trainval.txt", "test": "test.txt"}


def listed_layout(folder: Path) -> Layout | None:
    """The splits of such a set; None where the folder is none.

    Raises:
        DataError: files that a list names are not there.
    """
    for place in (folder, *sorted(folder.glob("VOCdevkit/VOC*"), reverse=True)):
        lists = place / "ImageSets" / "Segmentation"
        if lists.is_dir():
            parts = (place / "JPEGImages", place / "SegmentationClass")
            return _layout(lists, _VOC_LISTS, parts, VOC)
    for place in (folder, folder / "oxford-iiit-pet"):
        lists = place / "annotations"
        if (lists / "trimaps").is_dir():
            return _layout(lists, _PET_LISTS, (place / "images", lists / "trimaps"), PETS)
    return None


def without_withheld(layout: Layout) -> Layout:
    """The same without test images of Cityscapes whose masks show no class."""
    test = layout.splits.get("test")
    if layout.known is not CITYSCAPES or test is None or _shows_a_class(test.masks[:LOOKED_AT]):
        return layout
    rest = {name: pairs for name, pairs in layout.splits.items() if name != "test"}
    return Layout(
        rest, layout.known, (*layout.notes, "the masks of test are empty; it is left out")
    )


def _shows_a_class(masks: tuple[Path, ...]) -> bool:
    """Whether one of them has a pixel of a class; of what cannot be read, others tell."""
    for mask in masks:
        try:
            with Image.open(mask, formats=FORMATS) as image:
                values = np.unique(np.array(image))
        except UNREADABLE:
            return True
        if any(CITYSCAPES.values.get(int(value), VOID) != VOID for value in values):
            return True
    return False


def _layout(
    lists: Path, names: Mapping[str, str], parts: tuple[Path, Path], known: ClassList
) -> Layout | None:
    found = {split: lists / name for split, name in names.items() if (lists / name).is_file()}
    splits = {split: _pairs(file, *parts) for split, file in found.items()}
    splits = {split: pairs for split, pairs in splits.items() if pairs.images}
    return Layout(splits, known, ()) if "train" in splits else None


def _pairs(file: Path, images: Path, masks: Path) -> Pairs:
    """The images that a list names, one a line, with their masks."""
    lines = file.read_text(encoding="utf-8").splitlines()
    words = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    pairs = Pairs(
        tuple(images / f"{word}.jpg" for word in words),
        tuple(masks / f"{word}.png" for word in words),
    )
    gone = [path.name for path in (*pairs.images, *pairs.masks) if not path.is_file()]
    if gone:
        more = f"; and {len(gone) - SHOWN} more" if gone[SHOWN:] else ""
        raise DataError(
            f"{len(gone)} files that {file} names are not there: {'; '.join(gone[:SHOWN])}{more}.",
            hint="Unpack the set again, or take these names out of the list.",
        )
    return pairs
