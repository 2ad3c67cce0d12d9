"""A data set and nets so small that a whole run takes a moment; registered, but not listed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from engine.data.batch import DATASETS, Augment, Batch, DataSet
from engine.data.tensor_split import TensorSplit, fingerprint
from engine.nets.layer import convolution, pooling
from engine.nets.staged import NETS, After, Inside, StagedNet, build_net
from engine.nets.weights import save_weights
from engine.registry import Entry
from engine.spec import Choice, NetChoice, RunSpec, Schedule

CLASSES = ("red", "green", "blue", "grey")
SHAPE = (3, 8, 8)
TRAIN, HELD = 50, 20


def split(count: int, seed: int) -> TensorSplit:
    """Noise with one bright channel, or none."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 120, (count, *SHAPE), generator=generator)
    targets = torch.arange(count) % len(CLASSES)
    for row, label in enumerate(targets.tolist()):
        if label < 3:
            pixels[row, label] += 40
    return TensorSplit(pixels.to(torch.uint8), targets)


def tiny(root: Path, run_seed: int) -> DataSet:
    """Four colours."""
    train, validation, test = split(TRAIN, 1), split(HELD, 2), split(HELD, 3)
    return DataSet(
        name="tiny",
        classes=CLASSES,
        input_shape=SHAPE,
        mean=(0.3, 0.3, 0.3),
        std=(0.2, 0.2, 0.2),
        augment=Augment(crop_padding=1, flip=True),
        train=train,
        validation=validation,
        test=test,
        fingerprint=fingerprint(CLASSES, train, validation, test),
    )


@DATASETS.register_family("tiny")
def _data_entry() -> Entry[DataSet]:
    return Entry("data set", "tiny", "Tiny", "tests", tiny)


@NETS.register_family(r"tiny_net_(\d+)_(\d)")
def _net_entry(width: str, num_stages: str) -> Entry[StagedNet]:
    def build(num_classes: int, input_shape: tuple[int, int, int]) -> StagedNet:
        """Convolutions."""
        return tiny_net(int(width), int(num_stages), num_classes, input_shape)

    name = f"tiny_net_{width}_{num_stages}"
    facts = MappingProxyType({"family": "tiny", "public_keys": ()})
    return Entry("net", name, name, "tests", build, facts=facts)


def tiny_net(
    width: int, num_stages: int, num_classes: int, input_shape: tuple[int, int, int] = SHAPE
) -> StagedNet:
    """A stem, stages that double the width and halve the map, embedding and logits."""
    stages: dict[str, nn.Module] = {"stem": _block(3, width, 1)}
    for number in range(1, num_stages + 1):
        stages[f"stage{number}"] = _block(width * number, width * (number + 1), min(number, 2))
    after: dict[str, After] = {f"{name}.pre": "norm" for name in stages}
    norms = {f"{name}.pre": f"stages.{name}.pre.norm" for name in stages}
    stages["embedding"] = pooling()
    stages["logits"] = nn.Linear(width * (num_stages + 1), num_classes)
    last_map = f"stage{num_stages}"
    return StagedNet(stages, input_shape=input_shape, after=after, last_map=last_map, norms=norms)


def _block(inputs: int, outputs: int, stride: int) -> Inside:
    pre = OrderedDict(
        conv=convolution(inputs, outputs, 3, stride=stride), norm=nn.BatchNorm2d(outputs)
    )
    return Inside(OrderedDict(pre=nn.Sequential(pre), relu=nn.ReLU()))


STUDENT, TEACHER = "tiny_net_4_2", "tiny_net_6_2"

# Distillers that need two nets of one width.
EQUAL_CHANNELS = frozenset({"fsp", "kdsvd"})


def net(name: str, *, seed: int = 0, num_classes: int = len(CLASSES)) -> StagedNet:
    return build_net(name, {}, num_classes=num_classes, input_shape=SHAPE, seed=seed)


def teacher_file(folder: Path, *, num_classes: int = len(CLASSES), broken: bool = False) -> Path:
    """Weights of the tiny teacher."""
    made = net(TEACHER, seed=9, num_classes=num_classes)
    if broken:
        with torch.no_grad():
            made.stages["logits"].weight.fill_(float("nan"))
    path = folder / "teacher.safetensors"
    save_weights(made, path, {})
    return path


def spec_of(
    teacher: Path | str = "",
    *,
    distiller: str = "ft",
    policy: str = "learned",
    knobs: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> RunSpec:
    """A run of two epochs of five steps; with a teacher it distils."""
    warm_up = {"warm_up_epochs": 1} if distiller == "ft" else {}
    taught = {
        "teacher": NetChoice(name=TEACHER, weights=str(teacher)),
        "method": Choice(name="spot_adaptive", knobs=knobs),
        "distiller": Choice(name=distiller, knobs=warm_up),
        "policy": Choice(name=policy),
    }
    spec = RunSpec(
        data=Choice(name="tiny"),
        student=NetChoice(name=STUDENT),
        schedule=Schedule(epochs=2, batch=10, lr=0.05),
        threads=1,
        device="cpu",
        seed=3,
        **(taught if teacher else {"method": Choice(name="alone")}),
    )
    return spec.replace(**changes) if changes else spec


def batch_of(count: int = 6, *, seed: int = 0) -> Batch:
    """Random images with their classes."""
    generator = torch.Generator().manual_seed(seed)
    image: Tensor = torch.randn(count, *SHAPE, generator=generator)
    target = torch.arange(count) % len(CLASSES)
    image = image.contiguous(memory_format=torch.channels_last)
    return Batch(image, target, torch.arange(count))
