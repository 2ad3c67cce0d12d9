"""What every registered data set promises."""

import json

import pytest
import torch

from engine.data import DATASETS
from engine.data.batch import VOID, MaskedSplit, labels
from engine.data.device_loader import evaluation_batches, training_batches
from engine.data.pool_loader import Pools
from engine.errors import DataError

ENTRIES = list(DATASETS)
NAMES = [entry.name for entry in ENTRIES]


@pytest.fixture(scope="module", params=ENTRIES, ids=NAMES)
def built(request, tmp_path_factory):
    try:
        return request.param, request.param.make(tmp_path_factory.mktemp("empty"), 3)
    except DataError:
        pytest.skip("needs files that are not part of the project")


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_entry_is_described_by_plain_data(entry):
    described = json.loads(json.dumps(entry.describe()))
    assert described["title"] and described["source"] and described["help"]
    assert all("description" in knob for knob in described["knobs"].values())
    facts = described["facts"]
    assert {"num_classes", "input_shape", "images", "needs_path", "licence", "where"} <= set(facts)
    assert len(facts["input_shape"]) == 3


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_a_set_builds_without_files_or_says_where_they_must_lie(entry, tmp_path):
    try:
        entry.make(tmp_path, 0)
    except DataError as error:
        assert error.hint and str(tmp_path) in error.message


def test_at_least_one_set_needs_no_files(tmp_path):
    assert any("folder" not in e.facts and not e.facts["needs_path"] for e in ENTRIES)


def test_facts_agree_with_the_set(built):
    entry, data = built
    assert entry.facts["num_classes"] == len(data.classes) == len(set(data.classes))
    assert entry.facts["input_shape"] == data.input_shape
    assert entry.facts["images"] == {name: len(split) for name, split in data.splits.items()}


def test_splits_hold_images_of_the_shape_and_every_class(built):
    _, data = built
    for split in data.splits.values():
        image = split.images(torch.tensor([len(split) - 1, 0]))
        assert image.shape == (2, *data.input_shape) and image.dtype == torch.uint8
        assert split.targets.dtype == torch.int64 and len(split.targets) == len(split)
        assert set(_labels(split)) - {VOID} == set(range(len(data.classes)))


def _labels(split):
    """The classes that a split shows, by image or by pixel."""
    if not isinstance(split, MaskedSplit):
        return split.targets.tolist()
    rows = torch.arange(len(split))
    masks = split.masks(rows)
    assert masks.dtype == torch.uint8 and masks.shape[1:] == split.images(rows[:1]).shape[2:]
    assert set(split.targets.tolist()) == {-1}
    return masks.unique().tolist()


def test_a_set_says_its_task_and_a_pool_has_images_only(built):
    entry, data = built
    assert data.task == entry.facts.get("task", "classify")
    assert all((data.task == "segment") == isinstance(s, MaskedSplit) for s in data.splits.values())
    if data.proximity is not None:
        image = data.proximity.images(torch.tensor([len(data.proximity) - 1, 0]))
        assert image.shape == (2, *data.input_shape) and image.dtype == torch.uint8
        assert not isinstance(data.proximity, MaskedSplit)


def test_no_image_lies_in_two_splits(built):
    _, data = built
    seen = [
        {image.numpy().tobytes() for image in split.images(torch.arange(len(split)))}
        for split in data.splits.values()
    ]
    assert len(set.union(*seen)) == sum(map(len, seen))


def test_the_same_seed_gives_the_same_set(built, tmp_path):
    entry, data = built
    again = entry.make(tmp_path, 3)
    assert again.fingerprint == data.fingerprint
    rows = torch.arange(len(data.validation))
    assert torch.equal(labels(again.validation, rows), labels(data.validation, rows))


def test_batches_are_roughly_centred_and_finite(built):
    _, data = built
    device = torch.device("cpu")
    if data.task == "segment":
        drawn = Pools(data, 64, 0, 0, device).labelled("train")
    else:
        drawn = training_batches(data, batch=64, seed=0, device=device)
    batch = next(drawn.epoch(0))
    for each in (batch, next(evaluation_batches(data.validation, data, batch=64, device=device))):
        assert each.image.isfinite().all()
        assert each.image.mean().abs() < 1 and 0.3 < each.image.std() < 3
