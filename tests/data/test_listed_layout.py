"""Public layouts: lists of names (VOC, Pets), a withheld test (Cityscapes), KITTI as the pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.batch import VOID, DataSet
from engine.data.segmentation_folder import segmentation_folder
from engine.errors import DataError

SIZE = (8, 6)


def picture(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, (shade, 9, 9)).save(path)


def mask(path: Path, left: int, right: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full(SIZE[::-1], left, dtype=np.uint8)
    values[:, 4:] = right
    Image.fromarray(values).save(path)


def read(folder: Path, **knobs: object) -> DataSet:
    return segmentation_folder(folder, 0, path=str(folder), **knobs)  # type: ignore[arg-type]


def voc(folder: Path) -> Path:
    """Two training images and one to validate on; another has no mask, as most have."""
    place = folder / "VOCdevkit" / "VOC2012"
    for shade, name in enumerate(("2007_1", "2007_2", "2007_3", "2007_4")):
        picture(place / "JPEGImages" / f"{name}.jpg", shade)
        if name != "2007_4":
            mask(place / "SegmentationClass" / f"{name}.png", 15, VOID if shade else 0)
    lists = place / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_1\n2007_2\n")
    (lists / "val.txt").write_text("2007_3\n")
    return folder


def sizes(data: DataSet) -> dict[str, int]:
    return {name: len(split) for name, split in data.splits.items()}


def test_voc_is_read_by_its_lists(tmp_path: Path) -> None:
    data = read(voc(tmp_path))
    assert sizes(data) == {"train": 2, "validation": 1}
    assert len(data.classes) == 21 and data.classes[15] == "person"
    assert data.train.labels[0].unique().tolist() == [0, 15]  # type: ignore[attr-defined]
    inner = read(tmp_path / "VOCdevkit" / "VOC2012")
    assert inner.fingerprint == data.fingerprint


def test_a_listed_file_that_is_gone_is_named(tmp_path: Path) -> None:
    voc(tmp_path)
    (tmp_path / "VOCdevkit/VOC2012/SegmentationClass/2007_2.png").unlink()
    with pytest.raises(DataError, match=r"1 files .*train.txt names are not there: 2007_2.png"):
        read(tmp_path)


def test_pets_are_read_by_their_lists_and_the_border_is_no_class(tmp_path: Path) -> None:
    for number in range(5):
        picture(tmp_path / f"oxford-iiit-pet/images/Abyssinian_{number}.jpg", number)
        mask(tmp_path / f"oxford-iiit-pet/annotations/trimaps/Abyssinian_{number}.png", 1, 2)
    mask(tmp_path / "oxford-iiit-pet/annotations/trimaps/Abyssinian_4.png", 2, 3)
    lists = tmp_path / "oxford-iiit-pet" / "annotations"
    rows = [f"Abyssinian_{number} 1 1 1" for number in range(5)]
    (lists / "trainval.txt").write_text("#Image CLASS-ID SPECIES\n" + "\n".join(rows[:4]))
    (lists / "test.txt").write_text(rows[4])
    data = read(tmp_path)
    assert sizes(data) == {"train": 3, "validation": 1, "test": 1}
    assert data.classes == ("pet", "background")
    assert data.test is not None
    assert data.test.labels.unique().tolist() == [1, VOID]  # type: ignore[attr-defined]


@pytest.mark.parametrize("test_value", [3, 7])
def test_the_empty_test_masks_of_cityscapes_leave_their_split_out(
    tmp_path: Path, test_value: int
) -> None:
    for split, left in (("train", 7), ("val", 8), ("test", test_value)):
        for number in range(2):
            stem = f"ulm_{number}"
            picture(tmp_path / f"leftImg8bit/{split}/ulm/{stem}_leftImg8bit.png", number)
            right = 11 if left > 6 else 1
            mask(tmp_path / f"gtFine/{split}/ulm/{stem}_gtFine_labelIds.png", left, right)
    data = read(tmp_path)
    assert ("test" in sizes(data)) is (test_value == 7)
    assert ("the masks of test are empty; it is left out" in data.notes) is (test_value == 3)


def test_of_a_labelled_set_beside_only_the_pictures_are_taken(tmp_path: Path) -> None:
    voc(tmp_path / "voc")
    for part in ("training", "testing"):
        picture(tmp_path / f"kitti/{part}/image_2/0.png", 50 + len(part))
    mask(tmp_path / "kitti/training/semantic/0.png", 7, 8)
    picture(tmp_path / "kitti/training/semantic_rgb/0.png", 99)
    data = segmentation_folder(tmp_path, 0, path="voc", proximity="kitti")
    assert data.proximity is not None and len(data.proximity) == 2
