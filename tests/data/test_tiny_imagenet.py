"""A small set in the layout of the official archive."""

import pytest
import torch

from engine.data.batch import DATASETS
from engine.data.data_root import named_folders
from engine.errors import DataError

WORDS = {"n01": "goldfish, Carassius auratus", "n02": "crane", "n03": "crane", "n04": "lion"}
ANNOTATED = ("n03", "n01", "n02", "n03")


@pytest.fixture
def tiny(tmp_path, picture):
    """Three classes of 20 training images, 4 for test; words for more classes than there are."""
    root = tmp_path / "tiny-imagenet-200"
    for name in ("n02", "n01", "n03"):
        for number in range(20):
            mode = "L" if number == 3 else "RGB"  # the true set has grey ones too
            file = root / "train" / name / "images" / f"{name}_{number}.JPEG"
            picture(file, (64, 64), mode)
        (root / "train" / name / f"{name}_boxes.txt").write_text(f"{name}_0.JPEG\t0\t0\t63\t63\n")
    for number in range(len(ANNOTATED)):
        picture(root / "val" / "images" / f"val_{number}.JPEG", (64, 64))
    rows = (f"val_{number}.JPEG\t{name}\t0\t0\t62\t62" for number, name in enumerate(ANNOTATED))
    (root / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    (root / "words.txt").write_text("".join(f"{name}\t{text}\n" for name, text in WORDS.items()))
    return root


def build(tiny, seed=0, **knobs):
    return DATASETS["tiny_imagenet"].make(tiny.parent, seed, knobs=knobs)


def test_val_is_the_test_split_and_a_tenth_of_train_is_set_aside(tiny):
    data = build(tiny)
    sizes = {name: len(split) for name, split in data.splits.items()}
    assert sizes == {"train": 54, "validation": 6, "test": 4}
    assert data.validation.targets.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test.targets.tolist() == [2, 0, 1, 2]  # in the order of val_annotations.txt
    assert data.input_shape == (3, 64, 64)
    drawn = [build(tiny, seed).validation.images(torch.arange(6)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_classes_have_words_and_keep_the_order_of_their_ids(tiny):
    assert build(tiny).classes == ("goldfish", "crane (n02)", "crane (n03)")


def test_training_images_are_flipped_and_not_cropped(tiny):
    data = build(tiny)
    assert (data.augment.crop_padding, data.augment.flip) == (0, True)
    assert data.mean == (0.4914, 0.4822, 0.4465) and data.std == (0.2023, 0.1994, 0.2010)


def test_a_set_above_the_memory_limit_is_read_on_demand(tiny):
    kept, lazy = build(tiny), build(tiny, memory=0)
    assert hasattr(kept.train, "pixels") and not hasattr(lazy.train, "pixels")
    for name in ("train", "test"):
        rows = torch.arange(len(kept.splits[name]))
        assert torch.equal(kept.splits[name].images(rows), lazy.splits[name].images(rows))


def test_a_missing_folder_says_what_to_put_where(tmp_path):
    with pytest.raises(DataError, match=r"^tiny_imagenet is missing or incomplete in ") as caught:
        DATASETS["tiny_imagenet"].make(tmp_path, 0)
    told = str(caught.value)
    assert str(tmp_path) in told and "tiny-imagenet-200/ with train/CLASS/images" in told
    assert "https://cs231n.stanford.edu/tiny-imagenet-200.zip" in told


def test_the_folder_can_be_given(tiny, tmp_path):
    elsewhere = DATASETS["tiny_imagenet"].make(
        tmp_path / "nowhere", 0, knobs={"folder": str(tmp_path)}
    )
    assert len(elsewhere.test) == 4


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("words.txt", "lacks words.txt"),
        ("val/val_annotations.txt", "lacks val/val_annotations.txt"),
        ("val/images/val_2.JPEG", "val_2.JPEG of val is not there"),
    ],
)
def test_what_is_not_there_is_named(tiny, missing, why):
    (tiny / missing).unlink()
    with pytest.raises(DataError, match=why):
        build(tiny)


def test_annotations_that_do_not_fit_are_named(tiny):
    file = tiny / "val" / "val_annotations.txt"
    file.write_text("val_0.JPEG\tn04\t0\t0\t62\t62\n")
    with pytest.raises(DataError, match=r"val_0\.JPEG of val is of no class of train"):
        build(tiny)
    file.write_text("\n")
    with pytest.raises(DataError, match=r"val_annotations\.txt is empty"):
        build(tiny)


def test_a_class_with_a_single_image_is_named(tiny):
    for file in (tiny / "train" / "n02" / "images").glob("*[1-9].JPEG"):
        file.unlink()
    (tiny / "train" / "n02" / "images" / "n02_10.JPEG").unlink()
    with pytest.raises(DataError, match="n02 holds too few images"):
        build(tiny)


@pytest.mark.parametrize("memory", [0, 1])
def test_a_damaged_file_is_named(tiny, memory):
    (tiny / "train" / "n01" / "images" / "n01_7.JPEG").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"n01_7\.JPEG"):
        build(tiny, memory=memory)


def test_it_is_found_below_the_root(tiny, monkeypatch):
    monkeypatch.setenv("DISTILL_DATA", str(tiny.parent))
    (found,) = named_folders()
    assert (found["data"], found["num_classes"]) == ("tiny_imagenet", 200)
