import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.batch import Augment, DataSet
from engine.data.device_loader import augmented, evaluation_batches, training_batches
from engine.data.file_split import FileSplit
from engine.data.tensor_split import TensorSplit
from engine.errors import SpecError

CPU = torch.device("cpu")


def random_pixels(count, height=6, width=5):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator).byte()


def a_set(augment=None, train=None):
    train = train or TensorSplit(random_pixels(23), torch.arange(23) % 4)
    return DataSet(
        name="tiny",
        classes=("a", "b", "c", "d"),
        input_shape=(3, 6, 5),
        mean=(0.5, 0.4, 0.3),
        std=(0.25, 0.2, 0.1),
        augment=augment or Augment(crop_padding=2, flip=True),
        train=train,
        validation=train,
        test=None,
        fingerprint="",
    )


def batches(data=None, **options):
    options = {"batch": 5, "seed": 1, "device": CPU} | options
    return training_batches(data or a_set(), **options)


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a.image, b.image)
        and torch.equal(a.target, b.target)
        and torch.equal(a.index, b.index)
        for a, b in zip(one, other, strict=True)
    )


def test_an_epoch_shows_every_image_once():
    drawn = list(batches().epoch(0))
    assert [len(batch) for batch in drawn] == [5, 5, 5, 5, 3]
    assert sorted(torch.cat([batch.index for batch in drawn]).tolist()) == list(range(23))
    assert all(torch.equal(batch.target, batch.index % 4) for batch in drawn)


def test_an_incomplete_batch_is_dropped_when_asked():
    dropping = batches(drop_last=True)
    assert dropping.steps == 4 and dropping.samples == 23
    assert same(list(dropping.epoch(0)), list(batches().epoch(0))[:4])


@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_an_epoch_begun_in_its_middle_gives_the_same_batches(start):
    assert same(list(batches().epoch(3, start)), list(batches().epoch(3))[start:])


def test_epochs_and_seeds_draw_anew():
    first = next(batches().epoch(0))
    assert not torch.equal(first.index, next(batches().epoch(1)).index)
    assert not torch.equal(first.index, next(batches(seed=2).epoch(0)).index)


def test_order_does_not_hang_on_augmentation():
    plain = next(batches(augment=False).epoch(0))
    assert torch.equal(plain.index, next(batches().epoch(0)).index)


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    list(batches().epoch(0))
    assert torch.equal(before, torch.get_rng_state())


def test_images_are_normalised_float_channels_last():
    data = a_set()
    batch = next(batches(data, augment=False).epoch(0))
    raw = data.train.pixels[batch.index].double() / 255
    expected = (raw - torch.tensor(data.mean)[:, None, None]) / torch.tensor(data.std)[
        :, None, None
    ]
    assert torch.allclose(batch.image.double(), expected, atol=1e-5)
    assert batch.image.dtype == torch.float32
    assert batch.image.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("reflect", [True, False])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("pad", [0, 1, 3])
def test_augmentation_is_pad_crop_flip_of_each_image(pad, reflect, flip):
    raw = random_pixels(17)
    found = augmented(raw, Augment(pad, reflect, flip), torch.Generator().manual_seed(5))

    draws = torch.Generator().manual_seed(5)
    down, across = torch.randint(-pad, pad + 1, (2, 17, 1), generator=draws).squeeze(2).tolist()
    flipped = (torch.rand(17, 1, generator=draws) < 0.5).squeeze(1).tolist()
    mode = "reflect" if reflect else "constant"
    for image, result, y, x, mirror in zip(raw, found, down, across, flipped, strict=True):
        padded = np.pad(image.numpy(), ((0, 0), (pad, pad), (pad, pad)), mode=mode)
        view = padded[:, pad + y : pad + y + 6, pad + x : pad + x + 5]
        assert np.array_equal(result.numpy(), view[:, :, ::-1] if mirror and flip else view)


def test_shifts_reach_all_places_and_half_are_flipped():
    marked = torch.zeros(4000, 3, 6, 5, dtype=torch.uint8)
    marked[:, :, 3, 1] = 1
    moved = augmented(marked, Augment(1, False, True), torch.Generator().manual_seed(0))
    counts = moved[:, 0].float().mean(dim=0)
    assert torch.allclose(counts[2:5, 0:3].sum(), torch.tensor(0.5 + 0.5 / 3), atol=0.03)
    assert counts[2:5].gt(0).all() and counts[:2].sum() == counts[5:].sum() == 0


def test_evaluation_goes_through_a_split_in_order_as_it_is():
    data = a_set()
    seen = list(evaluation_batches(data.train, data, batch=10, device=CPU))
    assert [len(batch) for batch in seen] == [10, 10, 3]
    assert torch.equal(torch.cat([batch.index for batch in seen]), torch.arange(23))
    plain = next(batches(data, augment=False).epoch(0))
    found = torch.cat([batch.image for batch in seen])
    assert torch.equal(found[plain.index], plain.image)


def test_a_batch_larger_than_the_split_is_refused_when_incomplete_ones_are_dropped():
    with pytest.raises(SpecError, match="batch of 24 is larger than the training split of 23"):
        batches(batch=24, drop_last=True)
    assert batches(batch=24).steps == 1


@pytest.fixture
def on_disk(tmp_path):
    pixels = random_pixels(23)
    files = [tmp_path / f"{row}.png" for row in range(23)]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
    return a_set(train=FileSplit(files, torch.arange(23) % 4, (5, 6)))


def test_a_set_too_large_for_memory_gives_the_same_batches(on_disk):
    lazy = batches(on_disk, num_workers=0)
    assert same(list(lazy.epoch(1, 2)), list(batches().epoch(1, 2)))


@pytest.mark.slow
def test_loader_processes_give_the_same_batches(on_disk):
    lazy = batches(on_disk, num_workers=2)
    assert same(list(lazy.epoch(1, 2)), list(batches().epoch(1, 2)))
    data = a_set()
    found = evaluation_batches(on_disk.train, on_disk, batch=10, device=CPU, num_workers=2)
    assert same(list(found), list(evaluation_batches(data.train, data, batch=10, device=CPU)))
