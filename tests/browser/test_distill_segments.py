"""From Start to a segmentation run that trains, in a real browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from engine.runs.folder import Workspace
from tests.browser.server import Server

pytestmark = pytest.mark.browser

WAIT = 300_000  # ms; the job process imports torch first, beside other work on the cores


def test_from_start_to_a_segmentation_run(page: Any, server: Server, tmp_path: Path) -> None:
    page.set_default_timeout(WAIT)
    page.goto(f"{server.url}/?mode=expert")
    page.locator(".st-key-set_up_segment").get_by_role("button").click()
    page.wait_for_url("**/distill**")
    page.get_by_text("7 classes in the 4 pictures to learn from").wait_for()
    shown = page.locator(".st-key-samples img")
    shown.nth(7).wait_for()
    assert shown.count() == 8
    assert shown.first.get_attribute("alt") == (
        "A picture to learn from, with its mask drawn over it"
    )
    page.get_by_text("The student needs").wait_for()
    page.get_by_text("Counted at 96 × 48 pixels.").wait_for()

    page.get_by_role("button", name="Check this teacher").click()
    page.get_by_text("its front is what is taught").wait_for()

    page.locator(".st-key-knobs_schedule summary").click()
    for label in ("Epochs", "Steps"):
        field = page.get_by_role("spinbutton", name=label, exact=True)
        field.fill("2")
        field.press("Enter")
    page.get_by_text("2 epochs of 2 steps: 4 steps.").wait_for()
    page.get_by_role("button", name="Queue 2 runs").click()
    page.wait_for_url("**/watch**experiment=**")
    assert page.get_by_test_id("stException").count() == 0

    runs = Workspace(tmp_path / "workspace").runs()
    methods = {run.meta().role: run.spec().method.name for run in runs}
    assert methods == {"alone": "alone", "student": "spirit"}
    deadline = time.monotonic() + WAIT / 1000
    while not all(run.status() == "finished" for run in runs):
        assert time.monotonic() < deadline, [run.status() for run in runs]
        page.wait_for_timeout(500)
