"""Folders of images that a run names, and that must be there before it is queued."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from engine.errors import DataError
from engine.spec import RunSpec

KNOBS = ("path", "proximity")  # of a data set, that name a folder


def require_folders(specs: Iterable[RunSpec]) -> None:
    """Nothing, where every folder that these runs name is there.

    Raises:
        DataError: names those that are not, and where they were looked for.
    """
    root = Path(os.environ.get("DISTILL_DATA") or "data").expanduser()
    asked = [spec.data.knobs.get(knob, "") for spec in specs for knob in KNOBS]
    names = [name for name in dict.fromkeys(asked) if isinstance(name, str) and name]
    gone = [name for name in names if not _is_there(root, name)]
    if gone:
        folders = " and ".join(f"{name!r}" for name in gone)
        word = "folder" if len(gone) == 1 else "folders"
        raise DataError(
            f"the data {word} {folders} {'is' if len(gone) == 1 else 'are'} not in"
            f" {root.resolve()}.",
            hint="Put them there, or set DISTILL_DATA to the folder that holds them.",
            where="data.knobs.path",
        )


def _is_there(root: Path, name: str) -> bool:
    path = Path(name).expanduser()
    return (root / path).is_dir() or path.is_dir()
