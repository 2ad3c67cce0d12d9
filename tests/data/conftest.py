"""Small image folders, made as they are needed."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def picture():
    """Write one picture of noise: picture(file, size=(8, 8), mode="RGB")."""

    def write(file, size=(8, 8), mode="RGB", **options):
        file.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(list(str(file).encode()))
        noise = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(noise).convert(mode).save(file, **options)
        return file

    return write


@pytest.fixture
def image_tree(tmp_path, picture):
    """Write a set: image_tree({"train/cat": 3, "test/cat": 1}) -> its folder."""

    def write(counts, **options):
        for place, count in counts.items():
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                picture(tmp_path / place / f"{number}.png", **options)
        return tmp_path

    return write


@pytest.fixture
def real_data():
    """The folder of real data sets."""
    if not os.environ.get("DISTILL_DATA"):
        pytest.skip("DISTILL_DATA names no folder of real data sets")
    return Path(os.environ["DISTILL_DATA"])
