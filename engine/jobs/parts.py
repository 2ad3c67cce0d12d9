"""What the two parts of a student hold.

Weights are those of a run, as [run, position of its checkpoint].
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from engine.assembly import (
    EVALUATION_BATCH,
    make_method,
    make_teacher,
)
from engine.data import Batch, DataSet, Split
from engine.data.device_loader import evaluation_batches
from engine.data.tensor_split import TensorSplit
from engine.distillers import Distiller
from engine.errors import SpecError
from engine.events import At
from engine.jobs.common import (
    CPU,
    PICTURE_SIDE,
    NoBatches,
    Weights,
    known,
    loaded_data,
    png_bytes,
    runs_folder,
    saved,
    small,
    student_of,
)
from engine.measures.active_neurons import LEFT_OUT, active_neurons, loss_gradients
from engine.measures.cka import linear_cka
from engine.measures.flatness import flatness
from engine.measures.part_logits import part_figures, part_logits
from engine.measures.part_maps import part_maps
from engine.measures.parts import Parts, divide
from engine.methods import Method
from engine.methods.split import PartName
from engine.methods.split import Split as ChannelSplit
from engine.nets import StagedNet
from engine.runs.folder import Workspace

PART_IMAGES = 512  # of a split that the parts of a student are told from


PART_PICTURES = 8


PARTS: tuple[PartName, PartName] = ("inherit", "explore")


AMBER = (255, 176, 0)


def part_answers(weights: Weights) -> dict[str, Any]:
    """How often each part alone is right, and says what the teacher says."""
    found = _divided(*known(weights))
    batches = _few(found.data, found.data.validation)
    figures = part_figures(found.student, found.teacher, found.parts, batches)
    return {"images": sum(map(len, batches)), "figures": figures}


def part_pictures(weights: Weights, fails: str) -> dict[str, Any]:
    """Where the teacher, the student and its parts find the class of some images.

    Args:
        fails: which of inherit, explore and both is wrong; a part where both are right. Empty
            for the first images.
    """
    found = _divided(*known(weights))
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
    found = _divided(*known(weights))
    student = student_of(*known(of)) if of else found.student
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
    found = _divided(*known(weights))
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
    run, at = known(weights)
    student, spec = student_of(run, at), Workspace.open().run(run).spec()
    data = loaded_data(spec.data, spec.seed)
    batches = _few(data, data.train)
    (found,) = flatness(student, batches, sigmas=(sigma,), seed=spec.seed)
    is_finite = math.isfinite(found.mean) and math.isfinite(found.std)
    mean, std = (found.mean, found.std) if is_finite else (None, None)
    return {"images": sum(map(len, batches)), "mean": mean, "std": std}


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
    spec, state = saved(run, at)
    data = loaded_data(spec.data, spec.seed)
    student = student_of(run, at)
    teacher = make_teacher(spec, data, runs=runs_folder(), device=CPU)
    method = make_method(
        spec,
        data,
        student,
        teacher.net if teacher else None,
        device=CPU,
        batches=NoBatches(len(data.train)),
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
            "image": base64.b64encode(png_bytes(_strip(images[place], heats[place]))).decode(),
        }
        for place, row in enumerate(batch.index)
    ]


def _strip(image: Tensor, heats: Tensor) -> Image.Image:
    """(3, H, W) uint8 and (4, H, W) from 0 to 1 -> five tiles side by side, clear between."""
    pixels = image.permute(1, 2, 0)
    grey = pixels.float().mean(dim=2, keepdim=True) * 0.6
    heat = heats[..., None] * 0.85
    warm = (grey * (1 - heat) + torch.tensor(AMBER) * heat).to(torch.uint8)
    tiles = [small(Image.fromarray(tile.numpy())) for tile in (pixels, *warm)]
    width, height = tiles[0].size
    gap = PICTURE_SIDE // 16
    strip = Image.new("RGBA", (len(tiles) * (width + gap) - gap, height))
    for place, tile in enumerate(tiles):
        strip.paste(tile, (place * (width + gap), 0))
    return strip
