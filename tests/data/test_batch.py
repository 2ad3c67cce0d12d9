import torch

from engine.data.batch import Batch, stratified_tenth


def test_select_keeps_image_target_and_index_together():
    batch = Batch(torch.rand(4, 3, 2, 2), torch.tensor([5, 6, 7, 8]), torch.tensor([9, 3, 1, 2]))
    kept = batch.select(torch.tensor([2, 0]))
    assert len(kept) == 2 and kept.target.tolist() == [7, 5] and kept.index.tolist() == [1, 9]
    assert torch.equal(kept.image, batch.image[[2, 0]])


def test_a_tenth_of_each_class_is_held_and_every_row_has_one_place():
    targets = torch.tensor([0] * 30 + [1] * 5 + [2] * 20)
    kept, held = stratified_tenth(targets, seed=4)
    assert targets[held].bincount().tolist() == [3, 1, 2]
    assert torch.equal(torch.cat([kept, held]).sort().values, torch.arange(55))
    assert torch.equal(kept, kept.sort().values) and torch.equal(held, held.sort().values)
