import pytest
import torch

from engine.data.batch import DATASETS
from engine.errors import DataError, SpecError

TWO = {"train/cat": 20, "train/dog": 20}


def build(folder, seed=0, **knobs):
    return DATASETS["image_folder"].make(folder.parent, seed, knobs={"path": folder.name, **knobs})


def sizes(data):
    return {name: len(split) for name, split in data.splits.items()}


def test_a_tenth_of_train_is_set_aside_where_there_is_no_validation_folder(image_tree):
    data = build(image_tree(TWO | {"test/cat": 1, "test/dog": 2}))
    assert sizes(data) == {"train": 36, "validation": 4, "test": 3}
    assert data.classes == ("cat", "dog")
    assert data.validation.targets.tolist() == [0, 0, 1, 1]
    assert data.test.targets.tolist() == [0, 1, 1]


def test_what_is_set_aside_is_drawn_by_the_seed_of_the_run(image_tree):
    folder = image_tree(TWO)
    rows = torch.arange(4)
    drawn = [build(folder, seed).validation.images(rows) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert build(folder, 1).fingerprint == build(folder, 2).fingerprint


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_a_validation_folder_is_used_and_no_test_is_made_up(image_tree, name):
    data = build(image_tree(TWO | {f"{name}/cat": 1, f"{name}/dog": 1}))
    assert sizes(data) == {"train": 40, "validation": 2} and data.test is None


def test_class_folders_alone_are_the_training_split(image_tree):
    assert sizes(build(image_tree({"cat": 10, "dog": 10}))) == {"train": 18, "validation": 2}


def test_images_in_folders_within_a_class_belong_to_it(image_tree):
    data = build(image_tree({"train/a/deep/er": 5, "train/b": 5}))
    assert sizes(data) == {"train": 8, "validation": 2}


def test_a_small_common_size_is_kept(image_tree):
    assert build(image_tree(TWO, size=(10, 8))).input_shape == (3, 8, 10)


def test_other_sizes_become_64(image_tree, picture):
    folder = image_tree(TWO)
    picture(folder / "train/cat/odd.jpg", (100, 30))
    assert build(folder).input_shape == (3, 64, 64)
    assert build(folder, size=16).input_shape == (3, 16, 16)


def test_a_large_common_size_becomes_64(image_tree):
    folder = image_tree({"train/a": 2, "train/b": 2}, size=(65, 65))
    assert build(folder).input_shape == (3, 64, 64)


def test_a_set_above_the_memory_limit_is_read_on_demand(image_tree):
    folder, rows = image_tree(TWO), torch.arange(36)
    kept, lazy = build(folder), build(folder, memory=0)
    assert hasattr(kept.train, "pixels") and not hasattr(lazy.train, "pixels")
    assert torch.equal(kept.train.images(rows), lazy.train.images(rows))
    assert torch.equal(kept.train.targets, lazy.train.targets)


def test_normalisation_is_chosen_by_name(image_tree):
    folder = image_tree(TWO)
    data = build(folder)
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert build(folder, normalisation="half").mean == (0.5, 0.5, 0.5)
    with pytest.raises(SpecError, match="not one of imagenet, cifar10"):
        build(folder, normalisation="mine")


def test_augmentation_is_chosen(image_tree):
    augment = build(image_tree(TWO), crop_padding=2, flip=False).augment
    assert (augment.crop_padding, augment.reflect, augment.flip) == (2, False, False)


def test_fingerprint_changes_with_images_classes_and_size(image_tree, picture):
    folder = image_tree(TWO)
    marks = {build(folder).fingerprint, build(folder, size=16).fingerprint}
    picture(folder / "train/cat/new.png")
    marks.add(build(folder).fingerprint)
    (folder / "train/cat").rename(folder / "train/bat")
    marks.add(build(folder).fingerprint)
    assert len(marks) == 4


def test_files_that_are_no_images_are_ignored_and_counted(image_tree):
    folder = image_tree(TWO)
    for stray in (".DS_Store", "Thumbs.db", "readme.txt", "cat/.DS_Store", "dog/._0.png"):
        (folder / "train" / stray).write_bytes(b"x")
    (folder / "train/.ipynb_checkpoints").mkdir()
    data = build(folder)
    assert data.notes == (
        "5 file(s) that are no images ignored: .DS_Store, ._0.png, Thumbs.db, readme.txt",
    )
    assert len(data.classes) == 2 and sum(sizes(data).values()) == 40


def test_a_missing_folder_is_told_with_those_that_exist(image_tree):
    folder = image_tree({"pets/train/cat": 1, "birds/train/tit": 1})
    with pytest.raises(DataError, match=r"no folder 'cats'; .* holds: birds, pets\."):
        build(folder / "cats")
    with pytest.raises(DataError, match=r"path is empty; .* holds: birds, pets\."):
        DATASETS["image_folder"].make(folder, 0)
    with pytest.raises(DataError, match="holds none"):
        build(folder / "nowhere" / "cats")


def test_a_path_outside_the_root_is_taken_as_it_is(image_tree, tmp_path):
    folder = image_tree(TWO)
    data = DATASETS["image_folder"].make(tmp_path / "root", 0, knobs={"path": str(folder)})
    assert len(data.train) == 36


def test_all_bad_files_are_named_in_one_sentence(image_tree):
    folder = image_tree(TWO | {"test/cat": 2, "test/dog": 2})
    (folder / "train/cat/text.jpg").write_text("no image")
    (folder / "train/dog/anim.gif").write_bytes(b"GIF89a")
    whole = (folder / "test/dog/1.png").read_bytes()
    (folder / "test/dog/1.png").write_bytes(whole[:-40])
    with pytest.raises(DataError, match=r"^3 files cannot be used") as caught:
        build(folder)
    for part in (
        "text.jpg is no PNG",
        "anim.gif is of a format that is not read",
        "1.png is damaged",
        "Remove them, or replace them",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (TWO | {"train/elk": 0}, r"of train in .* fewer than 2 image\(s\): elk\. Fill"),
        (TWO | {"train/elk": 1}, r"of train in .* fewer than 2 image\(s\): elk\. Fill"),
        (TWO | {"val/cat": 1, "val/dog": 0}, r"of validation in .* fewer than 1 .*: dog\."),
        (TWO | {"test/cat": 1, "test/elk": 1}, "test lacks dog; train lacks elk"),
        ({"train/cat": 3}, "needs two class folders or more; it has only cat"),
        ({"val/cat": 3, "val/dog": 3}, r"has no folder train, but val\. Arrange it as train/"),
        ({}, "needs two class folders or more; it has none"),
    ],
)
def test_a_wrong_arrangement_is_told(image_tree, counts, message):
    with pytest.raises(DataError, match=message):
        build(image_tree(counts))


def test_one_image_a_class_is_enough_beside_a_validation_folder(image_tree):
    data = build(image_tree({"train/a": 1, "train/b": 1, "val/a": 1, "val/b": 1}))
    assert sizes(data) == {"train": 2, "validation": 2}


@pytest.mark.slow
def test_real_cifar_pictures_are_read(real_data):
    data = DATASETS["image_folder"].make(real_data, 0, knobs={"path": "cifar10-small"})
    assert sizes(data) == {"train": 4500, "validation": 500, "test": 1000}
    assert data.input_shape == (3, 32, 32) and data.classes[0] == "airplane"


def test_real_photographs_of_many_sizes_are_read(real_data):
    data = DATASETS["image_folder"].make(real_data, 0, knobs={"path": "hymenoptera-small"})
    assert sizes(data) == {"train": 40, "validation": 20}
    assert data.input_shape == (3, 64, 64) and data.classes == ("ants", "bees")


def test_the_real_gif_among_the_ants_is_refused(real_data, image_tree):
    folder = image_tree(TWO)
    gif = (real_data / "odd-files/imageNotFound.gif").read_bytes()
    for name in ("imageNotFound.gif", "imageNotFound.jpg"):
        (folder / "train/cat" / name).write_bytes(gif)
    with pytest.raises(DataError, match=r"^2 files cannot be used"):
        build(folder)
