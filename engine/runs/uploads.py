"""Files that a person gave to be looked at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.runs.disk import disk_faults, replace_file
from engine.runs.folder import Workspace

KEPT_FILES = 40  # the oldest go first


def keep_upload(workspace: Workspace, data: bytes) -> Path:
    """The file that holds these bytes; its name is made of them, and says nothing else.

    Raises:
        WorkspaceError: the disk is full or read-only.
    """
    folder = workspace.path / "uploads"
    with disk_faults(folder):
        folder.mkdir(exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:32]
    if not path.exists():
        replace_file(path, data, is_lasting=False)
        older = sorted(folder.glob("[0-9a-f]*"), key=lambda file: file.stat().st_mtime)
        for file in older[:-KEPT_FILES]:
            file.unlink(missing_ok=True)
    return path
