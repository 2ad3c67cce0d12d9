from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Thread

import pytest

from engine.errors import WorkspaceError
from engine.runs.lock import Lock, is_held

from .conftest import Start


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "a.lock"), Lock(tmp_path / "a.lock")
    assert first.acquire(0.0)
    assert not second.acquire(0.0)
    first.release()
    assert second.acquire(0.0)
    second.release()


def test_a_waiting_lock_comes_as_soon_as_it_is_free(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "a.lock"), Lock(tmp_path / "a.lock")
    first.acquire(0.0)
    Thread(target=lambda: (time.sleep(0.1), first.release())).start()
    assert second.acquire(5.0)
    second.release()


def test_a_lock_of_a_dead_process_is_free(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "a.lock"
    code = (
        "import sys; from pathlib import Path; from engine.runs.lock import Lock;"
        "lock = Lock(Path(sys.argv[1])); lock.acquire(0.0); print('held', flush=True); input()"
    )
    holder = start("-c", code, path)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    assert is_held(path)
    holder.kill()
    holder.wait()
    assert not is_held(path)


def test_readers_do_not_see_each_other_and_hold_up_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.touch()
    seen: list[bool] = []
    ended: list[bool] = []

    def read() -> None:
        while not ended:
            seen.append(is_held(path))

    readers = [Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    time.sleep(0.1)
    assert not any(seen)
    for _ in range(50):
        lock = Lock(path)
        assert lock.acquire(0.0)
        lock.release()
    ended.append(True)
    for reader in readers:
        reader.join()


def test_a_missing_lock_is_held_by_nobody(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "none.lock")


def test_a_child_process_does_not_inherit_a_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "a.lock")
    with lock:
        assert lock._file is not None
        assert not os.get_inheritable(lock._file)


def test_a_lock_that_is_not_to_be_had_is_told_in_a_sentence(tmp_path: Path) -> None:
    with (
        Lock(tmp_path / "a.lock"),
        pytest.raises(WorkspaceError, match=r"a\.lock is in use by another process"),
        Lock(tmp_path / "a.lock"),
    ):
        pass
