"""A real server process and a real Chromium."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.chromium import FLAGS, chromium
from bithuman_cli import resources
from tests.voice import voice_pcm

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser = playwright_api.Browser
BrowserContext = playwright_api.BrowserContext
Page = playwright_api.Page

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def avatar_path() -> Path:
    avatars = sorted(resources.find("showcase").glob("*.imx"))
    if not avatars:
        pytest.skip("this checkout has no bundled avatar")
    return avatars[0]


class Server:
    """``bithuman run`` in a process of its own, on a port that stays the same over restarts."""

    def __init__(self, avatar: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._command = [
            *(sys.executable, "-m", "bithuman_cli", "run", str(avatar)),
            *("--no-open", "--port", str(self.port), *options),
        ]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert self.url in line, line + self._process.stdout.read()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=10)

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}health", timeout=5) as response:
            report: dict[str, Any] = json.load(response)
        return report


@pytest.fixture(scope="session")
def make_server(avatar_path: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def make(*options: str, avatar: Path = avatar_path) -> Server:
        server = Server(avatar, *options)
        server.start()
        started.append(server)
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def server(make_server: Callable[..., Server]) -> Server:
    return make_server("--max-sessions", "8")


@pytest.fixture(scope="session")
def phrase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a voice and two of silence, for files and the microphone."""
    rate = 48_000
    spoken = voice_pcm(2.0, rate)
    path = tmp_path_factory.mktemp("sound") / "phrase.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.r_[spoken, np.zeros(2 * rate)].astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def launch(phrase: Path) -> Iterator[Callable[..., Browser]]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is installed")
    open_browsers = []
    with playwright_api.sync_playwright() as playwright:

        def start(*flags: str) -> Browser:
            browser = playwright.chromium.launch(
                executable_path=path, headless=True, args=[*FLAGS, *flags]
            )
            open_browsers.append(browser)
            return browser

        yield start
        for browser in open_browsers:
            browser.close()


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Browser], phrase: Path) -> Browser:
    return launch(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={phrase}",
    )


class Viewer:
    """One page of the server, with what it complains about."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def read(self, what: str) -> Any:
        """A value of the page's ``window.bithuman``."""
        return self.page.evaluate(f"window.bithuman.{what}")

    def until(self, condition: str, patience: float = 40.0) -> None:
        """Wait for a JavaScript condition. (Playwright's own waiting needs eval, which the page's
        policy forbids.)"""
        deadline = time.monotonic() + patience
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, f"never: {condition}; {self.complaints}"
            time.sleep(0.03)

    def until_live(self) -> None:
        self.until("window.bithuman?.connection === 'live' && bithuman.framesDrawn > 10")

    def picture(self, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        """A part of the canvas, shrunk to 16 by 16 grey pixels."""
        values = self.page.evaluate(
            """([x0, y0, x1, y1]) => {
              const small = new OffscreenCanvas(16, 16).getContext("2d");
              small.drawImage(document.getElementById("canvas"),
                              x0, y0, x1 - x0, y1 - y0, 0, 0, 16, 16);
              const pixels = small.getImageData(0, 0, 16, 16).data;
              return Array.from(pixels.filter((_, i) => i % 4 === 1));
            }""",
            [x0, y0, x1, y1],
        )
        return np.array(values, float)


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Callable[..., Viewer]]:
    contexts: list[BrowserContext] = []

    def start(
        *,
        url: str | None = None,
        other_browser: Browser | None = None,
        script: str = "",
        **options: Any,
    ) -> Viewer:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = (other_browser or browser).new_context(**options)
        if script:
            context.add_init_script(script)  # runs before the page's own
        contexts.append(context)
        return Viewer(context, url or server.url)

    yield start
    for context in contexts:
        context.close()


@pytest.fixture
def viewer(open_page: Callable[..., Viewer]) -> Viewer:
    viewer = open_page(permissions=["microphone"])
    viewer.until_live()
    return viewer
