"""The numeric tests of the design on matrices written by hand; boundaries pixel by pixel."""

from __future__ import annotations

import functools
import math
import operator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.measures.segmentation import (
    VOID,
    SegmentationCounts,
    boundary_iou,
    boundary_labels,
    class_accuracy,
    confusion_matrices,
    count_segmentation,
    high_precision_accuracy,
    iou,
    mean_class_accuracy,
    mean_iou,
    pixel_accuracy,
    segmentation_variance,
)

NAN = math.nan


def pixels(matrix: list[list[int]]) -> tuple[Tensor, Tensor]:
    """(1, 1, n) truth and prediction with these counts."""
    cells = torch.tensor(matrix).flatten()
    cell = torch.arange(len(cells)).repeat_interleave(cells)[None, None]
    return cell // len(matrix), cell % len(matrix)


def told(values: Tensor) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def random_masks(num_classes: int, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Truth with a fifth of void, and a prediction that agrees with two thirds."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(num_classes, shape, generator=generator)
    other = torch.randint(num_classes, shape, generator=generator)
    prediction = torch.where(torch.rand(shape, generator=generator) < 2 / 3, truth, other)
    return truth.masked_fill(torch.rand(shape, generator=generator) < 0.2, VOID), prediction


def test_two_classes_as_written_by_hand() -> None:
    matrix = torch.tensor([[3, 1], [2, 4]])
    assert iou(matrix).tolist() == pytest.approx([0.5, 4 / 7])
    assert mean_iou(matrix) == pytest.approx(0.535714, abs=1e-6)
    assert pixel_accuracy(matrix) == pytest.approx(0.7)
    assert class_accuracy(matrix).tolist() == pytest.approx([3 / 4, 4 / 6])
    assert mean_class_accuracy(matrix) == pytest.approx(17 / 24)


def test_a_class_that_is_nowhere_has_no_iou() -> None:
    matrix = torch.tensor([[5, 0, 0], [0, 0, 0], [1, 0, 4]])
    assert told(iou(matrix)) == [pytest.approx(5 / 6), None, pytest.approx(0.8)]
    assert mean_iou(matrix) == pytest.approx(0.816667, abs=1e-6)
    assert told(class_accuracy(matrix)) == [1.0, None, pytest.approx(0.8)]
    assert mean_class_accuracy(matrix) == pytest.approx(0.9)


def test_a_stray_pixel_counts_as_a_class_in_the_set_but_not_in_an_image() -> None:
    counts = count_segmentation(*pixels([[4, 1, 0], [0, 0, 0], [0, 0, 5]]), 3)
    assert iou(counts.confusion).tolist() == pytest.approx([0.8, 0, 1])
    assert mean_iou(counts.confusion) == pytest.approx(0.6)
    assert told(counts.image_iou[0]) == [pytest.approx(0.8), None, 1.0]
    assert counts.image_miou.tolist() == pytest.approx([0.9])


def test_the_mean_over_images_is_not_the_mean_of_the_set() -> None:
    first, second = (
        count_segmentation(*pixels(matrix), 2) for matrix in ([[9, 1], [0, 10]], [[1, 0], [9, 10]])
    )
    both = first + second
    assert both.image_miou.tolist() == pytest.approx([0.904545, 0.313158], abs=1e-6)
    assert float(both.image_miou.mean()) == pytest.approx(0.608852, abs=1e-6)
    assert mean_iou(both.confusion) == pytest.approx(0.583333, abs=1e-6)


def test_high_precision_accuracy_counts_images_at_the_threshold() -> None:
    miou = torch.tensor([0.80, 0.75, 0.74, 0.90], dtype=torch.float64)
    shares = {0.0: 1.0, 0.5: 1.0, 0.75: 0.75, 0.8: 0.5, 0.9: 0.25, 0.95: 0.0}
    assert {at: high_precision_accuracy(miou, at) for at in shares} == shares
    assert high_precision_accuracy(miou) == 0.75
    assert math.isnan(high_precision_accuracy(miou[:0]))


def test_high_precision_accuracy_reads_images_and_classes_too() -> None:
    image_iou = torch.tensor([[0.9, NAN, 0.5], [0.8, 0.7, NAN]])
    assert high_precision_accuracy(image_iou) == 0.5
    assert high_precision_accuracy(image_iou.nanmean(dim=1)) == 0.5
    assert high_precision_accuracy(image_iou.nanmean(dim=0)) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("miou", "points"),
    [([0.5, 0.9], 400), ([0.6, 0.8], 100), ([0.3], 0), ([0.80, 0.75, 0.74, 0.90], 40.1875)],
)
def test_variance_is_of_the_population_in_points_squared(miou: list[float], points: float) -> None:
    values = torch.tensor(miou, dtype=torch.float64)
    assert segmentation_variance(values) == pytest.approx(points)
    assert segmentation_variance(values + 0.05) == pytest.approx(points)


def test_no_images_have_no_variance() -> None:
    assert math.isnan(segmentation_variance(torch.tensor([])))


def test_a_perfect_prediction_is_perfect_everywhere() -> None:
    truth, _ = random_masks(4, (5, 9, 11))
    counts = count_segmentation(truth, truth.masked_fill(truth == VOID, 0), 4)
    assert mean_iou(counts.confusion) == pixel_accuracy(counts.confusion) == 1
    assert high_precision_accuracy(counts.image_miou, 1.0) == 1
    assert segmentation_variance(counts.image_miou) == 0
    assert boundary_iou(counts.boundary).tolist() == [1.0] * 4


def test_images_without_labels_are_skipped() -> None:
    truth, prediction = random_masks(3, (2, 6, 7))
    labelled = count_segmentation(truth, prediction, 3)
    counts = labelled + count_segmentation(torch.full((1, 6, 7), VOID), prediction[:1], 3)
    assert counts.image_miou.isnan().tolist() == [False, False, True]
    assert torch.equal(counts.confusion, labelled.confusion)
    assert torch.equal(counts.boundary, labelled.boundary)
    for figure in (high_precision_accuracy, segmentation_variance):
        assert figure(counts.image_miou) == figure(labelled.image_miou)


def test_the_order_of_classes_and_images_and_what_is_said_of_void_change_nothing() -> None:
    truth, prediction = random_masks(4, (6, 10, 12))
    plain = count_segmentation(truth, prediction, 4)
    order = torch.tensor([2, 0, 3, 1])
    renamed = torch.cat([order, torch.full((VOID + 1 - len(order),), VOID)])
    classes = count_segmentation(renamed[truth], order[prediction], 4)
    images = count_segmentation(truth.flip(0), prediction.flip(0), 4)
    void = count_segmentation(truth, prediction.masked_fill(truth == VOID, 3), 4)
    assert torch.equal(classes.confusion[order][:, order], plain.confusion)
    assert torch.equal(images.image_miou.flip(0), plain.image_miou)
    for other in (classes, images, void):
        assert figures(other) == pytest.approx(figures(plain))


def figures(counts: SegmentationCounts) -> list[float]:
    matrix = counts.confusion
    return [
        *(mean_iou(matrix), pixel_accuracy(matrix), mean_class_accuracy(matrix)),
        *(float(boundary_iou(counts.boundary).mean()), segmentation_variance(counts.image_miou)),
    ]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_counts_are_the_same_however_the_images_come(size: int) -> None:
    truth, prediction = random_masks(3, (5, 8, 9))
    whole = count_segmentation(truth, prediction, 3)
    batches = zip(truth.split(size), prediction.split(size), strict=True)
    summed = functools.reduce(operator.add, (count_segmentation(*pair, 3) for pair in batches))
    assert torch.equal(summed.confusion, whole.confusion)
    assert torch.equal(summed.boundary, whole.boundary)
    assert torch.equal(summed.image_iou.nan_to_num(-1), whole.image_iou.nan_to_num(-1))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_labels_of_any_integer_kind_are_counted_one_by_one(dtype: torch.dtype) -> None:
    truth, prediction = random_masks(20, (40, 3, 5))
    expected = np.zeros((40, 20, 20), dtype=np.int64)
    for image, row, column in np.ndindex(40, 3, 5):
        if truth[image, row, column] != VOID:
            expected[image, truth[image, row, column], prediction[image, row, column]] += 1
    found = confusion_matrices(truth.to(dtype), prediction.to(dtype), 20)
    assert found.dtype == torch.int64
    assert found.tolist() == expected.tolist()


def test_labels_beyond_the_classes_are_refused() -> None:
    with pytest.raises(AssertionError, match="labels beyond the 2 classes"):
        confusion_matrices(torch.tensor([[[2]]]), torch.tensor([[[0]]]), 2)


def inner_band(region: NDArray[np.bool_], d: int) -> NDArray[np.bool_]:
    """A region less its erosion by a square, by looking at every pixel's square."""
    padded = np.pad(region, d)
    band = region.copy()
    for row, column in zip(*np.nonzero(region), strict=True):
        band[row, column] = not padded[row : row + 2 * d + 1, column : column + 2 * d + 1].all()
    return band


@pytest.mark.parametrize("edge_share", [0.02, 0.04, 0.11])
def test_boundary_iou_is_that_of_inner_bands(edge_share: float) -> None:
    truth, prediction = (
        labels[:, ::8, ::8].repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :37, :45]
        for labels in random_masks(3, (4, 40, 48))
    )
    prediction = prediction.roll((2, 3), dims=(1, 2))
    d = max(1, round(edge_share * math.hypot(37, 45)))
    expected = []
    for label in range(3):
        both = either = 0
        for true, given in zip(truth.numpy(), prediction.numpy(), strict=True):
            first = inner_band(true == label, d)
            second = inner_band((given == label) & (true != VOID), d)
            second &= true != VOID
            first &= true != VOID
            both += int((first & second).sum())
            either += int((first | second).sum())
        expected.append(both / either)
    counts = count_segmentation(truth, prediction, 3, edge_share=edge_share)
    assert boundary_iou(counts.boundary).tolist() == pytest.approx(expected)
    assert min(expected) > 0 and max(expected) < 0.99


def test_a_boundary_is_told_by_hand() -> None:
    labels = torch.tensor([[[0, 0, 0, 0, 0, 1, 1]] * 5])
    edge, inside = [0, 0, 0, 0, 0, 1, 1], [0, 2, 2, 2, 0, 1, 1]
    assert boundary_labels(labels, 2).tolist() == [[edge, inside, inside, inside, edge]]


def test_a_shift_costs_a_large_region_more_at_its_boundary() -> None:
    truth = torch.zeros(1, 48, 96, dtype=torch.int64)
    truth[:, 8:40, 16:80] = 1
    counts = count_segmentation(truth, truth.roll(1, dims=2), 2)
    assert boundary_iou(counts.boundary)[1] < 0.8 < 0.95 < iou(counts.confusion)[1]
