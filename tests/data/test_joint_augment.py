"""Image and mask go the same way."""

import pytest
import torch

from engine.data.batch import VOID, Augment
from engine.data.joint_augment import JointAugment

SIZE = (12, 20)


def marked(count=40):
    """Pictures whose red channel is 25 times their class."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 10, (count, 3, 5), generator=generator)
    masks = masks.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2).to(torch.uint8)
    images = torch.stack([masks * 25, masks, torch.full_like(masks, 7)], dim=1)
    return images, masks


def test_nothing_asked_for_changes_nothing():
    images, masks = marked()
    found = JointAugment(Augment(), SIZE)(images, masks, 1)
    assert torch.equal(found[0], images) and torch.equal(found[1], masks)


def test_half_are_mirrored_image_and_mask_alike():
    images, masks = marked(400)
    image, mask = JointAugment(Augment(flip=True), SIZE)(images, masks, 5)
    assert torch.equal(image[:, 0], mask * 25)
    mirrored = (mask == masks.flip(2)).all(dim=(1, 2)) & (mask != masks).any(dim=(1, 2))
    assert 150 < int(mirrored.sum()) < 250
    assert ((mask == masks).all(dim=(1, 2)) | mirrored).all()


def test_a_smaller_picture_lies_within_black_and_void():
    images, masks = marked()
    image, mask = JointAugment(Augment(scale=(0.5, 0.5)), SIZE)(images, masks, 3)
    is_void = mask == VOID
    assert is_void.sum(dim=(1, 2)).tolist() == [12 * 20 - 6 * 10] * len(masks)
    assert torch.equal(image[:, 2] == 7, ~is_void) and torch.equal(image[:, 2] == 0, is_void)
    places = {tuple(one.nonzero()[0].tolist()) for one in ~is_void}
    assert len(places) > 5


def test_a_larger_picture_is_cut_and_no_class_is_mixed():
    images, masks = marked()
    image, mask = JointAugment(Augment(scale=(2.0, 2.0)), SIZE)(images, masks, 3)
    assert mask.shape == masks.shape and int(mask.max()) < 10
    inside = image[:, 0].float() / 25
    assert (inside - mask).abs().median() < 0.1


def test_brightness_and_contrast_leave_the_mask():
    images, masks = marked()
    image, mask = JointAugment(Augment(jitter=0.3), SIZE)(images, masks, 3)
    assert torch.equal(mask, masks)
    factor = image[:, 0].float().mean(dim=(1, 2)) / images[:, 0].float().mean(dim=(1, 2))
    assert 0.45 < float(factor.min()) < 0.85 and 1.15 < float(factor.max()) < 1.75


@pytest.mark.parametrize("seed", [3, 4])
def test_what_is_drawn_depends_on_the_seed_alone(seed):
    joint = JointAugment(Augment(flip=True, scale=(0.5, 2.0), jitter=0.2), SIZE)
    images, masks = marked(6)
    torch.manual_seed(seed)
    state = torch.get_rng_state()
    first = joint(images, masks, 9)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(100)
    again = joint(images, masks, 9)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(joint(images, masks, 10)[0], first[0])


def test_the_picture_is_treated_alike_whatever_its_mask_says():
    joint = JointAugment(Augment(flip=True, scale=(0.5, 2.0), jitter=0.2), SIZE)
    images, masks = marked(6)
    nothing = torch.full_like(masks, VOID)
    assert torch.equal(joint(images, masks, 2)[0], joint(images, nothing, 2)[0])
