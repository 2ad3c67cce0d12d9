"""Tiny files in the layouts that torchvision downloads."""

import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision.datasets import cifar, stl10

from engine.data.batch import DATASETS
from engine.errors import DataError

RANDOM = np.random.default_rng(0)
NAMES = [entry.name for entry in DATASETS if "download" in entry.knobs.model_fields]


@pytest.fixture
def any_checksum(monkeypatch):
    """torchvision compares checksums; ours are tiny files of the same form."""
    for module in (cifar, stl10):
        monkeypatch.setattr(module, "check_integrity", lambda path, md5: True)


def write_pickle(file, content):
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(pickle.dumps(content))


def pixels(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def write_cifar10(root):
    folder = root / "cifar-10-batches-py"
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        content = {"data": pixels(20, 3072), "labels": [row % 10 for row in range(20)]}
        write_pickle(folder / name, content)
    write_pickle(folder / "batches.meta", {"label_names": [f"class {n}" for n in range(10)]})


def write_cifar100(root):
    folder = root / "cifar-100-python"
    for name in ("train", "test"):
        content = {"data": pixels(200, 3072), "fine_labels": [row % 100 for row in range(200)]}
        write_pickle(folder / name, content)
    write_pickle(folder / "meta", {"fine_label_names": [f"class {n}" for n in range(100)]})


def write_fashion_mnist(root):
    folder = root / "FashionMNIST/raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 20), ("t10k", 10)):
        head = np.array([0x803, count, 28, 28], dtype=">i4").tobytes()
        images = folder / f"{part}-images-idx3-ubyte"
        images.write_bytes(head + pixels(count, 28, 28).tobytes())
        head = np.array([0x801, count], dtype=">i4").tobytes()
        labels = (np.arange(count) % 10).astype(np.uint8).tobytes()
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(head + labels)


def write_stl10(root):
    folder = root / "stl10_binary"
    folder.mkdir()
    for part, count in (("train", 20), ("test", 10)):
        (folder / f"{part}_X.bin").write_bytes(pixels(count, 3, 96, 96).tobytes())
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)
        (folder / f"{part}_y.bin").write_bytes(labels.tobytes())
    (folder / "class_names.txt").write_text("\n".join(f"class {n}" for n in range(10)) + "\n")
    (folder / "fold_indices.txt").write_text("")


@pytest.fixture
def write_pets(picture):
    def write(root):
        folder = root / "oxford-iiit-pet"
        (folder / "annotations").mkdir(parents=True)
        for part, count in (("trainval", 4), ("test", 2)):
            lines = []
            for breed in range(37):
                for number in range(count):
                    name = f"Breed_{breed:02}_{part}{number}"
                    picture(folder / f"images/{name}.jpg", (30, 20))
                    lines.append(f"{name} {breed + 1} 1 1")
            (folder / f"annotations/{part}.txt").write_text("\n".join(lines) + "\n")

    return write


def build(name, root, **knobs):
    return DATASETS[name].make(root, 0, knobs=knobs)


def test_cifar10_is_read_from_its_pickles(tmp_path, any_checksum):
    write_cifar10(tmp_path)
    data = build("cifar10", tmp_path)
    assert data.classes == tuple(f"class {n}" for n in range(10))
    assert {n: len(s) for n, s in data.splits.items()} == {
        "train": 90,
        "validation": 10,
        "test": 20,
    }
    stored = pickle.loads((tmp_path / "cifar-10-batches-py/test_batch").read_bytes())
    image = torch.from_numpy(stored["data"][3].reshape(3, 32, 32))
    assert torch.equal(data.test.images(torch.tensor([3]))[0], image)
    assert data.test.targets.tolist() == stored["labels"]
    assert data.augment.crop_padding == 4 and data.augment.flip and not data.augment.reflect


def test_cifar100_has_the_published_mean_and_deviation(tmp_path, any_checksum):
    write_cifar100(tmp_path)
    data = build("cifar100", tmp_path)
    assert len(data.classes) == 100 and len(data.train) == len(data.validation) == 100
    assert data.mean == (0.5071, 0.4867, 0.4408) and data.std == (0.2675, 0.2565, 0.2761)


def test_fashion_mnist_gets_three_channels_and_black_around(tmp_path):
    write_fashion_mnist(tmp_path)
    data = build("fashion_mnist", tmp_path)
    image = data.test.images(torch.tensor([0]))[0]
    raw = (tmp_path / "FashionMNIST/raw/t10k-images-idx3-ubyte").read_bytes()[16 : 16 + 784]
    assert torch.equal(image[1, 2:30, 2:30].flatten(), torch.tensor(list(raw)).byte())
    assert torch.equal(image[0], image[2]) and image[:, :2].max() == image[:, :, 30:].max() == 0
    assert data.input_shape == (3, 32, 32) and data.classes[0] == "T-shirt/top"


def test_stl10_is_read_from_its_binaries(tmp_path, any_checksum):
    write_stl10(tmp_path)
    data = build("stl10", tmp_path)
    assert data.input_shape == (3, 96, 96)
    assert data.test.targets.tolist() == list(range(10))


def test_oxford_pets_are_resized(tmp_path, write_pets):
    write_pets(tmp_path)
    data = build("oxford_pets", tmp_path, size=32)
    assert data.input_shape == (3, 32, 32) and len(data.classes) == 37
    assert len(data.train) == 37 * 3 and len(data.validation) == 37 and len(data.test) == 74


def test_a_teacher_of_other_normalisation_can_be_served(tmp_path, any_checksum):
    write_cifar10(tmp_path)
    assert build("cifar10", tmp_path, normalisation="imagenet").mean == (0.485, 0.456, 0.406)


def test_the_folder_can_be_given(tmp_path, any_checksum):
    (tmp_path / "here").mkdir()
    write_cifar10(tmp_path / "here")
    assert len(build("cifar10", tmp_path, folder=str(tmp_path / "here")).train) == 90


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_set_says_where_its_files_must_lie(name, tmp_path):
    with pytest.raises(DataError, match=f"^{name} is missing or incomplete in ") as caught:
        build(name, tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message and DATASETS[name].facts["folder"] + "/" in message
    assert "https://" in message and f"set {name}.download" in message


def test_a_damaged_file_is_told_like_a_missing_one(tmp_path):
    write_cifar10(tmp_path)  # of other checksums than the true files
    with pytest.raises(DataError, match="missing or incomplete"):
        build("cifar10", tmp_path)


def test_a_failed_download_is_told(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(cifar, "download_and_extract_archive", no_network)
    with pytest.raises(DataError, match=r"cannot be downloaded to .*no network"):
        build("cifar10", tmp_path, download=True)
