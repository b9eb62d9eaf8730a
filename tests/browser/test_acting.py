"""Gestures, moods and faces on the page, in a real Chromium."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PORTRAITS = Path(__file__).parents[2] / "training/showcase/portraits"


@pytest.fixture(scope="module")
def live(make_server: Callable[..., Any]) -> Any:
    return make_server("--model", "expression", avatar=PORTRAITS / "modern-court-jester.webp")


def test_buttons_of_an_essence_avatar(viewer: Any) -> None:
    page = viewer.page
    page.click("#acting summary")
    assert page.locator("#gestures button").count() >= 7
    assert page.locator("#mood-row").is_hidden()
    assert page.locator("#face").is_hidden()
    page.click("[data-gesture=nod]")
    pressed = "document.querySelector('[data-gesture=nod]').getAttribute('aria-pressed')"
    viewer.until(f"{pressed} === 'true'")
    viewer.until(f"{pressed} === 'false'", 15)  # it waits for a hub, plays, and is over
    assert not viewer.complaints


def test_an_expression_avatar_gestures_feels_and_changes_its_face(
    live: Any, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    viewer = open_page(url=live.url)
    viewer.until_live()
    page = viewer.page
    page.click("#acting summary")
    assert page.locator("#gestures button").count() == 12
    page.click("[data-gesture=shake]")
    viewer.until("document.querySelector('[data-gesture=shake]').ariaPressed === 'true'")
    page.select_option("#mood", "joy")
    assert page.locator("#mood-strength").is_enabled()

    before = viewer.picture(100, 100, 412, 412)
    page.set_input_files("#face-input", PORTRAITS / "studio-host.webp")
    viewer.until("document.body.hasAttribute('data-swapping')")
    viewer.until("!document.body.hasAttribute('data-swapping')")
    drawn = viewer.read("framesDrawn")
    viewer.until(f"bithuman.framesDrawn > {drawn + 10}")
    after = viewer.picture(100, 100, 412, 412)
    assert np.abs(after - before).mean() > 15  # somebody else
    assert viewer.read("connection") == "live"
    assert not viewer.complaints

    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    page.set_input_files("#face-input", bad)
    viewer.until("!document.getElementById('toast').hidden")
    # Still the same, whatever it is doing.
    now = viewer.picture(100, 100, 412, 412)
    assert np.abs(now - after).mean() < 0.7 * np.abs(now - before).mean()
