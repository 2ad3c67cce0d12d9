"""`image_folder`: a set that lies on disk as one folder a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from engine.data.batch import DATASETS, Augment, DataSet
from engine.data.file_split import FileSplit, look_at, refuse
from engine.data.folder_layout import Files, class_folders, list_files, split_folders
from engine.data.normalisation import NORMALISATIONS, Norm
from engine.data.tensor_split import MEMORY_LIMIT, Stored, fingerprint, set_aside
from engine.errors import DataError

USUAL_SIZE = 64  # pixels; also the largest size that is kept when all images share it
SHOWN = 10  # names in a message
LAYOUT = "Arrange it as train/CLASS/*.png, and if you like val/CLASS and test/CLASS."


@DATASETS.register(
    "image_folder",
    title="A folder of images",
    source="train/CLASS/*.png (or jpg, webp), as torchvision's ImageFolder",
    num_classes=0,
    input_shape=(3, 0, 0),
    images={},
    needs_path=True,
    licence="that of your images",
    where="a path, or the name of a folder below DISTILL_DATA; holds train/CLASS/*.png, and if you"
    " like val/CLASS and test/CLASS",
)
def image_folder(
    root: Path,
    run_seed: int,
    *,
    path: Annotated[
        str, Field(description="Path of the folder, or its name below DISTILL_DATA")
    ] = "",
    size: Annotated[
        int,
        Field(
            ge=0,
            le=512,
            description="Width and height in pixels; shorter side scaled to it, middle cut out."
            " 0 keeps the images' own size if all share one of at most 64 pixels, else takes 64",
        ),
    ] = 0,
    crop_padding: Annotated[
        int, Field(ge=0, le=64, description="Black pixels around a training image before a crop")
    ] = 4,
    flip: Annotated[bool, Field(description="Mirror half of the training images")] = True,
    normalisation: Norm = "imagenet",
    memory: Annotated[
        float,
        Field(
            ge=0,
            le=100,
            description="Gigabytes of decoded images up to which all are kept in memory; a larger"
            " set is decoded anew in every epoch",
        ),
    ] = MEMORY_LIMIT / 10**9,
) -> DataSet:
    """Your own images: one folder a class, any size, PNG, JPEG or WebP.

    Without a validation folder a tenth of each class of train is set aside, drawn by the seed.
    All bad files are found before training starts.
    """
    folder = _found(root, path)
    listed = {name: list_files(place) for name, place in _splits(folder).items()}
    found = _image_sizes(listed)
    classes = _agreed_classes(folder, listed)
    width, height = _chosen_size(size, found)

    files_of = {
        name: FileSplit(
            [file for file, _ in files.images],
            torch.tensor([label for _, label in files.images]),
            (width, height),
        )
        for name, files in listed.items()
    }
    num_bytes = sum(map(len, files_of.values())) * 3 * width * height
    splits: dict[str, Stored] = dict(files_of)
    if num_bytes <= memory * 10**9:
        splits = {name: split.load() for name, split in files_of.items()}
    mark = fingerprint(classes, *splits.values())
    if "validation" not in splits:
        splits["train"], splits["validation"] = set_aside(splits["train"], run_seed)
    mean, std = NORMALISATIONS[normalisation]
    return DataSet(
        name="image_folder",
        classes=classes,
        input_shape=(3, height, width),
        mean=mean,
        std=std,
        augment=Augment(crop_padding=crop_padding, flip=flip),
        train=splits["train"],
        validation=splits["validation"],
        test=splits.get("test"),
        fingerprint=mark,
        notes=_notes(listed),
    )


def _found(root: Path, path: str) -> Path:
    if path:
        for folder in (root / Path(path).expanduser(), Path(path).expanduser()):
            if folder.is_dir():
                return folder
    there = [place.name for place in class_folders(root)] if root.is_dir() else []
    known = f"{root.resolve()} holds: {_some(there)}" if there else f"{root.resolve()} holds none"
    wrong = f"there is no folder {path!r}" if path else "image_folder.path is empty"
    raise DataError(
        f"{wrong}; {known}.", hint="Give a path or one of these names.", where="data.knobs.path"
    )


def _splits(folder: Path) -> dict[str, Path]:
    splits = split_folders(folder)
    if splits and "train" not in splits:
        raise DataError(
            f"{folder} has no folder train, but {_some([path.name for path in splits.values()])}.",
            hint=LAYOUT,
        )
    return splits or {"train": folder}


def _image_sizes(listed: Mapping[str, Files]) -> set[tuple[int, int]]:
    """Widths and heights of the images; a DataError names every file that cannot be used."""
    images = [file for files in listed.values() for file, _ in files.images]
    looks = look_at(images)
    faults = {file: look.fault for file, look in zip(images, looks, strict=True)}
    for files in listed.values():
        faults |= dict.fromkeys(files.foreign, "is of a format that is not read")
    refuse(faults)
    return {look.size for look in looks}


def _agreed_classes(folder: Path, listed: Mapping[str, Files]) -> tuple[str, ...]:
    """The classes, when all splits have the same and each has images; else a DataError."""
    classes = listed["train"].classes
    if len(classes) < 2:
        here = f"only {classes[0]}" if classes else "none"
        raise DataError(f"{folder} needs two class folders or more; it has {here}.", hint=LAYOUT)
    for name, files in listed.items():
        missing, extra = set(classes) - set(files.classes), set(files.classes) - set(classes)
        parts = [f"{name} lacks {_some(missing)}"] if missing else []
        parts += [f"train lacks {_some(extra)}"] if extra else []
        if parts:
            raise DataError(
                f"the classes of train and {name} in {folder} differ: {'; '.join(parts)}.",
                hint="Give both the same class folders.",
            )
    fewest = dict.fromkeys(listed, 1)
    if "validation" not in listed:
        fewest["train"] = 2  # one of them is set aside
    for name, files in listed.items():
        poor = [cls for cls, count in files.images_of.items() if count < fewest[name]]
        if poor:
            raise DataError(
                f"these class folders of {name} in {folder} hold fewer than {fewest[name]}"
                f" image(s): {_some(poor)}.",
                hint="Fill them with PNG, JPEG or WebP images, or remove them.",
            )
    return classes


def _chosen_size(size: int, found: set[tuple[int, int]]) -> tuple[int, int]:
    if size:
        return size, size
    own = next(iter(found))
    return own if len(found) == 1 and max(own) <= USUAL_SIZE else (USUAL_SIZE, USUAL_SIZE)


def _notes(listed: Mapping[str, Files]) -> tuple[str, ...]:
    strays = [file for files in listed.values() for file in files.strays]
    if not strays:
        return ()
    return (f"{len(strays)} file(s) that are no images ignored: {_some(f.name for f in strays)}",)


def _some(names: Iterable[str]) -> str:
    known = sorted(set(names))
    return ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if known[SHOWN:] else "")
