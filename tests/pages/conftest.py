"""Pages run inside their frame, on a workspace of their own and without an engine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.runs.folder import Workspace
from tests.pages.canned import fill

FRAME = Path(__file__).resolve().parents[2] / "pages" / "parts" / "frame.py"
Open = Callable[..., AppTest]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(tmp_path))
    return Workspace.open(tmp_path)


@pytest.fixture
def canned(workspace: Workspace) -> Iterator[dict[str, str]]:
    """One run of each status; some are held as by a worker. Name -> id."""
    ids = fill(workspace)
    with contextlib.ExitStack() as held:
        for name in ("running", "paused"):
            lock = workspace.run(ids[name]).lock
            assert lock.acquire(timeout=1.0)
            held.callback(lock.release)
        yield ids


@pytest.fixture
def open_page(workspace: Workspace) -> Open:
    """Opens a page as a browser would: open_page("run", run=ID)."""

    def opened(name: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(FRAME), default_timeout=30)
        app.switch_page(f"../{name}.py")
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    return opened
