"""`segmentation_folder`: your own images with the class of every pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from engine.data.batch import DATASETS, VOID, Augment, DataSet
from engine.data.class_list import ClassList, numbered, read_classes
from engine.data.listed_layout import listed_layout, without_withheld
from engine.data.mask_files import Size, check_files, highest_value, read_images, read_pairs
from engine.data.mask_layout import LAYOUT, Pairs, find_layout
from engine.data.mask_split import MaskTensorSplit
from engine.data.normalisation import NORMALISATIONS, Norm
from engine.data.proximity import chosen_rows, find_proximity
from engine.data.tensor_split import fingerprint
from engine.errors import DataError
from engine.seeding import seed_for

USUAL: Size = (512, 256)  # where the images have no common size
SAME = 1.01  # ratio of two shapes of images below which nothing worth a note is cut off


@DATASETS.register(
    "segmentation_folder",
    title="A folder of images with masks",
    source="train/images, train/masks, val/..., or as CamVid, Cityscapes, KITTI, VOC and Pets lie"
    " on disk",
    num_classes=0,
    input_shape=(3, 0, 0),
    images={},
    needs_path=True,
    task="segment",
    licence="that of your images",
    where="a path, or the name of a folder below DISTILL_DATA; holds train/images and train/masks,"
    " and if you like val/... and test/...",
)
def segmentation_folder(
    root: Path,
    run_seed: int,
    *,
    path: Annotated[
        str, Field(description="Path of the folder, or its name below DISTILL_DATA")
    ] = "",
    proximity: Annotated[
        str,
        Field(description="Folder of unlabelled images like these, at any depth; empty: none"),
    ] = "",
    num_target: Annotated[
        int, Field(ge=0, le=100_000, description="Labelled images to train on; 0: all")
    ] = 0,
    num_proximity: Annotated[
        int, Field(ge=0, le=100_000, description="Unlabelled images to use; 0: all")
    ] = 0,
    part: Annotated[
        str,
        Field(
            pattern=r"^([1-9]\d*-[1-9]\d*)?$",
            description="The labelled images that may be trained on, counted by name, as in 1-45;"
            " empty: all. What is left out may serve elsewhere, as for a teacher",
        ),
    ] = "",
    drawn_by: Annotated[
        int,
        Field(
            ge=-1,
            le=10**6,
            description="Which images these are. 0: the first by name; -1: drawn by the run's"
            " seed; else drawn by this number",
        ),
    ] = 0,
    height: Annotated[
        int,
        Field(
            ge=0,
            le=4096,
            description="Of all images, in pixels; 0: their own if all share one size, else 256",
        ),
    ] = 0,
    width: Annotated[
        int,
        Field(
            ge=0,
            le=4096,
            description="Of all images, in pixels; 0: their own if all share one size, else 512."
            " What does not fit the shape is cut off on both sides",
        ),
    ] = 0,
    flip: Annotated[bool, Field(description="Mirror half of the training images")] = True,
    smallest: Annotated[
        float, Field(gt=0, le=1, description="A training image is scaled by this at least")
    ] = 0.5,
    largest: Annotated[
        float, Field(ge=1, le=4, description="And by this at most, before a crop of the old size")
    ] = 2.0,
    jitter: Annotated[
        float, Field(ge=0, lt=1, description="Brightness and contrast change by a factor 1 ± this")
    ] = 0.0,
    normalisation: Norm = "imagenet",
    memory: Annotated[
        float, Field(gt=0, le=1000, description="Gigabytes that the decoded images may take")
    ] = 4.0,
) -> DataSet:
    """Your own street scenes, cells, documents: images with index or colour masks.

    The classes are read from classes.csv or classes.txt in the folder. 255 in a mask is no class.
    Without a validation folder a tenth of train is set aside, drawn by the seed. All images are
    decoded, and all bad files found, before training starts.
    """
    folder = _found(root, path, "path")
    layout = without_withheld(listed_layout(folder) or find_layout(folder))
    listed = dict(layout.splits)
    sizes = {size for pairs in listed.values() for size in check_files(pairs)}
    size = _chosen_size((width, height), sizes)
    listed["train"] = _part(listed["train"], part)
    if "validation" not in listed:
        listed["train"], listed["validation"] = _set_aside(listed["train"], folder, run_seed)
    if drawn_by < 0:
        drawn_by = seed_for(run_seed, "labelled")
    listed["train"] = _few(listed["train"], num_target, drawn_by)
    others: list[Path] = []
    other_notes: list[str] = []
    if proximity:
        own = [mask for pairs in layout.splits.values() for mask in pairs.masks]
        own += [image for pairs in listed.values() for image in pairs.images]
        near = _found(root, proximity, "proximity")
        others, other_notes = find_proximity(near, own, num_proximity, drawn_by)
    _check_memory(listed, len(others), size, memory)

    classes = read_classes(folder) or layout.known or _numbered(listed)
    splits = {name: read_pairs(pairs, classes, size) for name, pairs in listed.items()}
    pool = read_images(others, size) if others else None
    mean, std = NORMALISATIONS[normalisation]
    return DataSet(
        name="segmentation_folder",
        classes=classes.names,
        input_shape=(3, size[1], size[0]),
        mean=mean,
        std=std,
        augment=Augment(flip=flip, scale=(smallest, largest), jitter=jitter),
        train=splits["train"],
        validation=splits["validation"],
        test=splits.get("test"),
        fingerprint=fingerprint(classes.names, *splits.values(), *([pool] if pool else [])),
        notes=(
            *layout.notes,
            *other_notes,
            *_size_notes(sizes, size),
            *_class_notes(classes, splits),
        ),
        task="segment",
        proximity=pool,
        palette=classes.palette,
    )


def _found(root: Path, path: str, knob: str) -> Path:
    for folder in (root / Path(path).expanduser(), Path(path).expanduser()):
        if path and folder.is_dir():
            return folder
    wrong = f"there is no folder {path!r}" if path else f"segmentation_folder.{knob} is empty"
    there = (
        sorted(place.name for place in root.iterdir() if place.is_dir()) if root.is_dir() else []
    )
    known = f"{root.resolve()} holds: {', '.join(there[:10]) or 'none'}"
    hint = LAYOUT if knob == "path" else "Name a folder of plain images, or none."
    raise DataError(f"{wrong}; {known}.", hint=hint, where=f"data.knobs.{knob}")


def _chosen_size(asked: Size, found: set[Size]) -> Size:
    own = next(iter(found)) if len(found) == 1 else USUAL
    return asked[0] or own[0], asked[1] or own[1]


def _set_aside(pairs: Pairs, folder: Path, run_seed: int) -> tuple[Pairs, Pairs]:
    """Nine tenths and one tenth, at least one image, drawn by the run's seed."""
    count = len(pairs.images)
    if count < 2:
        raise DataError(
            f"{folder} has {count} labelled image(s), and none to validate on.",
            hint="Add a second image, or a folder val with images and masks.",
        )
    generator = torch.Generator().manual_seed(seed_for(run_seed, "validation"))
    order = torch.randperm(count, generator=generator).tolist()
    held = max(1, count // 10)
    return _rows(pairs, sorted(order[held:])), _rows(pairs, sorted(order[:held]))


def _part(pairs: Pairs, part: str) -> Pairs:
    """The images from one number to another, both counted from 1 and included."""
    if not part:
        return pairs
    first, last = map(int, part.split("-"))
    count = len(pairs.images)
    if not first <= last <= count:
        raise DataError(
            f"part = {part} is no part of {count} labelled images.",
            hint=f"Choose two numbers from 1 to {count}, the smaller one first.",
            where="data.knobs.part",
        )
    return _rows(pairs, range(first - 1, last))


def _few(pairs: Pairs, count: int, drawn_by: int) -> Pairs:
    return _rows(pairs, chosen_rows(len(pairs.images), count, drawn_by))


def _rows(pairs: Pairs, rows: Sequence[int]) -> Pairs:
    images, masks = (tuple(files[row] for row in rows) for files in (pairs.images, pairs.masks))
    return Pairs(images, masks)


def _check_memory(listed: Mapping[str, Pairs], others: int, size: Size, memory: float) -> None:
    labelled = sum(len(pairs.images) for pairs in listed.values())
    needed = (labelled * 4 + others * 3) * size[0] * size[1] / 10**9
    if needed > memory:
        raise DataError(
            f"{labelled + others:,} images of {size[0]} x {size[1]} take {needed:.1f} gigabytes,"
            f" more than memory = {memory:g}.",
            hint="Choose a smaller height and width, fewer images, or allow more memory.",
            where="data.knobs.memory",
        )


def _numbered(listed: Mapping[str, Pairs]) -> ClassList:
    """As many classes as the masks show."""
    count = 1 + highest_value([mask for pairs in listed.values() for mask in pairs.masks])
    if count >= VOID:
        raise DataError(
            f"the masks have values up to {count - 1}, and no file lists the classes.",
            hint="Put a classes.csv beside the splits, one class a line: index,name,r,g,b,ignore",
        )
    return numbered(count)


def _size_notes(found: set[Size], size: Size) -> list[str]:
    wide, tall = size
    shapes = (own[0] / own[1] * tall / wide for own in found)
    if all(1 / SAME < shape < SAME for shape in shapes):
        return []
    return [f"images of another shape than {wide} x {tall} are cut to it; the middle is kept"]


def _class_notes(classes: ClassList, splits: Mapping[str, MaskTensorSplit]) -> list[str]:
    """Classes that a split does not show.

    Raises:
        DataError: there are not two classes to tell apart.
    """
    notes: list[str] = []
    for name, split in splits.items():
        shown = set(np.unique(split.labels.numpy()).tolist()) - {VOID}
        if len(shown) < 2 and name == "train":
            told = f"only {classes.names[shown.pop()]}" if shown else "no class at all"
            raise DataError(
                f"the masks of train show {told}.",
                hint="255 means no class. Draw two classes or more, numbered from 0.",
            )
        if not shown:
            raise DataError(f"the masks of {name} show no class at all.", hint="255 is no class.")
        missing = [
            classes.names[label] for label in range(len(classes.names)) if label not in shown
        ]
        if missing:
            notes.append(f"{name} shows no {', '.join(missing)}; figures leave out such classes")
    return notes
