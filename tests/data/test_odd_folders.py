"""What people's folders of images and masks are really like: each oddity named, or handled."""

import shutil
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.batch import VOID, Augment
from engine.data.joint_augment import JointAugment
from engine.data.segmentation_folder import segmentation_folder
from engine.errors import DataError

SIZE = (8, 6)  # width, height
COLOURS = np.array([(200, 0, 0), (0, 200, 0), (0, 0, 200)], dtype=np.uint8)
CLASSES = "name,r,g,b\nsky,200,0,0\nroad,0,200,0\ncar,0,0,200\n"


def labels(size=SIZE):
    """(H, W) uint8 three bands, the right way round in one way only."""
    width, height = size
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[:, width // 2 :] = 1
    mask[: height // 3] = 2
    return mask


def head_of_png(width, height):
    """A PNG that only says how large it would be."""
    chunks = b""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    for name, data in ((b"IHDR", head), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + name + data
        chunks += struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.fixture
def folder(tmp_path, picture):
    """Three labelled images to train on, two to validate on; index masks."""
    place = tmp_path / "set"
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            picture(place / f"{split}/images/{number}.png", SIZE)
            (place / f"{split}/masks").mkdir(exist_ok=True)
            Image.fromarray(labels()).save(place / f"{split}/masks/{number}.png")
    return place


def read(place, **knobs):
    return segmentation_folder(Path("nowhere"), 0, path=str(place), **knobs)


def refused(place, **knobs):
    """The message and the hint."""
    with pytest.raises(DataError) as error:
        read(place, **knobs)
    assert error.value.hint
    return error.value.message, error.value.hint


def save_mask(place, image, name="train/masks/0.png", **options):
    image.save(place / name, **options)


def coloured(alpha=None, paint=None):
    """A mask in colours, every pixel listed unless painted over at the lower left corner."""
    pixels = COLOURS[labels()]
    if alpha is not None:
        pixels = np.dstack([pixels, np.full(labels().shape, alpha, np.uint8)])
    if paint is not None:
        pixels[-1, 0] = paint
    return Image.fromarray(pixels)


# Masks that are read, whatever they are stored as


def palette_mask():
    image = Image.fromarray(labels())
    image.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7])
    return image


def with_alpha():
    return Image.fromarray(np.dstack([labels(), np.full_like(labels(), 90)]), "LA")


MASKS = {
    "palette": palette_mask,
    "16 bits": lambda: Image.fromarray(labels().astype(np.uint16)),
    "grey with alpha": with_alpha,
}
COLOURED = {
    "colours": coloured,
    "colours with alpha": lambda: coloured(alpha=255),
    "colours, half clear": lambda: coloured(alpha=100),
    "colours, all clear": lambda: coloured(alpha=0),
    "palette": lambda: coloured().convert("P", palette=Image.Palette.ADAPTIVE),
}


@pytest.mark.filterwarnings("ignore:'mode' parameter")
@pytest.mark.parametrize("kind", MASKS)
def test_an_index_mask_of_any_kind_is_read(folder, kind):
    save_mask(folder, MASKS[kind]())
    assert torch.equal(read(folder).train.labels[0], torch.from_numpy(labels()))


@pytest.mark.parametrize("kind", COLOURED)
def test_a_colour_mask_of_any_kind_is_read(folder, kind):
    (folder / "classes.csv").write_text(CLASSES)
    save_mask(folder, COLOURED[kind]())
    assert torch.equal(read(folder).train.labels[0], torch.from_numpy(labels()))


def test_a_mask_of_one_bit_has_two_classes(folder):
    for mask in folder.rglob("masks/*.png"):
        Image.fromarray(labels() == 1).save(mask)
    assert torch.equal(read(folder).train.labels[0], torch.from_numpy(labels() == 1).byte())


def test_what_is_clear_and_of_no_listed_colour_is_no_class(folder):
    (folder / "classes.csv").write_text(CLASSES)
    save_mask(folder, coloured(alpha=255, paint=(1, 2, 3, 0)))
    found = read(folder).train.labels[0]
    assert found[-1, 0] == VOID and int((found == VOID).sum()) == 1
    save_mask(folder, coloured(alpha=255, paint=(1, 2, 3, 1)))
    assert "0.png has the colours (1, 2, 3)" in refused(folder)[0]


def test_a_mask_that_was_turned_with_its_photograph_is_turned(folder, picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.rot90(labels())  # as a camera held sideways stores it
    picture(folder / "train/images/0.png", SIZE[::-1], exif=exif)
    save_mask(folder, Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert torch.equal(read(folder).train.labels[0], torch.from_numpy(labels()))


# Files that are passed over, or named


def test_what_systems_leave_behind_is_passed_over(folder):
    whole = read(folder)
    for name in ("Thumbs.db", ".DS_Store", "._0.png", ".ipynb_checkpoints/0.png", "__MACOSX/0.png"):
        for place in ("train/images", "train/masks", "val/images"):
            (folder / place / name).parent.mkdir(exist_ok=True)
            (folder / place / name).write_text("x")
    assert read(folder).fingerprint == whole.fingerprint


def test_suffixes_and_names_may_be_in_capitals(folder):
    whole = read(folder)
    for image in folder.rglob("images/*.png"):
        image.rename(image.with_name(f"IMG{image.stem}.PNG"))
    for mask in folder.rglob("masks/*.png"):
        mask.rename(mask.with_name(f"img{mask.stem}.png"))
    assert read(folder).fingerprint == whole.fingerprint


def gif(place):
    Image.fromarray(labels()).save(place / "train/images/9.gif")


def tiff_mask(place):
    (place / "train/masks/1.png").unlink()
    (place / "train/masks/1.tif").write_bytes(b"x")


def cut_image(place):
    file = place / "train/images/1.png"
    file.write_bytes(file.read_bytes()[:60])


def spoilt(name):
    """A file whose head and tail are whole, and nothing between."""

    def spoil(place):
        file = place / name
        data = bytearray(file.read_bytes())
        data[data.index(b"IDAT") + 8 : data.index(b"IEND") - 12] = b""
        file.write_bytes(bytes(data))

    return spoil


def huge(name):
    return lambda place: (place / name).write_bytes(head_of_png(20_000, 20_000))


def no_images(place):
    for file in [*place.glob("train/*/*.png")]:
        file.unlink()


def jpeg_mask(place):
    (place / "train/masks/1.png").unlink()
    Image.fromarray(labels()).save(place / "train/masks/1.JPG")


def hidden_jpeg_mask(place):
    Image.fromarray(labels()).save(place / "train/masks/1.png", "JPEG")


def lonely_image(place):
    (place / "train/masks/1.png").unlink()


def other_names(place):
    (place / "train/masks/1.png").rename(place / "train/masks/seven.png")


def another_size(place):
    Image.fromarray(labels((9, 6))).save(place / "train/masks/1.png")


FAULTS = {
    "GIF": (gif, "9.gif is of a format that is not read"),
    "TIFF mask": (tiff_mask, "1.tif is of a format that is not read"),
    "cut short": (cut_image, "images/1.png is damaged"),
    "spoilt image": (spoilt("train/images/1.png"), "images/1.png is damaged"),
    "spoilt mask": (spoilt("train/masks/1.png"), "masks/1.png is damaged"),
    "huge image": (huge("train/images/1.png"), "images/1.png has more than 89,478,485 pixels"),
    "huge mask": (huge("val/masks/1.png"), "masks/1.png has more than 89,478,485 pixels"),
    "empty folders": (no_images, "train/images holds no PNG, JPEG or WebP image"),
    "JPEG mask": (
        jpeg_mask,
        "1 masks are JPEGs, whose pixels are only about what was drawn: 1.JPG",
    ),
    "JPEG called PNG": (hidden_jpeg_mask, "masks are JPEGs"),
    "missing mask": (lonely_image, "1.png has no mask"),
    "names that differ": (other_names, "1.png has no mask"),
    "another size": (another_size, "1.png is 9 x 6, its image 8 x 6"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_bad_file_is_named_with_what_helps(folder, kind):
    spoil, told = FAULTS[kind]
    spoil(folder)
    assert told in refused(folder)[0]


def test_ten_damaged_files_are_named_of_both_kinds(folder, picture):
    for number in range(12):
        picture(folder / f"train/images/a{number:02d}.png", SIZE)
        Image.fromarray(labels()).save(folder / f"train/masks/a{number:02d}.png")
        spoilt(f"train/{'images' if number % 2 else 'masks'}/a{number:02d}.png")(folder)
    (folder / "classes.txt").write_text("a\nb\nc\n")
    told = refused(folder)[0]
    assert "12 files cannot be used" in told and "and 2 more" in told
    assert "masks/a00.png" in told and "images/a09.png" in told and "a10" not in told


# The list of classes

LISTS = {
    "two of one name": ("name\nsky\nroad\nsky\n", "two classes of one name: sky"),
    "no header": ("0,sky,1,2,3\n1,road,4,5,6\n", "no column `name` in its first line, but: 0,sky"),
    "wrong header": ("klasse;farbe\nHimmel;blau\n", "no column `name`"),
    "half a colour": ("name,r,g\nsky,1,2\nroad,3,4\n", "class 1 has no colour but [1, 2]"),
    "a colour too bright": ("name,r,g,b\nsky,1,2,300\nb,1,1,1\n", "class 1 has no colour but"),
    "one colour twice": ("name,r,g,b\na,1,2,3\nb,1,2,3\n", "class 2 (b) has an index or colour"),
    "one index twice": ("name,index\na,1\nb,1\n", "class 2 (b) has an index or colour"),
    "no name": ("name,index\na,0\n,1\n", "class 2 cannot be read"),
    "a word for a number": ("name,index\na,zero\nb,1\n", "class 1 cannot be read"),
    "one class": ("name\nsky\n", "has 1 classes; 2 to 254"),
    "nothing": ("", "has 0 classes"),
    "too many": ("name\n" + "\n".join(f"c{n}" for n in range(255)), "has 255 classes"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_bad_list_is_explained(folder, kind):
    text, told = LISTS[kind]
    (folder / "classes.csv").write_text(text)
    assert told in refused(folder)[0]


@pytest.mark.parametrize("data", [b"name\nsk\xff\xe9\nroad\n", b"name\n\0\0\nsky"])
def test_a_list_that_is_no_text_is_refused(folder, data):
    (folder / "classes.csv").write_bytes(data)
    assert "is no text" in refused(folder)[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_is_read_as_spreadsheets_save_it(folder, encoding, delimiter):
    text = "Index,Class,Red,Green,Blue\r\n0,größer,1,2,3\r\n1,b,4,5,6\r\n2,c,7,8,9\r\n"
    (folder / "classes.csv").write_bytes(text.replace(",", delimiter).encode(encoding))
    assert read(folder).classes == ("größer", "b", "c")


# Proximity


@pytest.mark.parametrize("near", ["train/images", "train", ""])
@pytest.mark.parametrize("is_copied", [False, True])
def test_images_of_the_set_are_no_proximity(folder, tmp_path, picture, near, is_copied):
    place = folder / near
    if is_copied:
        shutil.copytree(place, tmp_path / "copy")
        place = tmp_path / "copy"
    told = refused(folder, proximity=str(place))[0]
    assert "images of" in told and "are those of the set itself" in told
    if is_copied:
        picture(
            place / {"train/images": "", "train": "images", "": "train/images"}[near] / "new.png"
        )
        found = read(folder, proximity=str(place))
        assert len(found.proximity) == 1
        assert any("belong to the set; proximity leaves them out" in note for note in found.notes)


def test_images_that_are_not_trained_on_may_be_proximity(folder):
    """A few labelled images of a set, and its others without their labels."""
    found = read(folder, proximity=str(folder / "train/images"), num_target=1)
    assert len(found.train) == 1 and len(found.proximity) == 2


def test_frames_of_one_video_are_said_to_be_alike(folder, picture, tmp_path):
    for video in ("a", "b"):
        for frame in range(3):
            picture(tmp_path / f"near/{video}/frame_{frame:04d}.jpg")
    near = {"proximity": str(tmp_path / "near")}
    assert len(read(folder, **near).proximity) == 6
    assert read(folder, **near).notes == ()
    assert "are of one series and may be alike" in read(folder, num_proximity=3, **near).notes[0]
    assert read(folder, num_proximity=4, **near).notes == ()


def test_proximity_of_films_or_foreign_pictures_is_refused(folder, tmp_path):
    (tmp_path / "near").mkdir()
    (tmp_path / "near/film.mp4").write_bytes(b"x")
    assert (
        "holds no PNG, JPEG or WebP image" in refused(folder, proximity=str(tmp_path / "near"))[0]
    )
    (tmp_path / "near/a.gif").write_bytes(b"x")
    assert "a.gif is of a format" in refused(folder, proximity=str(tmp_path / "near"))[0]


# Joint augmentation


def test_a_mask_follows_its_picture_exactly_through_mirror_scale_and_crop():
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(1, 11, (30, 3, 4), generator=generator)
    masks = masks.repeat_interleave(16, dim=1).repeat_interleave(16, dim=2).to(torch.uint8)
    images = (masks * 20)[:, None].expand(-1, 3, -1, -1).contiguous()
    joint = JointAugment(Augment(flip=True, scale=(0.5, 2.0)), (48, 64))
    image, mask = joint(images, masks, 7)
    padded = torch.nn.functional.pad(mask.float(), (2, 2, 2, 2), value=-1)
    windows = padded.unfold(1, 5, 1).unfold(2, 5, 1).flatten(3)
    is_inner = (windows == mask[..., None]).all(dim=3) & (mask != VOID)
    assert is_inner.float().mean() > 0.4
    assert torch.equal(image[:, 0][is_inner], (mask * 20)[is_inner])
    assert int((mask == VOID).sum()) > 0 and torch.equal(image[:, 0] == 0, mask == VOID)


# Real sets


def test_ninety_photographs_are_read_in_seconds(real_data):
    since = time.process_time()
    data = segmentation_folder(real_data, 0, path="camvid-small")
    assert [len(split) for split in data.splits.values()] == [90, 20, 30]
    assert data.input_shape == (3, 360, 480)
    assert time.process_time() - since < 10


def test_colour_masks_whose_names_have_a_word_more_need_only_a_list(real_data, tmp_path):
    for name in ("image_2", "gt_image_2"):
        shutil.copytree(real_data / "kitti-lane-colour" / name, tmp_path / name)
    told, hint = refused(tmp_path)
    assert "6 masks are coloured" in told and "classes.csv" in hint
    (tmp_path / "classes.csv").write_text("name,r,g,b\nelse,255,0,0\nlane,255,0,255\nvoid,0,0,0\n")
    data = read(tmp_path, width=248, height=75, proximity=str(real_data / "proximity"))
    assert data.classes == ("else", "lane") and len(data.train) == 5
    assert set(data.train.labels.unique().tolist()) == {0, 1, VOID}
    assert len(data.proximity) == 114
