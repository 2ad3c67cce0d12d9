"""What the form holds before anybody has chosen: for each task a run that can start at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Task = Literal["classify", "segment"]

GOALS: Mapping[Task, str] = {"classify": "Classify pictures", "segment": "Segment scenes"}

# What reads a folder that is chosen by its name.
READERS: Mapping[Task, str] = {"classify": "image_folder", "segment": "segmentation_folder"}

DEFAULTS: Mapping[Task, Mapping[str, Any]] = {
    "classify": {
        "data": {"name": "shapes", "knobs": {}},
        "teacher": {"name": "resnet14", "knobs": {}, "weights": "none"},
        "student": {"name": "resnet8", "knobs": {}, "weights": "none"},
        "method": {"name": "alone", "knobs": {}},
        "distiller": {"name": "at", "knobs": {}},
        "policy": {"name": "all", "knobs": {}},
    },
    "segment": {
        "data": {"name": "street_scenes", "knobs": {}},
        "teacher": {
            "name": "bottleneck128",
            "knobs": {},
            "weights": "shipped:street_bottleneck128",
        },
        "student": {"name": "ds128", "knobs": {}, "weights": "none"},
        "method": {
            "name": "spirit",
            "knobs": {
                "imitation_share": 0.58,
                "head_share": 0.16,
                "imitation_lr": 0.002,
                "fine_tuning_rate": 0.5,
                "front_rate": 1.0,
            },
        },
        "distiller": {"name": "at", "knobs": {}},
        "policy": {"name": "all", "knobs": {}},
        "schedule": {
            "epochs": 19,
            "steps": 20,
            "batch": 6,
            "lr": 0.002,
            "optimizer": "adam",
            "weight_decay": 0.0,
        },
        "evaluate_every": 4,
        "save_every": 20,
    },
}
