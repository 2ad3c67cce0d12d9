"""`street_scenes` and `street_scenes_source`: the drawn domains as data sets.

The first is what the student is for: a handful of labelled images, and a pool of plain ones from
the proximity domain. The second is where its teacher learns; its classes are others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from engine.data.batch import DATASETS, Augment, DataSet
from engine.data.mask_split import MaskTensorSplit, TensorImages
from engine.data.street_scenes import CLASSES, PALETTE, Bytes, Domain, draw_scenes
from engine.data.tensor_split import fingerprint

HEIGHT, WIDTH = 48, 96
VALIDATION_SEED, TEST_SEED = 800_000, 900_000
NUM_TARGET, NUM_PROXIMITY, NUM_HELD, NUM_SOURCE = 4, 64, 64, 300

Seed = Annotated[int, Field(ge=0, lt=VALIDATION_SEED, description="Which images are drawn")]
Flip = Annotated[bool, Field(description="Mirror half of the training images")]
Jitter = Annotated[
    float,
    Field(ge=0, lt=1, description="Brightness and contrast change by a factor of 1 ± this"),
]
FACTS: Mapping[str, Any] = {
    "task": "segment",
    "input_shape": (3, HEIGHT, WIDTH),
    "needs_path": False,
    "licence": "made by this program, free of rights",
    "where": "drawn in about a second when a run starts; no files",
}


@DATASETS.register(
    "street_scenes",
    title="Street scenes (drawn by the computer)",
    source="Distill Studio; no download",
    num_classes=len(CLASSES["target"]),
    images={"train": NUM_TARGET, "validation": NUM_HELD, "test": NUM_HELD},
    **FACTS,
)
def street_scenes(
    root: Path,
    run_seed: int,
    *,
    num_target: Annotated[
        int, Field(ge=1, le=1000, description="Labelled images to train on")
    ] = NUM_TARGET,
    num_proximity: Annotated[
        int, Field(ge=0, le=1000, description="Unlabelled images of the proximity domain")
    ] = NUM_PROXIMITY,
    seed: Seed = 0,
    flip: Flip = True,
    jitter: Jitter = 0.1,
) -> DataSet:
    """Streets of 48x96 pixels in a few colours of light, seven classes.

    Four labelled images cannot show how bright or dark the 128 held out for validation and test
    may be. The same for every run; `seed` draws other training images.
    """
    train, validation, test = (
        _masked("target", count, drawn_by)
        for count, drawn_by in (
            (num_target, seed),
            (NUM_HELD, VALIDATION_SEED),
            (NUM_HELD, TEST_SEED),
        )
    )
    pixels, _ = _drawn("proximity", num_proximity, seed)
    return _data_set(
        "street_scenes",
        "target",
        Augment(flip=flip, jitter=jitter),
        (train, validation, test),
        TensorImages(torch.from_numpy(pixels)),
    )


@DATASETS.register(
    "street_scenes_source",
    title="Street scenes, where the teacher learns",
    source="Distill Studio; no download",
    num_classes=len(CLASSES["source"]),
    images={"train": NUM_SOURCE, "validation": NUM_HELD, "test": NUM_HELD},
    **FACTS,
)
def street_scenes_source(
    root: Path,
    run_seed: int,
    *,
    num_train: Annotated[
        int, Field(ge=1, le=5000, description="Labelled images to train on")
    ] = NUM_SOURCE,
    seed: Seed = 0,
    flip: Flip = True,
    jitter: Jitter = 0.1,
) -> DataSet:
    """Streets and open land of 48x96 pixels in any light, ten classes that are not the target's."""
    splits = tuple(
        _masked("source", count, drawn_by)
        for count, drawn_by in (
            (num_train, seed),
            (NUM_HELD, VALIDATION_SEED),
            (NUM_HELD, TEST_SEED),
        )
    )
    augment = Augment(flip=flip, jitter=jitter)
    return _data_set("street_scenes_source", "source", augment, splits, None)


def _data_set(
    name: str,
    domain: Domain,
    augment: Augment,
    splits: tuple[MaskTensorSplit, ...],
    proximity: TensorImages | None,
) -> DataSet:
    train, validation, test = splits
    pools = [proximity] if proximity is not None else []
    return DataSet(
        name=name,
        classes=CLASSES[domain],
        input_shape=(3, HEIGHT, WIDTH),
        mean=(128 / 255, 128 / 255, 128 / 255),
        std=(64 / 255, 64 / 255, 64 / 255),
        augment=augment,
        train=train,
        validation=validation,
        test=test,
        fingerprint=fingerprint(CLASSES[domain], *splits, *pools),
        task="segment",
        proximity=proximity,
        palette=PALETTE[domain],
    )


def _masked(domain: Domain, count: int, seed: int) -> MaskTensorSplit:
    pixels, masks = _drawn(domain, count, seed)
    return MaskTensorSplit(torch.from_numpy(pixels), torch.from_numpy(masks))


@lru_cache(maxsize=8)  # the runs of an experiment share a process and their pictures
def _drawn(domain: Domain, count: int, seed: int) -> tuple[Bytes, Bytes]:
    return draw_scenes(domain, count, seed, HEIGHT, WIDTH)
