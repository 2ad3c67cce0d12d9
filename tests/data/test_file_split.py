import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.file_split import MOST_PIXELS, FileSplit, decode, look, look_at, refuse
from engine.errors import DataError


def test_a_png_is_decoded_to_its_own_pixels(tmp_path, picture):
    file = picture(tmp_path / "a.png", (7, 5))
    expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
    assert torch.equal(decode(file, (7, 5)), expected)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "RGB"])
def test_every_mode_of_png_becomes_rgb(tmp_path, picture, mode):
    image = decode(picture(tmp_path / "a.png", mode=mode), (8, 8))
    assert image.shape == (3, 8, 8) and image.dtype == torch.uint8
    if mode in ("L", "1"):
        assert torch.equal(image[0], image[2])


def test_a_palette_with_transparency_becomes_rgb(tmp_path):
    image = Image.new("P", (4, 4))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=b"\x00\x80")
    assert decode(tmp_path / "a.png", (4, 4))[:, 0, 0].tolist() == [10, 20, 30]


def test_sixteen_bits_of_grey_keep_their_upper_eight(tmp_path):
    grey = np.array([[0, 256], [32768, 65535]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", (2, 2))[1].tolist() == [[0, 1], [128, 255]]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "webp", "png"])
def test_every_format_is_read_whatever_the_file_is_called(tmp_path, picture, suffix):
    written = picture(tmp_path / f"a.{suffix}", (40, 20))
    renamed = written.rename(tmp_path / "a.png")
    assert look(renamed).size == (40, 20) and not look(renamed).fault
    assert decode(renamed, (16, 16)).shape == (3, 16, 16)


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red, green, blue = decode(tmp_path / "a.jpg", (16, 16))[:, 8, 8].tolist()
    assert red > 200 and green < 60 and blue < 60


def test_orientation_of_the_camera_is_honoured(tmp_path):
    image = Image.new("RGB", (16, 8))
    image.paste((255, 255, 255), (0, 0, 8, 8))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right: left becomes top
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    turned = decode(tmp_path / "a.jpg", (8, 16))
    assert turned[:, :7].min() > 200 and turned[:, 9:].max() < 50


def test_the_middle_of_a_wide_image_is_kept_undistorted(tmp_path):
    image = Image.new("RGB", (30, 10))
    image.paste((255, 255, 255), (10, 0, 20, 10))
    image.save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", (10, 10)).min() == 255


def cut(file, share):
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    return file


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_truncated_image_is_found(tmp_path, picture, suffix, share):
    file = cut(picture(tmp_path / f"a.{suffix}", (64, 64)), share)
    assert look(file).fault == "is damaged"
    with pytest.raises(DataError, match="cannot be decoded"):
        decode(file, (64, 64))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_bytes_after_the_end_do_no_harm(tmp_path, picture, suffix):
    file = picture(tmp_path / f"a.{suffix}", (64, 64))
    file.write_bytes(file.read_bytes() + bytes(1000))
    assert look(file).fault == ""


@pytest.mark.parametrize("content", [b"", b"not an image", b"GIF89a", bytes(500)])
def test_what_is_no_image_is_found(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert look(tmp_path / "a.png").fault == "is no PNG, JPEG or WebP image"


def test_a_gif_that_calls_itself_png_is_found(tmp_path):
    Image.new("P", (4, 4)).save(tmp_path / "a.gif")
    (tmp_path / "a.gif").rename(tmp_path / "a.png")
    assert look(tmp_path / "a.png").fault == "is no PNG, JPEG or WebP image"


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_decompression_bomb_is_found_without_being_unpacked(tmp_path, side):
    assert side**2 > MOST_PIXELS
    Image.new("1", (8, 8)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = side.to_bytes(4, "big") * 2  # width and height
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    assert look_at([tmp_path / "a.png"])[0].fault == "has more than 89,478,485 pixels"


def test_damage_in_the_middle_is_told_of_all_files_when_they_are_loaded(tmp_path, picture):
    files = [picture(tmp_path / f"{number}.png", (64, 64)) for number in range(4)]
    for file in files[1:3]:
        content = bytearray(file.read_bytes())
        content[500:600] = bytes(100)
        file.write_bytes(content)
    split = FileSplit(files, torch.zeros(4, dtype=torch.int64), (64, 64))
    with pytest.raises(DataError, match=r"2 files cannot be used: .*1\.png is damaged; .*2\.png"):
        split.load()


def test_loading_gives_what_decoding_on_demand_gives(tmp_path, picture):
    files = [picture(tmp_path / f"{number}.jpg", (20 + number, 30)) for number in range(5)]
    split = FileSplit(files, torch.tensor([0, 1, 0, 1, 2]), (16, 16))
    rows = torch.tensor([4, 0, 2])
    assert torch.equal(split.load().images(rows), split.images(rows))
    assert torch.equal(split.select(rows).images(torch.arange(3)), split.images(rows))
    assert split.select(rows).targets.tolist() == [2, 0, 0]


def test_content_changes_with_one_pixel_of_one_file(tmp_path, picture):
    files = [picture(tmp_path / f"{number}.png") for number in range(3)]
    split = FileSplit(files, torch.zeros(3, dtype=torch.int64), (8, 8))
    before = list(split.content())
    image = Image.open(files[1])
    image.putpixel((0, 0), (1, 2, 3))
    image.save(files[1])
    assert list(split.content()) != before


def test_ten_files_are_named_and_the_others_counted(tmp_path):
    faults = {tmp_path / f"{number:02}.png": "is damaged" for number in range(13)}
    with pytest.raises(DataError, match=r"^13 files .*09\.png is damaged; and 3 more\.") as caught:
        refuse(faults | {tmp_path / "fine.png": ""})
    assert "10.png" not in str(caught.value) and "fine" not in str(caught.value)
