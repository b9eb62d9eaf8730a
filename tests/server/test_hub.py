import asyncio
import logging
import socket
import struct
import time

import aiohttp
import numpy as np
import pytest

from bithuman_cli.server import hub as hub_module
from bithuman_cli.server.hub import Hub


def heard(frames):
    return np.frombuffer(b"".join(f.audio for f in frames), np.int16)


async def until(condition, patience=5.0):
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def cut_mid_sentence(server, said):
    """A session that lost its connection while speaking, and the frames received before."""
    async with server.viewer() as viewer:
        hello = await viewer.control("hello")
        await viewer.socket.send_bytes(said.tobytes())
        await viewer.send(type="flush")
        frames = []
        while sum(bool(f.audio) for f in frames) < 12:
            frames += await viewer.frames(1)
        await asyncio.sleep(0.3)  # frames that are on the way when the connection breaks
        viewer.cut()
    await until(lambda: server.hub.clients[hello["session"]].parked_at is not None)
    return hello["session"], frames


async def test_a_cut_sentence_goes_on_without_losing_a_sample(server, speech):
    said = speech(2.0)
    session, frames = await cut_mid_sentence(server, said)
    await asyncio.sleep(0.5)  # meanwhile nothing plays
    following = frames[-1].index + 1
    async with server.viewer({"resume": session, "next": following}) as viewer:
        hello = await viewer.control("hello")
        assert (hello["session"], hello["resumed"]) == (session, True)
        assert hello["frame_index"] == following
        rest = await viewer.utterance()
    indices = [f.index for f in frames + rest if f.audio]
    assert indices == list(range(indices[0], indices[0] + 50))
    np.testing.assert_array_equal(heard(frames + rest), said)
    assert server.hub.stats.resumed == 1


async def test_what_was_sent_again_can_be_lost_again(server, speech):
    said = speech(3.0)
    session, frames = await cut_mid_sentence(server, said)
    for _ in range(2):
        async with server.viewer({"resume": session, "next": frames[-1].index + 1}) as viewer:
            frames += await viewer.frames(3)
            await asyncio.sleep(0.3)
            viewer.cut()
        await until(lambda: server.hub.clients[session].parked_at is not None)
    async with server.viewer({"resume": session, "next": frames[-1].index + 1}) as viewer:
        frames += await viewer.utterance()
    indices = [f.index for f in frames if f.audio]
    assert indices == list(range(indices[0], indices[0] + 75))
    np.testing.assert_array_equal(heard(frames), said)


async def test_what_a_session_remembers_of_its_sound_takes_little_more_than_the_sound(
    server, speech
):
    async with server.viewer({"modes": ["jpeg"]}) as viewer:
        hello = await viewer.control("hello")
        await viewer.socket.send_bytes(speech(3.0).tobytes())
        await viewer.send(type="flush")
        await viewer.utterance()
        sent = server.hub.clients[hello["session"]]._outbox._sent
        assert len(sent) == 50
        assert all(type(message) is bytes and len(message) == 8 + 1280 for message in sent)


async def test_without_next_nothing_is_sent_twice(server, speech):
    session, frames = await cut_mid_sentence(server, speech(2.0))
    async with server.viewer({"resume": session}) as viewer:
        hello = await viewer.control("hello")
        rest = await viewer.frames(3)
    assert hello["frame_index"] == rest[0].index > frames[-1].index + 1


async def test_a_session_that_was_closed_cannot_be_resumed(server):
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
    await until(lambda: not server.hub.clients)
    async with server.viewer({"resume": session, "next": 3}) as viewer:
        hello = await viewer.control("hello")
        assert not hello["resumed"]
        assert hello["session"] != session
        assert (await viewer.frames(1))[0].index == hello["frame_index"] == 0


async def test_a_lost_session_is_forgotten_in_the_end(server, speech, monkeypatch):
    monkeypatch.setattr(hub_module, "RESUME_SECONDS", 0.3)
    session, _ = await cut_mid_sentence(server, speech(2.0))
    assert server.hub.sessions == 0
    await until(lambda: session not in server.hub.clients)
    assert len(server.hub.ticker) == 0
    assert not server.hub._ends


async def test_who_resumes_takes_the_place_of_an_open_connection(server):
    async with server.viewer() as first:
        session = (await first.control("hello"))["session"]
        await first.frames(3)
        async with server.viewer({"resume": session}) as second:
            assert (await second.control("hello"))["resumed"]
            assert await first.until_closed() == 4001
            frames = await second.frames(5)
            assert [f.index for f in frames] == list(range(frames[0].index, frames[0].index + 5))


@pytest.mark.parametrize(
    ("hello", "code"),
    [({"protocol": 1}, "PROTOCOL_VERSION"), ({"modes": ["smoke"]}, "NO_COMMON_MODE")],
)
async def test_an_opening_that_fails_is_explained(server, hello, code):
    async with server.viewer(hello) as viewer:
        message = await viewer.message()
        assert (message["type"], message["code"]) == ("error", code)
        assert await viewer.until_closed() == 1002
    await until(lambda: server.hub.sessions == 0)


async def test_who_says_nothing_is_shown_the_door(server, monkeypatch):
    monkeypatch.setattr(hub_module, "_HELLO_TIMEOUT", 0.2)
    async with server.http.ws_connect(f"{server.url}ws") as socket:
        assert (await socket.receive_json(timeout=3))["code"] == "HELLO_EXPECTED"
        await socket.receive(3)
        assert socket.close_code == 1002


async def test_a_session_ends_on_request(server):
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        assert server.hub.end(session)
        assert await viewer.until_closed() == 4000
    assert not server.hub.end(session)
    assert not server.hub.clients


async def test_avatars_are_chosen_by_path(server, avatar):
    server.hub.avatars["other"] = avatar
    async with server.viewer(path="other/ws") as viewer:
        assert (await viewer.control("hello"))["avatar"]["slug"] == "other"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        async with server.viewer(path="nobody/ws"):
            pass
    assert refusal.value.status == 404


async def test_draining_finishes_the_sentence_and_takes_nobody_in(server, speech):
    said = speech(1.0)
    async with server.viewer() as talking, server.viewer() as idle:
        await idle.frames(2)
        await talking.socket.send_bytes(said.tobytes())
        while not (await talking.frames(1))[0].audio:
            pass
        start = time.perf_counter()
        draining = asyncio.create_task(server.hub.drain(10.0))
        assert (await idle.control("draining"))["seconds"] == 10.0
        frames = await talking.utterance()
        assert len(heard(frames)) >= len(said) - 640
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with server.viewer():
                pass
        assert refusal.value.status == 503
        assert await talking.until_closed() == 1001
        assert await idle.until_closed() == 1001
        await draining
    assert time.perf_counter() - start < 3


async def test_draining_gives_up_in_time(server, speech):
    async with server.viewer() as viewer:
        await viewer.socket.send_bytes(speech(8.0).tobytes())
        await viewer.frames(5)
        start = time.perf_counter()
        await server.hub.drain(0.3)
        assert time.perf_counter() - start < 1.5
        assert await viewer.until_closed() == 1001


def opened(server):
    """A blocking socket that has said hello, and is read by nobody but the test."""
    host, port = server.url.removeprefix("http://").rstrip("/").split(":")
    line = socket.create_connection((host, int(port)), 5)
    line.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += line.recv(1)
    line.sendall(masked(0x81, b'{"type": "hello", "protocol": 2, "modes": ["tiles"]}'))
    return line


def masked(opcode, data):
    """A message of a client; the key is zeros."""
    return struct.pack("!BBH4x", opcode, 0x80 | 126, len(data)) + data


def messages(data):
    """Opcode and content of what a server sent, but for a last one that is cut off."""
    while len(data) >= 4:
        size, head = data[1], 2
        if size == 126:
            size, head = struct.unpack_from("!H", data, 2)[0], 4
        yield data[0] & 15, data[head : head + size]
        data = data[head + size :]


def speak_while_it_stops(line):
    """All that came, by a client that speaks all the time and looks only now and then."""
    came = b""
    with line:
        while not any(opcode == 8 for opcode, _ in messages(came)):
            for _ in range(20):
                line.sendall(masked(0x82, bytes(1280)))
                time.sleep(0.005)
            came += line.recv(1 << 20)
        line.sendall(struct.pack("!BB4xH", 0x88, 0x82, 1001))
        assert line.recv(1 << 20) == b""  # the server ends the connection, without a reset
    return came


async def test_the_goodbye_reaches_who_speaks_while_the_server_stops(server):
    line = await asyncio.to_thread(opened, server)
    speaking = asyncio.create_task(asyncio.to_thread(speak_while_it_stops, line))
    await until(lambda: server.hub.stats.frames_sent > 10)
    start = time.perf_counter()
    await server.hub.drain(1.0)
    assert time.perf_counter() - start < 1.8
    opcode, content = list(messages(await speaking))[-1]
    assert (opcode, content) == (8, struct.pack("!H", 1001) + b"the server is stopping")
    await until(lambda: server.hub.sessions == 0)


async def test_draining_does_not_wait_for_who_never_reads(server):
    with await asyncio.to_thread(opened, server):
        async with server.viewer() as other:
            await other.frames(5)
            assert server.hub.sessions == 2
            start = time.perf_counter()
            draining = asyncio.create_task(server.hub.drain(1.0))
            assert await other.until_closed() == 1001
            assert time.perf_counter() - start < 0.8  # nobody waits with it
            await draining
            assert 0.8 < time.perf_counter() - start < 1.8
        await until(lambda: server.hub.sessions == 0)


async def test_interrupt_is_felt_within_120_ms(server, speech):
    took = []
    async with server.viewer({"modes": ["tiles"]}) as viewer:
        for _ in range(5):
            await viewer.socket.send_bytes(speech(3.0).tobytes())
            while not (frame := (await viewer.frames(1))[0]).shape:
                pass
            assert frame.audio
            start = time.perf_counter()
            await viewer.send(type="interrupt")
            await viewer.control("interrupted")
            while (frame := (await viewer.frames(1))[0]).shape or frame.audio:
                pass
            took.append(time.perf_counter() - start)
            await viewer.frames(3)
    assert np.median(took) < 0.12


async def test_sound_is_left_out_on_request_but_speaking_is_told(server, speech):
    async with server.viewer({"modes": ["tiles"]}) as viewer:
        await viewer.send(type="audio_return", enabled=False)
        await viewer.socket.send_bytes(speech(0.5).tobytes())
        await viewer.send(type="flush")
        frames = await viewer.utterance()
    assert not any(f.audio for f in frames)
    assert sum(f.speaking for f in frames) >= 11


async def test_a_gesture_the_avatar_does_not_have_is_refused(server):
    async with server.viewer() as viewer:
        await viewer.send(type="act", gesture="somersault")
        assert (await viewer.control("error"))["code"] == "UNKNOWN_GESTURE"
        await viewer.send(type="emotion", name="schadenfreude")
        assert (await viewer.control("error"))["code"] == "UNKNOWN_EMOTION"
        await viewer.frames(2)


async def test_no_more_sessions_wait_than_could_be_connected(start_server, caplog):
    caplog.set_level(logging.WARNING)
    server = await start_server(max_sessions=2)
    assert isinstance(server.hub, Hub)
    for _ in range(5):
        async with server.viewer() as viewer:
            await viewer.frames(1)
            viewer.cut()
        await until(lambda: server.hub.sessions == 0)
    assert len(server.hub.clients) == len(server.hub._ends) == 2
    assert not caplog.records
