"""Ways to send pictures: each shows what the server meant, and one takes over from another."""

import base64
import contextlib
import socket
import struct
import threading
import time
import wave

import cv2
import numpy as np
import pytest

import engine
from benchmarks.browser import SPY

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def avatar(avatar_path):
    with engine.open(avatar_path) as avatar:
        yield avatar


def shown(viewer):
    """What is on the canvas, and what the server said of that frame: picture, base, shape."""
    data, index, said = viewer.page.evaluate(
        """() => {
          const canvas = document.getElementById("canvas");
          const index = bithuman.drawnIndex;
          return [canvas.toDataURL("image/png").split(",")[1], index, spy.frames[index]];
        }"""
    )
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return picture, said[0], said[1], index


def until_mode(viewer, mode):
    viewer.until(f"window.bithuman?.mode === '{mode}'", 90)


def until_talking(viewer):
    viewer.page.click("#sample")
    viewer.until("bithuman.speaking")
    time.sleep(0.3)


@pytest.mark.parametrize(("mode", "error"), [("jpeg", 2.0), ("tiles", 2.0), ("h264", 4.0)])
def test_what_is_drawn_is_what_the_server_meant(server, open_page, avatar, mode, error):
    viewer = open_page(url=f"{server.url}?mode={mode}", script=SPY)
    viewer.until_live()
    until_mode(viewer, mode)
    until_talking(viewer)
    shapes = set()
    for _ in range(12):
        time.sleep(0.13)
        picture, base, shape, _ = shown(viewer)
        if shape == 0:
            continue
        shapes.add(shape)
        x0, y0, x1, y1 = avatar.player.patch_box(base)
        expected = avatar.player.compose(base, shape).astype(int)
        assert np.abs(picture - expected).mean() < error
        mouth = np.abs(picture - expected)[y0:y1, x0:x1].mean()
        assert mouth < error + 1
        # Not merely any mouth: a closed one is further away, unless this one is nearly closed.
        rest = np.abs(picture - avatar.player.compose(base, None).astype(int))[y0:y1, x0:x1].mean()
        assert mouth < rest + 0.5
    assert len(shapes) >= 3
    assert viewer.read("mode") == mode
    assert viewer.complaints == []


def test_tiles_take_over_without_a_jump(server, open_page, avatar):
    viewer = open_page(script=SPY)
    viewer.until_live()
    until_mode(viewer, "tiles")
    first = viewer.page.evaluate(
        "Number(Object.entries(spy.frames).find(([, [,, flags]]) => !(flags & 16))[0])"
    )
    picture, base, shape, _ = shown(viewer)
    expected = avatar.player.compose(base, shape or None)
    assert np.abs(picture.astype(int) - expected).mean() < 2.0
    # Every frame was sent one way or the other, none twice, none left out.
    indices = viewer.page.evaluate("Object.keys(spy.frames).map(Number)")
    around = [i for i in sorted(indices) if abs(i - first) < 25]
    assert around == list(range(around[0], around[0] + len(around)))
    assert viewer.complaints == []


@pytest.mark.parametrize("way", ["refused", "cut short", "not pictures"])
def test_without_tiles_whole_pictures_go_on(server, open_page, way):
    def answer(route):
        if way == "refused":
            route.abort()
        elif way == "cut short":
            route.fulfill(body=struct.pack("<II", 1, 5000) + b"short")
        else:
            route.fulfill(body=struct.pack("<96I", 95, *[3] * 95) + b"abc" * 95)

    viewer = open_page(url="about:blank")
    viewer.page.route("**/tiles/**/patches/*", answer)
    viewer.page.goto(server.url)
    viewer.until_live()
    if way == "not pictures":
        until_mode(viewer, "tiles")
        viewer.page.click("#sample")
        viewer.until("bithuman.speaking")
        until_mode(viewer, "jpeg")
    drawn = viewer.read("framesDrawn")
    viewer.until(f"bithuman.framesDrawn > {drawn} + 100")
    assert viewer.read("mode") == "jpeg"


def test_the_frame_that_is_drawn_is_that_of_the_sound_that_is_heard(server, open_page, tmp_path):
    """Every 40 ms of the sound have a pitch of their own, which both sides can read."""
    rate, frame = 16_000, 640
    pitches = 400 + 130 * (np.arange(150) * 7 % 20)
    phase = np.cumsum(np.repeat(pitches, frame)) / rate
    sound = (9000 * np.sin(2 * np.pi * phase)).astype("<i2")
    path = tmp_path / "scale.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.tobytes())
    viewer = open_page(script=SPY)
    viewer.until_live()
    until_mode(viewer, "tiles")
    viewer.page.set_input_files("#file-input", str(path))
    viewer.until("bithuman.speaking")
    viewer.until("!bithuman.speaking")
    pairs = np.array(viewer.page.evaluate("spy.shown"))
    pitch = viewer.page.evaluate("spy.pitches")
    # How far the sound that was heard lies from that of the frame drawn then, in frames.
    best = []
    for index, heard in pairs[20:-20]:
        near = [abs(pitch.get(str(int(index) + k), 9.0) - heard) for k in range(-5, 6)]
        if min(near) < 0.006:
            best.append(int(np.argmin(near)) - 5)
    assert len(best) > 40
    assert np.median(best) == 0
    assert np.mean(np.abs(best) <= 1) > 0.9


class Cable:
    """A TCP connection that can be cut: forwards one port to another."""

    def __init__(self, port):
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    @staticmethod
    def _carry(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self):
        for end in self._ends:
            with contextlib.suppress(OSError):
                # No goodbye, as when a cable is pulled: the peer is reset.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)
                end.close()
        self._ends = []

    def close(self):
        self._listener.close()
        self.cut()


def test_a_sentence_goes_on_after_the_line_was_cut(server, open_page):
    cable = Cable(server.port)
    try:
        viewer = open_page(url=f"http://127.0.0.1:{cable.port}/")
        viewer.until_live()
        until_talking(viewer)
        session, heard = viewer.read("session"), viewer.read("audioFrames")
        cable.cut()
        viewer.until("bithuman.reconnects > 0")
        viewer.until("bithuman.connection === 'live'")
        assert viewer.read("session") == session
        viewer.until("bithuman.speaking")
        viewer.until("!bithuman.speaking && document.getElementById('stop').hidden", 60)
        # The sample lasts ten seconds; nearly all of it was heard.
        assert viewer.read("audioFrames") > max(230, heard + 100)
    finally:
        cable.close()
