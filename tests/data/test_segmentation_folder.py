"""Folders of images with masks: layouts, pairs, and what is said of bad ones."""

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.batch import VOID
from engine.data.segmentation_folder import segmentation_folder
from engine.errors import DataError

COLOURS = {0: (10, 20, 30), 1: (40, 50, 60), 2: (0, 0, 0)}
CLASSES = "index,name,r,g,b,ignore\n0,sky,10,20,30,0\n1,road,40,50,60,0\n2,none,0,0,0,1\n"


def half(size=(8, 6)):
    """(H, W) uint8: class 0 on the left, class 1 on the right, a column of VOID between."""
    width, height = size
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[:, width // 2 :] = 1
    mask[:, width // 2] = VOID
    return mask


def coloured(size=(8, 6)):
    """The same in colours."""
    mask = half(size)
    mask[mask == VOID] = 2
    return np.array([COLOURS[label] for label in range(3)], dtype=np.uint8)[mask]


@pytest.fixture
def put(tmp_path, picture):
    """Write images and masks: put("train/images/a.png", "train/masks/a.png", mask=...)."""

    def write(image, mask_name, *, mask=None, size=(8, 6), mode=None, **options):
        picture(tmp_path / image, size, **options)
        if mask_name:
            (tmp_path / mask_name).parent.mkdir(parents=True, exist_ok=True)
            drawn = Image.fromarray(half(size) if mask is None else mask)
            (drawn.convert(mode) if mode else drawn).save(tmp_path / mask_name)

    return write


@pytest.fixture
def plain(put, tmp_path):
    """Two training images and one to validate on."""
    for split, count in (("train", 2), ("val", 1)):
        for number in range(count):
            put(f"{split}/images/{number}.png", f"{split}/masks/{number}.png")
    return tmp_path


def read(folder, **knobs):
    return segmentation_folder(folder, 0, path=str(folder), **knobs)


def refused(folder, **knobs):
    with pytest.raises(DataError) as error:
        read(folder, **knobs)
    assert error.value.hint
    return str(error.value)


# Layouts


def test_images_and_masks_in_split_folders_are_read(plain):
    data = read(plain)
    assert data.task == "segment" and data.classes == ("class 0", "class 1")
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 2,
        "validation": 1,
    }
    assert data.input_shape == (3, 6, 8)
    masks = data.train.masks(torch.tensor([1]))
    assert torch.equal(masks[0], torch.from_numpy(half()))
    stored = np.array(Image.open(plain / "train/images/1.png"))
    assert torch.equal(
        data.train.images(torch.tensor([1]))[0], torch.from_numpy(stored).permute(2, 0, 1)
    )


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{split}/{name}.png", "{split}annot/{name}.png"),
        (
            "leftImg8bit/{split}/aachen/{name}_leftImg8bit.png",
            "gtFine/{split}/aachen/{name}_gtFine_labelIds.png",
        ),
        ("images/{split}/{name}.jpg", "annotations/{split}/{name}.png"),
        ("{split}/img/{name}.webp", "{split}/labels/{name}_L.png"),
    ],
)
def test_known_layouts_are_read(put, tmp_path, image, mask):
    ids = np.where(half() == 1, 11, half() + 7).astype(np.uint8) if "gtFine" in mask else half()
    ids[half() == VOID] = 0 if "gtFine" in mask else VOID
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            name = f"city_{number:06d}_{split}"
            put(image.format(split=split, name=name), mask.format(split=split, name=name), mask=ids)
    data = read(tmp_path)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 3,
        "validation": 2,
    }
    if "gtFine" in mask:
        assert len(data.classes) == 19
        assert data.train.labels.unique().tolist() == [0, 2, VOID]
    if "annot/" in mask:
        assert data.classes[:2] == ("sky", "building") and len(data.classes) == 11


def test_other_files_of_cityscapes_are_left_alone(put, tmp_path):
    for number in range(2):
        stem = f"gtFine/train/ulm/ulm_{number}_gtFine"
        put(
            f"leftImg8bit/train/ulm/ulm_{number}_leftImg8bit.png",
            f"{stem}_labelIds.png",
            mask=half() % 2 + 7,
        )
        put(f"{stem}_color.png", f"{stem}_instanceIds.png")
    assert len(read(tmp_path).train) == 1


def test_names_may_differ_by_what_all_have(put, tmp_path):
    for number in range(3):
        put(f"image_2/um_{number:06d}.png", f"gt_image_2/um_lane_{number:06d}.png")
    data = read(tmp_path)
    assert len(data.train) == 2 and len(data.validation) == 1


def test_without_validation_a_tenth_is_set_aside_by_the_seed(put, tmp_path):
    for number in range(20):
        put(f"images/{number}.png", f"masks/{number}.png")
    data = read(tmp_path)
    assert (len(data.train), len(data.validation)) == (18, 2)
    other = segmentation_folder(tmp_path, 1, path=str(tmp_path))
    assert not torch.equal(other.validation.pixels, data.validation.pixels)
    assert torch.equal(read(tmp_path).validation.pixels, data.validation.pixels)


def test_a_test_split_without_masks_is_left_out_and_said(plain, put):
    put("test/images/9.png", "")
    (plain / "test/masks").mkdir()
    data = read(plain)
    assert data.test is None and data.notes == ("test has no masks and is left out",)


def test_few_images_are_the_first_or_drawn(put, tmp_path):
    for number in range(12):
        put(f"train/images/{number:02d}.png", f"train/masks/{number:02d}.png")
    put("val/images/a.png", "val/masks/a.png")
    every, first = read(tmp_path).train.pixels, read(tmp_path, num_target=3).train.pixels
    assert torch.equal(first, every[:3])
    drawn = [read(tmp_path, num_target=3, drawn_by=n).train.pixels for n in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_a_part_is_counted_by_name_and_others_draw_from_it_alone(put, tmp_path):
    for number in range(8):
        put(f"train/images/{number}.png", f"train/masks/{number}.png")
    put("val/images/0.png", "val/masks/0.png")
    every = read(tmp_path).train.pixels

    def rows(run_seed=0, **knobs):
        found = segmentation_folder(tmp_path, run_seed, path=str(tmp_path), **knobs).train.pixels
        return [next(n for n in range(8) if torch.equal(every[n], one)) for one in found]

    assert rows(part="2-4") == [1, 2, 3]
    assert rows(part="5-8", num_target=2) == [4, 5]
    drawn = [rows(seed, part="3-8", num_target=2, drawn_by=-1) for seed in range(8)]
    assert all(set(one) <= {2, 3, 4, 5, 6, 7} and len(one) == 2 for one in drawn)
    assert len({tuple(one) for one in drawn}) > 2
    assert rows(3, part="3-8", num_target=2, drawn_by=-1) == drawn[3]
    assert set(drawn[3]) < set(rows(3, part="3-8", num_target=4, drawn_by=-1))


@pytest.mark.parametrize("part", ["2-3", "3-3", "2-1"])
def test_a_part_that_is_not_there_is_refused(plain, part):
    assert f"part = {part} is no part of 2 labelled images" in refused(plain, part=part)


def test_proximity_is_a_folder_of_plain_images_of_any_size(plain, picture):
    for number, size in enumerate([(8, 6), (40, 10), (5, 30)]):
        picture(plain / f"near/deep/{number}.jpg", size)
    data = read(plain, proximity=str(plain / "near"))
    assert len(data.proximity) == 3
    assert data.proximity.images(torch.arange(3)).shape == (3, 3, 6, 8)
    assert len(read(plain, proximity=str(plain / "near"), num_proximity=2).proximity) == 2
    assert read(plain).proximity is None


# Masks of any kind


def test_colour_masks_are_read_by_their_list(put, tmp_path):
    (tmp_path / "classes.csv").write_text(CLASSES)
    for number in range(2):
        put(f"images/{number}.png", f"masks/{number}.png", mask=coloured())
    data = read(tmp_path)
    assert data.classes == ("sky", "road") and data.palette == ((10, 20, 30), (40, 50, 60))
    assert torch.equal(data.train.labels[0], torch.from_numpy(half()))


def test_a_palette_mask_is_read_by_its_indices_or_its_colours(put, tmp_path):
    indices = Image.fromarray(half())
    indices.putpalette([200, 0, 0, 0, 200, 0] + [7] * 762)
    shuffled = Image.fromarray(np.where(half() == VOID, 2, 1 - half()).astype(np.uint8))
    shuffled.putpalette([*COLOURS[1], *COLOURS[0], *COLOURS[2]])
    for number in range(2):
        put(f"images/{number}.png", f"masks/{number}.png")
        indices.save(tmp_path / f"masks/{number}.png")
    assert torch.equal(read(tmp_path).train.labels[0], torch.from_numpy(half()))
    (tmp_path / "classes.csv").write_text(CLASSES)
    assert torch.equal(read(tmp_path).train.labels[0], torch.from_numpy(half()))
    for number in range(2):
        shuffled.save(tmp_path / f"masks/{number}.png")
    assert torch.equal(read(tmp_path).train.labels[0], torch.from_numpy(half()))


def test_sixteen_bits_are_read_as_they_are(put, tmp_path):
    (tmp_path / "classes.csv").write_text("index,name\n300,sky\n1000,road\n")
    deep = np.where(half() == 1, 1000, 300).astype(np.uint16)
    deep[half() == VOID] = VOID
    for number in range(2):
        put(f"images/{number}.png", f"masks/{number}.png", mask=deep)
    assert torch.equal(read(tmp_path).train.labels[0], torch.from_numpy(half()))


def test_masks_are_scaled_without_mixing_classes(put, tmp_path):
    for number in range(2):
        put(f"images/{number}.png", f"masks/{number}.png", size=(16, 12))
    data = read(tmp_path, width=8, height=6)
    assert data.input_shape == (3, 6, 8)
    assert set(data.train.labels.unique().tolist()) <= {0, 1, VOID}
    assert data.notes == ()


def test_another_shape_is_cut_and_said(put, tmp_path):
    for number in range(2):
        put(f"images/{number}.png", f"masks/{number}.png", size=(40, 12))
    data = read(tmp_path, width=12, height=12)
    assert torch.equal(data.train.labels[0], torch.from_numpy(half((40, 12)))[:, 14:26])
    assert data.notes == ("images of another shape than 12 x 12 are cut to it; the middle is kept",)


def test_a_rotated_photograph_is_turned(put, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(2):
        put(f"images/{number}.jpg", "", size=(6, 8), exif=exif)
        Image.fromarray(half()).save(
            (tmp_path / "masks").mkdir(exist_ok=True) or tmp_path / f"masks/{number}.png"
        )
    assert read(tmp_path).input_shape == (3, 6, 8)


# What is refused


def test_a_mask_drawn_on_an_unturned_photograph_is_refused(put, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(2):
        put(f"images/{number}.jpg", f"masks/{number}.png", exif=exif)
    told = refused(tmp_path)
    assert "0.png is 8 x 6, its image 6 x 8" in told and "EXIF" in told


def test_masks_of_another_size_are_named(plain, put):
    put("train/images/1.png", "")
    Image.fromarray(half((9, 6))).save(plain / "train/masks/1.png")
    assert "1 masks differ from their images in size: 1.png is 9 x 6, its image 8 x 6" in refused(
        plain
    )


def test_the_first_ten_are_named(put, tmp_path):
    for number in range(12):
        put(f"images/{number:02d}.png", f"masks/{number:02d}.png", mask=half((7, 6)))
    told = refused(tmp_path)
    assert "12 masks" in told and "09.png" in told and "10.png" not in told and "and 2 more" in told


def test_values_outside_the_list_are_named(plain):
    (plain / "classes.txt").write_text("sky\nroad\n")
    strange = half()
    strange[0, 0] = 40
    Image.fromarray(strange).save(plain / "train/masks/0.png")
    told = refused(plain)
    assert "0.png has the values 40" in told and "The list has 0, 1" in told


def test_colours_outside_the_list_are_named(put, tmp_path):
    (tmp_path / "classes.csv").write_text(CLASSES)
    strange = coloured()
    strange[0, 0] = (9, 9, 9)
    for number in range(2):
        put(f"images/{number}.png", f"masks/{number}.png", mask=strange)
    assert "has the colours (9, 9, 9)" in refused(tmp_path)


def test_colours_without_a_list_are_refused(put, tmp_path):
    for number in range(2):
        put(f"images/{number}.png", f"masks/{number}.png", mask=coloured())
    told = refused(tmp_path)
    assert "2 masks are coloured" in told and "classes.csv" in told


def test_a_jpeg_is_no_mask(put, tmp_path):
    (tmp_path / "classes.csv").write_text(CLASSES)
    for number in range(2):
        put(f"images/{number}.png", f"masks/{number}.jpg", mask=coloured())
    assert "is a JPEG" in refused(tmp_path)


def test_missing_masks_and_images_are_named(plain, put):
    put("train/images/lonely.png", "")
    assert "lonely.png has no mask" in refused(plain)
    (plain / "train/images/lonely.png").unlink()
    Image.fromarray(half()).save(plain / "train/masks/spare.png")
    assert "spare.png has no image" in refused(plain)


def test_names_that_pair_twice_are_named(put, tmp_path):
    put("images/a.png", "masks/a.png")
    put("images/b.png", "masks/b.png")
    put("images/b.jpg", "")
    assert "b.png pairs with more than one file" in refused(tmp_path)


def test_names_with_nothing_in_common_do_not_pair(put, tmp_path):
    put("images/first.png", "masks/other.png")
    assert "first.png has no mask" in refused(tmp_path)


def test_a_damaged_file_is_named(plain):
    file = plain / "train/masks/0.png"
    file.write_bytes(file.read_bytes()[:40])
    assert "masks/0.png" in refused(plain)


def test_one_image_alone_is_refused_and_with_validation_it_is_enough(put, tmp_path):
    put("train/images/a.png", "train/masks/a.png")
    assert "1 labelled image" in refused(tmp_path)
    put("val/images/b.png", "val/masks/b.png")
    assert len(read(tmp_path).train) == 1


def test_a_class_that_a_split_lacks_is_said(plain):
    (plain / "classes.txt").write_text("sky\nroad\ncar\n")
    Image.fromarray(np.zeros((6, 8), dtype=np.uint8)).save(plain / "val/masks/0.png")
    assert read(plain).notes == (
        "train shows no car; figures leave out such classes",
        "validation shows no road, car; figures leave out such classes",
    )


@pytest.mark.parametrize(("value", "told"), [(0, "only class 0"), (VOID, "no class at all")])
def test_masks_with_nothing_to_tell_apart_are_refused(plain, value, told):
    (plain / "classes.txt").write_text("class 0\nclass 1\n")
    for number in range(2):
        Image.fromarray(np.full((6, 8), value, np.uint8)).save(plain / f"train/masks/{number}.png")
    assert f"the masks of train show {told}" in refused(plain)


@pytest.mark.parametrize(("path", "told"), [("x", "there is no folder 'x'"), ("", "is empty")])
def test_a_folder_that_is_not_there_is_refused(tmp_path, path, told):
    with pytest.raises(DataError, match=told) as error:
        segmentation_folder(tmp_path, 0, path=path)
    assert str(tmp_path) in error.value.message and error.value.hint


def test_a_folder_without_masks_is_refused(tmp_path, picture):
    picture(tmp_path / "cats/a.png")
    assert "holds no images with masks, but: cats" in refused(tmp_path)


def test_proximity_without_images_is_refused(plain):
    (plain / "near").mkdir()
    assert "holds no PNG, JPEG or WebP image" in refused(plain, proximity=str(plain / "near"))


def test_more_than_memory_allows_is_refused(plain):
    told = refused(plain, width=4000, height=4000, memory=0.1)
    assert "3 images of 4000 x 4000 take 0.2 gigabytes, more than memory = 0.1" in told


def test_a_changed_mask_changes_the_fingerprint(plain):
    before = read(plain).fingerprint
    other = half()
    other[0, 0] = 1
    Image.fromarray(other).save(plain / "train/masks/0.png")
    assert read(plain).fingerprint != before == before


def test_real_sets_are_read(real_data):
    data = segmentation_folder(
        real_data, 0, path="camvid-small", proximity="proximity", num_target=8, width=96, height=72
    )
    assert len(data.classes) == 11 and "Unlabelled" not in data.classes
    assert [len(split) for split in data.splits.values()] == [8, 20, 30]
    assert len(data.proximity) == 114
    lanes = segmentation_folder(real_data, 0, path="kitti-lane-colour", width=120, height=36)
    assert lanes.classes == ("not_lane", "ego_lane") and len(lanes.train) == 5
