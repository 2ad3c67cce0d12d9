"""Short work that needs torch and is no run: plain data in, plain data out."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

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
from engine.data import DATASETS, Batch, DataSet, Split
from engine.data.data_root import named_folders
from engine.data.device_loader import evaluation_batches
from engine.data.tensor_split import TensorSplit
from engine.distillers import DISTILLERS, Distiller
from engine.errors import DataError, DistillError, SpecError, WeightsError
from engine.events import At, CostMeasured
from engine.measures.accuracy import classification_figures
from engine.measures.active_neurons import LEFT_OUT, active_neurons, loss_gradients
from engine.measures.cka import linear_cka
from engine.measures.cost import measure_cost
from engine.measures.flatness import flatness
from engine.measures.part_logits import part_figures, part_logits
from engine.measures.part_maps import part_maps
from engine.measures.parts import Parts, divide
from engine.methods import METHODS, POLICIES, Method
from engine.methods.split import PartName
from engine.methods.split import Split as ChannelSplit
from engine.nets import NETS, StagedNet, build_net
from engine.nets.weights import compare, guess_net, load_state
from engine.registry import Registry
from engine.runs.disk import disk_faults, replace_file
from engine.runs.folder import Workspace
from engine.spec import Choice, NetChoice, RunSpec, read_spec
from engine.training.checkpoint import load_checkpoint
from engine.training.loop import Stepped, fit
from engine.training.tally import Tally

ESTIMATE_SECONDS = 4.0
PICTURE_SIDE = 96  # pixels
PART_IMAGES = 512  # of a split that the parts of a student are told from
PART_PICTURES = 8
PARTS: tuple[PartName, PartName] = ("inherit", "explore")
AMBER = (255, 176, 0)
CPU = torch.device("cpu")
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
        raise _changed(found)
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


# What the two parts of a student hold. Weights are those of a run, as [run, position of its
# checkpoint].

Weights = tuple[str, At]


def part_answers(weights: Weights) -> dict[str, Any]:
    """How often each part alone is right, and says what the teacher says."""
    found = _divided(*_known(weights))
    batches = _few(found.data, found.data.validation)
    figures = part_figures(found.student, found.teacher, found.parts, batches)
    return {"images": sum(map(len, batches)), "figures": figures}


def part_pictures(weights: Weights, fails: str) -> dict[str, Any]:
    """Where the teacher, the student and its parts find the class of some images.

    Args:
        fails: which of inherit, explore and both is wrong; a part where both are right. Empty
            for the first images.
    """
    found = _divided(*_known(weights))
    shown: list[dict[str, Any]] = []
    count = 0
    for batch in _few(found.data, found.data.validation):
        said = _said(found, batch, by_parts=bool(fails))
        wrong = {name: answer != batch.target for name, answer in said.items()}
        chosen = torch.ones_like(batch.target, dtype=torch.bool)
        if fails:
            chosen = wrong[fails] if fails == "both" else wrong[fails] & ~wrong["both"]
        rows = chosen.nonzero()[:, 0]
        count += len(rows)
        rows = rows[: PART_PICTURES - len(shown)]
        answers = {name: answer[rows] for name, answer in said.items()}
        shown += _strips(found, batch.select(rows), answers)
    return {"images": count, "shown": shown}


def part_likeness(weights: Weights, of: Weights | None = None) -> dict[str, Any]:
    """Linear CKA between the teacher's last map and the parts of the student's; and of codes.

    Args:
        of: weights of another run, whose student is divided by the same channels.
    """
    found = _divided(*_known(weights))
    student = _student(*_known(of)) if of else found.student
    has_codes = of is None and all(coder.learning() for coder in found.coders)
    batches = _few(found.data, found.data.validation)
    raw, codes = [], []
    with torch.no_grad():
        for batch in batches:
            ours, theirs = (net.trace(batch.image, inside=True) for net in (student, found.teacher))
            halves = found.parts.of(ours[found.parts.tap])
            raw.append((theirs[found.teacher.last_map], *halves))
            if has_codes:
                inherit, explore = (
                    coder.project(found.split.see(part, ours), theirs)[-1]
                    for part, coder in zip(PARTS, found.coders, strict=True)
                )
                codes.append((inherit.teacher, inherit.student, explore.student))
    return {
        "images": sum(map(len, batches)),
        "raw": _likeness(raw),
        "codes": _likeness(codes) if codes else {},
    }


def part_neurons(weights: Weights) -> dict[str, Any]:
    """How many directions of the teacher's map, and of each part, the loss depends on."""
    found = _divided(*_known(weights))
    batches = _few(found.data, found.data.validation)
    teacher = loss_gradients(found.teacher, found.teacher.last_map, batches)
    halves = found.parts.of(loss_gradients(found.student, found.parts.tap, batches))
    gradients = dict(zip(("teacher", *PARTS), (teacher, *halves), strict=True))
    return {
        "images": len(teacher),
        "left_out": LEFT_OUT,
        "counts": {name: active_neurons(gradient) for name, gradient in gradients.items()},
        "sizes": {name: gradient[0].numel() for name, gradient in gradients.items()},
    }


def student_flatness(weights: Weights, sigma: float) -> dict[str, Any]:
    """The loss of a run's student on training images when its weights are disturbed.

    mean and std are None where the loss overflows.
    """
    run, at = _known(weights)
    student, spec = _student(run, at), Workspace.open().run(run).spec()
    data = loaded_data(spec.data, spec.seed)
    batches = _few(data, data.train)
    (found,) = flatness(student, batches, sigmas=(sigma,), seed=spec.seed)
    is_finite = math.isfinite(found.mean) and math.isfinite(found.std)
    mean, std = (found.mean, found.std) if is_finite else (None, None)
    return {"images": sum(map(len, batches)), "mean": mean, "std": std}


KINDS: Mapping[str, Callable[..., Any]] = {
    job.__name__: job
    for job in (
        *(catalogue, folders, check, pairs, estimate, teacher_check, samples, pictures, cost),
        *(part_answers, part_pictures, part_likeness, part_neurons, student_flatness),
    )
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


@dataclass(frozen=True, slots=True)
class _Divided:
    """A saved student in two parts, and the net that it learnt from; on the CPU.

    parts:  at the student's last map, or where it was split if other layers mix its channels
    coders: what measured its parts, inherit and explore
    """

    data: DataSet
    student: StagedNet
    teacher: StagedNet
    split: ChannelSplit
    coders: tuple[Distiller, Distiller]
    parts: Parts


@lru_cache(maxsize=2)
def _divided(run: str, at: At) -> _Divided:
    """The student of a run as it was saved, with all that told its parts.

    Raises:
        SpecError: it has no two parts.
        DataError, WeightsError, WorkspaceError: what it needs is not as it was.
    """
    spec, state = _saved(run, at)
    data = loaded_data(spec.data, spec.seed)
    student = _student(run, at)
    teacher = make_teacher(spec, data, runs=_runs(), device=CPU)
    method = make_method(
        spec,
        data,
        student,
        teacher.net if teacher else None,
        device=CPU,
        batches=_NoBatches(len(data.train)),
    )
    method.modules.load_state_dict(state)
    method.modules.eval()
    match _splitting(method):
        case [ChannelSplit() as split, Distiller() as inherit, Distiller() as explore]:
            parts = _parts(student, split, inherit.spots[-1].student)
        case _:
            raise SpecError("this student has no two parts to compare")
    nets = [teacher.net] if teacher else [net for net in method.nets.values() if net is not student]
    return _Divided(data, student, nets[0], split, (inherit, explore), parts)


def _splitting(method: Method) -> list[nn.Module]:
    """What splits the student of a method, and what measures its parts; nothing for most."""
    held = method.modules
    if "student codes" in held:
        return [*held["student codes"].children()]
    return [held[name] for name in ("split", "inherit", "explore") if name in held]


def _parts(student: StagedNet, split: ChannelSplit, tap: str) -> Parts:
    """The channels at the last map, where all that lies between keeps channels apart."""
    after, head = (divide(student, name)[1] for name in (tap, student.last_map))
    between = [one for one in after[: len(after) - len(head)].modules() if not [*one.children()]]
    keeps = all(isinstance(one, nn.BatchNorm2d | nn.ReLU | nn.Identity) for one in between)
    inherit, explore = (split.channels(part, tap) for part in PARTS)
    return Parts(student.last_map if keeps else tap, inherit, explore)


@lru_cache(maxsize=4)
def _student(run: str, at: At) -> StagedNet:
    """The student of a run as it was saved."""
    spec, state = _saved(run, at)
    plain = spec.student.model_copy(update={"weights": "none"})
    net = make_net(plain, loaded_data(spec.data, spec.seed), runs=_runs(), seed=spec.seed).net
    own = {key: value for key, value in state.items() if key.startswith("student.")}
    net.load_state_dict({key.removeprefix("student."): value for key, value in own.items()})
    return net.eval()


def _saved(run: str, at: At) -> tuple[RunSpec, Mapping[str, Any]]:
    """The spec of a run, and the modules of its checkpoint at a position.

    Raises:
        WeightsError: it has saved others since.
        DataError: its images are not what they were.
    """
    folder = Workspace.open().run(run)
    spec, checkpoint = folder.spec(), load_checkpoint(folder.checkpoints / "last.pt")
    if checkpoint.position != at:
        raise WeightsError("this run has saved newer weights since.", hint="Measure those.")
    data = loaded_data(spec.data, spec.seed)
    if folder.environment().get("data set", "") not in ("", data.fingerprint):
        raise _changed(data)
    return spec, checkpoint.modules


def _known(weights: Weights) -> Weights:
    """The same where JSON made lists of tuples."""
    run, (phase, epoch, step) = weights
    return run, (phase, epoch, step)


def _few(data: DataSet, split: Split) -> list[Batch]:
    """Some images, spread evenly over a split, as they are."""
    rows = torch.linspace(0, len(split) - 1, min(PART_IMAGES, len(split))).round().long()
    few = TensorSplit(split.images(rows), split.targets[rows])
    batches = evaluation_batches(few, data, batch=EVALUATION_BATCH, device=CPU)
    return [replace(batch, index=rows[batch.index]) for batch in batches]


def _likeness(told: Sequence[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float | None]:
    """Linear CKA of each two of (teacher, inherit, explore), given by batches; None: undefined."""
    teacher, inherit, explore = (_compact(torch.cat(maps)) for maps in zip(*told, strict=True))
    pairs = {
        "teacher, inherit": (teacher, inherit),
        "teacher, explore": (teacher, explore),
        "inherit, explore": (inherit, explore),
    }
    values = {name: float(linear_cka(*pair)) for name, pair in pairs.items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _compact(feature: Tensor) -> Tensor:
    """(N, ...) -> (N, N) turned into as few columns as there are samples: CKA stays as it is."""
    rows = feature.double().flatten(1)
    rows = rows - rows.mean(dim=0)
    energy, direction = torch.linalg.eigh(rows @ rows.T)
    columns: Tensor = direction * energy.clamp(min=0).sqrt()
    return columns


def _said(found: _Divided, batch: Batch, *, by_parts: bool) -> dict[str, Tensor]:
    """(B,) the class that the teacher, the student and, where asked, its parts name."""
    with torch.no_grad():
        said = {"teacher": found.teacher(batch.image), "both": found.student(batch.image)}
    if by_parts:
        said |= part_logits(found.student, found.parts, batch.image).alone()
    return {name: logits.argmax(dim=1) for name, logits in said.items()}


def _strips(found: _Divided, batch: Batch, said: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Of each image one picture of five tiles: itself, teacher, whole student, its two parts."""
    if not len(batch):
        return []
    maps = part_maps(found.student, found.teacher, found.parts, batch.image, batch.target)
    heats = torch.stack([maps.teacher, maps.whole, maps.inherit, maps.explore], dim=1)
    images = found.data.validation.images(batch.index)
    classes = found.data.classes
    return [
        {
            "row": int(row),
            "label": classes[int(batch.target[place])],
            "said": {name: classes[int(answer[place])] for name, answer in said.items()},
            "image": base64.b64encode(_png_bytes(_strip(images[place], heats[place]))).decode(),
        }
        for place, row in enumerate(batch.index)
    ]


def _strip(image: Tensor, heats: Tensor) -> Image.Image:
    """(3, H, W) uint8 and (4, H, W) from 0 to 1 -> five tiles side by side, clear between."""
    pixels = image.permute(1, 2, 0)
    grey = pixels.float().mean(dim=2, keepdim=True) * 0.6
    heat = heats[..., None] * 0.85
    warm = (grey * (1 - heat) + torch.tensor(AMBER) * heat).to(torch.uint8)
    tiles = [_small(Image.fromarray(tile.numpy())) for tile in (pixels, *warm)]
    width, height = tiles[0].size
    gap = PICTURE_SIDE // 16
    strip = Image.new("RGBA", (len(tiles) * (width + gap) - gap, height))
    for place, tile in enumerate(tiles):
        strip.paste(tile, (place * (width + gap), 0))
    return strip


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


def _changed(data: DataSet) -> DataError:
    return DataError(
        f"the images of {data.name} have changed since this run.",
        hint="They can be shown again when the data set is as it was.",
    )


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
