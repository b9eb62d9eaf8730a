"""Files that clients send, over a real socket, decoded by a real process."""

import asyncio
import contextlib
import io
import json
import struct
import subprocess
import sys
import wave
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import engine
from bithuman_cli.server import uploads

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "web/audio/hello.mp3"
PORTRAITS = ROOT / "training/showcase/portraits"


def as_wav(pcm, rate=16_000):
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, rate, 0, "NONE", ""))
        wav.writeframes(pcm.tobytes())
    return file.getvalue()


async def speak(server, session, data, kind, **query):
    url = f"{server.url}v1/sessions/{session}/speak"
    headers = {"Content-Type": kind}
    async with server.http.post(url, data=data, headers=headers, params=query) as response:
        return response.status, await response.json()


async def heard(viewer):
    frames = await viewer.utterance(patience=30)
    return np.frombuffer(b"".join(f.audio for f in frames), np.int16)


async def test_a_file_is_spoken_with_its_words(start_server, speech, clock):
    said = speech(1.0)
    server = await start_server(clock=clock)  # or a frame might be spoken before the answer
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        status, state = await speak(server, session, as_wav(said), "audio/wav", text="So it is.")
        assert (status, state["queued_seconds"]) == (202, 1.0)
        assert (await viewer.control("caption"))["text"] == "So it is."
        listening = asyncio.create_task(heard(viewer))
        while not listening.done():
            await clock.until(clock.now + 0.04)
            await asyncio.sleep(0.001)  # for the sockets, whose time is the real one
        sound = listening.result()
        assert np.abs(sound[: len(said)].astype(int) - said).max() <= 2
        status, state = await speak(server, session, HELLO.read_bytes(), "audio/mpeg")
        assert status == 202
        assert 10 < state["queued_seconds"] < 10.5


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"not a sound at all", "audio/mpeg", 422, "AUDIO_UNREADABLE"),
        (b"", "audio/mpeg", 422, "EMPTY"),
        (b"RIFF", "text/plain", 415, "MEDIA_TYPE"),
    ],
)
async def test_what_is_no_sound_is_refused(server, data, kind, status, code):
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        got, answer = await speak(server, session, data, kind)
        assert (got, answer["error"]["code"]) == (status, code)
        await viewer.frames(2)


async def test_a_body_that_is_too_large_is_not_read_to_its_end(server, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_AUDIO_BYTES", 1 << 20)
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        got, answer = await speak(server, session, bytes(2 << 20), "audio/wav")
        assert (got, answer["error"]["code"]) == (413, "TOO_LARGE")


async def test_a_decoder_that_takes_too_long_is_ended(server, speech, children, monkeypatch):
    monkeypatch.setattr(uploads, "_SECONDS", 0.001)
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        got, answer = await speak(server, session, as_wav(speech(1.0)), "audio/wav")
        assert (got, answer["error"]["code"]) == (422, "TOO_EXPENSIVE")
    assert not children()


async def test_clients_that_send_slowly_hold_up_nobody(server, speech, monkeypatch):
    monkeypatch.setattr(uploads, "_RECEIVE_SECONDS", 3.0)

    async def slowly():
        for _ in range(100):
            yield b"RIFF"
            await asyncio.sleep(0.2)

    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        slow = [
            asyncio.create_task(speak(server, session, slowly(), "audio/wav")) for _ in range(4)
        ]
        await asyncio.sleep(0.3)
        status, _ = await speak(server, session, as_wav(speech(0.2)), "audio/wav")
        assert status == 202
        assert not any(task.done() for task in slow)
        answers = await asyncio.gather(*slow)
        assert {(status, answer["error"]["code"]) for status, answer in answers} == {
            (408, "TOO_SLOW")
        }


async def test_a_crowd_of_uploads_is_turned_away(server, speech, monkeypatch):
    monkeypatch.setattr(uploads, "_MOST_WAITING", 3)
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        file = as_wav(speech(0.2))
        answers = await asyncio.gather(
            *(speak(server, session, file, "audio/wav") for _ in range(8))
        )
        assert sorted({status for status, _ in answers}) == [202, 503]
        assert [status for status, _ in answers].count(202) == 3


async def test_a_client_that_goes_away_leaves_no_process(server, children):
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await speak(server, session, HELLO.read_bytes(), "audio/mpeg")
        async with asyncio.timeout(10):
            while children():  # noqa: ASYNC110 - of the system, no event tells
                await asyncio.sleep(0.05)


def decode(kind, data):
    command, environment = uploads.isolated("upload_worker.py", *kind)
    ended = subprocess.run(command, input=None, stdin=data, capture_output=True, env=environment)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {path}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    ],
)
def test_a_list_of_files_makes_it_read_none_of_them(tmp_path, playlist):
    path = tmp_path / "list"
    path.write_text(playlist.format(path=HELLO))
    with path.open("rb") as file:
        code, out, err = decode(("audio", "16000"), file)
    assert (code, out) == (65, b"")
    assert json.loads(err)["code"] == "AUDIO_UNREADABLE"


def test_a_bomb_of_a_picture_is_refused(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    )
    with path.open("rb") as file:
        code, out, err = decode(("image",), file)
    assert (code, out) == (65, b"")
    assert json.loads(err)["code"] == "IMAGE_TOO_LARGE"


def test_a_large_picture_comes_back_smaller(tmp_path):
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.full((3000, 6000, 3), (10, 20, 30), np.uint8))
    with path.open("rb") as file:
        code, out, _ = decode(("image",), file)
    assert code == 0
    height, width = struct.unpack_from("<II", out)
    assert (height, width) == (1200, 2400)
    assert len(out) == 8 + 3 * height * width
    assert list(out[8:11]) == [10, 20, 30]


def test_the_process_can_open_nothing_once_it_is_ready():
    program = (
        "import socket, sys\n"
        f"sys.path[:0] = [{str(ROOT / 'bithuman_cli/server')!r}, {str(ROOT)!r}]\n"
        "import upload_worker\n"
        "upload_worker._audio(16000)\n"
        "upload_worker._give_up_everything()\n"
        "for attempt in (lambda: open('/etc/hostname'), socket.socket):\n"
        "    try: attempt()\n"
        "    except OSError as error: print(error.errno)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout.split() == ["24", "24"], ended.stderr  # EMFILE


async def test_a_face_goes_the_same_way(start_server):
    with engine.open(PORTRAITS / "modern-court-jester.webp", model="expression") as live:
        server = await start_server(avatars={"live": live})
        async with server.viewer() as viewer:
            session = (await viewer.control("hello"))["session"]
            url = f"{server.url}v1/sessions/{session}/identity"
            headers = {"Content-Type": "image/webp"}
            photo = (PORTRAITS / "studio-host.webp").read_bytes()
            async with server.http.post(url, data=photo, headers=headers) as response:
                assert response.status == 200
            await viewer.control("identity")
            async with server.http.post(url, data=b"no picture", headers=headers) as response:
                assert response.status == 422
                assert (await response.json())["error"]["code"] == "IMAGE_UNREADABLE"
