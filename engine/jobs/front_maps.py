"""What the fronts of a teacher and its student make of a few images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.assembly import make_teacher
from engine.data.device_loader import Normalise
from engine.errors import SpecError
from engine.jobs.common import CPU, Weights, known, loaded_data, runs_folder, student_of
from engine.methods.front import gap_ratio
from engine.nets.segmenter import StagedSegmenter
from engine.runs.disk import disk_faults
from engine.runs.folder import Workspace

IMAGES = 4  # of a split
CHANNELS = 8  # those in which the teacher's maps differ most from place to place


def scene_features(weights: Weights) -> dict[str, Any]:
    """Feature maps of the teacher's and the student's front on a few held-out images.

    They are taken at the cut of the run's method, from the weights as they were saved: after the
    imitation all of a student is tuned, so the distance may have grown again.

    Args:
        weights: of a run, as [run, position of its checkpoint].

    Returns:
        {"split", "rows": [...], "cut": name, "size": [h, w], "distance": [R of each image],
        "channels": [...], "path": of an .npz with `teacher` and `student`
        (images, 1 + channels, h, w) float32: first the mean over all channels, then `channels`}

    Raises:
        SpecError: the run has no teacher, or its nets have no common front.
        DataError, WeightsError, WorkspaceError: what it needs is not as it was.
    """
    run, at = known(weights)
    folder = Workspace.open().run(run)
    spec = folder.spec()
    student, data = student_of(run, at), loaded_data(spec.data, spec.seed)
    teacher = make_teacher(spec, data, runs=runs_folder(), device=CPU)
    if teacher is None or not isinstance(student, StagedSegmenter):
        raise SpecError("there are no feature maps to compare: this run has no teacher")
    cut = str(spec.method.knobs.get("cut") or student.front)
    split = "test" if data.test is not None else "validation"
    part = data.splits[split]
    count = min(IMAGES, len(part))
    rows = torch.tensor([place * len(part) // count for place in range(count)])
    image = Normalise(data, CPU)(part.images(rows))
    with torch.no_grad():
        theirs, ours = (net.resume(image, after=None, until=cut) for net in (teacher.net, student))
    if theirs.shape != ours.shape:
        raise SpecError(f"at {cut} the maps of teacher and student have different shapes")
    spread = theirs.std(dim=(0, 2, 3))
    channels = spread.argsort(descending=True)[:CHANNELS].sort().values
    path = folder.artefacts / f"front_maps_{'-'.join(map(str, at))}.npz"
    temporary = path.with_suffix(".tmp.npz")
    with disk_faults(path):
        np.savez_compressed(
            temporary, teacher=_told(theirs, channels), student=_told(ours, channels)
        )
        temporary.replace(path)
    return {
        "split": split,
        "rows": rows.tolist(),
        "cut": cut,
        "size": list(theirs.shape[2:]),
        "distance": [float(gap_ratio(*pair)) for pair in zip(ours, theirs, strict=True)],
        "channels": channels.tolist(),
        "path": str(path),
    }


def _told(maps: Tensor, channels: Tensor) -> NDArray[np.float32]:
    """(B, C, h, w) -> (B, 1 + channels, h, w) the mean over all channels, then the chosen ones."""
    told = torch.cat([maps.mean(dim=1, keepdim=True), maps[:, channels]], dim=1)
    found: NDArray[np.float32] = told.float().numpy()
    return found
