import json
from pathlib import Path

import pytest

from engine.data.data_root import data_choice, find_root, named_folders
from engine.spec import Choice


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))
    return tmp_path


def test_root_is_named_by_the_environment(root):
    assert find_root() == root


def test_root_is_data_where_nothing_is_named(monkeypatch):
    monkeypatch.delenv("DISTILL_DATA", raising=False)
    assert find_root() == Path("data")


def test_sets_below_the_root_are_listed_as_plain_data(root, image_tree):
    image_tree({"pets/train/cat": 1, "pets/train/dog": 1, "pets/valid/cat": 1, "pets/test/cat": 1})
    (root / "cifar-10-batches-py").mkdir()
    cifar, pets = json.loads(json.dumps(named_folders()))
    assert pets == {
        "name": "pets",
        "path": str(root / "pets"),
        "data": "image_folder",
        "splits": ["train", "validation", "test"],
        "num_classes": 2,
    }
    assert cifar["data"] == "cifar10" and cifar["num_classes"] == 10


def test_folders_of_images_with_masks_are_listed_and_read_as_such(root, image_tree):
    image_tree({"streets/train/images": 1, "streets/train/masks": 1, "streets/val/images": 1})
    (root / "streets/classes.txt").write_text("sky\nroad\nvoid\n")
    image_tree({"lanes/image_2": 1, "lanes/gt_image_2": 1})
    lanes, streets = named_folders()
    assert streets["data"] == lanes["data"] == "segmentation_folder"
    assert (streets["splits"], streets["num_classes"]) == (["train"], 2)
    assert (lanes["splits"], lanes["num_classes"]) == (["train"], 0)
    assert data_choice(Choice(name="streets")).name == "segmentation_folder"


def test_folders_that_are_no_sets_are_not_listed(root, image_tree):
    image_tree({"notes/some/thing": 1})
    (root / "file.txt").write_text("x")
    (root / "empty/train").mkdir(parents=True)
    assert named_folders() == []


def test_a_root_that_is_not_there_holds_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path / "nowhere"))
    assert named_folders() == []


def test_real_sets_are_found(real_data):
    found = {each["name"]: each for each in named_folders()}
    assert found["cifar10-small"]["num_classes"] == 10
    assert found["hymenoptera-small"]["splits"] == ["train", "validation"]
    assert found["camvid-small"]["data"] == "segmentation_folder"
    assert found["camvid-small"]["num_classes"] == 11
