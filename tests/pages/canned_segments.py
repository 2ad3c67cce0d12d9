"""An experiment of segmenters written by hand: logs, and what each evaluation leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.events import (
    At,
    CheckpointSaved,
    CostMeasured,
    Evaluated,
    Event,
    PhaseBegan,
    Prepared,
    RunEnded,
    RunStarted,
    StepTaken,
)
from engine.runs.experiment import Experiment, Planned, create_experiment
from engine.runs.folder import RunFolder, Workspace
from engine.spec import Choice, NetChoice, RunSpec, Schedule
from tests.pages.canned import BEGAN

NAMES = ("road", "sky", "car")
COLOURS = ((221, 204, 119), (136, 204, 238), (51, 34, 136))
IMAGES, HEIGHT, WIDTH = 10, 12, 24
SHARE = {"scratch": 0.40, "sd": 0.55, "esd": 0.62}  # of pixels that are right in the end
PHASES = ("imitation", "head", "fine_tuning")


def spec_of(label: str, seed: int = 0) -> RunSpec:
    """Scratch alone; sd and esd by spirit distillation from a teacher of other classes."""
    taught = label != "scratch"
    weights = "shipped:street_bottleneck128"
    return RunSpec(
        task="segment",
        data=Choice(name="street_scenes"),
        teacher=NetChoice(name="bottleneck128", weights=weights) if taught else None,
        student=NetChoice(name="ds128"),
        method=Choice(name="spirit", knobs={"mix": "target" if label == "sd" else "natural"})
        if taught
        else Choice(name="alone"),
        schedule=Schedule(epochs=3, steps=4, batch=2, optimizer="adam"),
        seed=seed,
    )


def experiment(
    workspace: Workspace, labels: Sequence[str] = ("scratch", "sd", "esd"), seeds: int = 2
) -> Experiment:
    """Runs as in `sd, seed 1`, without logs."""
    planned = [
        Planned(
            f"{label}, seed {seed}",
            "alone" if label == "scratch" else "student",
            {"seed": seed},
            spec_of(label, seed),
        )
        for label in labels
        for seed in range(seeds)
    ]
    return create_experiment(workspace, "Streets", planned, is_queued=False)


def fill(workspace: Workspace, made: Experiment) -> dict[str, str]:
    """A finished log for each run; label -> run."""
    for member in made.runs:
        folder = workspace.run(member.run)
        label = member.label.split(",")[0]
        whole(folder, label)
    return {member.label: member.run for member in made.runs}


def whole(folder: RunFolder, label: str) -> None:
    """Four evaluations, the last on both splits, and the end."""
    folder.log.append(beginning(label))
    for nth in range(4):
        folder.log.append(evaluated(folder, label, nth))
    folder.log.append(evaluated(folder, label, 3, split="test"))
    folder.log.append([RunEnded(time=BEGAN + 60, status="finished")])


def beginning(label: str) -> list[Event]:
    told: list[Event] = [
        RunStarted(time=BEGAN),
        Prepared(what="data", text="street_scenes: 3 classes, 4 train, 10 validation, 10 test"),
    ]
    if label != "scratch":
        told.append(cost("teacher", 10_000))
    return [*told, cost("student", 4_000)]


def phase_of(label: str, nth: int) -> tuple[At, list[Event]]:
    """Where evaluation `nth` of 0 to 3 takes place, and the phase that begins there, if any."""
    if label == "scratch":
        begun = PhaseBegan(
            at=(0, 0, 0), phase="train", epochs=3, steps=4, phases=("train",), total_steps=12
        )
        return (0, nth, 0), [begun] if nth == 0 else []
    at = (0, 0, 0) if nth == 0 else (nth - 1, 1, 0)
    begun = PhaseBegan(
        at=(at[0], 0, 0), phase=PHASES[at[0]], epochs=1, steps=4, phases=PHASES, total_steps=12
    )
    return at, [begun] if nth != 1 else []


def evaluated(folder: RunFolder, label: str, nth: int, *, split: str = "validation") -> list[Event]:
    """One evaluation with what it leaves; the net gets better with each."""
    at, begun = phase_of(label, nth)
    share = SHARE[label] * (nth + 1) / 4
    truth, masks = truths(), predictions(share, folder.spec().seed)
    iou = np.array([overlaps(truth[row], masks[row]) for row in range(IMAGES)])
    pairs = (truth * len(NAMES) + masks).ravel()
    counts = np.bincount(pairs, minlength=9).reshape(3, 3)
    hits = counts.diagonal()
    whole_iou = hits / (counts.sum(0) + counts.sum(1) - hits)
    np.savez_compressed(
        folder.artefacts / f"segmented_student_{split}_{'-'.join(map(str, at))}.npz",
        confusion=counts,
        boundary=np.zeros((4, 4), dtype=np.int64),
        image_iou=iou,
        image_miou=iou.mean(axis=1),
        rows=np.array([0, 1, 2, 3, 5, 6, 7, 8]),
        masks=masks[[0, 1, 2, 3, 5, 6, 7, 8]].astype(np.uint8),
    )
    folder.write_environment({"classes": list(NAMES), "palette": [list(one) for one in COLOURS]})
    figures = {"miou": float(whole_iou.mean()), "loss": 1.0 - share}
    steps: list[Event] = []
    if label != "scratch" and split == "validation":
        if at[0] == 0:
            figures["feature_distance"] = 1.0 - 0.5 * at[1]
        if nth == 1:
            terms = {"imitation": 0.3, "feature distance": 0.4}
            steps = [StepTaken(at=(0, 0, n), count=1, terms=terms, rates={}) for n in (1, 2, 3)]
    told = Evaluated(
        at=at, net="student", weights="last", split=split, figures=figures, samples=IMAGES
    )
    saved = [CheckpointSaved(position=at, which="last")] if nth and split == "validation" else []
    is_first = split == "validation"
    return [*(begun if is_first else []), *steps, told, *saved]


def truths() -> np.ndarray:
    """(IMAGES, H, W) bands of sky, road and car."""
    rows = np.arange(HEIGHT)[:, None] * np.ones((1, WIDTH), dtype=int)
    bands = np.where(rows < 4, 1, np.where(rows < 10, 0, 2))
    return np.stack([np.roll(bands, shift, axis=0) for shift in range(IMAGES)])


def predictions(share: float, seed: int) -> np.ndarray:
    """The truth, but for a share of the pixels, drawn by seed, that say road."""
    drawn = np.random.default_rng(seed).random((IMAGES, HEIGHT, WIDTH))
    return np.where(drawn < share, truths(), 0)


def overlaps(truth: np.ndarray, mask: np.ndarray) -> list[float]:
    return [
        ((truth == label) & (mask == label)).sum() / ((truth == label) | (mask == label)).sum()
        for label in range(len(NAMES))
    ]


def cost(net: str, multiply_adds: int) -> CostMeasured:
    return CostMeasured(
        net=net,
        name=net,
        input_shape=(3, HEIGHT, WIDTH),
        parameters=10,
        multiply_adds=multiply_adds,
        fvcore_multiply_adds=multiply_adds,
        stages={},
        uncounted={},
        latency=0.001,
        file_bytes=40,
    )
