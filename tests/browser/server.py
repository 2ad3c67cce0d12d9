"""A dashboard of its own for a test or a measurement, and a browser that looks at it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_browser(playwright: Any) -> str | None:
    """The path of a Chromium: the one on PATH, else Playwright's own; None where neither is."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    own = playwright.chromium.executable_path
    return found or (own if Path(own).exists() else None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`streamlit run app.py` on a workspace.

    Attributes:
        url: without a slash at its end.
    """

    def __init__(self, workspace: Path, **environment: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")]
        self.process = subprocess.Popen(
            [*command, "--server.port", str(port)],
            cwd=ROOT,
            env={**os.environ, "DISTILL_WORKSPACE": str(workspace), "DEMO": "0", **environment},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self, seconds: float = 60.0) -> None:
        """Until it answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2):
                    return
            except OSError:
                assert self.process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)

    def stop(self) -> None:
        """End it as Ctrl-C would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def serving(workspace: Path, **environment: str) -> Iterator[Server]:
    """A server that answers, until the end of the block."""
    server = Server(workspace, **environment)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def launch(playwright: Any) -> Any:
    """A browser, or None where there is none."""
    path = find_browser(playwright)
    return path and playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
