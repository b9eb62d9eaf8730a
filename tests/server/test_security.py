import asyncio

import aiohttp
import pytest
from yarl import URL

from bithuman_cli.server.security import HostPolicy


@pytest.mark.parametrize(
    ("bound", "host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1:8088", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST:9", True),
        ("127.0.0.1", "[::1]:8088", True),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "localhost.evil.example:8088", False),
        ("127.0.0.1", "192.168.1.5:8088", False),
        ("127.0.0.1", "user@localhost", False),
        ("127.0.0.1", "localhost:x", False),
        ("127.0.0.1", "localhost/path", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", None, False),
        ("192.168.1.5", "192.168.1.5:8088", True),
        ("192.168.1.5", "192.168.1.6:8088", False),
        ("0.0.0.0", "192.168.1.6:8088", True),
        ("0.0.0.0", "[fe80::1]:8088", True),
        ("0.0.0.0", "rebound.example", False),
        ("::", "10.0.0.1", True),
        ("avatar.lan", "avatar.lan:80", True),
        ("avatar.lan", "other.lan:80", False),
    ],
)
def test_hosts(bound, host, allowed):
    assert HostPolicy(bound).allows_host(host) is allowed


def test_names_that_were_allowed_are_answered_and_no_others():
    policy = HostPolicy("127.0.0.1", names=["Avatars.example.org"])
    assert policy.allows_host("avatars.EXAMPLE.org")
    assert policy.allows_host("avatars.example.org:8088")
    assert policy.allows_origin("https://avatars.example.org", "avatars.example.org")
    assert not policy.allows_host("example.org")
    assert not policy.allows_host("avatars.example.org.evil.example")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),  # not a browser
        ("http://localhost:8088", True),
        ("https://LOCALHOST:8088", True),  # behind a proxy that speaks TLS
        ("http://localhost:8089", False),
        ("http://localhost", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
        ("file://localhost:8088", False),
        ("http://[", False),
    ],
)
def test_origins(origin, allowed):
    assert HostPolicy("127.0.0.1").allows_origin(origin, "localhost:8088") is allowed


@pytest.mark.parametrize("path", ["", "ws", "health", "static/style.css", "nowhere"])
async def test_foreign_hosts_are_refused_everywhere(server, path):
    async with server.http.get(server.url + path, headers={"Host": "evil.example"}) as response:
        assert response.status == 403


@pytest.mark.parametrize("path", ["", "ws", "poster.jpg"])
async def test_foreign_origins_are_refused(server, path):
    headers = {"Origin": "http://evil.example"}
    async with server.http.get(server.url + path, headers=headers) as response:
        assert response.status == 403


async def test_a_foreign_page_cannot_open_a_socket(server):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        async with server.viewer(headers={"Origin": "http://evil.example"}):
            pass
    assert refusal.value.status == 403
    async with server.viewer(headers={"Origin": server.url.rstrip("/")}) as viewer:
        await viewer.control("hello")


@pytest.mark.parametrize("path", ["", "health", "static/js/main.js", "nowhere"])
async def test_every_answer_carries_the_security_headers(server, path):
    async with server.http.get(server.url + path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "microphone=(self)" in response.headers["Permissions-Policy"]
        assert response.headers["Cache-Control"] == "no-cache"


TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("path", ["", "ws", "metrics", "poster.jpg", "v1/avatars"])
async def test_nothing_is_told_without_the_token(start_server, path):
    server = await start_server(token=TOKEN)
    for wrong in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Cookie": "bithuman_token=no"}):
        async with server.http.get(server.url + path, headers=wrong) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
    reader, writer = await asyncio.open_connection(*URL(server.url).authority.split(":"))
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
    assert b" 401 " in await reader.readline()
    writer.close()
    async with server.http.get(f"{server.url}{path}?token={TOKEN}é") as response:
        assert response.status == 401


async def test_load_balancers_learn_the_status_and_no_more_without_the_token(start_server):
    server = await start_server(token=TOKEN)
    for path in ("health", "ready"):
        async with server.http.get(server.url + path) as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})
        async with server.http.post(server.url + path) as response:
            assert response.status == 401
    async with server.http.get(f"{server.url}health?token={TOKEN}") as response:
        assert "sessions" in await response.json()
    server.hub.draining = True
    async with server.http.get(server.url + "ready") as response:
        assert (response.status, await response.json()) == (503, {"status": "unavailable"})


async def test_the_token_opens_by_header_by_address_and_then_by_cookie(start_server):
    server = await start_server(token=TOKEN)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with server.http.get(server.url + "health", headers=bearer) as response:
        assert response.status == 200
    async with server.viewer(path=f"ws?token={TOKEN}") as viewer:
        await viewer.control("hello")
    address = f"{server.url}?token={TOKEN}"
    async with server.http.get(address, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/")
        cookie = response.cookies["bithuman_token"]
        assert cookie["httponly"]
    cookies = {"Cookie": f"bithuman_token={cookie.value}"}
    async with server.http.get(server.url, headers=cookies) as response:
        assert response.status == 200
    async with server.viewer(headers=cookies) as viewer:
        await viewer.control("hello")
    async with server.http.get(
        f"{server.url}/evil.example?token={TOKEN}", allow_redirects=False
    ) as response:
        assert response.headers["Location"] == "/evil.example"


async def test_people_are_asked_for_the_token_and_programs_told(start_server):
    server = await start_server(token=TOKEN)
    async with server.http.get(server.url, headers={"Accept": "text/html"}) as response:
        assert response.status == 401
        assert "form-action 'self'" in response.headers["Content-Security-Policy"]
        assert 'name="token"' in await response.text()
    async with server.http.get(server.url) as response:
        assert response.status == 401
        assert response.content_type == "text/plain"
