"""How well masks are predicted: overlaps, their spread over images, and their boundaries.

Everything is read from integer matrices K[truth, prediction] of pixel counts. Pixels whose truth
is VOID are left out, whatever is predicted there. What cannot be told (a class that is nowhere, no
image at all) is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.batch import VOID

POINT = 0.01  # one percentage point as a share


@dataclass(frozen=True, slots=True)
class SegmentationCounts:
    """What remains of N images; the counts of batches add up.

    confusion: (C, C) int64 pixels of all images
    boundary:  (C + 1, C + 1) int64 the same for boundary pixels; row and column C hold the others
    image_iou: (N, C) float64 of each image, NaN for a class that its truth does not hold
    """

    confusion: Tensor
    boundary: Tensor
    image_iou: Tensor

    @property
    def image_miou(self) -> Tensor:
        """(N,) float64 mean over the classes in each image's truth; NaN where all is void.

        Ours: a stray pixel of an absent class costs its neighbours' IoU, but is no class of IoU 0.
        """
        return self.image_iou.nanmean(dim=1)

    def __add__(self, other: SegmentationCounts) -> SegmentationCounts:
        return SegmentationCounts(
            self.confusion + other.confusion,
            self.boundary + other.boundary,
            torch.cat([self.image_iou, other.image_iou]),
        )


def count_segmentation(
    truth: Tensor, prediction: Tensor, num_classes: int, *, edge_share: float = 0.02
) -> SegmentationCounts:
    """The counts of one batch, on the host.

    Args:
        truth: (B, H, W) integers, classes or VOID.
        prediction: (B, H, W) integers, classes.
        edge_share: width of a boundary as a share of the diagonal; Cheng et al. take .02, for
            Cityscapes .005.
    """
    images = confusion_matrices(truth, prediction, num_classes)
    counted = torch.where(truth == VOID, VOID, prediction)
    true_edges, edges = (
        boundary_labels(labels, num_classes, edge_share=edge_share) for labels in (truth, counted)
    )
    boundary = confusion_matrices(true_edges, edges, num_classes + 1)
    return SegmentationCounts(images.sum(dim=0), boundary.sum(dim=0), iou_of_present(images))


def confusion_matrices(truth: Tensor, prediction: Tensor, num_classes: int) -> Tensor:
    """(B, H, W), (B, H, W) -> (B, C, C) int64 K[truth, prediction] of each image, on the host."""
    void = truth == VOID
    is_told = (truth < num_classes) & (prediction < num_classes)
    assert bool((void | is_told).all()), f"labels beyond the {num_classes} classes"
    image = torch.arange(len(truth), device=truth.device)[:, None, None]
    cell = (image * num_classes + truth) * num_classes + prediction
    cells = len(truth) * num_classes**2
    counts = torch.where(void, cells, cell).flatten().bincount(minlength=cells + 1)
    return counts[:-1].reshape(len(truth), num_classes, num_classes).cpu()


def iou(confusion: Tensor) -> Tensor:
    """(..., C, C) -> (..., C) float64 intersection over union, NaN for an empty union."""
    hits, truth, predicted = _sums(confusion)
    return hits / (truth + predicted - hits)


def iou_of_present(confusion: Tensor) -> Tensor:
    """(..., C, C) -> (..., C) float64 the same, but NaN for every class that the truth lacks."""
    return torch.where(confusion.sum(dim=-1) > 0, iou(confusion), torch.nan)


def mean_iou(confusion: Tensor) -> float:
    """(C, C) -> mean over the classes in truth or prediction (the rule of Cityscapes)."""
    return float(iou(confusion).nanmean())


def pixel_accuracy(confusion: Tensor) -> float:
    """(C, C) -> share of the counted pixels that are right."""
    hits, truth, _ = _sums(confusion)
    return float(hits.sum() / truth.sum())


def class_accuracy(confusion: Tensor) -> Tensor:
    """(..., C, C) -> (..., C) float64 share of each class's pixels that are right, NaN for none."""
    hits, truth, _ = _sums(confusion)
    return hits / truth


def mean_class_accuracy(confusion: Tensor) -> float:
    """(C, C) -> mean over the classes in the truth."""
    return float(class_accuracy(confusion).nanmean())


def high_precision_accuracy(values: Tensor, threshold: float = 0.75) -> float:
    """The share of values that reach a threshold; NaN among them is skipped.

    Ours: the abstract of enhanced spirit distillation (arXiv 2103.13733) gives no definition. We
    take it over the images' mean IoU; an IoU of each image and class, or of each class, are other
    readings.

    Args:
        values: of any shape, shares.
    """
    return float((_told(values) >= threshold).double().mean())


def segmentation_variance(image_miou: Tensor) -> float:
    """(N,) shares -> their population variance, in points squared; all-void images are skipped.

    Ours: the abstract names it without a definition. Low variance is no merit by itself: a net
    that fails on every image has it too.
    """
    points = _told(image_miou).double() / POINT
    return float((points - points.mean()).square().mean())


def boundary_iou(boundary: Tensor) -> Tensor:
    """(C + 1, C + 1) counts of boundary labels -> (C,) float64, NaN for an empty union.

    Cheng et al., CVPR 2021: the IoU of two inner bands, of the truth's and of the prediction's
    pixels of a class that lie near the edge of their own region. They define it for one object;
    ours: pixels of a class are counted over all images, as for the mean IoU.
    """
    return iou(boundary)[:-1]


def boundary_labels(labels: Tensor, num_classes: int, *, edge_share: float = 0.02) -> Tensor:
    """(B, H, W) -> (B, H, W) int64: labels near an edge stay, all others but VOID become C.

    As in the authors' code a pixel is near an edge when the square of 2 d + 1 pixels around it
    holds another label or reaches beyond the picture. VOID is another label (ours).

    Args:
        edge_share: d as a share of the diagonal; d is one pixel at least.
    """
    d = max(1, round(edge_share * math.hypot(*labels.shape[1:])))
    padded = F.pad(labels.short(), (d, d, d, d), value=-1)
    is_inside = _highest(padded, 2 * d + 1) == -_highest(-padded, 2 * d + 1)
    return torch.where(is_inside & (labels != VOID), num_classes, labels.long())


def _highest(values: Tensor, width: int) -> Tensor:
    """(B, H, W) -> (B, H - width + 1, W - width + 1) maximum over squares.

    Runs are doubled until they are wide enough: the cost hardly grows with the width.
    """
    for dim in (1, 2):
        run = 1
        while run < width:
            step = min(run, width - run)
            rest = values.shape[dim] - step
            values = torch.maximum(values.narrow(dim, 0, rest), values.narrow(dim, step, rest))
            run += step
    return values


def _sums(confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(..., C, C) -> (..., C) float64 pixels hit, in the truth, predicted."""
    hits = confusion.diagonal(dim1=-2, dim2=-1)
    return hits.double(), confusion.sum(dim=-1).double(), confusion.sum(dim=-2).double()


def _told(values: Tensor) -> Tensor:
    return values[~values.isnan()]
