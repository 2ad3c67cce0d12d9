"""Well-known sets, read from the files that torchvision downloads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torchvision import datasets

from engine.data.batch import DATASETS, Augment, DataSet
from engine.data.file_split import FileSplit
from engine.data.normalisation import NORMALISATIONS, Norm
from engine.data.tensor_split import MEMORY_LIMIT, Stored, TensorSplit, fingerprint, set_aside
from engine.errors import DataError

Folder = Annotated[
    str, Field(description="Folder in which the set's own folder lies; empty: DISTILL_DATA")
]
Download = Annotated[
    bool, Field(description="Fetch the set from its authors where it is not there yet")
]
CropPadding = Annotated[
    int, Field(ge=0, le=64, description="Black pixels around a training image before a crop")
]
Flip = Annotated[bool, Field(description="Mirror half of the training images")]


@DATASETS.register(
    "cifar10",
    title="CIFAR-10",
    source="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    num_classes=10,
    input_shape=(3, 32, 32),
    images={"train": 50_000, "test": 10_000},
    needs_path=False,
    folder="cifar-10-batches-py",
    licence="none stated",
    where="cifar-10-batches-py/ with data_batch_1 to data_batch_5, test_batch and batches.meta,"
    " unpacked from https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
def cifar10(
    root: Path,
    run_seed: int,
    *,
    folder: Folder = "",
    download: Download = False,
    crop_padding: CropPadding = 4,
    flip: Flip = True,
    normalisation: Norm = "cifar10",
) -> DataSet:
    """Photographs of 32x32 pixels: 6,000 of each of 10 things and animals."""
    train, test = _opened("cifar10", datasets.CIFAR10, _base(root, folder), download)
    augment = Augment(crop_padding=crop_padding, flip=flip)
    splits = _last_to_front(train), _last_to_front(test)
    return _built("cifar10", train.classes, splits, run_seed, normalisation, augment)


@DATASETS.register(
    "cifar100",
    title="CIFAR-100",
    source="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    num_classes=100,
    input_shape=(3, 32, 32),
    images={"train": 50_000, "test": 10_000},
    needs_path=False,
    folder="cifar-100-python",
    licence="none stated",
    where="cifar-100-python/ with train, test and meta, unpacked from"
    " https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
)
def cifar100(
    root: Path,
    run_seed: int,
    *,
    folder: Folder = "",
    download: Download = False,
    crop_padding: CropPadding = 4,
    flip: Flip = True,
    normalisation: Norm = "cifar100",
) -> DataSet:
    """Photographs of 32x32 pixels: 600 of each of 100 things and animals."""
    train, test = _opened("cifar100", datasets.CIFAR100, _base(root, folder), download)
    augment = Augment(crop_padding=crop_padding, flip=flip)
    splits = _last_to_front(train), _last_to_front(test)
    return _built("cifar100", train.classes, splits, run_seed, normalisation, augment)


@DATASETS.register(
    "fashion_mnist",
    title="Fashion-MNIST",
    source="Xiao et al., arXiv 1708.07747",
    num_classes=10,
    input_shape=(3, 32, 32),
    images={"train": 60_000, "test": 10_000},
    needs_path=False,
    folder="FashionMNIST",
    licence="MIT",
    where="FashionMNIST/raw/ with train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz,"
    " t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz, unpacked, from"
    " https://github.com/zalandoresearch/fashion-mnist",
)
def fashion_mnist(
    root: Path,
    run_seed: int,
    *,
    folder: Folder = "",
    download: Download = False,
    crop_padding: CropPadding = 4,
    flip: Flip = True,
    normalisation: Norm = "fashion_mnist",
) -> DataSet:
    """Grey pictures of 10 kinds of clothes, 28x28 pixels with black added to 32x32."""
    train, test = _opened("fashion_mnist", datasets.FashionMNIST, _base(root, folder), download)
    augment = Augment(crop_padding=crop_padding, flip=flip)
    splits = _three_channels(train), _three_channels(test)
    return _built("fashion_mnist", train.classes, splits, run_seed, normalisation, augment)


@DATASETS.register(
    "stl10",
    title="STL-10",
    source="Coates et al., AISTATS 2011",
    num_classes=10,
    input_shape=(3, 96, 96),
    images={"train": 5_000, "test": 8_000},
    needs_path=False,
    folder="stl10_binary",
    licence="none stated; images from ImageNet",
    where="stl10_binary/ with train_X.bin, train_y.bin, test_X.bin, test_y.bin, unlabeled_X.bin"
    " and class_names.txt, unpacked from"
    " https://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
)
def stl10(
    root: Path,
    run_seed: int,
    *,
    folder: Folder = "",
    download: Download = False,
    crop_padding: CropPadding = 12,
    flip: Flip = True,
    normalisation: Norm = "stl10",
) -> DataSet:
    """Photographs of 96x96 pixels of 10 things and animals, few of them for training."""
    train, test = _opened("stl10", _stl10, _base(root, folder), download)
    augment = Augment(crop_padding=crop_padding, flip=flip)
    splits = _as_stored(train), _as_stored(test)
    return _built("stl10", train.classes, splits, run_seed, normalisation, augment)


@DATASETS.register(
    "oxford_pets",
    title="Oxford-IIIT Pets",
    source="Parkhi et al., CVPR 2012",
    num_classes=37,
    input_shape=(3, 128, 128),
    images={"train": 3_680, "test": 3_669},
    needs_path=False,
    folder="oxford-iiit-pet",
    licence="CC BY-SA 4.0",
    where="oxford-iiit-pet/ with images/ and annotations/, unpacked from images.tar.gz and"
    " annotations.tar.gz of https://www.robots.ox.ac.uk/~vgg/data/pets",
)
def oxford_pets(
    root: Path,
    run_seed: int,
    *,
    folder: Folder = "",
    download: Download = False,
    size: Annotated[
        int,
        Field(
            ge=32,
            le=512,
            description="Width and height in pixels; shorter side scaled to it, middle cut out",
        ),
    ] = 128,
    crop_padding: CropPadding = 16,
    flip: Flip = True,
    normalisation: Norm = "imagenet",
) -> DataSet:
    """Photographs of 37 breeds of cats and dogs, about 100 of each for training."""
    train, test = _opened("oxford_pets", _oxford_pets, _base(root, folder), download)
    augment = Augment(crop_padding=crop_padding, flip=flip)
    files = _files(train, size), _files(test, size)
    splits: tuple[Stored, Stored] = files
    if sum(map(len, files)) * 3 * size * size <= MEMORY_LIMIT:
        splits = files[0].load(), files[1].load()
    return _built("oxford_pets", train.classes, splits, run_seed, normalisation, augment)


def _base(root: Path, folder: str) -> Path:
    return Path(folder).expanduser() if folder else root


def _opened(name: str, make: Callable[..., Any], base: Path, download: bool) -> tuple[Any, Any]:
    """torchvision's training and test part.

    Raises:
        DataError: the files are missing or damaged, or the download failed.
    """
    try:
        return tuple(make(str(base), train=train, download=download) for train in (True, False))
    except (RuntimeError, OSError) as error:
        what = "cannot be downloaded to" if download else "is missing or incomplete in"
        reason = f" ({error})" if download else ""
        raise DataError(
            f"{name} {what} {base.resolve()}{reason}.",
            hint=f"Put there {DATASETS[name].facts['where']}; or, with a network, set"
            f" {name}.download.",
        ) from error


def _stl10(base: str, *, train: bool, download: bool) -> Any:
    return datasets.STL10(base, split="train" if train else "test", download=download)


def _oxford_pets(base: str, *, train: bool, download: bool) -> Any:
    return datasets.OxfordIIITPet(base, split="trainval" if train else "test", download=download)


def _as_stored(part: Any) -> TensorSplit:
    """STL-10's (N, 3, 96, 96) array as a split."""
    return TensorSplit(torch.from_numpy(part.data), torch.from_numpy(part.labels).long())


def _last_to_front(part: Any) -> TensorSplit:
    """CIFAR's (N, 32, 32, 3) array as a split."""
    pixels = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return TensorSplit(pixels, torch.tensor(part.targets))


def _three_channels(part: Any) -> TensorSplit:
    """(N, 28, 28) grey levels as a split of 32x32 pixels, black around."""
    grey: Tensor = F.pad(part.data, (2, 2, 2, 2))
    return TensorSplit(grey[:, None].repeat(1, 3, 1, 1), part.targets)


def _files(part: Any, size: int) -> FileSplit:
    return FileSplit([*map(Path, part._images)], torch.tensor(part._labels), (size, size))


def _built(
    name: str,
    classes: Sequence[str],
    splits: tuple[Stored, Stored],
    run_seed: int,
    normalisation: str,
    augment: Augment,
) -> DataSet:
    train, test = splits
    kept, validation = set_aside(train, run_seed)
    height, width = train.images(torch.tensor([0])).shape[2:]
    mean, std = NORMALISATIONS[normalisation]
    return DataSet(
        name=name,
        classes=tuple(classes),
        input_shape=(3, height, width),
        mean=mean,
        std=std,
        augment=augment,
        train=kept,
        validation=validation,
        test=test,
        fingerprint=fingerprint(classes, train, test),
    )
