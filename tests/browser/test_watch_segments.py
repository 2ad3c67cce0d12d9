"""The slider over evaluations: moved by key, the pictures change; newer ones come, it stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.runs.folder import RunFolder, Workspace
from tests.browser.server import Server
from tests.pages import canned_segments as canned

pytestmark = pytest.mark.browser

PICTURES = '[data-testid="stImage"] img, [data-testid="stImageContainer"] img'


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of three evaluations that somebody is at work on."""
    workspace = Workspace.open(tmp_path / "workspace")
    made = canned.experiment(workspace, ("sd",), seeds=1)
    folder = workspace.run(made.runs[0].run)
    folder.log.append(canned.beginning("sd"))
    for nth in range(3):
        folder.log.append(canned.evaluated(folder, "sd", nth))
    return folder


def addresses(page: Any) -> list[str]:
    found: list[str] = page.locator(PICTURES).evaluate_all("all => all.map((one) => one.src)")
    return found


def changed(page: Any, before: list[str]) -> list[str]:
    """The pictures once none of them is as before."""
    page.wait_for_function(
        """([choice, before]) => {
          const now = [...document.querySelectorAll(choice)].map((one) => one.src)
          return now.length === before.length && now.every((one) => !before.includes(one))
        }""",
        arg=[PICTURES, before],
    )
    return addresses(page)


def test_the_slider_moves_the_pictures_and_stays(page: Any, server: Server, run: RunFolder) -> None:
    assert run.lock.acquire(timeout=5.0)
    page.set_default_timeout(120_000)  # the job process imports torch first
    try:
        page.goto(f"{server.url}/watch?run={run.id}")
        page.get_by_text("Newest: epoch 2, head. 3 evaluations so far.").wait_for()
        page.get_by_text("Each row from left: the image, the truth, the student.").wait_for()
        page.wait_for_function(f"document.querySelectorAll('{PICTURES}').length === 6")
        newest = addresses(page)

        slider = page.get_by_role("slider", name="Evaluation")
        slider.focus()
        for _ in range(2):
            slider.press("ArrowLeft")
        older = changed(page, newest)
        assert slider.get_attribute("aria-valuetext") == "epoch 1, imitation"

        run.log.append(canned.evaluated(run, "sd", 3))
        page.wait_for_function(
            """() => [...document.querySelectorAll('[role=slider], input[type=range]')].some(
              (one) => (one.max || one.getAttribute('aria-valuemax')) === '4')"""
        )  # four evaluations, and the newest
        assert slider.get_attribute("aria-valuetext") == "epoch 1, imitation"
        assert addresses(page) == older

        for _ in range(3):
            slider.press("ArrowRight")
        page.get_by_text("Newest: epoch 3, fine tuning. 4 evaluations so far.").wait_for()
        assert not set(changed(page, older)) & set(newest)
        assert page.get_by_test_id("stException").count() == 0
    finally:
        run.lock.release()
