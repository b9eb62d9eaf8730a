"""A small real avatar whose mouth can be read from its pixels, and a real server around it."""

from __future__ import annotations

import asyncio
import heapq
import io
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import psutil
import pytest
from aiohttp import web
from numpy.typing import NDArray

import engine
from bithuman_cli import resources
from bithuman_cli.server.app import API, create_app
from bithuman_cli.server.hub import Hub
from bithuman_cli.server.limits import Limits
from bithuman_cli.server.listening import listen
from bithuman_cli.server.protocol import Frame, unpack_frame
from bithuman_cli.server.video import Jobs
from bithuman_cli.server.voice import Voice
from engine import imx
from engine.coefficients import COEFFICIENTS, INDEX
from engine.essence import clips, layout
from engine.stream.avatar import Avatar
from tests.voice import voice_pcm

SIZE = 256
FRAMES = 50
MOUTH = (96, 160, 160, 208)
SHAPES = 8


def write_avatar(path: Path) -> Path:
    """Grey noise, incompressible as a photo can be, with a mouth that turns red as it opens."""
    rng = np.random.default_rng(7)
    noise = rng.integers(60, 140, (SIZE, SIZE, 3), np.uint8)
    book = np.zeros((SHAPES, len(COEFFICIENTS)), np.float32)
    book[1:, INDEX["jawOpen"]] = np.arange(1, SHAPES) / (SHAPES - 1)
    stored = io.BytesIO()
    np.save(stored, book)
    width, height = MOUTH[2] - MOUTH[0], MOUTH[3] - MOUTH[1]
    place = np.tile([[1.0, 0.0, MOUTH[0]], [0.0, 1.0, MOUTH[1]]], (FRAMES, 1, 1))
    idle = (np.roll(noise, i % 5, axis=1) for i in range(FRAMES))
    members = {
        "clips/idle.mp4": clips.encode(idle, fps=25),
        layout.CLIPS: layout.format_clips({"idle": (np.zeros(FRAMES, np.int64), place)}),
        layout.CODEBOOK: stored.getvalue(),
        layout.MASK: cv2.imencode(".png", np.full((height, width), 255, np.uint8))[1].tobytes(),
    }
    for shape in range(1, SHAPES):
        patch = np.full((height, width, 3), (0, 0, 120 + 16 * shape), np.uint8)
        members[layout.patch_name(0, shape)] = cv2.imencode(
            ".webp", patch, [cv2.IMWRITE_WEBP_QUALITY, 90]
        )[1].tobytes()
    manifest = imx.Manifest(
        kind="essence",
        name="Test Card",
        width=SIZE,
        height=SIZE,
        clips={"idle": imx.Clip("clips/idle.mp4", FRAMES)},
        mouth=imx.Mouth(1, SHAPES, MOUTH),
    )
    imx.write(path, manifest, members)
    return path


def mouth_open(jpeg: bytes) -> bool:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    x0, y0, x1, y1 = MOUTH
    blue, _, red = image[y0 + 8 : y1 - 8, x0 + 8 : x1 - 8].reshape(-1, 3).mean(0)
    return bool(red > blue + 40)


@pytest.fixture(scope="session")
def avatar_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_avatar(tmp_path_factory.mktemp("avatar") / "card.imx")


@pytest.fixture
def avatar(avatar_path: Path) -> Avatar:
    return engine.open(avatar_path)


class Clock:
    """Time that passes when a test says so: calls what is due, at its time to the microsecond."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._calls: list[tuple[float, int, Callable[[], None], asyncio.TimerHandle]] = []
        self._count = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, (), asyncio.get_running_loop())
        heapq.heappush(self._calls, (when, next(self._count), callback, handle))
        return handle

    async def until(self, end: float) -> None:
        while self._calls and self._calls[0][0] <= end:
            when, _, callback, handle = heapq.heappop(self._calls)
            if not handle.cancelled():
                self.now = max(self.now, when)
                callback()
        self.now = max(self.now, end)

    def sleep(self, seconds: float) -> None:
        """The whole process stands still."""
        self.now += seconds


class Viewer:
    """A WebSocket client that keeps apart what it receives."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.close_code: int | None = None

    async def message(self, patience: float = 5.0) -> Frame | dict[str, Any] | None:
        """The next frame or control message; None once the server has closed."""
        message = await self.socket.receive(patience)
        if message.type is aiohttp.WSMsgType.BINARY:
            return unpack_frame(message.data)
        if message.type is aiohttp.WSMsgType.TEXT:
            parsed: dict[str, Any] = json.loads(message.data)
            return parsed
        self.close_code = self.socket.close_code
        return None

    async def frames(self, count: int) -> list[Frame]:
        found: list[Frame] = []
        while len(found) < count:
            message = await self.message()
            assert message is not None, f"closed with {self.close_code}"
            if isinstance(message, Frame):
                found.append(message)
        return found

    async def control(self, kind: str, patience: float = 5.0) -> dict[str, Any]:
        """The next control message of a type, frames on the way thrown away."""
        async with asyncio.timeout(patience):
            while True:
                message = await self.message()
                assert message is not None, f"closed with {self.close_code}"
                if isinstance(message, dict) and message["type"] == kind:
                    return message

    async def until_closed(self, patience: float = 5.0) -> int | None:
        async with asyncio.timeout(patience):
            while await self.message() is not None:
                pass
        return self.close_code

    async def utterance(self, patience: float = 10.0) -> list[Frame]:
        """All frames up to the end of speech."""
        found: list[Frame] = []
        async with asyncio.timeout(patience):
            while not (found and found[-1].end_of_speech):
                found += await self.frames(1)
        return found

    def cut(self) -> None:
        """Lose the connection without a word."""
        connection = self.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()

    async def send(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))


@dataclass
class Server:
    url: str
    hub: Hub
    http: aiohttp.ClientSession
    jobs: Jobs

    @asynccontextmanager
    async def viewer(
        self, hello: dict[str, Any] | None = None, path: str = "ws", **options: Any
    ) -> AsyncIterator[Viewer]:
        """A client that has said hello, with more fields if given."""
        async with self.http.ws_connect(f"{self.url}{path}", max_msg_size=0, **options) as socket:
            viewer = Viewer(socket)
            await viewer.send(
                **{"type": "hello", "protocol": 2, "modes": ["jpeg"], **(hello or {})}
            )
            yield viewer


StartServer = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start_server(avatar: Avatar) -> AsyncIterator[StartServer]:
    runners: list[web.AppRunner] = []
    sessions: list[aiohttp.ClientSession] = []

    async def start(
        *,
        max_sessions: int = 8,
        bound: str = "127.0.0.1",
        voice: Voice | None = None,
        avatars: dict[str, Avatar] | None = None,
        token: str | None = None,
        parents: tuple[str, ...] = (),
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        clock: Clock | None = None,
    ) -> Server:
        hub = Hub(
            avatars or {"card": avatar},
            voice=voice,
            max_sessions=max_sessions,
            clock=asyncio.get_running_loop if clock is None else lambda: clock,
        )
        app = create_app(
            hub,
            page=resources.find("web"),
            bound=bound,
            token=token,
            parents=parents,
            limits=limits,
        )
        listener = listen("127.0.0.1", 0, port_is_explicit=True)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        runners.append(runner)
        sessions.append(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        return Server(url, hub, sessions[-1], app[API].jobs)

    yield start
    for session in sessions:
        await session.close()
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def server(start_server: StartServer) -> Server:
    return await start_server()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def speech() -> Callable[..., NDArray[np.int16]]:
    return voice_pcm


@pytest.fixture
def is_mouth_open() -> Callable[[bytes], bool]:
    return mouth_open


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """Processes that this one has started since the test began, without what others left."""
    process = psutil.Process()
    before = {child.pid for child in process.children()}
    return lambda: {child.pid for child in process.children()} - before
