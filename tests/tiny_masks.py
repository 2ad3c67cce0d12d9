"""Pictures with masks so small that a whole segmentation run takes seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from engine.data.batch import DATASETS, VOID, Augment, DataSet
from engine.data.mask_split import MaskTensorSplit, TensorImages
from engine.data.tensor_split import fingerprint
from engine.nets.staged import StagedNet, build_net
from engine.nets.weights import save_weights
from engine.registry import Entry
from engine.spec import Choice, NetChoice, RunSpec, Schedule

CLASSES = ("dark", "grey", "light")
OTHER_CLASSES = ("one", "two", "three", "four", "five")
SHAPE = (3, 16, 32)
TRAIN, PROXIMITY, HELD = 5, 7, 6
STUDENT, TEACHER = "ds128", "bottleneck128"


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """(count, 3, 16, 32) bands of grey, noise over them, and their (count, 16, 32) classes."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(0, 3, (count, 4, 4), generator=generator)
    masks = masks.repeat_interleave(4, dim=1).repeat_interleave(8, dim=2)
    noise = torch.randint(0, 40, (count, *SHAPE), generator=generator)
    pixels = (masks[:, None] * 80 + noise).to(torch.uint8)
    masks[:, 0] = VOID
    return pixels, masks.to(torch.uint8)


def tiny_masks(
    root: Path,
    run_seed: int,
    *,
    num_target: Annotated[int, Field(ge=1)] = TRAIN,
    num_proximity: Annotated[int, Field(ge=0)] = PROXIMITY,
    garbage: bool = False,
) -> DataSet:
    """Bands of grey; garbage: the training masks tell nonsense."""
    pixels, masks = pictures(num_target, 1)
    if garbage:
        masks = (masks + 1) % len(CLASSES)
    train = MaskTensorSplit(pixels, masks)
    validation, test = (MaskTensorSplit(*pictures(HELD, seed)) for seed in (2, 3))
    proximity = TensorImages(pictures(num_proximity, 4)[0])
    return DataSet(
        name="tiny_masks",
        classes=CLASSES,
        input_shape=SHAPE,
        mean=(0.4, 0.4, 0.4),
        std=(0.3, 0.3, 0.3),
        augment=Augment(flip=True, scale=(0.75, 1.5), jitter=0.1),
        train=train,
        validation=validation,
        test=test,
        fingerprint=fingerprint(CLASSES, train, validation, test, proximity),
        task="segment",
        proximity=proximity,
    )


@DATASETS.register_family("tiny_masks")
def _data_entry() -> Entry[DataSet]:
    facts = MappingProxyType({"task": "segment"})
    return Entry("data set", "tiny_masks", "Tiny", "tests", tiny_masks, facts=facts)


def net(name: str, *, seed: int = 0, num_classes: int = len(CLASSES)) -> StagedNet:
    return build_net(name, {}, num_classes=num_classes, input_shape=SHAPE, seed=seed)


def teacher_file(folder: Path, *, classes: tuple[str, ...] = OTHER_CLASSES) -> Path:
    """Random weights of a teacher for some classes."""
    path = folder / f"teacher{len(classes)}.safetensors"
    made = net(TEACHER, seed=9, num_classes=len(classes))
    save_weights(made, path, {"classes": "\n".join(classes)})
    return path


def spec_of(
    teacher: Path | str = "",
    method: str = "spirit",
    *,
    knobs: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> RunSpec:
    """A run of six epochs of two steps; with a teacher its spirit is distilled."""
    taught = {"teacher": NetChoice(name=TEACHER, weights=str(teacher))} if teacher else {}
    spec = RunSpec(
        task="segment",
        data=Choice(name="tiny_masks"),
        student=NetChoice(name=STUDENT),
        method=Choice(name=method if teacher else "alone", knobs=knobs),
        schedule=Schedule(epochs=6, steps=2, batch=4, lr=0.01, optimizer="adam"),
        threads=1,
        device="cpu",
        seed=3,
        **taught,
    )
    return spec.replace(**changes) if changes else spec
