"""Writing to disk: whole files or nothing, and faults as sentences."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import WorkspaceError

_SENTENCES = {
    errno.ENOSPC: "the disk of {path} is full.",
    errno.EDQUOT: "your share of the disk of {path} is used up.",
    errno.EROFS: "{path} is on a read-only disk",
    errno.EACCES: "{path} may not be written by this user",
    errno.EPERM: "{path} may not be written by this user",
    errno.ENOENT: "{path} is gone",
    errno.ENOTDIR: "{path} is not inside a folder",
}
_HINTS = {
    errno.ENOSPC: "Free some space, then resume.",
    errno.EDQUOT: "Free some space, then resume.",
}


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """What the disk refuses inside becomes a sentence about `path`.

    Raises:
        WorkspaceError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        sentence = _SENTENCES.get(code, "{path} cannot be used: " + (error.strerror or str(error)))
        raise WorkspaceError(sentence.format(path=path), hint=_HINTS.get(code, "")) from error


def replace_file(path: Path, data: bytes, *, is_lasting: bool = True) -> None:
    """Write a whole file; a reader sees the old one or the new one.

    Args:
        path: of the file.
        data: what it shall hold.
        is_lasting: whether it must survive a loss of power; costs a wait for the disk.

    Raises:
        WorkspaceError: the disk is full or read-only.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    with disk_faults(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                if is_lasting:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
