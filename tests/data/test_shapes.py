import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.data.batch import DATASETS
from engine.data.outlines import NAMES, distance_table
from engine.data.shapes import CHUNK, Dice, draw, draw_chunk
from engine.errors import SpecError


def digits(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def drawn():
    return draw(3000, 1)


def test_distance_table_is_the_same_on_every_machine():
    assert digits(distance_table()) == "7145d2d52b297cfa"


def test_pixels_are_the_same_on_every_machine(drawn):
    assert digits(drawn[0]) == "67b48d561753efa6"
    assert digits(draw(3000, 900_000)[0]) == "2e0f790d0caa01ab"


def test_two_threads_draw_what_one_draws(drawn):
    images, labels = drawn
    chunks = range(0, len(labels), CHUNK)
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(
            lambda start: draw_chunk(labels[start : start + CHUNK], 1, start // CHUNK), chunks
        )
        assert np.array_equal(np.concatenate(list(parts)), images)


def test_each_class_has_a_tenth(drawn):
    assert np.bincount(drawn[1]).tolist() == [300] * 10


def test_brightness_and_contrast_are_those_of_the_design(drawn):
    assert abs(drawn[0].mean() - 139) < 3
    assert abs(drawn[0].std() - 76) < 3


def test_seeds_draw_different_images(drawn):
    assert not np.array_equal(draw(100, 2)[0], drawn[0][:100])


def test_ten_thousand_images_take_seconds():
    distance_table()
    start = time.perf_counter()
    draw(2_500, 3)
    # 0.3 s on an idle core; three times that on a busy one.
    assert (time.perf_counter() - start) * 4 < 6


def test_dice_keep_their_ranges_and_order():
    words = np.array([[0, 2**64 - 1, 2**63]], dtype=np.uint64)
    dice = Dice(words)
    assert dice.real(-1, 1).tolist() == [-1]
    assert dice.whole(12).tolist() == [11]
    assert dice.whole(np.array([5])).tolist() == [2]


def test_one_chunk_too_few_and_one_too_many_are_drawn():
    images, labels = draw(CHUNK + 1, 5)
    assert images.shape == (CHUNK + 1, 3, 32, 32) and len(labels) == CHUNK + 1
    assert len(draw(1, 5)[0]) == 1


def test_middle_grey_becomes_zero_and_a_step_of_64_one():
    data = DATASETS["shapes"].make(Path(), 0, knobs={"num_train": 100})
    assert [value * 255 for value in data.mean + data.std] == [128] * 3 + [64] * 3


def test_knobs_change_training_but_not_test():
    small = DATASETS["shapes"].make(Path(), 0, knobs={"num_train": 100, "seed": 7})
    other = DATASETS["shapes"].make(Path(), 1, knobs={"num_train": 100, "seed": 8})
    rows = torch.arange(100)
    assert (len(small.train), len(small.validation), len(small.test)) == (100, 500, 3000)
    assert torch.equal(small.test.images(rows), other.test.images(rows))
    assert not torch.equal(small.train.images(rows), other.train.images(rows))
    assert small.fingerprint != other.fingerprint
    assert small.classes == NAMES


def test_training_images_cannot_be_those_of_the_test():
    with pytest.raises(SpecError, match=r"shapes\.seed = 900000 is outside"):
        DATASETS["shapes"].make(Path(), 0, knobs={"seed": 900_000})
