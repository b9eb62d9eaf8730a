"""Avatars without a background: the page shows through, by the pixels of a real Chromium."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine
from tests.browser.test_embed import Quiet

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PORTRAIT = ROOT / "training/showcase/portraits/studio-host.webp"
ALPHA = """(() => {
  const canvas = document.getElementById("canvas");
  const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const at = (x, y) => all[4 * (Math.round(y * canvas.height) * canvas.width
                                + Math.round(x * canvas.width)) + 3];
  return [at(0.02, 0.02), at(0.98, 0.02), at(0.5, 0.5), at(0.5, 0.97)];
})()"""


@pytest.fixture(scope="module")
def expression(make_server: Callable[..., Any]) -> Any:
    return make_server("--model", "expression", "--background", "transparent", avatar=PORTRAIT)


@pytest.fixture(scope="module")
def essence(make_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("avatar") / "host.imx"
    engine.build(PORTRAIT, out=path, name="Host", size=128, seconds=3)
    return make_server("--background", "transparent", avatar=path)


def shot(page: Any) -> np.ndarray:
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        return np.asarray(picture.convert("RGB"))


def test_pictures_are_cut_out(expression: Any, open_page: Callable[..., Any]) -> None:
    viewer = open_page(url=expression.url)
    viewer.until_live()
    assert viewer.read("mode") == "jpeg"
    left, right, face, chest = viewer.page.evaluate(ALPHA)
    assert (left, right) == (0, 0)
    assert (face, chest) == (255, 255)
    # On screen the corner of the canvas looks as the page beside it does.
    box = viewer.page.locator("#canvas").bounding_box()
    picture = shot(viewer.page).astype(int)
    x, y = int(box["x"]), int(box["y"] + 0.3 * box["height"])
    assert np.abs(picture[y, x + 12] - picture[y, x - 12]).max() < 12
    assert not viewer.complaints


def test_tiles_are_cut_out(essence: Any, open_page: Callable[..., Any]) -> None:
    viewer = open_page(url=f"{essence.url}?mode=jpeg")
    viewer.until_live()
    whole = viewer.page.evaluate(ALPHA)
    tiles = open_page(url=essence.url)
    tiles.until("window.bithuman?.mode === 'tiles' && bithuman.framesDrawn > 10", 90)
    assert viewer.read("mode") == "jpeg"
    assert whole == tiles.page.evaluate(ALPHA) == [0, 0, 255, 255]
    assert not tiles.complaints


def test_a_client_without_alpha_sees_the_photo(essence: Any, open_page: Callable[..., Any]) -> None:
    old = """
      const send = WebSocket.prototype.send;
      WebSocket.prototype.send = function (data) {
        if (typeof data === "string") data = data.replace('"alpha":true', '"alpha":false');
        send.call(this, data);
      };"""
    viewer = open_page(url=f"{essence.url}?mode=jpeg", script=old)
    viewer.until_live()
    assert viewer.page.evaluate(ALPHA) == [255] * 4


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("site")
    handler = partial(Quiet, directory=str(directory))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"{directory}|http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("scheme", ["normal", "dark", "light"])
def test_an_embedded_avatar_floats_over_the_page(
    site: str, make_server: Callable[..., Any], open_page: Callable[..., Any], scheme: str
) -> None:
    directory, origin = site.split("|")
    server = make_server(
        *("--model", "expression", "--background", "transparent", "--allow-origin", origin),
        avatar=PORTRAIT,
    )
    html = f"""<!doctype html><title>A shop</title>
      <body style="margin: 0; background: #20c040; color-scheme: {scheme}">
      <script src="{server.url}embed.js" data-width="400px"></script>"""
    Path(directory, "index.html").write_text(html)
    viewer = open_page(url=f"{origin}/")
    viewer.until("window.bithuman?.avatars[0]?.state.connection === 'live'")
    frame = viewer.page.frames[1]
    for _ in range(200):
        if frame.evaluate(ALPHA) == [0, 0, 255, 255]:
            break
        viewer.page.wait_for_timeout(100)
    picture = shot(viewer.page)
    assert np.abs(picture[200, 12].astype(int) - (0x20, 0xC0, 0x40)).max() < 4  # beside the face
    assert np.abs(picture[200, 200].astype(int) - (0x20, 0xC0, 0x40)).max() > 60  # the face
    server.stop()
