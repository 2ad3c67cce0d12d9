"""`tiny_imagenet`: 200 classes of ImageNet at 64x64 pixels, as it was handed out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from engine.data.batch import DATASETS, Augment, DataSet
from engine.data.file_split import FileSplit, look_at, refuse
from engine.data.folder_layout import list_files
from engine.data.normalisation import NORMALISATIONS, Norm
from engine.data.tensor_split import Stored, fingerprint, set_aside
from engine.data.torchvision_sets import CropPadding, Flip, Folder
from engine.errors import DataError

FOLDER = "tiny-imagenet-200"
NEEDED = ("train", "val/images", "val/val_annotations.txt", "words.txt")
SIZE = 64  # pixels


@DATASETS.register(
    "tiny_imagenet",
    title="Tiny-ImageNet",
    source="Le & Yang, Tiny ImageNet visual recognition challenge, Stanford CS 231N, 2015",
    num_classes=200,
    input_shape=(3, SIZE, SIZE),
    images={"train": 100_000, "test": 10_000},
    needs_path=False,
    folder=FOLDER,
    licence="none stated; images from ImageNet",
    where=f"{FOLDER}/ with train/CLASS/images/*.JPEG, val/images, val/val_annotations.txt and"
    f" words.txt, unpacked from https://cs231n.stanford.edu/{FOLDER}.zip",
)
def tiny_imagenet(
    root: Path,
    run_seed: int,
    *,
    folder: Folder = "",
    crop_padding: CropPadding = 0,
    flip: Flip = True,
    normalisation: Norm = "tiny_imagenet",
    memory: Annotated[
        float,
        Field(
            ge=0,
            le=100,
            description="Gigabytes of decoded images up to which all are kept in memory; the whole"
            " set has 1.4",
        ),
    ] = 2.0,
) -> DataSet:
    """Photographs of 64x64 pixels: 500 for training of each of 200 things and animals.

    The labels of the test images were never handed out: as in all published figures, the set's
    validation images are the test split, and a tenth of each class of train is set aside for
    validation.
    """
    place = _found(Path(folder).expanduser() if folder else root)
    files = list_files(place / "train")
    refuse(dict.fromkeys(files.foreign, "is of a format that is not read"))
    poor = [name for name, count in files.images_of.items() if count < 2]
    if poor or len(files.classes) < 2:
        few = f"{poor[0]} holds" if poor else f"its {len(files.classes)} class folders hold"
        raise _incomplete(place.parent, f"of train, {few} too few images")
    images = {"train": files.images, "test": _labelled(place, files.classes)}
    is_kept = sum(map(len, images.values())) * 3 * SIZE**2 <= memory * 10**9
    splits = {name: _split(found, is_kept=is_kept) for name, found in images.items()}
    classes = _words(place / "words.txt", files.classes)
    train, validation = set_aside(splits["train"], run_seed)
    mean, std = NORMALISATIONS[normalisation]
    return DataSet(
        name="tiny_imagenet",
        classes=classes,
        input_shape=(3, SIZE, SIZE),
        mean=mean,
        std=std,
        augment=Augment(crop_padding=crop_padding, flip=flip),
        train=train,
        validation=validation,
        test=splits["test"],
        fingerprint=fingerprint(classes, *splits.values()),
    )


def _found(base: Path) -> Path:
    missing = [name for name in NEEDED if not (base / FOLDER / name).exists()]
    if missing:
        raise _incomplete(base, f"{FOLDER} lacks {', '.join(missing)}")
    return base / FOLDER


def _labelled(place: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    """The images of `val` with their classes, in the order of val_annotations.txt."""
    text = (place / "val" / "val_annotations.txt").read_text(encoding="utf-8")
    rows = [line.split("\t")[:2] for line in text.splitlines() if line.strip()]
    label_of = {name: label for label, name in enumerate(classes)}
    found: list[tuple[Path, int]] = []
    for name, *cls in rows:
        file = place / "val" / "images" / name
        if not cls or cls[0] not in label_of:
            raise _incomplete(place.parent, f"{name} of val is of no class of train")
        if not file.is_file():
            raise _incomplete(place.parent, f"{name} of val is not there")
        found.append((file, label_of[cls[0]]))
    if not found:
        raise _incomplete(place.parent, "val_annotations.txt is empty")
    return found


def _split(images: Sequence[tuple[Path, int]], *, is_kept: bool) -> Stored:
    """The images as a split; every file that cannot be used is named now."""
    files = [file for file, _ in images]
    split = FileSplit(files, torch.tensor([label for _, label in images]), (SIZE, SIZE))
    if is_kept:
        return split.load()
    refuse({file: look.fault for file, look in zip(files, look_at(files), strict=True)})
    return split


def _words(file: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """What the classes are called: the first of a class's words, which two classes may share."""
    rows = (line.partition("\t") for line in file.read_text(encoding="utf-8").splitlines())
    words = {name: text.partition(",")[0].strip() for name, _, text in rows}
    first = [words.get(name) or name for name in classes]
    counted = Counter(first)
    return tuple(
        word if counted[word] == 1 else f"{word} ({name})"
        for word, name in zip(first, classes, strict=True)
    )


def _incomplete(base: Path, why: str) -> DataError:
    return DataError(
        f"tiny_imagenet is missing or incomplete in {base.resolve()}: {why}.",
        hint=f"Put there {DATASETS['tiny_imagenet'].facts['where']}.",
    )
