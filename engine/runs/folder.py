"""The workspace and the folder of one run."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import string
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from engine.errors import SpecError, WorkspaceError
from engine.runs.disk import disk_faults, replace_file
from engine.runs.life import Status, status_of
from engine.runs.lock import Lock, is_held
from engine.runs.log import RunLog
from engine.spec import Frozen, RunSpec, read_spec

Role = Literal["", "alone", "student", "teacher"]
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Meta(Frozen):
    """What a person says about a run, and where it belongs."""

    name: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    owner: str = ""
    experiment: str = ""  # id
    role: Role = ""
    created: float = 0.0  # seconds since 1970


class RunFolder:
    """One run on disk. Cheap to make; reads a file each time it is asked for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.log = RunLog(path / "events.jsonl")
        self.lock = Lock(path / "worker.lock")
        self.artefacts = path / "artefacts"
        self.checkpoints = path / "checkpoints"

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.path.parent.parent)

    def spec(self) -> RunSpec:
        """The run's spec.

        Raises:
            WorkspaceError: it cannot be read.
        """
        try:
            return read_spec(json.loads(self._text("spec.json")))
        except (SpecError, ValueError) as error:
            raise self._unreadable("spec.json", str(error)) from None

    def write_spec(self, spec: RunSpec) -> None:
        replace_file(self.path / "spec.json", spec.to_json().encode())

    def meta(self) -> Meta:
        """Name, tags, notes and the like.

        Raises:
            WorkspaceError: it cannot be read.
        """
        try:
            return Meta.model_validate_json(self._text("meta.json"))
        except ValidationError as error:
            raise self._unreadable("meta.json", error.errors()[0]["msg"]) from None

    def update_meta(self, **changes: Any) -> Meta:
        """Set some fields of the meta data.

        Raises:
            WorkspaceError: a field is unknown or has the wrong type; the disk refuses.
        """
        try:
            meta = Meta.model_validate({**self.meta().model_dump(), **changes})
        except ValidationError as error:
            fault = error.errors()[0]
            raise WorkspaceError(f"meta data {fault['loc'][0]}: {fault['msg'].lower()}") from None
        replace_file(self.path / "meta.json", meta.model_dump_json(indent=2).encode())
        return meta

    def environment(self) -> dict[str, Any]:
        """Versions, device and hashes, as the worker wrote them; empty before that."""
        if not (self.path / "environment.json").exists():
            return {}
        try:
            found: dict[str, Any] = json.loads(self._text("environment.json"))
        except ValueError as error:
            raise self._unreadable("environment.json", str(error)) from None
        return found

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        replace_file(
            self.path / "environment.json", json.dumps(dict(environment), indent=2).encode()
        )

    def log_text(self, tail_bytes: int) -> str:
        """The end of what the worker printed, from the start of a line."""
        path = self.path / "log.txt"
        if not path.exists():
            return ""
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - tail_bytes)
            file.seek(start)
            text = file.read().decode(errors="replace")
        return text.partition("\n")[2] if start else text

    def is_alive(self) -> bool:
        """Whether a process holds the run's lock."""
        return is_held(self.lock.path)

    def status(self) -> Status:
        try:
            self.spec()
            self.meta()
            return self._status()
        except WorkspaceError:
            return "unreadable"

    def size_bytes(self) -> int:
        """Of all files."""
        return _size(self.path)

    def _status(self) -> Status:
        while True:
            size = self.log.size_bytes()
            life, has_phase_begun = self.log.last_life()
            is_alive = self.is_alive()
            # A worker that begins or ends between the two looks makes them contradict each other.
            if is_alive or size == self.log.size_bytes():
                return status_of(life, has_phase_begun, is_alive)

    def _text(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise self._unreadable(name, "the file is missing") from None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(name, str(error)) from None

    def _unreadable(self, name: str, why: str) -> WorkspaceError:
        return WorkspaceError(f"{name} of run {self.id} cannot be read: {why}")


class Workspace:
    """The folder that holds everything a person made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.experiments = path / "experiments"
        self.drafts = path / "drafts"
        self.slots = path / "slots"
        self.trash_folder = path / "trash"
        self.queue_file = path / "queue.json"
        self.engine_lock = path / "engine.lock"
        self._runs = path / "runs"

    @classmethod
    def open(cls, path: Path | None = None) -> Workspace:
        """The workspace at `path`, else at DISTILL_WORKSPACE, else ./workspace; made if missing.

        Raises:
            WorkspaceError: it is no folder, read-only, or the disk is full.
        """
        chosen = path or Path(os.environ.get("DISTILL_WORKSPACE") or "workspace")
        workspace = cls(chosen.expanduser().absolute())
        if workspace.path.exists() and not workspace.path.is_dir():
            raise WorkspaceError(f"the workspace {workspace.path} is a file, not a folder")
        folders = (workspace._runs, workspace.experiments, workspace.drafts, workspace.slots)
        with disk_faults(workspace.path):
            for folder in (*folders, workspace.trash_folder):
                folder.mkdir(parents=True, exist_ok=True)
        if not os.access(workspace.path, os.W_OK):
            raise WorkspaceError(f"the workspace {workspace.path} is read-only for this user")
        return workspace

    def runs(self) -> tuple[RunFolder, ...]:
        """All runs, newest first, those that cannot be read included."""
        names = [entry.name for entry in os.scandir(self._runs) if _ID.fullmatch(entry.name)]
        return tuple(RunFolder(self._runs / name) for name in sorted(names, reverse=True))

    def run(self, run_id: str) -> RunFolder:
        """One run.

        Raises:
            WorkspaceError: there is none with this id.
        """
        if not _ID.fullmatch(run_id) or not (self._runs / run_id).is_dir():
            raise WorkspaceError(f"there is no run {run_id!r} in {self.path}")
        return RunFolder(self._runs / run_id)

    def create(self, spec: RunSpec, meta: Meta) -> RunFolder:
        """A new run, seen by nobody before it is whole; its status is interrupted until queued.

        Raises:
            WorkspaceError: the disk is full or read-only.
        """
        run_id = new_id()
        meta = meta.model_copy(update={"created": meta.created or time.time()})
        unfinished = self._runs / f".{run_id}"
        try:
            with disk_faults(self._runs):
                for folder in (unfinished, unfinished / "artefacts", unfinished / "checkpoints"):
                    folder.mkdir()
            replace_file(unfinished / "meta.json", meta.model_dump_json(indent=2).encode())
            replace_file(unfinished / "spec.json", spec.to_json().encode())
            with disk_faults(self._runs):
                unfinished.rename(self._runs / run_id)
        except WorkspaceError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return RunFolder(self._runs / run_id)

    def trash(self, run_id: str) -> None:
        """Move a run out of sight.

        Raises:
            WorkspaceError: it is unknown or being trained.
        """
        folder = self.run(run_id)
        if not folder.lock.acquire(timeout=0.0):
            raise WorkspaceError(f"run {run_id} is being trained.", hint="Stop it first.")
        try:
            with disk_faults(self.trash_folder):
                folder.path.rename(self.trash_folder / run_id)
        finally:
            folder.lock.release()

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free


def new_id() -> str:
    """An id made of time and random letters; ids sort in the order in which they were made."""
    now = time.time()
    fraction = int(now % 1 * 26**3)
    letters = [string.ascii_lowercase[fraction // 26**power % 26] for power in (2, 1, 0)]
    letters += [secrets.choice(string.ascii_lowercase) for _ in range(3)]
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime(now)) + "".join(letters)


def is_id(text: str) -> bool:
    """Whether a text from a person or a file can be an id, and so part of a path."""
    return bool(_ID.fullmatch(text))


def _size(path: Path) -> int:
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += (Path(folder) / name).lstat().st_size
            except FileNotFoundError:  # replaced while we look
                continue
    return total
