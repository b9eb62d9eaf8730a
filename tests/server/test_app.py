import re

import aiohttp
import cv2
import numpy as np
import pytest
from yarl import URL


async def test_the_page_and_everything_it_names_are_served(server):
    async with server.http.get(server.url) as response:
        assert response.status == 200
        page = await response.text()
    assert "<script>" not in page
    assert "style=" not in page
    for path in re.findall(r'(?:href|src)="(/[^"]+)"', page):
        async with server.http.get(server.url.rstrip("/") + path) as response:
            assert response.status == 200, path


async def test_nothing_on_the_page_comes_from_elsewhere(server):
    for name in ("index.html", "style.css", "js/main.js", "js/player.js", "icon.svg"):
        async with server.http.get(f"{server.url}static/{name}") as response:
            text = (await response.text()).replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://(?!\$)(?! |pages)", text), name


async def test_the_poster_is_the_avatar_at_rest(server, is_mouth_open):
    async with server.http.get(f"{server.url}poster.jpg") as response:
        assert response.content_type == "image/jpeg"
        jpeg = await response.read()
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (256, 256, 3)
    assert not is_mouth_open(jpeg)


async def test_health_counts_sessions(server):
    async def health():
        async with server.http.get(f"{server.url}health") as response:
            assert response.status == 200
            return await response.json()

    assert (await health())["sessions"] == 0
    async with server.viewer() as viewer:
        await viewer.frames(2)
        report = await health()
        assert report["status"] == "ok"
        assert report["avatar"] == "Test Card"
        assert report["sessions"] == 1
        assert report["accepting"] is True
        assert report["frames_sent"] >= 2


async def test_a_full_server_says_when_to_come_back(start_server):
    server = await start_server(max_sessions=1)
    async with server.viewer() as first:
        await first.control("hello")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with server.viewer():
                pass
        assert refusal.value.status == 503
        assert int(refusal.value.headers["Retry-After"]) > 0
        async with server.http.get(f"{server.url}health") as response:
            assert (await response.json())["accepting"] is False
        await first.frames(2)  # undisturbed
    async with server.viewer() as second:
        await second.control("hello")


async def test_the_socket_address_explains_itself_to_browsers(server):
    async with server.http.get(f"{server.url}ws") as response:
        assert response.status == 426


@pytest.mark.parametrize(
    "path",
    ["static/../app.py", "static/%2e%2e/%2e%2e/pyproject.toml", "static/", "static//etc/passwd"],
)
async def test_only_files_of_the_page_are_served(server, path):
    async with server.http.get(URL(server.url + path, encoded=True)) as response:
        assert response.status in (403, 404)
