"""How long a run takes, from a few seconds of it."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any

import torch

from engine.assembly import evaluation_batch, make_method, make_net, make_teacher
from engine.data import Batch, DataSet
from engine.data.batch import Split
from engine.data.device_loader import evaluation_batches
from engine.jobs.common import loaded_data, runs_folder
from engine.measures.accuracy import classification_figures
from engine.measures.segmenter_figures import segmentation_figures
from engine.methods import Method
from engine.nets import StagedNet
from engine.nets.freeze import freeze
from engine.spec import RunSpec, read_spec
from engine.training.loop import Stepped, fit
from engine.training.phase import Phase
from engine.training.tally import Tally

STEPS_SECONDS = 4.0  # of training, over all phases
PASS_SECONDS = 1.0  # of measuring, in each phase
LONG_STEP = 2e10  # multiply-adds; a step of more is timed with fewer images on a processor
FEW = 2  # images of such a step


def estimate(spec: Mapping[str, Any]) -> dict[str, Any]:
    """How long a run takes, from a few seconds of its real steps and of measuring its student."""
    read = read_spec(spec)
    data = loaded_data(read.data, read.seed)
    device = torch.device("cuda" if read.device != "cpu" and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(read.threads or len(os.sched_getaffinity(0)))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        return _estimate(read, data, device)
    finally:
        torch.set_num_threads(1)
        if device.type == "cuda":  # the run that comes next wants the memory
            gc.collect()
            torch.cuda.empty_cache()


def _estimate(spec: RunSpec, data: DataSet, device: torch.device) -> dict[str, Any]:
    net = _teacher(spec, data, device)
    student = make_net(spec.student, data, runs=runs_folder(), seed=spec.seed).net.to(device)
    method = make_method(spec, data, student, net, device=device)
    plan = method.plan()
    share, timed = 1.0, method
    if device.type == "cpu" and _is_long(spec, student, data):
        share = spec.schedule.batch / FEW
        light = spec.replace(**{"schedule.batch": FEW})
        timed = make_method(light, data, student, net, device=device)
    steps = {
        phase.name: share * _step_seconds(index, phase, data, spec, STEPS_SECONDS / len(plan))
        for index, phase in enumerate(timed.plan())
    }
    training = sum(one.epochs * one.data.steps * steps[one.name] for one in plan)
    measuring = _measuring_seconds(spec, data, method, plan, device)
    return {
        "step_seconds": steps[plan[-1].name],
        "seconds": training + measuring,
        "steps": sum(one.epochs * one.data.steps for one in plan),
        "phases": {one.name: one.epochs * one.data.steps * steps[one.name] for one in plan},
        "memory_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else 0,
        "disk_bytes": 4 * sum(p.numel() * p.element_size() for p in method.modules.parameters()),
        "device": device.type,
    }


def _teacher(spec: RunSpec, data: DataSet, device: torch.device) -> StagedNet | None:
    """The frozen teacher; one that is still to be trained takes as long as it will then."""
    if spec.teacher is not None and spec.teacher.weights == "none":
        untrained = make_net(spec.teacher, data, runs=runs_folder(), seed=spec.seed)
        return freeze(untrained.net.to(device))
    teacher = make_teacher(spec, data, runs=runs_folder(), device=device)
    return teacher.net if teacher else None


def _is_long(spec: RunSpec, student: StagedNet, data: DataSet) -> bool:
    """Whether a step is too much work to be timed as it is; only of large segmenters.

    A weight of a segmenter works once at each place of a map, an eighth of the image's sides.
    """
    if data.task == "classify" or spec.schedule.batch <= FEW:
        return False
    height, width = data.input_shape[1:]
    weights = sum(parameter.numel() for parameter in student.parameters())
    return weights * height * width / 64 * spec.schedule.batch > LONG_STEP


def _step_seconds(index: int, phase: Phase, data: DataSet, spec: RunSpec, seconds: float) -> float:
    """Mean of some steps; of very long ones two are enough."""
    tally = Tally(len(data.train), len(data.classes))
    times: list[float] = []
    since = begun = time.perf_counter()
    for item in fit(phase, phase.begin(), tally, at=(index, 0, 0), seed=spec.seed):
        if isinstance(item, Stepped):
            times.append(time.perf_counter() - since)
            since = time.perf_counter()
            spent = since - begun
            if spent > seconds and (len(times) > 3 or (spent > 4 * seconds and len(times) > 1)):
                break
    return fmean(times[2:] or times[1:] or times)


def _measuring_seconds(
    spec: RunSpec, data: DataSet, method: Method, plan: tuple[Phase, ...], device: torch.device
) -> float:
    """Of the student: before the first step, after every so many epochs, and at the end."""
    student = method.nets["student"]
    seconds, net_seconds = 0.0, 0.0
    for phase in plan:
        if not phase.is_measured:
            continue
        net_seconds = _pass_seconds(student, data.validation, data, device)
        batches = _ForAWhile(data.validation, data, device)
        begun = time.perf_counter()
        if method.figures(phase.name, student, batches):
            extra = (time.perf_counter() - begun) * len(data.validation) / batches.seen
        else:
            extra = 0.0
        times = -(-phase.epochs // spec.evaluate_every)
        seconds += times * (net_seconds + extra)
    tested = len(data.test) if data.test is not None else 0
    return seconds + net_seconds * (1 + tested / max(len(data.validation), 1))


def _pass_seconds(net: StagedNet, split: Split, data: DataSet, device: torch.device) -> float:
    """For all images of a split, as the first of them tell."""
    batches = _ForAWhile(split, data, device)
    begun = time.perf_counter()
    if data.task == "segment":
        segmentation_figures(net, batches, len(data.classes))
    else:
        classification_figures(net, batches)
    return (time.perf_counter() - begun) * len(split) / batches.seen


class _ForAWhile(Iterable[Batch]):
    """The first batches of a split, as many as are drawn in PASS_SECONDS; one at least.

    seen: how many images these were.
    """

    def __init__(self, split: Split, data: DataSet, device: torch.device) -> None:
        self._split, self._data, self._device = split, data, device
        self.seen = 0

    def __iter__(self) -> Iterator[Batch]:
        size = evaluation_batch(self._data)
        begun = time.perf_counter()
        for batch in evaluation_batches(self._split, self._data, batch=size, device=self._device):
            self.seen += len(batch)
            yield batch
            if time.perf_counter() - begun > PASS_SECONDS:
                return
