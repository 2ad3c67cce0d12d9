"""A trained net with all that turns a picture of any size into its answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from engine.class_colours import RGB, class_palette
from engine.data.device_loader import Normalise
from engine.data.file_split import UNREADABLE, fit, look, open_rgb, pixels_of, seen_size
from engine.errors import SpecError, WeightsError
from engine.nets import NETS, StagedNet, build_net
from engine.nets.freeze import freeze
from engine.nets.weights import Fact, load_state, load_weights
from engine.runs.folder import RunFolder, Workspace
from engine.spec import NetChoice, Task

Labels = NDArray[np.uint8]
Size = tuple[int, int]  # width, height
See = Callable[[Tensor], Tensor]

MOST_VIEWS = 65  # of one picture; a picture may be so many times as wide as the net's
SAME = 1.01  # ratio of two shapes below which one is stretched to the other
NEEDED = ("net", "classes", "input_shape", "mean", "std")


class PictureError(Exception):
    """A picture that cannot be used; the text goes on after its name, as in `is damaged`."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file of weights says beside them.

    size: width and height of the net's images; mean, std: per channel, of values from 0 to 1
    """

    net: NetChoice
    classes: tuple[str, ...]
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    palette: tuple[RGB, ...]


@dataclass(frozen=True, slots=True)
class Predictor:
    """A net in evaluation mode, in float32; pictures reach it as in its run's evaluation."""

    net: StagedNet
    facts: Facts
    device: torch.device

    @property
    def task(self) -> Task:
        return "segment" if NETS[self.facts.net.name].facts.get("task") == "segment" else "classify"

    def segment(self, file: Path) -> Labels:
        """(H, W) uint8 class of every pixel of the picture as it is seen.

        Raises:
            PictureError: the picture cannot be used.
        """
        return segment(self._see, file, self.facts.size)

    def rank(self, file: Path, count: int = 5) -> list[tuple[str, float]]:
        """The likeliest classes of a picture with their probabilities, the likeliest first.

        Raises:
            PictureError: the picture cannot be used.
        """
        image = fit(opened(file, self.facts.size), self.facts.size)
        shares = self._see(pixels_of(image)[None]).softmax(dim=1)[0].cpu()
        best = shares.topk(min(count, len(shares)))
        names = (self.facts.classes[label] for label in best.indices.tolist())
        return list(zip(names, best.values.tolist(), strict=True))

    def _see(self, pixels: Tensor) -> Tensor:
        """(B, 3, h, w) uint8 -> (B, classes) or (B, classes, h, w) logits."""
        with torch.inference_mode():
            logits: Tensor = self.net(Normalise(self.facts, self.device)(pixels.to(self.device)))
        return logits.float()


def segment(see: See, file: Path, net_size: Size, size: Size | None = None) -> Labels:
    """(H, W) uint8 class of every pixel of a picture as it is seen.

    The middle of the picture is what an evaluation sees; what it would cut off is seen in
    further views beside it. Logits are resized to the picture (bilinear, corners not aligned).

    Args:
        see: (B, 3, h, w) uint8 images of the net's size -> (B, C, h', w') logits.
        net_size: width and height of the net's images.
        size: width and height of the result, in about the picture's shape; None: the picture's.

    Raises:
        PictureError: the picture cannot be used.
    """
    image = opened(file, net_size)
    wide, tall = size or seen_size(file)
    found = np.zeros((tall, wide), dtype=np.uint8)
    for view in views((wide, tall), net_size):
        left, top, right, bottom = view.box
        logits = see(pixels_of(fit(image, net_size, view.centring))[None])
        found[top:bottom, left:right] = _classes(logits, (bottom - top, right - left))
    return found


def opened(file: Path, net_size: Size) -> Image.Image:
    """A picture as it is seen, in RGB.

    Raises:
        PictureError: it cannot be used.
    """
    if not file.is_file():
        raise PictureError("is not there")
    if fault := look(file).fault:
        raise PictureError(fault)
    try:
        return open_rgb(file, net_size)
    except UNREADABLE:
        raise PictureError("is damaged") from None


def predictor_of(
    name: str, *, weights: str = "", workspace: Workspace, device: torch.device
) -> Predictor:
    """The student of a run, or the net in a file that a run left.

    Args:
        name: the id of a run or its beginning, or the path of a .safetensors file.
        weights: of a run: `last` (which empty text means) or `best`.

    Raises:
        WorkspaceError, WeightsError, SpecError: there is none, or it does not say what it is.
    """
    if name.endswith(".safetensors"):
        if weights:
            raise SpecError(f"weights = {weights} has no effect on a file; leave it out")
        return load_predictor(Path(name).expanduser(), device)
    folder, which = find_run(workspace, name), weights or "last"
    if which not in ("last", "best"):
        raise SpecError(f"weights = {which!r} is not one of last, best")
    file = folder.artefacts / f"student_{which}.safetensors"
    if not file.is_file():
        there = [one for one in ("last", "best") if which != one and _left(folder, one).is_file()]
        hint = f"Take its {there[0]} weights." if there else "Train it to its end first."
        raise WeightsError(f"run {folder.id} has left no {which} weights", hint=hint)
    return load_predictor(file, device)


def find_run(workspace: Workspace, name: str) -> RunFolder:
    """The run of this id, or the only one whose id begins so.

    Raises:
        WorkspaceError: there is none.
        SpecError: several runs begin so.
    """
    found = [run for run in workspace.runs() if name and run.id.startswith(name)]
    if len(found) > 1 and not any(run.id == name for run in found):
        raise SpecError(
            f"several runs begin with {name}: {', '.join(run.id for run in found[:10])}"
        )
    return found[0] if len(found) == 1 else workspace.run(name)


def load_predictor(file: Path, device: torch.device) -> Predictor:
    """The net in a file that a run left.

    Raises:
        WeightsError: no such file, damaged, or it does not say what it is.
        SpecError: its net is unknown here.
    """
    facts = _facts(file, load_state(file)[1])
    wide, tall = facts.size
    net = build_net(
        facts.net.name,
        facts.net.knobs,
        num_classes=len(facts.classes),
        input_shape=(3, tall, wide),
        seed=0,
    )
    load_weights(net, str(file), name=NETS[facts.net.name].name, num_classes=len(facts.classes))
    return Predictor(freeze(net.to(device)), facts, device)


# Views


@dataclass(frozen=True, slots=True)
class View:
    """A part of a picture in the shape of the net's images.

    centring: where it lies, across and down, 0 first, 1 last
    box: left, top, right, bottom in whole pixels of the picture
    """

    centring: tuple[float, float]
    box: tuple[int, int, int, int]


def views(picture: tuple[int, int], size: tuple[int, int]) -> Iterator[View]:
    """The views that cover a picture, the middle one last: where two meet, the later counts.

    Args:
        picture, size: width and height of the picture, and of the net's images.

    Raises:
        PictureError: the picture's shape asks for too many.
    """
    share = picture[0] * size[1] / (picture[1] * size[0])  # how many times as wide as the net's
    along = 0 if share > 1 else 1
    times = max(share, 1 / share)
    if times < SAME:
        yield View((0.5, 0.5), (0, 0, *picture))
        return
    beside = math.ceil((times - 1) / 2 - 1e-9)
    if 2 * beside + 1 > MOST_VIEWS:
        shape, net = ("{} x {}".format(*one) for one in (picture, size))
        raise PictureError(f"is {shape} pixels, of a shape too far from the net's {net}")
    for distance in range(beside, -1, -1):
        for side in (-1, 1) if distance else (1,):
            middle = (times - 1) / 2
            begin = min(max(middle + side * distance, 0.0), times - 1)
            centring, box = [0.5, 0.5], [0, 0, *picture]
            centring[along] = begin / (times - 1)
            box[along] = math.floor(begin / times * picture[along] + 1e-6)
            box[along + 2] = math.ceil((begin + 1) / times * picture[along] - 1e-6)
            yield View((centring[0], centring[1]), (box[0], box[1], box[2], box[3]))


# Small things


def _classes(logits: Tensor, size: tuple[int, int]) -> Labels:
    """(1, C, h, w) -> (H, W) uint8 of the highest logits, resized; one class at a time.

    All classes of a large photograph would not fit into memory at once.
    """
    best = torch.full(size, -torch.inf, device=logits.device)
    found = torch.zeros(size, dtype=torch.uint8, device=logits.device)
    for label in range(logits.shape[1]):
        one = F.interpolate(
            logits[:, label : label + 1], size, mode="bilinear", align_corners=False
        )[0, 0]
        is_higher = one > best
        best = torch.where(is_higher, one, best)
        found.masked_fill_(is_higher, label)
    labels: Labels = found.cpu().numpy()
    return labels


def _left(folder: RunFolder, which: str) -> Path:
    return folder.artefacts / f"student_{which}.safetensors"


def _facts(file: Path, told: dict[str, Fact]) -> Facts:
    lacks = [name for name in NEEDED if name not in told]
    if lacks:
        raise WeightsError(
            f"{file.name} does not say its {', '.join(lacks)}",
            hint="Name a run, or a file that a run left, as student_last.safetensors.",
        )
    text = {name: str(value) for name, value in told.items()}
    try:
        channels, tall, wide = map(int, text["input_shape"].split())
        mean, std = (tuple(map(float, text[name].split())) for name in ("mean", "std"))
        net = NetChoice.model_validate_json(text["net"])
        colours = [tuple(map(int, line.split())) for line in text.get("palette", "").splitlines()]
        if (channels, len(mean), len(std)) != (3, 3, 3) or any(len(c) != 3 for c in colours):
            raise ValueError
    except (ValueError, ValidationError):
        raise WeightsError(f"what {file.name} says of its net cannot be read") from None
    classes = tuple(text["classes"].split("\n"))
    chosen = [(red, green, blue) for red, green, blue in colours]
    return Facts(
        net,
        classes,
        (wide, tall),
        (mean[0], mean[1], mean[2]),
        (std[0], std[1], std[2]),
        # A mask's file keeps the data set's colours, by which others may read it.
        tuple(chosen) if len(chosen) == len(classes) else class_palette((), len(classes)),
    )
