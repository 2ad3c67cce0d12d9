"""Where data sets lie, and which are there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from engine.data.batch import DATASETS
from engine.data.class_list import read_classes
from engine.data.folder_layout import class_folders, split_folders
from engine.data.mask_layout import looks_segmented, split_names
from engine.errors import DataError, SpecError
from engine.spec import Choice


def find_root() -> Path:
    """The folder named by the environment variable DISTILL_DATA, else `data` where we run."""
    return Path(os.environ.get("DISTILL_DATA") or "data").expanduser()


def named_folders() -> list[dict[str, Any]]:
    """The data sets below the root, as plain data, by name.

    Each has `name`, `path`, `data` (the registered data set that reads it), `splits` and
    `num_classes` (0 where only reading the set would tell). Folders of classes without a
    `train` folder around them are not listed, as any folder of folders looks like that.
    """
    root = find_root()
    if not root.is_dir():
        return []
    readers = {entry.facts["folder"]: entry for entry in DATASETS if "folder" in entry.facts}
    found = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        splits: list[str] = []
        classes = 0
        if folder.name in readers:
            data = readers[folder.name].name
            splits, classes = ["train", "test"], readers[folder.name].facts["num_classes"]
        elif looks_segmented(folder):
            data, splits = "segmentation_folder", split_names(folder)
            classes = _num_listed(folder)
        elif names := _classes_of_train(folder):
            data = "image_folder"
            splits, classes = list(split_folders(folder)), len(names)
        else:
            continue
        found.append(
            {
                "name": folder.name,
                "path": str(folder.resolve()),
                "data": data,
                "splits": splits,
                "num_classes": classes,
            }
        )
    return found


def data_choice(choice: Choice) -> Choice:
    """A choice of a registered data set, also where it names a folder below the root.

    Raises:
        SpecError: it is neither.
    """
    if choice.name in DATASETS:
        return choice
    if (find_root() / choice.name).is_dir():
        is_segmented = looks_segmented(find_root() / choice.name)
        reader = "segmentation_folder" if is_segmented else "image_folder"
        return Choice(name=reader, knobs={"path": choice.name, **choice.knobs})
    known = ", ".join(entry.name for entry in DATASETS)
    raise SpecError(
        f"there is no data set {choice.name!r}, and no folder of this name in {find_root()};"
        f" known: {known}",
        hint="Set DISTILL_DATA to the folder that holds your data sets.",
    )


def _num_listed(folder: Path) -> int:
    """How many classes a folder lists; 0 where it does not, or in a way that cannot be read."""
    try:
        listed = read_classes(folder)
    except DataError:
        return 0
    return len(listed.names) if listed else 0


def _classes_of_train(folder: Path) -> list[str]:
    train = split_folders(folder).get("train")
    return [path.name for path in class_folders(train)] if train else []
