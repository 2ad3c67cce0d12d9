"""The segmenters of runs as they were saved, to be shown on pictures of one run's data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from engine.assembly import make_net, make_teacher
from engine.data import DataSet
from engine.data.device_loader import Normalise
from engine.errors import SpecError, WeightsError
from engine.events import At
from engine.jobs.common import CPU, changed, loaded_data, runs_folder, student_of
from engine.nets import StagedNet
from engine.runs.answers import saved_at
from engine.runs.folder import Workspace
from engine.spec import RunSpec


class SavedNet(NamedTuple):
    """One net of a run.

    at: where the student was saved; of a teacher (0, 0, 0)
    """

    run: str
    net: Literal["student", "teacher"]
    at: At

    @property
    def slug(self) -> str:
        """For a folder's name."""
        return f"{self.run}.{self.net}.{'-'.join(map(str, self.at))}"


@dataclass(frozen=True, slots=True, eq=False)
class Segmenter:
    """A net that segments, on the CPU.

    classes: what it tells apart; is_same: these are the data set's
    """

    net: StagedNet
    data: DataSet
    classes: tuple[str, ...]
    is_same: bool

    def see(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 images -> (B, classes, H, W) logits."""
        with torch.no_grad():
            logits: Tensor = self.net(Normalise(self.data, CPU)(pixels))
            return logits

    def masks(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 images -> (B, H, W) uint8 classes."""
        return self.see(pixels).argmax(dim=1).to(torch.uint8)


def known_net(plain: Sequence[Any]) -> SavedNet:
    """The same where JSON made lists of tuples."""
    run, net, (phase, epoch, step) = plain
    return SavedNet(run, net, (phase, epoch, step))


def data_of(run: str) -> DataSet:
    """The data set of a run.

    Raises:
        DataError: its images are not what they were.
        SpecError: they are not segmented.
    """
    folder = Workspace.open().run(run)
    spec = folder.spec()
    if spec.task != "segment":
        raise SpecError(f"run {run} segments nothing")
    data = loaded_data(spec.data, spec.seed)
    if folder.environment().get("data set", "") not in ("", data.fingerprint):
        raise changed(data)
    return data


@lru_cache(maxsize=4)
def segmenter(saved: SavedNet, shown: str) -> Segmenter:
    """A net of a run in evaluation mode.

    Args:
        shown: the run whose pictures it will see.

    Raises:
        DataError, SpecError, WeightsError, WorkspaceError: it is not as it was, or cannot be.
    """
    data, folder = data_of(shown), Workspace.open().run(saved.run)
    spec = folder.spec()
    if saved.net == "teacher":
        return _teacher(spec, data)
    told = folder.environment().get("classes", list(data.classes))
    if list(told) != list(data.classes):
        raise WeightsError(
            f"the student of run {saved.run} knows other classes than the pictures of run {shown}."
        )
    for which in ("best", "last"):
        path = folder.artefacts / f"student_{which}.safetensors"
        if saved_at(path) == saved.at:
            choice = spec.student.model_copy(update={"weights": str(path)})
            net = make_net(choice, data, runs=runs_folder(), seed=spec.seed).net
            return Segmenter(net.eval(), data, data.classes, True)
    return Segmenter(student_of(saved.run, saved.at), data, data.classes, True)


def _teacher(spec: RunSpec, data: DataSet) -> Segmenter:
    loaded = make_teacher(spec, data, runs=runs_folder(), device=CPU)
    if loaded is None:
        raise SpecError("this run has no teacher")
    if loaded.knows(data):
        return Segmenter(loaded.net.eval(), data, data.classes, True)
    report = loaded.report
    count = report.num_classes if report else len(data.classes)
    named = str(report.facts.get("classes", "")).split("\n") if report else []
    numbered = tuple(f"class {label}" for label in range(count))
    classes = tuple(named) if len(named) == count else numbered
    return Segmenter(loaded.net.eval(), data, classes, False)
