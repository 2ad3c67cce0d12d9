"""How a teacher's weights fit, and what it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.assembly import (
    evaluation_batch,
    known_classes,
    located,
    make_net,
    weights_source,
)
from engine.data import DataSet
from engine.data.batch import MaskedSplit, Split
from engine.data.device_loader import evaluation_batches
from engine.errors import SpecError
from engine.jobs.common import CPU, loaded_data, runs_folder
from engine.measures.accuracy import classification_figures
from engine.measures.segmenter_figures import segmentation_figures
from engine.nets import NETS, StagedNet
from engine.nets.weights import ImportReport, Status, compare, guess_net, load_state
from engine.spec import Choice, NetChoice, read_spec

MOST_SCENES = 64


def teacher_check(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The import report of a spec's teacher, and what it reaches where it knows the classes."""
    read = read_spec(spec)
    if read.teacher is None:
        raise SpecError("there is no teacher to check", where="teacher")
    return teacher_report(read.teacher, read.data, read.seed)


def teacher_report(teacher: NetChoice, data_choice: Choice, seed: int) -> dict[str, Any]:
    """How a file's weights fit a net, and what that net reaches on a data set.

    Where the weights fit the net with other knobs (as a ResNet with the parameter-free
    shortcut), these knobs are taken, and `net` says so. A segmenter may know other classes than
    the data has; then it is not measured.

    Raises:
        WeightsError: the weights fit neither way, or a classifier knows other classes.
    """
    data = loaded_data(data_choice, seed)
    num_classes = len(data.classes)
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    with located("teacher.weights"):
        if data.task == "segment" and teacher.weights != "none":
            num_classes = known_classes(teacher, runs_folder()) or num_classes
        if teacher.weights not in ("none", "DEFAULT"):
            state, facts = load_state(Path(weights_source(teacher, runs_folder())))
            guess = guess_net(state)
            if guess and guess[0] == NETS[teacher.name].name:
                teacher = teacher.model_copy(update={"knobs": {**guess[1], **teacher.knobs}})
            with torch.device("meta"):
                net = NETS[teacher.name].make(num_classes, data.input_shape, knobs=teacher.knobs)
            report = compare(net, state, name=NETS[teacher.name].name)
            rows = [asdict(row) for row in report.rows]
        loaded = make_net(teacher, data, runs=runs_folder(), seed=seed, num_classes=num_classes)
    split = "test" if data.test is not None else "validation"
    part: Split = data.splits[split]
    if data.task == "segment":  # a large one may need seconds for each image
        part = _Spread(part, min(len(part), MOST_SCENES))
    is_measured = data.task == "classify" or loaded.knows(data)
    return {
        "net": teacher.model_dump(),
        "report": {"rows": rows, **_counts(loaded.report)},
        "facts": facts,
        "classes": _names(loaded.report, num_classes),
        "figures": _figures(loaded.net, data, part) if is_measured else {},
        "split": split,
        "samples": len(part),
    }


class _Spread:
    """Some images of a split with masks, evenly spaced."""

    def __init__(self, split: Split, count: int) -> None:
        assert isinstance(split, MaskedSplit)
        self._split = split
        self._rows = torch.arange(count) * len(split) // count
        self.targets = split.targets[self._rows]

    def images(self, rows: Tensor) -> Tensor:
        return self._split.images(self._rows[rows])

    def masks(self, rows: Tensor) -> Tensor:
        return self._split.masks(self._rows[rows])

    def __len__(self) -> int:
        return len(self._rows)


def _figures(net: StagedNet, data: DataSet, part: Split) -> dict[str, float]:
    size = evaluation_batch(data)
    batches = evaluation_batches(part, data, batch=size, device=CPU)
    if data.task == "segment":
        return segmentation_figures(net, batches, len(data.classes))
    return classification_figures(net, batches)


def _counts(report: ImportReport | None) -> dict[str, Any]:
    """How many tensors have each status, how many other names, and what else must be said."""
    if report is None:
        return {"renamed": 0, "notes": []}
    statuses: tuple[Status, ...] = ("matched", "missing", "unexpected", "wrong shape")
    counts = {status.replace(" ", "_"): report.count(status) for status in statuses}
    return {**counts, "renamed": len(report.renamed), "notes": list(report.notes)}


def _names(report: ImportReport | None, num_classes: int) -> list[str]:
    """The classes that a net tells apart, as its weights name them; else their numbers."""
    named = str(report.facts.get("classes", "")) if report else ""
    return named.split("\n") if named else [f"class {label}" for label in range(num_classes)]
