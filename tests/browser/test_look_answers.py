"""The page Look of a classification run: a cell of the confusion matrix filters the images."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from engine.runs.folder import RunFolder, Workspace
from tests.browser.server import Server
from tests.pages.answers_by_hand import keep_answers
from tests.pages.canned import CLASSES, add_run, whole

pytestmark = pytest.mark.browser

CELLS = ".pick-plot .nsewdrag"
CARDS = ".answer-cards .card"
PATIENCE = 120_000  # ms: the job process imports torch first


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run whose nets were asked about 60 of the drawn shapes."""
    workspace = Workspace.open(tmp_path / "workspace")
    folder = add_run(workspace, whole("taught"), role="taught", name="")
    folder.write_environment({"classes": CLASSES})
    keep_answers(folder)
    return folder


def wait_for_cards(page: Any, count: int, words: str) -> None:
    """Until so many cards are shown and each says this."""
    begun, told = time.monotonic(), [""]
    while len(told) != count or not all(words in said for said in told):
        assert time.monotonic() - begun < PATIENCE / 1000, f"the cards are {told}"
        page.wait_for_timeout(200)
        told = page.locator(CARDS).evaluate_all("cards => cards.map(card => card.ariaLabel)")


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_a_cell_filters_the_images_and_a_chip_takes_it_back(
    browser: Any, server: Server, run: RunFolder, touch: bool
) -> None:
    size = {"width": 390, "height": 844} if touch else {"width": 1280, "height": 900}
    context = browser.new_context(viewport=size, has_touch=touch)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{server.url}/look?run={run.id}")
    page.get_by_text("All 60 test images").wait_for()
    page.locator(CARDS).nth(23).wait_for()
    assert page.locator(CARDS).count() == 24

    # Every fifth image is wrong by one class: of each tenth, 0 -> 1 and 5 -> 6.
    for truth, answer, words in (
        (5, 6, "shape 5, taken for shape 6"),
        (3, 3, "shape 3, answered right"),
    ):
        cells = page.locator(CELLS).first
        cells.scroll_into_view_if_needed()
        box = cells.bounding_box()
        across, down = ((place + 0.5) / len(CLASSES) for place in (answer, truth))
        place = (box["x"] + across * box["width"], box["y"] + down * box["height"])
        (page.touchscreen.tap if touch else page.mouse.click)(*place)
        page.get_by_role("button", name=words).wait_for()
        page.get_by_text("6 of 60 test images").wait_for()
        wait_for_cards(page, 6, f"the student says shape {answer},")
    assert "answers_truth=3" in page.url

    page.get_by_role("button", name="shape 3, answered right").click()
    page.get_by_text("All 60 test images").wait_for()
    page.locator(CARDS).nth(23).wait_for()
    assert page.get_by_test_id("stException").count() == 0
    context.close()


def test_an_image_opens_larger_with_both_answers_beside_each_other(
    page: Any, server: Server, run: RunFolder
) -> None:
    page.set_default_timeout(PATIENCE)
    page.goto(f"{server.url}/look?run={run.id}&answers_page=2")
    page.locator(CARDS).nth(2).wait_for()
    assert page.locator(CARDS).first.get_attribute("data-row") == "35"  # the 25th highest loss
    page.locator(CARDS).nth(2).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Student: shape 3").wait_for()
    dialog.get_by_text("Teacher: shape 3").wait_for()
    assert dialog.locator(".bars").count() == 2
    image = dialog.locator("img")
    assert image.evaluate("image => image.naturalWidth") >= 96
    assert "Test image 33, shape 3" in image.get_attribute("alt")
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.get_by_test_id("stException").count() == 0
