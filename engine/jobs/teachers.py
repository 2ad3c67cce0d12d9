"""How a teacher's weights fit, and what it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engine.assembly import (
    EVALUATION_BATCH,
    located,
    make_net,
    weights_source,
)
from engine.data.device_loader import evaluation_batches
from engine.errors import SpecError
from engine.jobs.common import loaded_data, runs_folder
from engine.measures.accuracy import classification_figures
from engine.nets import NETS
from engine.nets.weights import compare, guess_net, load_state
from engine.spec import Choice, NetChoice, read_spec


def teacher_check(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The import report of a spec's teacher and its measured accuracy."""
    read = read_spec(spec)
    if read.teacher is None:
        raise SpecError("there is no teacher to check", where="teacher")
    return teacher_report(read.teacher, read.data, read.seed)


def teacher_report(teacher: NetChoice, data_choice: Choice, seed: int) -> dict[str, Any]:
    """How a file's weights fit a net, and how often that net is right on a data set.

    Where the weights fit the net with other knobs (as a ResNet with the parameter-free
    shortcut), these knobs are taken, and `net` says so.

    Raises:
        WeightsError: the weights fit neither way, or know other classes.
    """
    data = loaded_data(data_choice, seed)
    rows: list[dict[str, Any]] = []
    if teacher.weights not in ("none", "DEFAULT"):
        state, facts = load_state(Path(weights_source(teacher, runs_folder())))
        guess = guess_net(state)
        if guess and guess[0] == NETS[teacher.name].name:
            teacher = teacher.model_copy(update={"knobs": {**guess[1], **teacher.knobs}})
        with torch.device("meta"):
            net = NETS[teacher.name].make(len(data.classes), data.input_shape, knobs=teacher.knobs)
        report = compare(net, state, name=NETS[teacher.name].name)
        rows = [asdict(row) for row in report.rows]
    with located("teacher.weights"):
        loaded = make_net(teacher, data, runs=runs_folder(), seed=seed)
    split = "test" if data.test is not None else "validation"
    part = data.splits[split]
    batches = evaluation_batches(part, data, batch=EVALUATION_BATCH, device=torch.device("cpu"))
    report_out = loaded.report
    counts = (
        {}
        if report_out is None
        else {
            status.replace(" ", "_"): report_out.count(status)
            for status in ("matched", "missing", "unexpected", "wrong shape")
        }
    )
    return {
        "net": teacher.model_dump(),
        "report": {"rows": rows, **counts, "renamed": len(report_out.renamed) if report_out else 0},
        "facts": dict(facts) if rows else {},
        "figures": classification_figures(loaded.net, batches),
        "split": split,
        "samples": len(part),
    }
