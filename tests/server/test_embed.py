"""Embedding in other sites: who may frame, who may watch, and what a ticket opens."""

import aiohttp
import pytest

from bithuman_cli.server.security import parse_origin

SITE = "https://www.example.org"
SHOP = "http://shop.example:8080"
TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://www.example.org", "https://www.example.org"),
        ("HTTPS://WWW.Example.org/", "https://www.example.org"),
        ("https://example.org:443", "https://example.org"),
        ("http://example.org:443", "http://example.org:443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("*", None),
        ("null", None),
        ("", None),
        ("example.org", None),
        ("ftp://example.org", None),
        ("https://*.example.org", None),
        ("https://user@example.org", None),
        ("https://example.org/path", None),
        ("https://example.org?query", None),
        ("https://example.org:port", None),
        ("https://example.org; script-src *", None),
        ("https://exa mple.org", None),
    ],
)
def test_origins_are_written_as_browsers_do(text, origin):
    assert parse_origin(text) == origin


async def test_only_allowed_sites_may_frame_the_lean_page(start_server):
    server = await start_server(parents=(SITE, SHOP))
    async with server.http.get(f"{server.url}embed/card/") as response:
        policy = response.headers["Content-Security-Policy"]
        assert f"frame-ancestors {SHOP} {SITE}" in policy
        assert "default-src 'self'" in policy
        assert "X-Frame-Options" not in response.headers
        page = await response.text()
        assert f'name="parents" content="{SHOP} {SITE}"' in page
        assert "<script>" not in page
    async with server.http.get(server.url) as response:  # the whole page, never
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Frame-Options"] == "DENY"


async def test_nobody_may_without_having_been_allowed(server):
    async with server.http.get(f"{server.url}embed/card/") as response:
        assert response.status == 200
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert 'content=""' in await response.text()


async def test_paths_of_the_frame(server):
    for path, status, location in (
        ("embed/", 302, "/embed/card/"),
        ("embed/card?token=x", 302, "/embed/card/?token=x"),
        ("embed/nobody", 404, None),
        ("embed/nobody/", 404, None),
        ("embed/nobody/ws", 404, None),
        ("embed/card/poster.jpg", 200, None),
    ):
        async with server.http.get(server.url + path, allow_redirects=False) as response:
            assert (response.status, response.headers.get("Location")) == (status, location), path
    async with server.viewer(path="embed/card/ws") as viewer:
        assert (await viewer.control("hello"))["avatar"]["slug"] == "card"


async def test_the_script_can_be_loaded_by_any_page(start_server):
    server = await start_server(token=TOKEN)
    headers = {"Origin": "https://anywhere.example"}
    async with server.http.get(f"{server.url}embed.js", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "javascript" in response.content_type


async def test_an_allowed_site_may_watch_and_nothing_else(start_server):
    server = await start_server(parents=(SITE,))
    async with server.viewer({"modes": ["tiles"]}, headers={"Origin": SITE}) as viewer:
        hello = await viewer.control("hello")
    index = f"{server.url.rstrip('/')}{hello['tiles']['url']}index.json"
    for url in (index, f"{server.url}poster.jpg"):
        async with server.http.get(url, headers={"Origin": SITE}) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == SITE
            assert "Origin" in response.headers["Vary"]
    for path in ("", "v1/sessions", "metrics", "health"):
        async with server.http.get(server.url + path, headers={"Origin": SITE}) as response:
            assert response.status == 403, path
            assert "Access-Control-Allow-Origin" not in response.headers
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        async with server.viewer(headers={"Origin": "https://www.example.org.evil.example"}):
            pass
    assert refusal.value.status == 403


async def test_a_ticket_opens_the_frame_and_nothing_else(start_server, avatar):
    server = await start_server(token=TOKEN, parents=(SITE,), avatars={"a": avatar, "b": avatar})
    bearer = {"Authorization": f"Bearer {TOKEN}"}

    async def ask(**fields):
        url = f"{server.url}v1/embed-tokens"
        async with server.http.post(url, json=fields, headers=bearer) as response:
            return response.status, await response.json()

    status, answer = await ask(avatar="b", seconds=600)
    assert status == 200
    assert (answer["avatar"], answer["path"]) == ("b", "/embed/b/")
    ticket = f"?token={answer['token']}"
    for path, expected in (
        ("embed/b/", 200),
        ("embed/b/poster.jpg", 200),
        ("embed/b", 200),
        ("embed/a/", 401),
        ("embed/a/ws", 401),
        ("", 401),
        ("b/", 401),
        ("b/ws", 401),
        ("v1/sessions", 401),
        ("metrics", 401),
    ):
        async with server.http.get(server.url + path + ticket) as response:
            assert response.status == expected, path
            assert "Set-Cookie" not in response.headers
    async with server.viewer({"modes": ["tiles"]}, path=f"embed/b/ws{ticket}") as viewer:
        tiles = (await viewer.control("hello"))["tiles"]["url"]
    for query, expected in ((ticket, 200), ("", 401)):
        url = f"{server.url.rstrip('/')}{tiles}index.json{query}"
        async with server.http.get(url) as response:
            assert response.status == expected
    assert (await ask(avatar="nobody"))[0] == 404
    assert (await ask(avatar="a", seconds=5))[0] == 422
    async with server.http.post(f"{server.url}v1/embed-tokens{ticket}", json={}) as response:
        assert response.status == 401  # tickets beget no tickets


async def test_what_is_said_comes_with_its_words(server, speech):
    async with server.viewer() as viewer:
        await viewer.control("hello")
        await viewer.send(type="spoken", text="First  this.")
        await viewer.socket.send_bytes(speech(1.0).tobytes())
        await viewer.send(type="spoken", text="Then that.")
        await viewer.socket.send_bytes(speech(0.6).tobytes())
        await viewer.send(type="flush")
        first = await viewer.control("caption")
        second = await viewer.control("caption")
        frames = [f for f in await viewer.utterance() if f.audio]
    assert (first["text"], second["text"]) == ("First this.", "Then that.")
    assert abs(first["frame_index"] - frames[0].index) <= 5
    assert second["frame_index"] - first["frame_index"] in (24, 25, 26)
