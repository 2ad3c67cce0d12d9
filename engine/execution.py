"""A run, from its spec to its last figure, as a stream of events."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import time
from collections.abc import Generator, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from engine.assembly import (
    Loaded,
    check_parts,
    evaluation_batch,
    load_data,
    located,
    make_method,
    make_net,
    make_teacher,
    peer_choice,
    usable_device,
)
from engine.data.batch import Batch, DataSet, Split
from engine.data.device_loader import evaluation_batches
from engine.errors import SpecError, TrainingError
from engine.events import (
    ArtefactSaved,
    At,
    CheckpointSaved,
    Evaluated,
    Event,
    Note,
    PhaseBegan,
    Prepared,
    RunContinued,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopping,
    StepTaken,
)
from engine.measures.accuracy import classification_figures
from engine.measures.cost import measure_cost
from engine.measures.precision import faster_precision
from engine.measures.segmenter_figures import Segmented, rows_to_keep, segmented
from engine.methods import Method
from engine.nets import StagedNet
from engine.nets.weights import save_weights
from engine.runs.control import Control
from engine.runs.folder import RunFolder
from engine.runs.view import RunView, fold
from engine.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from engine.training.loop import EpochEnded, Stepped, fit
from engine.training.phase import Lesson, Phase
from engine.training.tally import Tally

# What a net reaches that says one class everywhere, some more for luck, times the classes.
_GUESSING = {"classify": 1.5, "segment": 1.0}
_NOT_FINITE_HINTS = ("Lower the learning rate and start again.", "Take other weights.")

End = Literal["finished", "stopped", "interrupted"]
Weights = Literal["last", "best", "given"]
SplitName = Literal["train", "validation", "test"]


class _Leave(Exception):  # noqa: N818
    """A run is asked to end; `end` says how."""

    def __init__(self, end: End) -> None:
        super().__init__(end)
        self.end = end


def execute(folder: RunFolder, control: Control) -> Generator[Event, None, str]:
    """Run the spec of a folder from its start, or from its last checkpoint.

    Whoever draws the events keeps each before drawing the next; to stop a run, stop drawing.

    Returns:
        finished, stopped or interrupted.

    Raises:
        DistillError: the spec cannot be run, or training cannot go on.
    """
    run = _Run(folder, control)
    try:
        yield from run.prepare()
        yield from run.train()
        yield from run.finish()
    except _Leave as leave:
        return leave.end
    return "finished"


class _Run:
    """What one run holds while it executes."""

    def __init__(self, folder: RunFolder, control: Control) -> None:
        self.folder, self.control = folder, control
        self.spec = folder.spec()
        self.at: At = (0, 0, 0)
        self.best_figure, self.best_at = -1.0, (0, 0, 0)
        self.resumed: Checkpoint | None = None
        self.lesson: Lesson | None = None
        self.leave_after_epoch = False
        self.saved_at: At | None = None
        self.open_tally: Mapping[str, Any] = {}

    # Preparation

    def prepare(self) -> Iterator[Event]:
        """Build everything, measure the teacher, and go back to the last checkpoint."""
        last = self.folder.checkpoints / "last.pt"
        is_new = not any(isinstance(e, RunStarted) for e in self.folder.log.read()[0])
        if last.exists():
            self.resumed = load_checkpoint(last)
            self.at = self.resumed.position
        now = time.time()
        yield RunStarted(time=now) if is_new else RunResumed(time=now, position=self.at)
        check_parts(self.spec)
        self._settle()
        self._look_before_training()
        self.data = load_data(self.spec.data, self.spec.seed)
        yield Prepared(what="data", text=_described(self.data))
        for text in self.data.notes:
            yield Note(text=text)
        self._look_before_training()

        teacher = make_teacher(
            self.spec, self.data, runs=self.folder.path.parent, device=self.device
        )
        self.teacher = teacher.net if teacher else None
        student = make_net(
            self.spec.student, self.data, runs=self.folder.path.parent, seed=self.spec.seed
        ).net.to(self.device)
        if self.spec.precision == "auto":
            yield self._settle_precision(student)
        if teacher is not None:
            yield from self._teacher_told(teacher)
        self._look_before_training()
        self.method: Method = make_method(
            self.spec, self.data, student, self.teacher, device=self.device
        )
        yield from self._costs(self.method.nets["student"])
        for knob in self.spec.method.knobs:
            if why := self.method.idle_knobs.get(knob):
                yield Note(level="warning", text=f"{knob} has no effect here: {why}.")
        self.plan: tuple[Phase, ...] = self.method.plan()
        self.tally = Tally(len(self.data.train), len(self.data.classes))
        self.open_tally = self.tally.state_dict()
        if self.resumed is not None:
            self.method.modules.load_state_dict(self.resumed.modules)
            self.tally.load_state_dict(self.resumed.tally, self.device)
            self.best_figure, self.best_at = self.resumed.best_figure, self.resumed.best_at
            self.saved_at = self.at
            if changes := self._changes():
                yield Note(
                    level="warning",
                    text=f"Not resumed exactly, as these changed: {', '.join(changes)}. The rest of"
                    " this run may differ from one that was never interrupted.",
                )
        self.folder.write_environment(self._environment())

    def _teacher_told(self, teacher: Loaded) -> Iterator[Event]:
        """The teacher on the splits that are shown, where it knows their classes."""
        assert self.spec.teacher is not None
        name = self.spec.teacher.name
        if self.spec.task == "segment" and not teacher.knows(self.data):
            yield Prepared(what="teacher", text=f"{name}: knows other classes, is not measured")
            return
        told: list[Evaluated] = []
        for split in self._shown():
            for event in self._evaluated("teacher", teacher.net, split, "given"):
                told += [event] if isinstance(event, Evaluated) else []
                yield event
        figure = told[-1].figures[self.spec.headline]
        words = {"accuracy": "right", "miou": "mean IoU"}[self.spec.headline]
        yield Prepared(what="teacher", text=f"{name}: {figure * 100:.1f} % {words}")
        if figure < _GUESSING[self.spec.task] / len(self.data.classes):
            yield Note(
                level="warning",
                text="The teacher does no better than guessing: its classes may be in another"
                " order, or its images were normalised otherwise.",
            )

    def _settle(self) -> None:
        """Replace what a spec leaves open by what this machine has, for good."""
        device, threads = self.spec.device, self.spec.threads
        with located("device"):
            found = usable_device(device)
        if device == "auto":
            device = "cuda:0" if found.type == "cuda" else "cpu"
        if threads == 0:
            threads = len(os.sched_getaffinity(0))
        settled = self.spec.replace(device=device, threads=threads)
        if settled != self.spec:
            self.folder.write_spec(settled)
        self.spec, self.device = settled, torch.device(device)
        torch.set_num_threads(threads)

    def _settle_precision(self, student: StagedNet) -> Note:
        """Take what trains faster here, for good."""
        image = torch.zeros(self.spec.schedule.batch, *self.data.input_shape, device=self.device)
        image = image.contiguous(memory_format=torch.channels_last)
        precision, gain = faster_precision(student, self.teacher, image)
        self.spec = self.spec.replace(precision=precision)
        self.folder.write_spec(self.spec)
        return Note(text=f"Precision {precision}: a step in bfloat16 is {gain:.2f} x as fast here.")

    def _costs(self, student: StagedNet) -> Iterator[Event]:
        if self.teacher is not None and self.spec.teacher is not None:
            name = self.spec.teacher.name
            yield measure_cost(self.teacher, role="teacher", name=name, device=self.device)
        name = self.spec.student.name
        cost = measure_cost(student, role="student", name=name, device=self.device)
        yield cost
        yield Prepared(what="cost", text=f"{cost.multiply_adds / 1e6:.1f} M multiply-adds an image")

    # Training

    def train(self) -> Iterator[Event]:
        """Run the phases that are still to do."""
        if self.at == (0, 0, 0):
            yield from self._measured(by_hand=False)
        for index in range(self.at[0], len(self.plan)):
            phase = self.plan[index]
            if index > self.at[0]:
                self.at = (index, 0, 0)
            yield self._phase_began(index)
            if self.at[1:] == (0, 0):
                phase.enter()
            self.lesson = phase.begin()
            if self.resumed is not None and self.resumed.position[0] == index:
                for learner in self.lesson.learners:
                    learner.optimizer.load_state_dict(self.resumed.optimizers[learner.name])
            yield from self._fit(phase, self.lesson)

    def _fit(self, phase: Phase, lesson: Lesson) -> Iterator[Event]:
        seen, since = 0, time.perf_counter()
        steps, begun = 0, since
        for item in fit(phase, lesson, self.tally, at=self.at, seed=self.spec.seed):
            if isinstance(item, StepTaken):
                speed = seen / max(time.perf_counter() - since, 1e-9)
                yield item.model_copy(update={"samples_per_second": round(speed, 1)})
                seen, since = 0, time.perf_counter()
            elif isinstance(item, Stepped):
                self.at = item.at
                self.open_tally = self.tally.state_dict()
                seen, steps = seen + item.samples, steps + 1
                self.control.beat(self.at, steps / (time.perf_counter() - begun))
                waited = time.perf_counter()
                yield from self._obey()
                begun += time.perf_counter() - waited
            elif isinstance(item, EpochEnded):
                yield from self._close_epoch(phase, item)
                seen, since = 0, time.perf_counter()
            else:
                yield item

    def _close_epoch(self, phase: Phase, ended: EpochEnded) -> Iterator[Event]:
        complete, self.at = self.at, ended.at
        done, is_last = ended.at[1], ended.at[1] == phase.epochs
        if ended.table:
            yield self._keep_table(ended.table)
        if phase.is_measured and (done % self.spec.evaluate_every == 0 or is_last):
            try:
                yield from self._measured(by_hand=False)
            except _Leave:
                self.at = complete  # the epoch is closed and measured again on resume
                yield self._save()
                raise
        if done % self.spec.save_every == 0 or is_last or self.leave_after_epoch:
            self.open_tally = self.tally.state_dict()
            yield self._save()
        if self.leave_after_epoch:
            raise _Leave("stopped")

    def _measured(self, *, by_hand: bool) -> Iterator[Event]:
        """Every net of the method on the splits that are shown while training."""
        for name, net in self.method.nets.items():
            for split in self._shown(while_training=True):
                told = [*self._evaluated(name, net, split, "last", by_hand=by_hand)]
                yield from told
                assert isinstance(told[-1], Evaluated)
                figure = told[-1].figures[self.spec.headline]
                is_chosen = split == self.spec.select_on and name == "student" and not by_hand
                if is_chosen and figure > self.best_figure and self.at > (0, 0, 0):
                    self.best_figure, self.best_at = figure, self.at
                    yield self._save_net(net, "best")

    def _evaluated(
        self,
        name: str,
        net: StagedNet,
        split: SplitName,
        weights: Weights,
        *,
        by_hand: bool = False,
    ) -> Iterator[Event]:
        """What a net does on a split; the figures come last, with what they stand on before."""
        part = self.data.splits[split]
        at = (0, 0, 0) if weights == "given" else self.at  # a resumed run measures it again
        if self.spec.task == "segment":
            kept = rows_to_keep(len(part))
            found = segmented(
                net, self._batches(part), len(self.data.classes), kept=kept, around=self._autocast
            )
            figures = found.figures
            if weights != "best":
                yield self._keep_masks(found, f"{name}_{split}_{'-'.join(map(str, at))}")
        else:
            figures = classification_figures(net, self._batches(part), around=self._autocast)
        if weights == "last" and split in self._shown(while_training=True):
            figures |= self.method.figures(self.plan[at[0]].name, net, self._batches(part))
        if not all(map(math.isfinite, figures.values())):
            raise TrainingError(
                f"The loss of the {name} on the {split} split is not finite"
                f" in phase {self.at[0] + 1}, after epoch {self.at[1]}.",
                hint=_NOT_FINITE_HINTS[weights == "given"],
            )
        yield Evaluated(
            at=at,
            net=name,
            weights=weights,
            split=split,
            figures=figures,
            samples=len(part),
            by_hand=by_hand,
        )

    def _batches(self, part: Split) -> Iterator[Batch]:
        """All images of a split, unless the run is asked to end at once."""
        size = evaluation_batch(self.data)
        return self._watched(evaluation_batches(part, self.data, batch=size, device=self.device))

    def _watched(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches, unless the run is asked to end at once."""
        for batch in batches:
            if (word := self.control.ending()) is not None:
                raise _Leave("stopped" if word == "stop" else "interrupted")
            yield batch

    def _autocast(self) -> torch.autocast:
        precision = getattr(torch, self.spec.precision)
        return torch.autocast(
            self.device.type, dtype=precision, enabled=precision is not torch.float32
        )

    # Control

    def _obey(self) -> Iterator[Event]:
        """Do what a person asked for since the last step."""
        while (word := self.control.look()) is not None:
            if word == "pause":
                yield RunPaused(time=time.time())
                while (word := self.control.wait()) in ("pause", "save", "evaluate"):
                    yield from self._do(word)
                yield RunContinued(time=time.time())
            if word in ("stop", "interrupt"):
                if word == "stop":
                    yield RunStopping(time=time.time())
                if self.saved_at != self.at:
                    yield self._save()
                raise _Leave("stopped" if word == "stop" else "interrupted")
            if word == "stop_after_epoch":
                self.leave_after_epoch = True
                yield RunStopping(time=time.time())
            yield from self._do(word)

    def _do(self, word: str) -> Iterator[Event]:
        if word == "save":
            yield self._save(by_hand=True)
        elif word == "evaluate":
            try:
                yield from self._measured(by_hand=True)
            except _Leave:
                if self.saved_at != self.at:
                    yield self._save()
                raise

    def _look_before_training(self) -> None:
        """Other words than an end are left for the first step."""
        if (word := self.control.ending()) is not None:
            raise _Leave("stopped" if word == "stop" else "interrupted")

    # The end

    def finish(self) -> Iterator[Event]:
        """Measure the last and the best student on every split, and leave both."""
        for name, net in self.method.nets.items():
            for split in self._final_splits():
                yield from self._evaluated(name, net, split, "last")
            yield self._save_net(net, "last", name)
        if self.best_at == self.at:
            yield from self._as_best()
            return
        choice = self.spec.student.model_copy(
            update={"weights": str(self.folder.artefacts / "student_best.safetensors")}
        )
        best = make_net(choice, self.data, runs=self.folder.path.parent, seed=self.spec.seed)
        for split in self._shown():
            yield from self._evaluated("student", best.net.to(self.device), split, "best")

    def _as_best(self) -> list[Event]:
        """The last weights are the best: what was measured holds for both."""
        view = fold(RunView(), self.folder.log.read()[0])
        return [
            told.model_copy(update={"weights": "best"})
            for told in view.evaluated
            if (told.at, told.net, told.weights, told.by_hand)
            == (self.at, "student", "last", False)
        ]

    def _shown(self, *, while_training: bool = False) -> list[SplitName]:
        """The splits on which nets are measured; the test split only at the end."""
        names: list[SplitName] = ["validation"] if while_training else ["validation", "test"]
        if self.spec.select_on == "test" and while_training:
            names = ["test"]
        if self.spec.select_on == "test" and self.data.test is None:
            raise SpecError(
                f"{self.data.name} has no test split to select on",
                hint="Choose select_on: validation.",
                where="select_on",
            )
        return [name for name in names if name in self.data.splits]

    def _final_splits(self) -> list[SplitName]:
        seen = self._shown(while_training=True)
        return [name for name in self._shown() if name not in seen]

    # What stays on disk

    def _save(self, *, by_hand: bool = False) -> CheckpointSaved:
        learners = self.lesson.learners if self.lesson else ()
        checkpoint = Checkpoint(
            position=self.at,
            modules=self.method.modules.state_dict(),
            optimizers={one.name: one.optimizer.state_dict() for one in learners},
            tally=self.open_tally,
            best_figure=self.best_figure,
            best_at=self.best_at,
            circumstances=self._circumstances(),
        )
        save_checkpoint(self.folder.checkpoints / "last.pt", checkpoint)
        self.saved_at = self.at
        return CheckpointSaved(position=self.at, which="last", by_hand=by_hand)

    def _save_net(
        self, net: StagedNet, which: Literal["last", "best"], name: str = "student"
    ) -> ArtefactSaved:
        path = self.folder.artefacts / f"{name.replace(' ', '_')}_{which}.safetensors"
        design = self.method.designs.get(name)
        choice = self.spec.student if design is None else peer_choice(self.spec, design)
        metadata = {
            "net": choice.model_dump_json(include={"name", "knobs"}),
            "classes": "\n".join(self.data.classes),
            "input_shape": " ".join(map(str, self.data.input_shape)),
            "mean": " ".join(map(str, self.data.mean)),
            "std": " ".join(map(str, self.data.std)),
            "palette": "\n".join(" ".join(map(str, colour)) for colour in self.data.palette),
            "channels": "RGB, 0 to 1 before mean and std",
            "run": self.folder.id,
            "at": " ".join(map(str, self.at)),
        }
        save_weights(net, path, metadata)
        return ArtefactSaved(
            name=path.name, what=f"{name}, {which} weights", bytes=path.stat().st_size
        )

    def _keep_table(self, table: Mapping[str, Tensor]) -> ArtefactSaved:
        """P(distil) of the last visit of every sample, for the Spots view."""
        return self._keep("spots.npz", "choices by sample", table)

    def _keep_masks(self, found: Segmented, what: str) -> ArtefactSaved:
        """Matrices, the IoU of each image, and a few predicted masks, for the Look page."""
        arrays = {
            "confusion": found.counts.confusion,
            "boundary": found.counts.boundary,
            "image_iou": found.counts.image_iou,
            "image_miou": found.counts.image_miou,
            "rows": found.rows,
            "masks": found.masks,
        }
        return self._keep(f"segmented_{what}.npz", "overlaps by image and a few masks", arrays)

    def _keep(self, name: str, what: str, arrays: Mapping[str, Tensor]) -> ArtefactSaved:
        path = self.folder.artefacts / name.replace(" ", "_")
        temporary = path.with_suffix(".tmp.npz")
        plain: dict[str, Any] = {name: value.numpy() for name, value in arrays.items()}
        np.savez_compressed(temporary, **plain)
        temporary.replace(path)
        return ArtefactSaved(name=path.name, what=what, bytes=path.stat().st_size)

    # Circumstances

    def _phase_began(self, index: int) -> PhaseBegan:
        phase = self.plan[index]
        return PhaseBegan(
            at=(index, 0, 0),
            phase=phase.name,
            epochs=phase.epochs,
            steps=phase.data.steps,
            phases=tuple(one.name for one in self.plan),
            total_steps=sum(one.epochs * one.data.steps for one in self.plan),
        )

    def _circumstances(self) -> dict[str, str]:
        """What must be the same for a resume to be exact."""
        return {
            "settings": self.spec.hash(),
            "torch": str(torch.__version__),  # a TorchVersion is no plain text
            "threads": str(torch.get_num_threads()),
            "device": torch.cuda.get_device_name(self.device)
            if self.device.type == "cuda"
            else platform.machine(),
            "data set": self.data.fingerprint,
            "teacher": _digest(self.teacher),
        }

    def _changes(self) -> list[str]:
        if self.resumed is None:
            return []
        before, now = self.resumed.circumstances, self._circumstances()
        return [name for name in now if before.get(name) != now[name]]

    def _environment(self) -> dict[str, Any]:
        packages = ("torch", "torchvision", "numpy", "fvcore", "safetensors", "pydantic")
        return {
            **self._circumstances(),
            "classes": list(self.data.classes),
            "palette": [list(colour) for colour in self.data.palette],
            "python": platform.python_version(),
            "system": platform.platform(),
            "versions": {name: version(name) for name in packages},
        }


def _described(data: DataSet) -> str:
    counts = ", ".join(f"{len(split):,} {name}" for name, split in data.splits.items())
    return f"{data.name}: {len(data.classes)} classes, {counts}"


def _digest(net: StagedNet | None) -> str:
    """12 hex digits over the weights of a net; empty for none."""
    if net is None:
        return ""
    found = hashlib.sha256()
    for name, value in net.state_dict().items():
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:12]
