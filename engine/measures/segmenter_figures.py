"""One segmenter measured on a split: its figures, and what a page needs to show why."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.batch import VOID, Batch
from engine.measures.accuracy import Around
from engine.measures.segmentation import (
    SegmentationCounts,
    boundary_iou,
    count_segmentation,
    high_precision_accuracy,
    mean_class_accuracy,
    mean_iou,
    pixel_accuracy,
    segmentation_variance,
)
from engine.nets.freeze import evaluating
from engine.nets.staged import StagedNet

NUM_KEPT = 8  # images whose predicted masks are kept


@dataclass(frozen=True, slots=True)
class Segmented:
    """What one segmenter did on N images of a split.

    figures: those that can be told, see `figures_of`; loss: mean cross-entropy of the pixels, nats
    rows:    (P,) int64 images whose masks are kept, evenly spaced over the split
    masks:   (P, H, W) uint8 predicted classes
    """

    figures: dict[str, float]
    counts: SegmentationCounts
    rows: Tensor
    masks: Tensor


def segmentation_figures(
    net: StagedNet, batches: Iterable[Batch], num_classes: int, *, around: Around = nullcontext
) -> dict[str, float]:
    """Figures of one net over some images with masks, in evaluation mode: see `Segmented`."""
    return segmented(net, batches, num_classes, around=around).figures


def segmented(
    net: StagedNet,
    batches: Iterable[Batch],
    num_classes: int,
    *,
    kept: Iterable[int] = (),
    around: Around = nullcontext,
) -> Segmented:
    """Measure one net over some images with masks, in evaluation mode.

    Logits are resized to the masks (bilinear, corners not aligned) before a class is taken.

    Args:
        kept: the images, by their index, whose predicted masks are kept.
        around: a context for the net's pass, as for autocast.
    """
    wanted = torch.tensor([*kept], dtype=torch.int64)
    counts: list[SegmentationCounts] = []
    masks: list[Tensor] = []
    loss, pixels = 0.0, 0
    with evaluating(net), torch.no_grad():
        for batch in batches:
            with around():
                logits = net(batch.image)
            logits = logits.float()
            loss += float(F.cross_entropy(logits, batch.target, ignore_index=VOID, reduction="sum"))
            pixels += int((batch.target != VOID).sum())
            predicted = logits.argmax(dim=1)
            counts.append(count_segmentation(batch.target, predicted, num_classes))
            chosen = torch.isin(batch.index.cpu(), wanted)
            masks.append(predicted[chosen.to(predicted.device)].to("cpu", torch.uint8))
    total = reduce(add, counts)
    figures = figures_of(total)
    if pixels:
        figures["loss"] = loss / pixels
    return Segmented(figures, total, wanted, torch.cat(masks))


def figures_of(counts: SegmentationCounts) -> dict[str, float]:
    """What is told of a segmenter; a figure that cannot be told on these images is left out.

    Shares from 0 to 1, but `variance` in points squared. `hp60` and `hp75` are the shares of
    images whose mean IoU reaches .60 and .75.
    """
    by_image = counts.image_miou
    found = {
        "miou": mean_iou(counts.confusion),
        "pixel_accuracy": pixel_accuracy(counts.confusion),
        "class_accuracy": mean_class_accuracy(counts.confusion),
        "boundary_iou": float(boundary_iou(counts.boundary).nanmean()),
        "image_miou": float(by_image.nanmean()),
        "hp60": high_precision_accuracy(by_image, 0.60),
        "hp75": high_precision_accuracy(by_image, 0.75),
        "variance": segmentation_variance(by_image),
    }
    return {name: value for name, value in found.items() if not math.isnan(value)}


def rows_to_keep(num_images: int) -> list[int]:
    """At most NUM_KEPT rows of a split, evenly spaced, ascending."""
    count = min(NUM_KEPT, num_images)
    return [place * num_images // count for place in range(count)]
