"""How a folder of images with masks is arranged: splits, pairs, what is missing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.data.class_list import CAMVID, CITYSCAPES, ClassList
from engine.data.file_split import refuse
from engine.data.folder_layout import SPLIT_NAMES, pictures_below
from engine.errors import DataError

SHOWN = 10  # names in a message
IMAGES = ("images", "image", "imgs", "img", "leftimg8bit", "image_2", "jpegimages")
MASKS = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "gt"),
    *("gtfine", "semantic", "gt_image_2", "segmentationclass"),
)
LABEL_IDS = "_labelIds"  # what the masks of Cityscapes end with
SPLITS = {**SPLIT_NAMES, "training": "train", "testing": "test"}
LAYOUT = (
    "Arrange it as train/images, train/masks, val/images, val/masks, and if you like test/...;"
    " the layouts of CamVid, Cityscapes, KITTI, VOC and Oxford-IIIT Pet are known too."
)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The labelled images of one split, by name: two tuples of one length."""

    images: tuple[Path, ...]
    masks: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The splits of a folder; validation may be missing.

    known: the classes, where the layout is that of a public set.
    """

    splits: dict[str, Pairs]
    known: ClassList | None
    notes: tuple[str, ...]


def find_layout(folder: Path) -> Layout:
    """The labelled images below a folder.

    Raises:
        DataError: nothing is recognised, or names do not pair.
    """
    places = _places(folder)
    if not places:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:SHOWN]) or "nothing"
        raise DataError(f"{folder} holds no images with masks, but: {there}.", hint=LAYOUT)
    if "train" not in places:
        raise DataError(f"{folder} has no split to train on, but {', '.join(places)}.", hint=LAYOUT)
    notes: list[str] = []
    splits: dict[str, Pairs] = {}
    for name in ("train", "validation", "test"):
        if name in places:
            images, masks = (_files(place) for place in places[name])
            if name != "train" and not masks:
                notes.append(f"{name} has no masks and is left out")
                continue
            if not images and not masks:
                raise DataError(f"{places[name][0]} holds no PNG, JPEG or WebP image.", hint=LAYOUT)
            splits[name] = _paired(places[name][0], images, _one_kind(masks))
    masks_of = [mask for pairs in splits.values() for mask in pairs.masks]
    return Layout(splits, _known(folder, masks_of), tuple(notes))


def looks_segmented(folder: Path) -> bool:
    """Whether a folder seems to hold images with masks."""
    return bool(_places(folder))


def split_names(folder: Path) -> list[str]:
    """The splits that it seems to hold, training first."""
    return sorted(_places(folder), key=("train", "validation", "test").index)


def _places(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Split -> folder of its images, folder of its masks."""
    below = _folders(folder)
    pair = _pair(below)
    if pair is not None:
        inside = [_by_split(part) for part in pair]
        shared = {
            name: (inside[0][name], inside[1][name]) for name in inside[0] if name in inside[1]
        }
        return shared or {"train": pair}
    found: dict[str, tuple[Path, Path]] = {}
    for name, place in _by_split(folder).items():
        inner = _pair(_folders(place))
        annot = below.get(f"{place.name.lower()}annot")
        if inner is not None:
            found[name] = inner
        elif annot is not None:
            found[name] = (place, annot)
    return found


def _folders(place: Path) -> dict[str, Path]:
    return {path.name.lower(): path for path in sorted(place.iterdir()) if path.is_dir()}


def _by_split(place: Path) -> dict[str, Path]:
    found = reversed(_folders(place).items())  # of val and validation the first by name stays
    return {SPLITS[name]: path for name, path in found if name in SPLITS}


def _pair(below: dict[str, Path]) -> tuple[Path, Path] | None:
    images = next((below[name] for name in IMAGES if name in below), None)
    masks = next((below[name] for name in MASKS if name in below), None)
    return None if images is None or masks is None else (images, masks)


def _files(place: Path) -> list[Path]:
    """The pictures at any depth, by name.

    Raises:
        DataError: there are some of formats that are not read.
    """
    known, foreign = pictures_below(place)
    refuse(dict.fromkeys(foreign, "is of a format that is not read"))
    return known


def _one_kind(masks: Sequence[Path]) -> list[Path]:
    """Of several masks for an image, as Cityscapes has them, those with the classes."""
    return [mask for mask in masks if mask.stem.endswith(LABEL_IDS)] or [*masks]


def _known(folder: Path, masks: Iterable[Path]) -> ClassList | None:
    places = {part.lower() for mask in masks for part in mask.relative_to(folder).parts}
    if any(mask.stem.endswith(LABEL_IDS) for mask in masks) or "semantic" in places:
        return CITYSCAPES
    return CAMVID if "trainannot" in places else None


def _paired(place: Path, images: Sequence[Path], masks: Sequence[Path]) -> Pairs:
    """Each image with the mask of its name.

    Names may differ by words that all images or all masks have, as in um_000001.png and
    um_lane_000001.png.
    """
    by_key: dict[str, list[Path]] = defaultdict(list)
    ours, theirs = _common(images), _common(masks)
    for mask in masks:
        by_key[_key(mask, theirs - ours)].append(mask)
    keys = {image: _key(image, ours - theirs) for image in images}
    lonely = [image.name for image in images if not keys[image] or not by_key.get(keys[image])]
    _refuse(lonely, place, "has no mask", "images have no mask", "Add their masks, or remove them.")
    left = set(by_key) - set(keys.values())
    spare = [mask.name for key in sorted(left) for mask in by_key[key]]
    _refuse(
        spare, place, "has no image", "masks have no image", "Add their images, or remove them."
    )
    twice = [image.name for image in images if len(by_key[keys[image]]) > 1]
    twice += _doubled(keys)
    _refuse(
        twice,
        place,
        "pairs with more than one file",
        "names pair with more than one file",
        "Give image and mask the same name, but for a word that all masks have.",
    )
    return Pairs(tuple(images), tuple(by_key[keys[image]][0] for image in images))


def _doubled(keys: dict[Path, str]) -> list[str]:
    seen: dict[str, Path] = {}
    return [image.name for image, key in keys.items() if seen.setdefault(key, image) != image]


def _common(files: Sequence[Path]) -> set[str]:
    """The words that all names have."""
    return set.intersection(*({*_words(file)} for file in files)) if files else set()


def _key(file: Path, without: set[str]) -> str:
    return "_".join(word for word in _words(file) if word not in without)


def _words(file: Path) -> list[str]:
    return [word for word in re.split(r"[-_.\s]+", file.stem.lower()) if word]


def _refuse(names: Sequence[str], place: Path, one: str, many: str, hint: str) -> None:
    if names:
        more = f" and {len(names) - SHOWN} more" if names[SHOWN:] else ""
        named = ", ".join(names[:SHOWN])
        text = f"{named} {one}" if len(names) == 1 else f"{len(names)} {many}: {named}{more}"
        raise DataError(f"{place}: {text}.", hint=hint)
