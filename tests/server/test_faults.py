"""What clients, networks and clocks do wrong, and that nobody else notices."""

import asyncio
import logging
import time
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
import psutil
import pytest
from aiohttp import web

from bithuman_cli.server.protocol import unpack_frame


@pytest.fixture(autouse=True)
def _nothing_in_the_log(caplog):
    caplog.set_level(logging.WARNING)
    yield
    # At this point caplog.records are those of the teardown only.
    assert not [record.getMessage() for record in caplog.get_records("call")]


@pytest.fixture
def undisturbed(server, speech):
    """A neighbour who talks meanwhile, and must get every frame, sample and picture."""

    @asynccontextmanager
    async def talk(seconds):
        said = speech(seconds)
        async with server.viewer({"modes": ["tiles"]}) as viewer:
            await viewer.frames(3)
            await viewer.socket.send_bytes(said.tobytes())
            await viewer.send(type="flush")
            hearing = asyncio.create_task(viewer.utterance(seconds + 20))
            yield
            frames = await hearing
        indices = [f.index for f in frames]
        assert indices == list(range(indices[0], indices[0] + len(frames)))
        assert all(f.mode == "tiles" for f in frames)
        sound = np.frombuffer(b"".join(f.audio for f in frames), np.int16)
        np.testing.assert_array_equal(sound[: len(said)], said)

    return talk


async def test_zero_audio_is_harmless(server, undisturbed, speech):
    async with undisturbed(2.0), server.viewer() as viewer:
        for _ in range(50):
            await viewer.socket.send_bytes(b"")
        await viewer.send(type="flush")
        await viewer.socket.send_bytes(bytes(1280 * 10))
        await viewer.send(type="flush")
        frames = await viewer.utterance()
        assert sum(bool(f.audio) for f in frames) == 10
        assert not any(any(f.audio) for f in frames)
        assert (await viewer.frames(3))[-1].image


async def test_audio_slower_than_real_time_is_all_heard(server, undisturbed, speech):
    said = speech(1.2)
    async with undisturbed(2.5), server.viewer() as viewer:
        hearing = asyncio.create_task(viewer.utterance(20))
        for start in range(0, len(said), 640):
            await viewer.socket.send_bytes(said[start : start + 640].tobytes())
            await asyncio.sleep(0.075)
        await viewer.send(type="flush")
        frames = await hearing
    sound = np.frombuffer(b"".join(f.audio for f in frames), np.int16)
    np.testing.assert_array_equal(sound[: len(said)], said)


async def test_garbage_of_all_kinds(server, undisturbed):
    rng = np.random.default_rng(3)
    async with undisturbed(2.5):
        for number in range(30):
            async with server.viewer() as viewer:
                await viewer.control("hello")
                for _ in range(5):
                    data = rng.bytes(int(rng.integers(1, 3000)))
                    if number % 2:
                        await viewer.socket.send_bytes(data)
                    else:
                        await viewer.socket.send_str(data.decode("latin-1"))
                viewer.cut()


async def test_broken_frames_of_the_websocket_itself(server, undisturbed):
    async with undisturbed(1.5):
        for junk in (
            b"\xff" * 40,
            b"\x83\x80",
            b"\x81\xff" + b"\xff" * 8,
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            async with server.viewer() as viewer:
                await viewer.control("hello")
                viewer.socket._response.connection.transport.write(junk)
                await asyncio.sleep(0.05)


async def test_who_is_gone_before_being_let_in_leaves_no_trace(server, undisturbed, monkeypatch):
    can_prepare = web.WebSocketResponse.can_prepare

    def gone(response, request):
        answer = can_prepare(response, request)
        if request.headers.get("X-Gone"):
            request.transport.close()  # as if its end had been noticed in this very moment
        return answer

    monkeypatch.setattr(web.WebSocketResponse, "can_prepare", gone)
    async with undisturbed(1.5):
        for _ in range(20):
            with pytest.raises(aiohttp.ClientError):
                await server.http.ws_connect(f"{server.url}ws", headers={"X-Gone": "1"})
    assert server.hub.sessions == 0


def descriptors():
    return psutil.Process().num_fds()


async def test_a_thousand_connects_and_disconnects(start_server, speech):
    server = await start_server(max_sessions=64)
    places = asyncio.Semaphore(16)
    before = descriptors()
    tasks = len(asyncio.all_tasks())

    async def visit(number):
        async with places, server.viewer({"modes": ["tiles"]}) as viewer:
            await viewer.control("hello")
            if number % 4 == 0:
                await viewer.socket.send_bytes(bytes(6400))
            if number % 2:
                viewer.cut()

    async with server.viewer({"modes": ["tiles"]}) as neighbour:
        await neighbour.frames(2)
        counting = asyncio.create_task(neighbour.frames(100))
        await asyncio.gather(*(visit(number) for number in range(1000)))
        indices = [f.index for f in await counting]
        assert indices == list(range(indices[0], indices[0] + 100))
    async with asyncio.timeout(5):
        while server.hub.sessions:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert server.hub.stats.sessions == 1001
    assert len(server.hub.clients) <= 64
    for session in list(server.hub.clients):
        assert server.hub.end(session)
    await asyncio.sleep(0.2)
    assert not server.hub.clients
    assert not server.hub._ends
    assert not server.hub._background
    assert len(server.hub.ticker) == 0
    assert not server.hub.ticker._slots
    assert len(asyncio.all_tasks()) <= tasks + 2
    assert descriptors() <= before + 5


async def test_a_jump_of_the_clocks_costs_a_moment_only(server, monkeypatch, speech):
    """The machine slept for an hour, and its wall clock was set back by a day."""
    loop = asyncio.get_running_loop()
    real, wall = loop.time, time.time
    said = speech(1.0)
    async with server.viewer({"modes": ["tiles"]}) as viewer:
        await viewer.socket.send_bytes(said.tobytes())
        await viewer.send(type="flush")
        first = await viewer.frames(10)
        # As the loop and the server see it; nobody else waits for anything meanwhile.
        monkeypatch.setattr(loop, "time", lambda: real() + 3600)
        monkeypatch.setattr(time, "time", lambda: wall() - 86_400)
        rest = []
        while not (rest and rest[-1].end_of_speech):
            message = await viewer.socket.receive()
            rest += [unpack_frame(message.data)] if message.type.name == "BINARY" else []
        start = time.perf_counter()
        after = [unpack_frame((await viewer.socket.receive()).data) for _ in range(25)]
        took = time.perf_counter() - start
        monkeypatch.undo()
    indices = [f.index for f in first + rest + after]
    assert indices == list(range(len(indices)))
    sound = np.frombuffer(b"".join(f.audio for f in first + rest), np.int16)
    np.testing.assert_array_equal(sound, said)
    assert 0.85 < took < 1.4
