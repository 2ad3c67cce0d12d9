"""What a segmenter is measured to do on images with masks, and on images without."""

from __future__ import annotations

import pytest
import tiny_masks
import torch
import torch.nn.functional as F

from engine.data.batch import VOID, Batch
from engine.measures.segmenter_figures import rows_to_keep, segmented


def batch_of(mask: torch.Tensor) -> Batch:
    image = torch.randn(len(mask), *tiny_masks.SHAPE, generator=torch.Generator().manual_seed(0))
    return Batch(image, mask.long(), torch.arange(len(mask)))


def test_the_loss_is_the_mean_over_all_told_pixels() -> None:
    net = tiny_masks.net(tiny_masks.STUDENT, seed=1)
    batch = batch_of(tiny_masks.pictures(4, 2)[1])
    batch.target[0] = VOID
    halves = [batch.select(torch.tensor(rows)) for rows in ([0, 1], [2, 3])]
    found = segmented(net, halves, 3, kept=[1, 3])
    with torch.no_grad():
        logits = net.eval()(batch.image)
    expected = F.cross_entropy(logits, batch.target, ignore_index=VOID)
    assert found.figures["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert torch.equal(found.masks.long(), logits.argmax(dim=1)[[1, 3]])
    assert found.rows.tolist() == [1, 3]


def test_images_of_which_nobody_tells_anything_have_no_figures() -> None:
    net = tiny_masks.net(tiny_masks.STUDENT, seed=1)
    found = segmented(net, [batch_of(torch.full((2, 16, 32), VOID))], 3)
    assert found.figures == {}
    assert int(found.counts.confusion.sum()) == 0


def test_kept_rows_are_spread_over_the_split() -> None:
    assert rows_to_keep(3) == [0, 1, 2]
    assert rows_to_keep(16) == [0, 2, 4, 6, 8, 10, 12, 14]
