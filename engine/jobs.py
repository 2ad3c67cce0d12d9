"""Short work that needs torch and is no run: plain data in, plain data out."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from PIL import Image

from engine.assembly import (
    EVALUATION_BATCH,
    check_parts,
    load_data,
    located,
    make_method,
    make_net,
    make_teacher,
    weights_source,
)
from engine.data import DATASETS, Batch, DataSet
from engine.data.data_root import named_folders
from engine.data.device_loader import evaluation_batches
from engine.distillers import DISTILLERS
from engine.errors import DataError, DistillError, SpecError, WeightsError
from engine.events import CostMeasured
from engine.measures.accuracy import classification_figures
from engine.measures.cost import measure_cost
from engine.methods import METHODS, POLICIES, Method
from engine.nets import NETS, StagedNet, build_net
from engine.nets.weights import compare, guess_net, load_state
from engine.registry import Registry
from engine.runs.disk import disk_faults, replace_file
from engine.runs.folder import Workspace
from engine.spec import Choice, NetChoice, RunSpec, read_spec
from engine.training.loop import Stepped, fit
from engine.training.tally import Tally

ESTIMATE_SECONDS = 4.0
PICTURE_SIDE = 96  # pixels
REGISTRIES: Mapping[str, Registry[Any]] = {
    "nets": NETS,
    "datasets": DATASETS,
    "distillers": DISTILLERS,
    "methods": METHODS,
    "policies": POLICIES,
}


def catalogue() -> dict[str, Any]:
    """Every registered part as plain data."""
    return {kind: [entry.describe() for entry in found] for kind, found in REGISTRIES.items()}


def folders() -> list[dict[str, Any]]:
    """The data sets found below DISTILL_DATA."""
    return named_folders()


def check(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a spec can run: what is wrong with it and where, what it costs, where it teaches."""
    errors: list[dict[str, str]] = []
    found: dict[str, Any] = {"errors": errors, "warnings": [], "spots": [], "costs": {}, "data": {}}
    try:
        read = read_spec(spec)
        check_parts(read)
        data = loaded_data(read.data, read.seed)
        found["data"] = _described(data)
        found["costs"] = {
            role: cost_of(net, len(data.classes), data.input_shape).model_dump()
            for role, net in (("teacher", read.teacher), ("student", read.student))
            if net is not None
        }
        method = drafted(read, data)
        found["spots"] = [{"name": name} for name in method.spots]
        found["warnings"] = _warnings(read, data, method, found["costs"])
        check_weights(read, data)
    except DistillError as error:
        errors.append({"where": error.where, "message": str(error)})
    return found


def pairs(spec: Mapping[str, Any]) -> dict[str, str]:
    """For every listed net: why it cannot be the student of this spec, or nothing."""
    read = read_spec(spec)
    data = loaded_data(read.data, read.seed)
    reasons = {}
    for entry in NETS:
        try:
            drafted(read.model_copy(update={"student": NetChoice(name=entry.name)}), data)
            reasons[entry.name] = ""
        except DistillError as error:
            reasons[entry.name] = error.message
    return reasons


def estimate(spec: Mapping[str, Any]) -> dict[str, Any]:
    """How long a run takes, from a few seconds of its real steps and one evaluation."""
    read = read_spec(spec)
    data = loaded_data(read.data, read.seed)
    device = torch.device("cuda" if read.device != "cpu" and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(read.threads or len(os.sched_getaffinity(0)))
    teacher = make_teacher(read, data, runs=_runs(), device=device)
    student = make_net(read.student, data, runs=_runs(), seed=read.seed).net.to(device)
    net = teacher.net if teacher else None
    method = make_method(read, data, student, net, device=device)
    plan = method.plan()
    begun = time.perf_counter()
    batches = evaluation_batches(data.validation, data, batch=EVALUATION_BATCH, device=device)
    classification_figures(student, batches)
    evaluation = time.perf_counter() - begun
    steps = {}
    for index, phase in enumerate(plan):
        tally = Tally(len(data.train), len(data.classes))
        times = []
        since = begun = time.perf_counter()
        for item in fit(phase, phase.begin(), tally, at=(index, 0, 0), seed=read.seed):
            if isinstance(item, Stepped):
                times.append(time.perf_counter() - since)
                since = time.perf_counter()
                if since - begun > ESTIMATE_SECONDS / len(plan) and len(times) > 3:
                    break
        steps[phase.name] = fmean(times[2:] or times)
    torch.set_num_threads(1)
    seconds = sum(one.epochs * one.data.steps * steps[one.name] for one in plan)
    measured = sum(one.epochs // read.evaluate_every for one in plan if one.is_measured)
    return {
        "step_seconds": steps[plan[-1].name],
        "seconds": seconds + measured * evaluation,
        "steps": sum(one.epochs * one.data.steps for one in plan),
        "memory_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else 0,
        "disk_bytes": 4 * sum(p.numel() * p.element_size() for p in method.modules.parameters()),
        "device": device.type,
    }


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
        state, facts = load_state(Path(weights_source(teacher, _runs())))
        guess = guess_net(state)
        if guess and guess[0] == NETS[teacher.name].name:
            teacher = teacher.model_copy(update={"knobs": {**guess[1], **teacher.knobs}})
        with torch.device("meta"):
            net = NETS[teacher.name].make(len(data.classes), data.input_shape, knobs=teacher.knobs)
        report = compare(net, state, name=NETS[teacher.name].name)
        rows = [asdict(row) for row in report.rows]
    with located("teacher.weights"):
        loaded = make_net(teacher, data, runs=_runs(), seed=seed)
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


def samples(data: Mapping[str, Any]) -> dict[str, Any]:
    """Eight training images with their classes, one a class as far as there are classes."""
    found = loaded_data(Choice.model_validate(data), 0)
    targets = found.train.targets
    rows = [int((targets == label).nonzero()[0]) for label in sorted(set(targets.tolist()))[:8]]
    rows += [row for row in range(len(targets)) if row not in rows][: 8 - len(rows)]
    images = found.train.images(torch.tensor(rows)).permute(0, 2, 3, 1).numpy()
    counts = torch.bincount(targets, minlength=len(found.classes)).tolist()
    return {
        "images": [_png(image) for image in images],
        "labels": [found.classes[int(targets[row])] for row in rows],
        "counts": dict(zip(found.classes, counts, strict=True)),
        **_described(found),
    }


def pictures(
    data: Mapping[str, Any], seed: int, rows: Sequence[int], fingerprint: str
) -> dict[str, str]:
    """Small pictures of training images, kept as files: row -> path.

    Args:
        data, seed: those of the run that the rows come from.
        rows: in the training split.
        fingerprint: of the data set that the run saw; empty where it is not known.

    Raises:
        DataError: the data set has changed since, so the rows may mean other images.
    """
    found = loaded_data(Choice.model_validate(data), seed)
    known = range(len(found.train))
    if fingerprint not in ("", found.fingerprint) or not all(row in known for row in rows):
        raise DataError(
            f"the images of {found.name} have changed since this run.",
            hint="They can be shown again when the data set is as it was.",
        )
    folder = Workspace.open().path / "pictures" / _name_of(data, seed, found.fingerprint)
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = {row: folder / f"{row}.png" for row in rows}
    missing = [row for row, path in paths.items() if not path.exists()]
    if missing:
        images = found.train.images(torch.tensor(missing)).permute(0, 2, 3, 1).numpy()
        for row, image in zip(missing, images, strict=True):
            replace_file(paths[row], _png_bytes(_small(Image.fromarray(image))), is_lasting=False)
    return {str(row): str(path) for row, path in paths.items()}


def cost(net: Mapping[str, Any], num_classes: int, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """What a net costs, without latency."""
    tall, wide = input_shape[1:]
    return cost_of(NetChoice.model_validate(net), num_classes, (3, tall, wide)).model_dump()


KINDS: Mapping[str, Callable[..., Any]] = {
    job.__name__: job
    for job in (catalogue, folders, check, pairs, estimate, teacher_check, samples, pictures, cost)
}


def serve_jobs() -> None:
    """The job process: JSON lines on stdin, one answer a line on stdout, until stdin ends."""
    os.nice(10)
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a stray print must not look like an answer
    for line in sys.stdin:
        asked = json.loads(line)
        answers.write(json.dumps(_answer(asked["kind"], asked["params"])) + "\n")
        answers.flush()


def _answer(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"value": KINDS[kind](**params)}
    except DistillError as error:
        return {"message": error.message, "hint": error.hint, "where": error.where}
    except Exception as error:  # the process serves other questions after this one
        text = f"{type(error).__name__}: {error}"
        return {"message": text, "hint": "", "where": ""}


# What several jobs need


def loaded_data(choice: Choice, seed: int) -> DataSet:
    """A data set; the last two are kept."""
    return _loaded_data(choice.model_dump_json(), seed)


@lru_cache(maxsize=2)
def _loaded_data(choice: str, seed: int) -> DataSet:
    return load_data(Choice.model_validate_json(choice), seed)


def cost_of(net: NetChoice, num_classes: int, input_shape: tuple[int, int, int]) -> CostMeasured:
    """What a net costs, without latency; remembered."""
    plain = net.model_copy(update={"weights": "none"})
    return _cost_of(plain.model_dump_json(), num_classes, input_shape)


@lru_cache(maxsize=256)
def _cost_of(net: str, num_classes: int, input_shape: tuple[int, int, int]) -> CostMeasured:
    choice = NetChoice.model_validate_json(net)
    built = build_net(
        choice.name, choice.knobs, num_classes=num_classes, input_shape=input_shape, seed=0
    )
    device = torch.device("cpu")
    return measure_cost(built, role="", name=choice.name, device=device, with_latency=False)


@dataclass(frozen=True, slots=True)
class _NoBatches:
    """Stands for training batches where a method is built but never run."""

    samples: int
    steps: int = 1

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter(())


def drafted(spec: RunSpec, data: DataSet) -> Method:
    """The method of a spec, built on the meta device: no memory, no arithmetic.

    Raises:
        SpecError: this pair cannot be distilled this way.
    """

    def built(choice: NetChoice) -> StagedNet:
        return build_net(
            choice.name,
            choice.knobs,
            num_classes=len(data.classes),
            input_shape=data.input_shape,
        )

    with torch.device("meta"):
        with located("student"):
            student = built(spec.student)
        with located("teacher"):
            teacher = built(spec.teacher) if spec.teacher else None
        return make_method(
            spec,
            data,
            student,
            teacher,
            device=torch.device("meta"),
            batches=_NoBatches(len(data.train)),
        )


def check_weights(spec: RunSpec, data: DataSet) -> None:
    """Whether the weights of a spec's nets are there and fit.

    Raises:
        WeightsError: with the setting in `where`.
    """
    for part, choice in (("teacher", spec.teacher), ("student", spec.student)):
        if choice is None:
            continue
        with located(f"{part}.weights"):
            if part == "teacher" and choice.weights == "none":
                raise WeightsError("the teacher has no weights", hint="Give a file or train it.")
            if choice.weights != "none":
                make_net(choice, data, runs=_runs(), seed=spec.seed)


def _warnings(
    spec: RunSpec, data: DataSet, method: Method, costs: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, str]]:
    found = [
        (f"method.knobs.{knob}", f"{knob} has no effect here: {method.idle_knobs[knob]}.")
        for knob in spec.method.knobs
        if knob in method.idle_knobs
    ]
    if "teacher" in costs:
        teacher, student = (costs[role]["multiply_adds"] for role in ("teacher", "student"))
        if student >= teacher:
            found.append(("student.name", "The student costs as much as the teacher, or more."))
    if spec.device == "cuda" and not torch.cuda.is_available():
        found.append(("device", "This machine has no usable GPU; choose cpu or auto."))
    if spec.schedule.batch > len(data.train):
        found.append(("schedule.batch", "The batch is larger than the training set."))
    return [{"where": where, "message": message} for where, message in found]


def _described(data: DataSet) -> dict[str, Any]:
    return {
        "name": data.name,
        "classes": list(data.classes),
        "input_shape": list(data.input_shape),
        "splits": {name: len(split) for name, split in data.splits.items()},
        "notes": list(data.notes),
    }


def _png(image: Any) -> str:
    return base64.b64encode(_png_bytes(Image.fromarray(image))).decode()


def _png_bytes(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _small(image: Image.Image) -> Image.Image:
    """About PICTURE_SIDE pixels: tiny images by whole pixels, so that they stay sharp."""
    longest = max(image.size)
    if longest <= PICTURE_SIDE:
        times = PICTURE_SIDE // longest
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return image


def _name_of(data: Mapping[str, Any], seed: int, fingerprint: str) -> str:
    """16 hex digits for one data set as one run divides it."""
    text = json.dumps([data, seed, fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _runs() -> Path:
    return Workspace.open().path / "runs"
