"""What several jobs need."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from engine.assembly import (
    load_data,
    make_net,
)
from engine.data import Batch, DataSet
from engine.errors import DataError, WeightsError
from engine.events import At
from engine.nets import StagedNet
from engine.nets.reused import reuse_as_stored
from engine.runs.folder import Workspace
from engine.spec import Choice, RunSpec
from engine.training.checkpoint import load_checkpoint

PICTURE_SIDE = 96  # pixels


CPU = torch.device("cpu")


Weights = tuple[str, At]


def loaded_data(choice: Choice, seed: int) -> DataSet:
    """A data set; the last two are kept."""
    return _loaded_data(choice.model_dump_json(), seed)


@lru_cache(maxsize=2)
def _loaded_data(choice: str, seed: int) -> DataSet:
    return load_data(Choice.model_validate_json(choice), seed)


@dataclass(frozen=True, slots=True)
class NoBatches:
    """Stands for training batches where a method is built but never run."""

    samples: int
    steps: int = 1

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter(())


def described(data: DataSet) -> dict[str, Any]:
    return {
        "name": data.name,
        "classes": list(data.classes),
        "input_shape": list(data.input_shape),
        "splits": {name: len(split) for name, split in data.splits.items()},
        "notes": list(data.notes),
    }


def changed(data: DataSet) -> DataError:
    return DataError(
        f"the images of {data.name} have changed since this run.",
        hint="They can be shown again when the data set is as it was.",
    )


def png(image: Any) -> str:
    return base64.b64encode(png_bytes(Image.fromarray(image))).decode()


def png_bytes(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def small(image: Image.Image, side: int = PICTURE_SIDE) -> Image.Image:
    """About `side` pixels: tiny images by whole pixels, so that they stay sharp."""
    longest = max(image.size)
    if longest <= side:
        times = side // longest
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    image.thumbnail((side, side))
    return image


def runs_folder() -> Path:
    return Workspace.open().path / "runs"


@lru_cache(maxsize=4)
def student_of(run: str, at: At) -> StagedNet:
    """The student of a run as it was saved."""
    spec, state = saved(run, at)
    plain = spec.student.model_copy(update={"weights": "none"})
    net = make_net(plain, loaded_data(spec.data, spec.seed), runs=runs_folder(), seed=spec.seed).net
    own = {key: value for key, value in state.items() if key.startswith("student.")}
    state = {key.removeprefix("student."): value for key, value in own.items()}
    reuse_as_stored(net, state)
    net.load_state_dict(state)
    return net.eval()


def saved(run: str, at: At) -> tuple[RunSpec, Mapping[str, Any]]:
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
        raise changed(data)
    return spec, checkpoint.modules


def known(weights: Weights) -> Weights:
    """The same where JSON made lists of tuples."""
    run, (phase, epoch, step) = weights
    return run, (phase, epoch, step)
