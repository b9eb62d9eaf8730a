"""An avatar in a frame of another site: another origin, in a real Chromium."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><title>A shop</title>
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src {home} 'nonce-1'; frame-src {home}">
<body>
<script src="{home}embed.js" data-avatar="modern-court-jester" {data}></script>
<script nonce="1">
const [avatar] = bithuman.avatars;
const seen = [];
for (const type of ["ready", "state", "caption", "gesture", "error"]) {{
  avatar.addEventListener(type, ({{ detail }}) => seen.push([type, detail]));
}}
let ready = null;
avatar.ready.then((what) => {{ ready = what; }});
const last = (type) => seen.findLast(([t]) => t === type)?.[1];
</script>
"""
PIXEL = """(() => {
  const copy = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  copy.drawImage(document.getElementById("canvas"), 256, 256, 1, 1, 0, 0, 1, 1);
  return Array.from(copy.getImageData(0, 0, 1, 1).data);
})()"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A web site of somebody else: another origin, and to browsers another site."""
    directory = tmp_path_factory.mktemp("site")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.directory = directory  # type: ignore[attr-defined]
    server.origin = f"http://localhost:{server.server_address[1]}"  # type: ignore[attr-defined]
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def avatars(site: Any, make_server: Callable[..., Any]) -> Any:
    return make_server("--allow-origin", "https://other.example", "--allow-origin", site.origin)


@pytest.fixture
def shop(site: Any, avatars: Any, open_page: Callable[..., Any]) -> Callable[..., Any]:
    def visit(data: str = "", home: str = "", **options: Any) -> Any:
        html = PAGE.format(home=home or avatars.url, data=data)
        Path(site.directory, "index.html").write_text(html)
        return open_page(url=f"{site.origin}/", **options)

    return visit


def in_frame(viewer: Any, script: str) -> Any:
    return viewer.page.frames[1].evaluate(script)


def test_one_line_shows_an_avatar_that_can_be_told_what_to_do(shop: Any, phrase: Path) -> None:
    viewer = shop()
    viewer.until("ready !== null")
    ready = viewer.page.evaluate("ready")
    assert ready["avatar"]["name"] == "Modern Court Jester"
    assert "nod" in ready["avatar"]["gestures"]
    viewer.until("last('state')?.connection === 'live'")
    assert in_frame(viewer, "getComputedStyle(document.body).margin") == "0px"
    assert "AI-generated" in in_frame(viewer, "document.getElementById('disclosure').innerText")
    deadline = time.monotonic() + 20
    while sum(in_frame(viewer, PIXEL)) <= 255:  # drawn, and opaque
        assert time.monotonic() < deadline
        time.sleep(0.05)

    viewer.page.mouse.click(5, 790)  # on the page around it: sound may start
    sound = list(phrase.read_bytes()[: 44 + 2 * 2 * 48_000])
    viewer.page.evaluate("(bytes) => avatar.speak(Uint8Array.from(bytes).buffer)", sound)
    viewer.until("avatar.state.speaking && avatar.state.sound")
    viewer.page.evaluate("avatar.interrupt()")
    viewer.until("!avatar.state.speaking && !avatar.state.waiting", 2)
    viewer.page.evaluate("avatar.gesture('nod', true)")
    viewer.until("last('gesture')?.name === 'nod'")
    viewer.page.evaluate("avatar.gesture('fly')")
    viewer.until("last('error')?.code === 'UNKNOWN_GESTURE'")
    viewer.page.evaluate("avatar.speak('')")
    viewer.until("last('error')?.code === 'BAD_MESSAGE'")
    viewer.page.evaluate("avatar.remove()")  # and where there is no tag, by a call
    viewer.page.evaluate(
        "bithuman.create(document.body, {width: '200px'}).ready.then(() => { ready = 2; })"
    )
    viewer.until("ready === 2")
    assert viewer.page.locator("iframe").bounding_box()["width"] == 200
    viewer.page.evaluate("bithuman.avatars.at(-1).remove()")
    assert viewer.page.locator("iframe").count() == 0
    assert viewer.complaints == []


def test_a_click_on_the_picture_starts_the_sound(shop: Any) -> None:
    viewer = shop()
    viewer.until("last('state')?.connection === 'live'")
    assert not viewer.page.evaluate("avatar.state.sound")
    viewer.page.frame_locator("iframe").locator("#canvas").click()
    viewer.until("avatar.state.sound")


def test_a_text_is_spoken_with_captions(shop: Any) -> None:
    viewer = shop()
    viewer.until("ready !== null")
    if not viewer.page.evaluate("ready.voice"):
        pytest.skip("the voice extra is not installed")
    text = "Good morning, this is a sentence of many words that are all to be read"
    viewer.page.evaluate("(text) => avatar.speak(text)", text)
    viewer.until(f"last('caption')?.text === '{text}'", 90)
    assert in_frame(viewer, "document.getElementById('caption').innerText") == text
    top = "document.getElementById('caption').getBoundingClientRect().top / innerHeight"
    assert in_frame(viewer, top) > 0.68  # the lips are seen, too


def test_the_microphone_is_offered_where_the_page_wants_it(shop: Any) -> None:
    viewer = shop()
    viewer.until("ready !== null")
    assert in_frame(viewer, "document.getElementById('microphone').hidden")
    viewer.page.close()
    viewer = shop("data-microphone", permissions=["microphone"])
    viewer.until("ready !== null")
    assert viewer.page.evaluate("avatar.element.allow") == "autoplay; microphone"
    viewer.page.frames[1].click("#microphone")
    viewer.until("avatar.state.microphone")
    viewer.until("avatar.state.speaking", 30)


def test_messages_of_others_are_not_obeyed(shop: Any) -> None:
    viewer = shop()
    viewer.until("ready !== null")
    # One from the frame itself, and one that claims to be ours without being so.
    order = "{bithuman: 1, type: 'gesture', name: 'nod', force: true}"
    in_frame(viewer, f"window.postMessage({order}, '*')")
    viewer.page.evaluate("avatar.element.contentWindow.postMessage({type: 'gesture'}, '*')")
    viewer.page.evaluate("window.postMessage({bithuman: 1, type: 'ready', avatar: {}}, '*')")
    heard = viewer.page.evaluate("seen.filter(([t]) => t === 'ready').length")
    viewer.page.wait_for_timeout(700)
    assert viewer.page.evaluate("seen.some(([t]) => t === 'gesture' || t === 'error')") is False
    assert viewer.page.evaluate("seen.filter(([t]) => t === 'ready').length") == heard


def test_a_site_that_was_not_allowed_sees_nothing(shop: Any, server: Any) -> None:
    viewer = shop(home=server.url)
    viewer.page.wait_for_timeout(1500)
    assert viewer.page.evaluate("ready") is None
    assert any("frame-ancestors" in text for text in viewer.complaints), viewer.complaints


def test_a_ticket_opens_the_frame_of_a_closed_server(
    shop: Any, site: Any, make_server: Callable[..., Any]
) -> None:
    import json
    import urllib.request

    token = "0123456789abcdef"
    closed = make_server("--token", token, "--allow-origin", site.origin)
    request = urllib.request.Request(
        f"{closed.url}v1/embed-tokens",
        data=b"{}",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        ticket = json.load(answer)["token"]
    viewer = shop(f'data-token="{ticket}"', home=closed.url)
    viewer.until("ready !== null && avatar.state.connection === 'live'")
    viewer = shop('data-token="wrong"', home=closed.url)
    viewer.page.wait_for_timeout(1000)
    assert viewer.page.evaluate("ready") is None
