"""How fast the dashboard is while a training takes both cores: `make bench`.

Measures in a real browser, prints, gates nothing. Each page's paint is the time from the request
to its heading, on a new tab; a tick is the time from the rerun that a live page asks for to the
figure that it has drawn.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import sync_playwright

from engine.runs.folder import Workspace
from tests.browser.server import ROOT, launch, serving

SECONDS = 40
TABS = 3
# Notes when a message leaves, and when a figure has a new version on the screen.
PROBE = """
window.sent = []; window.drawn = []
const send = WebSocket.prototype.send
WebSocket.prototype.send = function (message) {
  window.sent.push(performance.now()); return send.call(this, message)
}
new MutationObserver(changes => {
  if (changes.some(change => change.target.classList?.contains('live-plot')))
    requestAnimationFrame(() => window.drawn.push(performance.now()))
}).observe(document, {subtree: true, attributes: true, attributeFilter: ['data-version']})
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        place = Path(folder)
        _queue_long_run(place)
        browser = launch(playwright)
        if browser is None:
            sys.exit("There is no Chromium: see make chromium.")
        with serving(place) as server:
            run = Workspace(place).runs()[-1]
            while not run.log.read()[0] or run.status() != "running":
                time.sleep(0.5)
            person = browser.new_context()
            print(f"first page with an empty cache {_paint(person, server.url):.2f} s")
            print("page       paint s, slowest of 3 new tabs")
            for name in ("", "distill", "watch", "runs", f"run?run={run.id}"):
                times = [_paint(person, f"{server.url}/{name}") for _ in range(3)]
                print(f"{name.split('?')[0] or 'start':<10} {max(times):.2f}")
            tabs = [_watch(browser, f"{server.url}/watch?run={run.id}") for _ in range(TABS)]
            process = psutil.Process(server.process.pid)
            tabs[0].wait_for_timeout(10_000)
            for tab in tabs:  # what came with opening the page is no tick
                tab.evaluate("() => { window.sent = []; window.drawn = [] }")
            before, begun = process.cpu_times(), time.monotonic()
            tabs[0].wait_for_timeout(SECONDS * 1000)
            after, seconds = process.cpu_times(), time.monotonic() - begun
            used = after.user + after.system - before.user - before.system
            ticks = sorted(tick for tab in tabs for tick in _ticks(tab))
            print(f"ticks      {len(ticks)} in {seconds:.0f} s on {TABS} tabs")
            print(f"tick p50   {statistics.median(ticks):.0f} ms")
            print(f"tick p95   {ticks[int(len(ticks) * 0.95)]:.0f} ms")
            print(f"server     {used / seconds:.1%} of a core")
            speeds = [e.samples_per_second for e in run.log.read()[0] if e.kind == "StepTaken"]
            print(f"training   {statistics.median(speeds[-50:]):.0f} images/s meanwhile")
        browser.close()


def _queue_long_run(place: Path) -> None:
    command = ["-m", "engine", "run", "demo", "--queue", "--workspace", str(place)]
    settings = ["--set", "schedule.epochs=500"]
    subprocess.run([sys.executable, *command, *settings], cwd=ROOT, check=True)


def _paint(person: Any, url: str) -> float:
    page = person.new_page()
    begun = time.monotonic()
    page.goto(url, wait_until="commit")
    page.get_by_test_id("stHeading").first.wait_for()
    seconds = time.monotonic() - begun
    page.close()
    return seconds


def _watch(browser: Any, url: str) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(PROBE)
    page.goto(url)
    page.locator(".live-plot .main-svg").first.wait_for()
    return page


def _ticks(page: Any) -> list[float]:
    """Milliseconds from the last message before each drawing to the drawing."""
    sent, drawn = page.evaluate("() => [window.sent, window.drawn]")
    found = []
    for number, at in enumerate(drawn):
        earlier = [one for one in sent if one < at]
        previous = drawn[number - 1] if number else 0.0
        if earlier and earlier[-1] > previous:
            found.append(at - earlier[-1])
    return found


if __name__ == "__main__":
    main()
