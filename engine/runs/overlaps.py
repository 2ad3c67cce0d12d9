"""What a run keeps of each evaluation of a segmenter: overlaps by image, and a few masks."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import WorkspaceError
from engine.events import At
from engine.runs.folder import RunFolder


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """One net on N images of a split with C classes; shares are 0 to 1.

    confusion:  (C, C) pixels of each true class (row) that were said to be of each class
    image_iou:  (N, C) overlap of each class in each image; NaN where the truth lacks it
    image_miou: (N,) its mean over the classes in the truth; NaN where the truth tells nothing
    rows:       (P,) the images whose predicted masks are kept
    masks:      (P, H, W) uint8 predicted classes
    """

    confusion: NDArray[np.int64]
    image_iou: NDArray[np.float64]
    image_miou: NDArray[np.float64]
    rows: NDArray[np.int64]
    masks: NDArray[np.uint8]

    @property
    def iou(self) -> NDArray[np.float64]:
        """(C,) overlap of each class over all images; NaN where nothing is said or true."""
        hits = self.confusion.diagonal().astype(np.float64)
        either = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - hits
        found: NDArray[np.float64] = np.full(len(hits), np.nan)
        np.divide(hits, either, out=found, where=either > 0)
        return found


def read_overlaps(folder: RunFolder, net: str, split: str, at: At) -> Overlaps | None:
    """What a run kept of one evaluation; None where it kept nothing.

    Raises:
        WorkspaceError: the file cannot be read.
    """
    name = f"segmented_{net}_{split}_{'-'.join(str(int(part)) for part in at)}.npz"
    path = folder.artefacts / name.replace(" ", "_")
    try:
        stat = path.stat()
        return _overlaps(path, stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WorkspaceError(f"{path.name} of run {folder.id} cannot be read: {error}") from None


def told_overlaps(
    image_iou: NDArray[np.float64], by_class: NDArray[np.float64], classes: Sequence[str]
) -> dict[str, Any]:
    """Overlaps as JSON can hold them: None where there is no number.

    Args:
        image_iou: (N, C) of each picture; by_class: (C,) of all.
    """
    known = by_class[~np.isnan(by_class)]
    return {
        "images": len(image_iou),
        "classes": list(classes),
        "is_same": True,
        "image_iou": [plain_shares(row) for row in image_iou],
        "class_iou": plain_shares(by_class),
        "miou": float(known.mean()) if len(known) else None,
    }


def plain_shares(values: NDArray[np.float64]) -> list[float | None]:
    """(C,) with None for NaN."""
    return [None if value != value else round(value, 6) for value in values.tolist()]


@lru_cache(maxsize=32)
def _overlaps(path: Path, _changed: int, _size: int) -> Overlaps:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
        stored: dict[str, NDArray[Any]] = {name: tables[name] for name in tables.files}
    found = Overlaps(
        confusion=stored["confusion"].astype(np.int64),
        image_iou=stored["image_iou"].astype(np.float64),
        image_miou=stored["image_miou"].astype(np.float64),
        rows=stored["rows"].astype(np.int64),
        masks=stored["masks"].astype(np.uint8),
    )
    classes = found.confusion.shape[:1]
    fits = (
        found.confusion.shape == classes * 2
        and found.image_iou.shape == found.image_miou.shape + classes
        and found.masks.shape[:1] == found.rows.shape
        and found.masks.ndim == 3
    )
    if not fits:
        raise ValueError("its tables do not belong together")
    return found
