"""A cell of the map of classes, clicked and tapped: its images appear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.runs.folder import Workspace
from tests.browser.server import Server
from tests.pages.canned import CLASSES, add_run, keep_choices, whole

pytestmark = pytest.mark.browser

CELLS = ".pick-plot .nsewdrag"


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    """A finished run whose table of choices names the first 40 images of the drawn shapes."""
    folder = add_run(
        Workspace.open(tmp_path / "workspace"), whole("taught"), role="taught", name=""
    )
    keep_choices(folder)
    return folder.id


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_a_cell_shows_its_images(browser: Any, server: Server, run_id: str, touch: bool) -> None:
    size = {"width": 390, "height": 844} if touch else {"width": 1280, "height": 900}
    context = browser.new_context(viewport=size, has_touch=touch)
    page = context.new_page()
    page.set_default_timeout(120_000)  # the job process imports torch first
    page.goto(f"{server.url}/run?run={run_id}&run_tab=Spots")
    page.get_by_text("Most often taught at stage1").wait_for()
    for across, down, spot, label in ((0.35, 0.4, "stage3", 3), (0.95, 0.9, "stage1", 9)):
        cells = page.locator(CELLS).first
        cells.scroll_into_view_if_needed()
        box = cells.bounding_box()
        place = (box["x"] + across * box["width"], box["y"] + down * box["height"])
        (page.touchscreen.tap if touch else page.mouse.click)(*place)
        page.get_by_text(f"Most often taught at {spot}, class {CLASSES[label]}").wait_for()
        pictures = page.locator('[data-testid="stImage"] img, [data-testid="stImageContainer"] img')
        assert pictures.count() == 4
        assert pictures.first.evaluate("image => image.naturalWidth") == 96
    assert f"run_class={CLASSES[9].replace(' ', '+')}" in page.url.replace("%20", "+")
    assert page.get_by_test_id("stException").count() == 0
    context.close()
