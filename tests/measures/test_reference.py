"""Segmentation figures against the numbers of the reference folder.

DISTILL_REFERENCE names another folder of such numbers; shapes and sizes are read from it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.measures import segmentation
from engine.measures.segmentation import count_segmentation

FOLDER = Path(os.environ.get("DISTILL_REFERENCE", Path(__file__).parents[1] / "reference"))
ENTRIES = {
    entry["name"]: entry
    for entry in json.loads((FOLDER / "index.json").read_text())["entries"]
    if entry["kind"] == "segmentation metric"
}


def test_the_reference_holds_segmentation() -> None:
    assert ENTRIES


@pytest.mark.parametrize("name", ENTRIES)
def test_figures_are_those_of_the_plain_definition(name: str) -> None:
    entry: dict[str, Any] = ENTRIES[name]
    settings = entry["hyper_parameters"]
    assert settings["ignore_index"] == segmentation.VOID
    with np.load(FOLDER / entry["file"]) as stored:
        truth, prediction = (torch.from_numpy(stored[key]) for key in ("label", "prediction"))
        expected = {key: stored[key] for key in entry["outputs"]}
    counts = count_segmentation(truth, prediction, settings["num_classes"])
    matrix = counts.confusion
    assert matrix.tolist() == expected["confusion"].tolist()
    assert int(matrix.sum()) == expected["counted_pixels"]
    found = {
        "iou": segmentation.iou(matrix).numpy(),
        "class_accuracy": segmentation.class_accuracy(matrix).numpy(),
        "mean_iou": segmentation.mean_iou(matrix),
        "mean_iou_label_classes": segmentation.iou_of_present(matrix).nanmean().item(),
        "pixel_accuracy": segmentation.pixel_accuracy(matrix),
        "mean_class_accuracy": segmentation.mean_class_accuracy(matrix),
    }
    for key, value in found.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-12, err_msg=key)
