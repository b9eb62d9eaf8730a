"""How much one address may ask for."""

import asyncio

import aiohttp
import pytest

from bithuman_cli.server.limits import Limits, TokenBucket, who_shares


def test_a_bucket_allows_a_burst_and_then_its_rate():
    now = 0.0
    bucket = TokenBucket(rate=10, burst=3, clock=lambda: now)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now = 0.1
    assert [bucket.take() for _ in range(2)] == [True, False]
    now = 1e6
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


async def statuses(server, path, count):
    found = []
    for _ in range(count):
        async with server.http.get(server.url + path) as response:
            found.append(response.status)
    return found


async def test_an_address_that_asks_for_too_much_is_told_to_wait(start_server):
    limits = Limits(requests=(2, 12), calls=(0.1, 3), sessions=(0.1, 2), loopback=True)
    server = await start_server(limits=limits)
    assert await statuses(server, "ws", 3) == [426, 426, 429]
    assert await statuses(server, "v1/avatars", 4) == [200, 200, 200, 429]
    async with server.http.get(f"{server.url}v1/avatars") as response:
        assert response.headers["Retry-After"] == "1"
        assert (await response.json())["error"]["code"] == "RATE_LIMITED"
    assert 429 in await statuses(server, "health", 9)
    await asyncio.sleep(1.1)
    assert await statuses(server, "health", 1) == [200]


async def test_one_address_does_not_take_all_places(start_server):
    server = await start_server(limits=Limits(live=2, loopback=True))
    async with server.viewer() as first, server.viewer() as second:
        await first.control("hello")
        await second.control("hello")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with server.viewer():
                pass
        assert refusal.value.status == 429
        assert refusal.value.headers["Retry-After"] == "10"
        assert server.hub.stats.refused == 1
        async with server.http.get(f"{server.url}health") as response:
            assert (await response.json())["accepting"] is False  # by which the page knows
    async with asyncio.timeout(5):
        while server.hub.sessions:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for _ in range(3):  # none of those that ended is counted
        async with server.viewer() as viewer:
            await viewer.control("hello")
        async with asyncio.timeout(5):
            while server.hub.sessions:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_this_machine_is_not_limited(start_server):
    server = await start_server(limits=Limits((1, 2), (1, 2), (1, 2)))
    assert set(await statuses(server, "v1/avatars", 8)) == {200}


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("192.168.1.5", "192.168.1.5"),
        ("::ffff:192.168.1.5", "192.168.1.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", None),
    ],
)
def test_who_shares_a_limit(remote, client):
    assert who_shares(remote) == client
