"""What segmenters say about pictures: masks as files, and how well they fit."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.assembly import evaluation_batch
from engine.data import DataSet, Split
from engine.data.batch import MaskedSplit
from engine.data.device_loader import evaluation_batches
from engine.errors import DataError, SpecError
from engine.jobs.common import CPU, png_bytes
from engine.jobs.look_nets import SavedNet, Segmenter, data_of, known_net, segmenter
from engine.measures.segmentation import confusion_matrices, iou, iou_of_present
from engine.measures.segmenter_figures import segmented
from engine.runs.disk import disk_faults, replace_file
from engine.runs.folder import Workspace
from engine.runs.overlaps import plain_shares, told_overlaps

MOST_ROWS = 64  # of one question
KEPT_NETS = 24  # of one data set, whose masks are kept
SMALL = 256 * 256  # pixels, up to which a picture is kept without loss


def look_overlaps(run: str, split: str, net: Sequence[Any]) -> dict[str, Any]:
    """How well a net segments every picture of a split of a run's data set.

    It is measured once and kept.

    Raises:
        DataError, SpecError, WeightsError, WorkspaceError: it is not as it was, or cannot be.
    """
    saved, data = known_net(net), data_of(run)
    part = _part(data, split)
    found = segmenter(saved, run)
    if not found.is_same:
        return {"images": len(part), "classes": found.classes, "is_same": False}
    image_iou, confusion = _measured(run, saved, found, split, part)
    return told_overlaps(image_iou, iou(torch.from_numpy(confusion)).numpy(), found.classes)


def look_masks(
    run: str, split: str, rows: Sequence[int], nets: Sequence[Sequence[Any]]
) -> dict[str, Any]:
    """Some pictures of a run's data set with their truth and what nets see in them, as files.

    A mask is (H, W) uint8, row by row, deflated by zlib.

    Raises:
        DataError, SpecError, WeightsError, WorkspaceError: something is not as it was.
    """
    data = data_of(run)
    part = _part(data, split)
    if not rows or len(rows) > MOST_ROWS or not all(row in range(len(part)) for row in rows):
        raise DataError(f"the {split} split has no such {len(rows)} pictures.")
    found = [(saved, segmenter(saved, run)) for saved in map(known_net, nets)]
    folder = _folder(run, data)
    shown: dict[int, dict[str, Any]] = {
        row: {"image": image, "truth": truth, "masks": [], "iou": []}
        for row, (image, truth) in _pictures(folder, split, rows, part).items()
    }
    for saved, net in found:
        masks = _predicted(folder, saved, net, split, rows, part)
        for row, path in masks.items():
            shown[row]["masks"].append(str(path))
            shown[row]["iou"].append(_iou(part, row, path, net) if net.is_same else None)
    return {
        "size": list(data.input_shape[1:]),
        "classes": data.classes,
        "palette": data.palette,
        "nets": [{"classes": net.classes, "is_same": net.is_same} for _, net in found],
        "scenes": {str(row): one for row, one in shown.items()},
    }


def looks_folder() -> Path:
    """Where what this room draws is kept; all of it can be made again."""
    return Workspace.open().path / "pictures" / "look"


def keep_mask(path: Path, mask: Tensor) -> None:
    """(H, W) uint8, deflated."""
    replace_file(path, zlib.compress(mask.contiguous().numpy().tobytes(), 6), is_lasting=False)


def image_bytes(pixels: Tensor) -> bytes:
    """(3, H, W) uint8 -> PNG; of a large one JPEG."""
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    if image.width * image.height <= SMALL:
        return png_bytes(image)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def _part(data: DataSet, split: str) -> MaskedSplit:
    part = data.splits.get(split)
    if not isinstance(part, MaskedSplit):
        raise SpecError(f"{data.name} has no split {split!r} with masks")
    return part


def _folder(run: str, data: DataSet) -> Path:
    """Where the pictures of one data set are kept, as one run divides it."""
    spec = Workspace.open().run(run).spec()
    text = json.dumps([spec.data.model_dump(), spec.seed, data.fingerprint], sort_keys=True)
    return looks_folder() / hashlib.sha256(text.encode()).hexdigest()[:16]


def _net_folder(folder: Path, saved: SavedNet) -> Path:
    """Where what a net sees is kept. Of many the oldest go."""
    own = folder / saved.slug
    if not own.is_dir():
        with disk_faults(own):
            own.mkdir(parents=True, exist_ok=True)
        others = sorted(filter(Path.is_dir, folder.iterdir()), key=lambda one: one.stat().st_mtime)
        for older in others[:-KEPT_NETS]:
            shutil.rmtree(older, ignore_errors=True)
    return own


def _pictures(
    folder: Path, split: str, rows: Sequence[int], part: MaskedSplit
) -> dict[int, tuple[str, str]]:
    """Row -> paths of the picture and its truth."""
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = {
        row: (folder / f"{split}-{row}.image", folder / f"{split}-{row}.truth") for row in rows
    }
    missing = [row for row, both in paths.items() if not all(path.exists() for path in both)]
    if missing:
        wanted = torch.tensor(missing)
        images, masks = part.images(wanted), part.masks(wanted)
        for row, image, mask in zip(missing, images, masks, strict=True):
            replace_file(paths[row][0], image_bytes(image), is_lasting=False)
            keep_mask(paths[row][1], mask)
    return {row: (str(image), str(truth)) for row, (image, truth) in paths.items()}


def _predicted(
    folder: Path,
    saved: SavedNet,
    net: Segmenter,
    split: str,
    rows: Sequence[int],
    part: MaskedSplit,
) -> dict[int, Path]:
    """Row -> path of the mask that a net gives."""
    own = _net_folder(folder, saved)
    paths = {row: own / f"{split}-{row}.mask" for row in rows}
    missing = [row for row, path in paths.items() if not path.exists()]
    size = evaluation_batch(net.data)
    for start in range(0, len(missing), size):
        few = missing[start : start + size]
        for row, mask in zip(few, net.masks(part.images(torch.tensor(few))), strict=True):
            keep_mask(paths[row], mask)
    return paths


def _iou(part: MaskedSplit, row: int, path: Path, net: Segmenter) -> list[float | None]:
    """By class, of one picture."""
    truth = part.masks(torch.tensor([row]))
    flat = np.frombuffer(zlib.decompress(path.read_bytes()), dtype=np.uint8)
    mask = torch.from_numpy(flat.reshape(truth.shape).copy())
    counts = confusion_matrices(truth.long(), mask.long(), len(net.classes))
    return plain_shares(iou_of_present(counts)[0].numpy())


def _measured(
    run: str, saved: SavedNet, net: Segmenter, split: str, part: Split
) -> tuple[Any, Any]:
    """(N, C) IoU of each picture, and (C, C) pixels of all."""
    own = _net_folder(_folder(run, net.data), saved) / f"{split}.npz"
    with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile), np.load(own) as kept:
        return kept["image_iou"], kept["confusion"]
    size = evaluation_batch(net.data)
    batches = evaluation_batches(part, net.data, batch=size, device=CPU, num_workers=0)
    counts = segmented(net.net, batches, len(net.classes)).counts
    image_iou, confusion = counts.image_iou.numpy(), counts.confusion.numpy()
    out = io.BytesIO()
    np.savez_compressed(out, image_iou=image_iou, confusion=confusion)
    replace_file(own, out.getvalue(), is_lasting=False)
    return image_iou, confusion
