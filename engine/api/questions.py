"""Short work that needs torch: ask again at the next tick, never wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.events import At
from engine.runs.answers import read_answers, saved_weights, share_done
from engine.runs.folder import Workspace
from engine.runs.job_process import JobProcess, JobState
from engine.runs.overlaps import Overlaps, read_overlaps, told_overlaps
from engine.runs.uploads import keep_upload

Weights = tuple[str, At]  # of a run, as its checkpoint was saved at a position
SavedNet = tuple[str, str, At]  # of a run its `student`, where it was saved, or its `teacher`


class Questions:
    """What the job process is asked of one workspace."""

    _workspace: Workspace
    _jobs: JobProcess

    def folders(self) -> JobState:
        """The data sets found below DISTILL_DATA.

        value: [{"name", "path", "data", "splits", "num_classes"}]
        """
        return self._jobs.ask("folders", {})

    def check(self, plain: Mapping[str, Any]) -> JobState:
        """Whether a spec can run, and what it costs.

        value: {"errors": [{"where", "message"}], "warnings": [{"where", "message"}],
        "spots": [{"name"}], "costs": {"teacher" | "student": CostMeasured as a mapping},
        "data": {"name", "classes", "input_shape", "splits": {split: images}, "notes"}}
        """
        return self._jobs.ask("check", {"spec": dict(plain)})

    def pairs(self, plain: Mapping[str, Any]) -> JobState:
        """Which nets can be the student of the spec's teacher, method and distiller.

        value: {net: "" or the reason why it cannot}
        """
        return self._jobs.ask("pairs", {"spec": dict(plain)})

    def estimate(self, plain: Mapping[str, Any]) -> JobState:
        """How long a spec takes, from a few seconds of real steps.

        value: {"step_seconds", "seconds", "steps", "memory_bytes", "disk_bytes", "device"}
        """
        return self._jobs.ask("estimate", {"spec": dict(plain)})

    def check_teacher(self, plain: Mapping[str, Any]) -> JobState:
        """The import report of the spec's teacher, and its accuracy on the spec's data.

        value: {"net": the choice with the knobs that fit, "report": {"rows": [{"status", "key",
        "stored", "shape", "stored_shape"}], "matched", "missing", "unexpected", "wrong_shape",
        "renamed", "notes": [...]}, "facts", "figures": {"accuracy", "loss"}, "split", "samples": of
        how many images; of a set to segment 64 at most}
        """
        return self._jobs.ask("teacher_check", {"spec": dict(plain)})

    def samples(self, plain: Mapping[str, Any]) -> JobState:
        """Eight images of a data set with their class names, and its class counts.

        value: {"images": [PNG in base64], "labels": [...], "counts": {class: images}, "name",
        "classes", "input_shape", "splits", "notes"}
        """
        return self._jobs.ask("samples", {"data": dict(plain)})

    def pictures(
        self, run_id: str, rows: Sequence[int], split: str = "train", side: int = 96
    ) -> JobState:
        """Small pictures of some images of a run's data set, by their rows in a split.

        Args:
            side: about how many pixels the longer side has.

        value: {row as text: path of a PNG file}

        Raises:
            WorkspaceError: there is no such run, or it cannot be read.
        """
        return self._drawn("pictures", run_id, rows, split, side=side)

    # What the nets answer. Weights are a run and the position that its student was saved at.

    def saved_weights(self, run_id: str) -> Mapping[str, At]:
        """`best` and `last` -> where these weights of a run's student were saved, as far as told.

        Raises:
            WorkspaceError: there is no such run.
        """
        return saved_weights(self._workspace.run(run_id))

    def answers(self, weights: Weights, split: str) -> JobState:
        """What student and teacher answer for the images of a split; kept once it is known.

        value: while it runs the share of the images that is done, 0 to 1; then Answers. They
        come without the teacher where it cannot be asked, and `message` says why.

        Raises:
            WorkspaceError: there is no such run, or it cannot be read.
        """
        run_id, at = weights
        folder = self._workspace.run(run_id)
        found = read_answers(folder, at, split)
        if found is not None and (found.teacher is not None or folder.spec().teacher is None):
            return JobState("done", found)
        params = {"weights": (run_id, at), "split": split}
        state = self._jobs.ask("answers", params)
        if state.status == "failed":
            return state
        if state.status == "done":
            if found is not None and state.value["fault"]:
                return JobState("done", found, state.value["fault"])
            self._jobs.ask("answers", params, again=True)
        return JobState("running", share_done(folder, at, split))

    def own_answers(self, weights: Weights, pictures: Sequence[tuple[str, bytes]]) -> JobState:
        """What student and teacher say of a person's own pictures, as (name, bytes of the file).

        value: [{"name", "fault": a sentence or nothing, "image": what the nets see, PNG in base64,
        "size": [width, height] of the file, "said": {"student" | "teacher": [[class id,
        probability], ...], the likeliest first}, "classes", "teacher_fault"}]

        Raises:
            WorkspaceError: there is no such run; the disk is full.
        """
        run_id, at = weights
        self._workspace.run(run_id)
        kept = [
            {"name": name, "path": str(keep_upload(self._workspace, data))}
            for name, data in pictures
        ]
        return self._jobs.ask("own_answers", {"weights": (run_id, at), "pictures": kept})

    # What segmenters see. A net is a run's student, where it was saved, or its teacher.

    def look_overlaps(self, run_id: str, split: str, net: SavedNet) -> JobState:
        """How well a net segments each picture of a split of a run's data set.

        value: {"images", "classes": of the net, "is_same": whether these are the data set's; if
        so "image_iou": [[0 to 1, None where the truth lacks the class] of each picture],
        "class_iou" of all pictures, "miou"}

        Raises:
            WorkspaceError: there is no such run; so for the two jobs below.
        """
        folder, of = self._workspace.run(run_id), self._workspace.run(net[0])
        here, there = (one.environment().get("data set", "") for one in (folder, of))
        kept = read_overlaps(of, net[1], split, net[2]) if here == there else None
        if kept is not None:
            classes = folder.environment().get("classes", ())
            return JobState("done", told_overlaps(kept.image_iou, kept.iou, classes))
        return self._jobs.ask(
            "look_overlaps", {"run": run_id, "split": split, "net": self._net(net)}
        )

    def look_masks(
        self, run_id: str, split: str, rows: Sequence[int], nets: Sequence[SavedNet]
    ) -> JobState:
        """Pictures of a run's data set, what is true there, and what nets see there, as files.

        value: {"size": [height, width], "classes", "palette", "nets": [{"classes", "is_same"}],
        "scenes": {row as text: {"image", "truth", "masks": paths, "iou": of each net [0 to 1 or
        None, of each class], or None}}}; a mask is one byte a pixel, deflated by zlib
        """
        self._workspace.run(run_id)
        params = {
            "run": run_id,
            "split": split,
            "rows": [int(row) for row in rows],
            "nets": [self._net(net) for net in nets],
        }
        state = self._jobs.ask("look_masks", params)
        if state.status == "done" and not _are_there(state.value["scenes"].values()):
            state = self._jobs.ask("look_masks", params, again=True)
        return state

    def keep_picture(self, data: bytes) -> str:
        """Keep a person's own picture for `look_own`; gives the name that it is asked for by.

        Raises:
            WorkspaceError: the disk is full or read-only.
        """
        return keep_upload(self._workspace, data).name

    def look_own(
        self, run_id: str, nets: Sequence[SavedNet], pictures: Sequence[tuple[str, str]]
    ) -> JobState:
        """What nets see in a person's own pictures.

        Args:
            pictures: as their owner calls them, and as `keep_picture` does.

        value: as of `look_masks`, but "scenes" is a list, each with its "name" and own "size" and
        without truth; with "fault", a sentence, where the picture cannot be used

        Raises:
            WorkspaceError: there is no such run.
        """
        self._workspace.run(run_id)
        folder = self._workspace.path / "uploads"
        params = {
            "run": run_id,
            "nets": [self._net(net) for net in nets],
            "pictures": [
                {"name": name, "path": str(folder / Path(kept).name)} for name, kept in pictures
            ],
        }
        state = self._jobs.ask("look_own", params)
        if state.status == "done" and not _are_there(
            one for one in state.value["scenes"] if not one["fault"]
        ):
            state = self._jobs.ask("look_own", params, again=True)
        return state

    # What the two parts of a student hold. Weights are a run and the position that its
    # checkpoint was saved at; each of these jobs takes seconds, so ask for one after another.

    def part_answers(self, weights: Weights) -> JobState:
        """How often each part of a student alone is right.

        value: {"images", "figures": {"inherit" | "explore" | "both": {"accuracy", "agreement":
        with the teacher}}}, shares from 0 to 1

        Raises:
            WorkspaceError: there is no such run; so for the jobs below.
        """
        return self._of_weights("part_answers", weights)

    def part_pictures(self, weights: Weights, fails: str) -> JobState:
        """Where the teacher, the student and its parts find the class of some images.

        Args:
            fails: "inherit" or "explore", which is wrong alone where both parts together are
                right; "both", which are wrong; "" for the first images.

        value: {"images": how many are such, "shown": [{"row" in the split, "label", "said":
        {"teacher", "both", and but for the first images "inherit", "explore": class}, "image":
        PNG in base64 with five tiles: image, teacher, whole student, inherit, explore}]}
        """
        return self._of_weights("part_pictures", weights, fails=fails)

    def part_likeness(self, weights: Weights, of: Weights | None = None) -> JobState:
        """Linear CKA between the last maps of the teacher and of a student's parts.

        Args:
            of: another run, whose student is divided by the same channels.

        value: {"images", "raw", "codes": {"teacher, inherit" | "teacher, explore" |
        "inherit, explore": 0 to 1, or None}}; no codes where no encoder learnt, or `of` is given
        """
        if of is not None:
            self._workspace.run(of[0])
        return self._of_weights("part_likeness", weights, of=of)

    def part_neurons(self, weights: Weights) -> JobState:
        """How many directions of a map hold nearly all of the loss's gradients.

        value: {"images", "left_out": shares of their energy that may be missing, "counts":
        {"teacher" | "inherit" | "explore": one number for each share}, "sizes": {...: values}}
        """
        return self._of_weights("part_neurons", weights)

    def student_flatness(self, weights: Weights, sigma: float) -> JobState:
        """The loss of a run's student when N(0, sigma^2) is added to its weights.

        value: {"images", "mean", "std" over five draws in nats; None where it overflows}
        """
        return self._of_weights("student_flatness", weights, sigma=sigma)

    # Segmenters

    def overlaps(self, run_id: str, net: str, split: str, at: At) -> Overlaps | None:
        """What an evaluation left: overlaps by image and a few masks; None where it left nothing.

        Raises:
            WorkspaceError: there is no such run, or its file cannot be read.
        """
        return read_overlaps(self._workspace.run(run_id), net, split, at)

    def scenes(self, run_id: str, split: str, rows: Sequence[int]) -> JobState:
        """Some images of a run's split with their true masks.

        value: {row as text: {"image": path of a PNG, "truth": path of a grey PNG of class ids,
        255 where nobody says}}

        Raises:
            WorkspaceError: there is no such run, or it cannot be read.
        """
        return self._drawn("scene_pictures", run_id, rows, split)

    def scene_features(self, weights: Weights) -> JobState:
        """Feature maps of the teacher's and the student's front on a few held-out images.

        value: {"split", "rows", "cut", "size": [h, w], "distance": [R of each image], "channels",
        "path": of an .npz with `teacher` and `student` (images, 1 + channels, h, w): the mean
        over all channels first}

        Raises:
            WorkspaceError: there is no such run.
        """
        return self._of_weights("scene_features", weights)

    # Inside

    def _drawn(
        self, kind: str, run_id: str, rows: Sequence[int], split: str, **more: int
    ) -> JobState:
        """Files of some images of a run's data set; drawn again where one of them is gone."""
        folder = self._workspace.run(run_id)
        spec = folder.spec()
        params = {
            "data": spec.data.model_dump(),
            "seed": spec.seed,
            "rows": [int(row) for row in rows],
            "fingerprint": str(folder.environment().get("data set", "")),
            "split": split,
            **more,
        }
        state = self._jobs.ask(kind, params)
        if state.status == "done" and not all(Path(file).exists() for file in _files(state.value)):
            state = self._jobs.ask(kind, params, again=True)
        return state

    def _net(self, net: SavedNet) -> list[Any]:
        run_id, role, at = net
        self._workspace.run(run_id)
        return [run_id, role, list(at)]

    def _of_weights(self, kind: str, weights: Weights, **more: Any) -> JobState:
        run_id, at = weights
        self._workspace.run(run_id)
        return self._jobs.ask(kind, {"weights": (run_id, at), **more})


def _are_there(scenes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the files of all pictures are where a job has left them."""
    paths = [path for one in scenes for path in (one["image"], *one["masks"])]
    return all(Path(path).exists() for path in paths)


def _files(drawn: Mapping[str, Any]) -> Iterator[str]:
    """Row -> a path, or what it shows -> a path."""
    for one in drawn.values():
        yield from one.values() if isinstance(one, Mapping) else (one,)
