"""The job process: one question a line in, one answer a line out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch

from engine.errors import DistillError
from engine.jobs.answers import answers, own_answers
from engine.jobs.drafts import catalogue, check, cost, folders, pairs
from engine.jobs.estimates import estimate
from engine.jobs.front_maps import scene_features
from engine.jobs.look import look_masks, look_overlaps
from engine.jobs.look_own import look_own
from engine.jobs.parts import (
    part_answers,
    part_likeness,
    part_neurons,
    part_pictures,
    student_flatness,
)
from engine.jobs.pictures import pictures, samples
from engine.jobs.teachers import teacher_check
from engine.jobs.truths import scene_pictures

KINDS: Mapping[str, Callable[..., Any]] = {
    job.__name__: job
    for job in (
        *(catalogue, folders, check, pairs, estimate, teacher_check, samples, pictures, cost),
        *(part_answers, part_pictures, part_likeness, part_neurons, student_flatness),
        *(scene_pictures, scene_features),
        *(answers, own_answers),
        *(look_overlaps, look_masks, look_own),
    )
}


def serve_jobs() -> None:
    """The job process: JSON lines on stdin, one answer a line on stdout, until stdin ends."""
    os.nice(10)
    torch.set_num_threads(1)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a stray print must not look like an answer
    for line in sys.stdin:
        asked = json.loads(line)
        out.write(json.dumps(answer(asked["kind"], asked["params"])) + "\n")
        out.flush()


def answer(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"value": KINDS[kind](**params)}
    except DistillError as error:
        return {"message": error.message, "hint": error.hint, "where": error.where}
    except Exception as error:  # the process serves other questions after this one
        text = f"{type(error).__name__}: {error}"
        return {"message": text, "hint": "", "where": ""}
