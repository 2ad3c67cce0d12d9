"""Look, in a real browser: masks are drawn, keys turn the page, switches need no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.execution import execute
from engine.runs.folder import Meta, Workspace
from engine.runs.worker import drive
from engine.spec import Choice, NetChoice, RunSpec, Schedule
from tests.browser.server import Server

pytestmark = pytest.mark.browser

# The pixels of a canvas as a short text, and how many of them differ from the plain picture's.
PIXELS = """canvas => {
  const seen = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
  let sum = 0
  for (let at = 0; at < seen.length; at += 1) sum = (sum * 31 + seen[at]) % 1000003
  return `${canvas.width}x${canvas.height} ${sum}`
}"""
COVERED = """canvas => {
  const of = (one) => one.getContext('2d').getImageData(0, 0, one.width, one.height).data
  const plain = of(canvas.getRootNode().querySelector('[data-role=picture]'))
  const seen = of(canvas)
  let count = 0
  for (let at = 0; at < seen.length; at += 4)
    if ([0, 1, 2].some((tone) => seen[at + tone] !== plain[at + tone])) count += 1
  return count / (seen.length / 4)
}"""


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    """A student of drawn streets after two steps."""
    spec = RunSpec(
        task="segment",
        data=Choice(name="street_scenes"),
        student=NetChoice(name="ds128"),
        method=Choice(name="alone"),
        schedule=Schedule(epochs=1, steps=2, batch=4, lr=0.01, optimizer="adam"),
        threads=1,
        device="cpu",
    )
    run = Workspace.open(tmp_path / "workspace").create(spec, Meta(name="Streets"))
    assert drive(run, execute) == "finished"
    return run.id


def test_a_comparison_is_drawn_turned_and_switched(page: Any, server: Server, run_id: str) -> None:
    page.set_default_timeout(120_000)  # the job process imports torch first
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{server.url}/look?run={run_id}")
    scene = page.locator(".scene")
    page.locator(".scene[data-position='1']").wait_for()
    picture, mask = (page.locator(f"canvas[data-role={role}]") for role in ("picture", "first"))
    whole = mask.evaluate(COVERED)
    assert whole > 0.9, "a mask covers all of the picture"

    before = picture.evaluate(PIXELS)
    page.keyboard.press("ArrowRight")
    page.locator(".scene[data-position='2']").wait_for()
    assert picture.evaluate(PIXELS) != before
    page.wait_for_url("**look_at=2**")

    seen = mask.evaluate(PIXELS)
    page.get_by_text("Wrong only").click()
    assert mask.evaluate(PIXELS) != seen
    assert 0 < mask.evaluate(COVERED) < whole
    page.get_by_text("Wrong only").click()
    assert mask.evaluate(PIXELS) == seen

    page.keyboard.down("h")
    assert mask.evaluate(COVERED) == 0
    page.keyboard.up("h")
    assert mask.evaluate(PIXELS) == seen

    box = page.locator(".st-key-look_order input").first
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    assert scene.get_attribute("data-position") == "2", "arrows belong to the field"

    page.get_by_role("button", name="None").click()
    assert mask.evaluate(COVERED) == 0
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="Overlay").click()
    assert page.locator(".scene canvas").count() == 1
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as PNG").click()
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")

    told = [scene.get_attribute(f"data-{name}") for name in ("drawn", "turned")]
    print(f"drawn in {told[0]} ms, from key to picture {told[1]} ms")
    assert page.get_by_test_id("stException").count() == 0
    assert not faults
