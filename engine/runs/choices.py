"""What a policy chose for each training image, as a run keeps it at each epoch's end."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import WorkspaceError
from engine.runs.folder import RunFolder


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """One row for each of N training images, one column for each of S spots.

    label:       (N,) class id, -1 where the image was not visited in the last whole epoch
    kept:        (N, S) bool, distilled at its last visit
    probability: (N, S) P(distil) at its last visit, 0 to 1
    gap:         (N,) cross-entropy of the student minus the teacher's at its last visit, in
                 nats; None in files of older runs
    mean:        (N, S) mean P(distil) over all epochs so far; None in files of older runs
    """

    label: NDArray[np.int64]
    kept: NDArray[np.bool_]
    probability: NDArray[np.float32]
    gap: NDArray[np.float32] | None
    mean: NDArray[np.float32] | None


def read_choices(folder: RunFolder) -> Choices | None:
    """The choices of a run; None where it keeps none, or none yet.

    Raises:
        WorkspaceError: the file cannot be read.
    """
    path = folder.artefacts / "spots.npz"
    try:
        stat = path.stat()
        return _choices(path, stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WorkspaceError(f"spots.npz of run {folder.id} cannot be read: {error}") from None


@lru_cache(maxsize=2)
def _choices(path: Path, _changed: int, _size: int) -> Choices:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
        stored: dict[str, NDArray[Any]] = {name: tables[name] for name in tables.files}
    label, kept, probability = stored["label"], stored["kept"], stored["probability"]
    gap, mean = stored.get("gap"), stored.get("mean")
    images, spots = label.shape[:1], kept.shape[1:]
    for table, shape in ((probability, images + spots), (gap, images), (mean, images + spots)):
        if kept.ndim != 2 or (table is not None and table.shape != shape):
            raise ValueError("its tables do not belong together")
    return Choices(
        label=label.astype(np.int64),
        kept=kept.astype(np.bool_),
        probability=probability.astype(np.float32) / np.float32(255),
        gap=None if gap is None else gap.astype(np.float32),
        mean=None if mean is None else mean.astype(np.float32),
    )
