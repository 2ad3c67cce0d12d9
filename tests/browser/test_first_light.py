"""The first whole way, in a real browser: Start, Try it now, Watch, Run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine.runs.folder import Workspace
from tests.browser.server import ROOT, Server

pytestmark = pytest.mark.browser

# Points of every trace of every live figure: [{figure, name, type, points}]
TRACES = """() => [...document.querySelectorAll('.live-plot')].flatMap((box, figure) =>
  (box.data ?? []).map(trace => ({figure, name: trace.name ?? '', type: trace.type ?? 'scatter',
    points: trace.z ? trace.z.flat().filter(v => v !== null).length
                    : (trace.y ?? []).filter(v => v !== null).length})))"""
PAINTED = "() => document.querySelector('.live-plot .main-svg') !== null"


def points(page: Any, kind: str) -> int:
    """How many points the figures of a kind show together."""
    return sum(trace["points"] for trace in page.evaluate(TRACES) if trace["type"] == kind)


def wait_for(page: Any, condition: Any, seconds: float, what: str) -> float:
    """Seconds until a condition holds."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"{what} took more than {seconds} s"
        page.wait_for_timeout(150)
    return time.monotonic() - begun


def test_the_demo_from_the_first_click_to_the_finished_student(page: Any, server: Server) -> None:
    page.goto(server.url)
    page.get_by_role("heading", name="Make a big model teach a small one").wait_for()
    begun = time.monotonic()
    page.get_by_role("button", name="Try it now").click()
    page.wait_for_url("**/watch**")
    first = wait_for(page, lambda: points(page, "scatter") > 0, 60, "the first point")
    print(f"first curve point {time.monotonic() - begun:.1f} s after the click ({first:.1f} s)")

    _zoom_survives_a_tick(page)

    before = points(page, "scatter")
    page.reload()
    wait_for(page, lambda: points(page, "scatter") >= before, 30, "the curve after a reload")

    wait_for(page, lambda: points(page, "heatmap") > 0, 300, "the heat map")
    page.get_by_text("Done:").wait_for(timeout=600_000)  # beside other work on the cores
    print(f"demo finished {time.monotonic() - begun:.1f} s after the click")
    page.get_by_role("button", name="See the run in full").click()
    page.wait_for_url("**/run?**")
    page.get_by_text("Student alone").first.wait_for()
    assert page.get_by_test_id("stException").count() == 0


def _zoom_survives_a_tick(page: Any) -> None:
    wait_for(page, lambda: points(page, "scatter") > 3, 60, "a few points")
    page.wait_for_function(PAINTED)
    plot = page.locator(".live-plot").first
    plot.scroll_into_view_if_needed()
    box = plot.locator(".nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.7, steps=8)
    page.mouse.up()
    where = "() => document.querySelector('.live-plot').layout.xaxis.range"
    version = "() => document.querySelector('.live-plot').dataset.version"
    page.wait_for_timeout(400)
    zoomed, seen = page.evaluate(where), page.evaluate(version)
    page.evaluate("() => { document.querySelector('.live-plot').dataset.mounted = 'once' }")
    wait_for(page, lambda: page.evaluate(version) != seen, 60, "a tick with new data")
    page.wait_for_timeout(300)
    assert page.evaluate(where) == zoomed
    mounted = "() => document.querySelector('.live-plot').dataset.mounted"
    assert page.evaluate(mounted) == "once", "the figure was mounted anew"


def test_stop_stops_a_run_that_a_terminal_queued_on_a_cold_server(
    page: Any, tmp_path: Path
) -> None:
    place = tmp_path / "workspace"
    command = ["-m", "engine", "run", "demo", "--queue", "--set", "schedule.epochs=200"]
    environment = {**os.environ, "DISTILL_WORKSPACE": str(place)}
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
    server = Server(place)
    try:
        server.wait()
        newest = Workspace(place).runs()[-1]
        wait_for(page, lambda: newest.status() == "running", 60, "the start without a tab")
        page.goto(f"{server.url}/runs")
        page.get_by_test_id("stSidebarNavLink").first.wait_for()
        page.goto(f"{server.url}/watch?run={newest.id}")
        page.locator(".st-key-steer").get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Now, and save").click()
        asked = time.monotonic()
        wait_for(page, lambda: newest.status() == "stopped", 20, "the stop")
        print(f"stopped {time.monotonic() - asked:.1f} s after the click")
        page.get_by_role("button", name="Resume").wait_for()
    finally:
        server.stop()


@pytest.mark.parametrize("path", ["distill", "watch", "runs", "run?run=nobody", "run?run=../../x"])
def test_a_cold_deep_link_is_framed_and_tells_no_traceback(
    page: Any, server: Server, path: str
) -> None:
    page.goto(f"{server.url}/{path}")
    page.get_by_test_id("stSidebarNavLink").first.wait_for()
    page.get_by_test_id("stMain").get_by_text("", exact=False).first.wait_for(state="attached")
    page.wait_for_timeout(1500)
    assert page.get_by_test_id("stException").count() == 0


def test_a_second_server_on_the_workspace_says_so_and_lets_one_read(
    page: Any, server: Server, tmp_path: Path
) -> None:
    second = Server(tmp_path / "workspace")
    try:
        second.wait()
        page.goto(second.url)
        page.get_by_text("another server", exact=False).first.wait_for()
        assert page.get_by_test_id("stException").count() == 0
    finally:
        second.stop()
