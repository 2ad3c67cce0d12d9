import torch

from engine.data.tensor_split import TensorSplit, fingerprint, set_aside


def a_split(size=20):
    pixels = torch.arange(size * 12, dtype=torch.uint8).reshape(size, 3, 2, 2)
    return TensorSplit(pixels, torch.arange(size) % 2)


def test_rows_come_in_the_order_asked_for():
    split = a_split()
    rows = torch.tensor([3, 0, 3])
    assert torch.equal(split.images(rows), split.pixels[[3, 0, 3]])
    assert torch.equal(split.select(rows).targets, torch.tensor([1, 0, 1]))


def test_fingerprint_changes_with_a_pixel_a_target_and_a_class():
    split, pixel, target = a_split(), a_split(), a_split()
    pixel.pixels[1, 2, 1, 1] += 1
    target.targets[4] = 1
    marks = [fingerprint("ab", each) for each in (split, pixel, target)]
    marks += [fingerprint("ac", split), fingerprint("ab", split, split)]
    assert len(set(marks)) == 5
    assert fingerprint("ab", a_split(), None) == marks[0]


def test_validation_is_a_tenth_of_each_class_and_the_rest_stays():
    train, validation = set_aside(a_split(40), run_seed=3)
    assert validation.targets.bincount().tolist() == [2, 2]
    assert train.targets.bincount().tolist() == [18, 18]
    whole = torch.cat([train.pixels, validation.pixels]).flatten(1).tolist()
    assert sorted(whole) == sorted(a_split(40).pixels.flatten(1).tolist())


def test_validation_is_drawn_by_the_seed():
    drawn = [set_aside(a_split(200), seed)[1].pixels for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
