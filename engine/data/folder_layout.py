"""How a folder of images is arranged: splits, classes, files."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SPLIT_NAMES = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "valid": "validation",
    "test": "test",
}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
OTHER_IMAGE_SUFFIXES = {".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".heic", ".jp2"}


@dataclass(frozen=True, slots=True)
class Files:
    """The files below one split's folder.

    images: path and class, in order of classes and names. foreign: images of formats that are
    not read. strays: files that are no images.
    """

    classes: tuple[str, ...]
    images: tuple[tuple[Path, int], ...]
    foreign: tuple[Path, ...]
    strays: tuple[Path, ...]

    @property
    def images_of(self) -> dict[str, int]:
        """How many images each class has."""
        counted = Counter(label for _, label in self.images)
        return {name: counted[label] for label, name in enumerate(self.classes)}


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders below that are named like a split, by the split's name, training first."""
    named = {
        SPLIT_NAMES[path.name.lower()]: path
        for path in sorted(folder.iterdir(), reverse=True)
        if path.name.lower() in SPLIT_NAMES and path.is_dir()
    }
    return {name: named[name] for name in ("train", "validation", "test") if name in named}


def class_folders(folder: Path) -> list[Path]:
    """The folders below, by name, but for hidden ones and those that tools leave behind."""
    found = (path for path in folder.iterdir() if path.is_dir())
    return sorted(path for path in found if not path.name.startswith((".", "__")))


def list_files(folder: Path) -> Files:
    """All files of the classes below `folder`, at any depth."""
    classes = class_folders(folder)
    images: list[tuple[Path, int]] = []
    foreign, strays = [], [path for path in sorted(folder.iterdir()) if path.is_file()]
    for label, path in enumerate(classes):
        for file in _files_below(path):
            suffix = file.suffix.lower()
            if file.name.startswith("."):
                strays.append(file)
            elif suffix in IMAGE_SUFFIXES:
                images.append((file, label))
            elif suffix in OTHER_IMAGE_SUFFIXES:
                foreign.append(file)
            else:
                strays.append(file)
    names = tuple(path.name for path in classes)
    return Files(names, tuple(images), tuple(foreign), tuple(strays))


def pictures_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images at any depth, by name, and those of formats that are not read.

    What is hidden, and what systems leave behind, is passed over.
    """
    seen = [
        file
        for file in _files_below(folder)
        if not file.name.startswith(".")
        and not any(part.startswith((".", "__")) for part in file.relative_to(folder).parts[:-1])
    ]
    known = [file for file in seen if file.suffix.lower() in IMAGE_SUFFIXES]
    return known, [file for file in seen if file.suffix.lower() in OTHER_IMAGE_SUFFIXES]


def _files_below(folder: Path) -> list[Path]:
    walk = os.walk(folder)
    return sorted(Path(place, name) for place, _, names in walk for name in names)
