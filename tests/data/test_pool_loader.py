"""What each step of a phase shows, for sets to segment."""

from collections import Counter
from dataclasses import replace

import pytest
import tiny_masks
import torch

from engine.data.batch import VOID, Augment
from engine.data.mask_split import TensorImages
from engine.data.pool_loader import NATURAL, Pools

CPU = torch.device("cpu")


def a_set(num_target=5, num_proximity=7, augment=None):
    data = tiny_masks.tiny_masks(None, 0, num_target=num_target, num_proximity=num_proximity)
    return replace(data, augment=data.augment if augment is None else augment)


def pools(data=None, *, batch=4, steps=6, seed=1):
    return Pools(data or a_set(), batch, steps, seed, CPU)


def shown(batches, epochs=1):
    """Indices in the order of the steps."""
    return torch.cat([batch.index for epoch in range(epochs) for batch in batches.epoch(epoch)])


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a.image, b.image)
        and torch.equal(a.target, b.target)
        and torch.equal(a.index, b.index)
        for a, b in zip(one, other, strict=True)
    )


def test_every_batch_is_full_and_every_image_is_shown_before_any_is_shown_again():
    drawn = list(pools(batch=4, steps=10).labelled("head").epoch(0))
    assert [len(batch) for batch in drawn] == [4] * 10
    stream = torch.cat([batch.index for batch in drawn]).view(-1, 5)
    assert all(sorted(turn.tolist()) == [0, 1, 2, 3, 4] for turn in stream)
    assert len({tuple(turn.tolist()) for turn in stream}) > 1


def test_a_batch_may_be_larger_than_the_split():
    batch = next(pools(batch=12).labelled("head").epoch(0))
    assert sorted(Counter(batch.index.tolist()).values()) == [2, 2, 2, 3, 3]


def test_without_a_number_of_steps_an_epoch_shows_each_labelled_image():
    assert pools(batch=2, steps=0).labelled("head").steps == 3
    assert pools(batch=2, steps=0).pooled("imitation").steps == 3
    assert pools(batch=2, steps=9).pooled("imitation").steps == 9


@pytest.mark.parametrize("start", [0, 1, 5, 6])
def test_an_epoch_begun_in_its_middle_gives_the_same_batches(start):
    for batches in (pools().labelled("head"), pools().pooled("imitation", 0.3)):
        assert same(list(batches.epoch(3, start)), list(batches.epoch(3))[start:])


def test_purposes_seeds_epochs_and_steps_draw_apart():
    first, second = list(pools().labelled("head").epoch(0))[:2]
    others = [
        second,
        next(pools().labelled("tuning").epoch(0)),
        next(pools(seed=2).labelled("head").epoch(0)),
        next(pools().labelled("head").epoch(1)),
    ]
    assert not any(torch.equal(first.image, other.image) for other in others)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    list(pools().labelled("head").epoch(0))
    assert torch.equal(before, torch.get_rng_state())


def test_ten_thousand_natural_draws_hold_the_share_of_target_images():
    """Numeric test 7 of the design: 64 and 200 images."""
    blank = torch.zeros((200, *tiny_masks.SHAPE), dtype=torch.uint8)
    data = replace(a_set(augment=Augment()), proximity=TensorImages(blank))
    data = replace(data, train=TensorImages(blank[:64]))
    index = shown(pools(data, batch=100, steps=100).pooled("imitation", NATURAL))
    assert (index < 64).float().mean() == pytest.approx(64 / 264, abs=0.005)
    turns = index[: len(index) // 264 * 264].view(-1, 264)
    assert all(torch.equal(turn.sort().values, torch.arange(264)) for turn in turns)


def test_a_share_holds_in_the_long_run_and_in_every_batch_as_far_as_it_goes():
    index = shown(pools(batch=4, steps=60).pooled("imitation", 0.3))
    is_target = (index < 5).view(60, 4)
    assert is_target.sum() == round(0.3 * 240)
    assert set(is_target.sum(dim=1).tolist()) == {1, 2}
    counts = Counter(index.tolist())
    assert max(counts[row] for row in range(5)) - min(counts[row] for row in range(5)) <= 1
    assert max(counts[row] for row in range(5, 12)) - min(counts[row] for row in range(5, 12)) <= 1


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_share_of_none_or_half_is_exact(share):
    index = shown(pools().pooled("imitation", share)).view(-1, 4)
    assert (index < 5).sum(dim=1).tolist() == [4 * share] * 6


def test_a_share_of_one_or_no_pool_is_the_target_alone():
    """Numeric test 6: ESD is then SD, bit for bit."""
    alone = list(pools(a_set(5, 0)).pooled("imitation", NATURAL).epoch(2))
    assert same(list(pools().pooled("imitation", 1.0).epoch(2)), alone)
    assert same(list(pools(a_set(5, 0)).pooled("imitation", 0.4).epoch(2)), alone)


def test_a_pool_tells_no_label():
    drawn = list(pools().pooled("imitation").epoch(0))
    assert all(bool((batch.target == VOID).all()) for batch in drawn)
    assert {len(batch.target) for batch in drawn} == {4}


def test_pictures_are_those_of_their_index():
    data = a_set(augment=Augment())
    plain = torch.cat([data.train.pixels, data.proximity.pixels]).float() / 255
    for share in (NATURAL, 0.5):
        batch = next(pools(data).pooled("imitation", share).epoch(0))
        assert torch.allclose(batch.image * 0.3 + 0.4, plain[batch.index], atol=1e-5)
        assert batch.image.is_contiguous(memory_format=torch.channels_last)
    batch = next(pools(data).labelled("head").epoch(0))
    assert torch.equal(batch.target, data.train.labels[batch.index].long())
    assert batch.target.dtype == torch.int64
