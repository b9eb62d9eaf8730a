"""All sessions of a process: who may come in, who may come back, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from bithuman_cli.server import memory
from bithuman_cli.server.answers import NoAvatar
from bithuman_cli.server.client import Client
from bithuman_cli.server.link import GOODBYE_SECONDS, Link
from bithuman_cli.server.protocol import (
    MAX_MESSAGE_BYTES,
    PROTOCOL_VERSION,
    Hello,
    ProtocolError,
    parse_hello,
)
from bithuman_cli.server.stats import Stats
from bithuman_cli.server.ticker import Clock, Ticker
from bithuman_cli.server.tiles import open_tiles
from bithuman_cli.server.voice import INSTALL_HINT, Voice
from engine.coefficients import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

if TYPE_CHECKING:
    from engine.stream.avatar import Avatar

__all__ = ["RESUME_SECONDS", "Hub"]

_LOG = logging.getLogger(__name__)

RESUME_SECONDS: Final = 60
_ENDED_BY_API: Final = 4000
_RESUMED_ELSEWHERE: Final = 4001
_HELLO_TIMEOUT: Final = 10.0
_HEARTBEAT_SECONDS: Final = 20.0
_RETRY_AFTER_SECONDS: Final = 10
_CROWD: Final = 16  # sessions from which on memory is spent to save time
_DRAIN_STEP: Final = 0.05
_LEAST_GOODBYE_SECONDS: Final = 0.5  # even when a sentence has taken all the time there was
_TIDY_SECONDS: Final = 0.3
# Bounds what a slow link has under way, and so how stale its next picture is.
_SEND_BUFFER_BYTES: Final = 192 << 10


Relay = Callable[[Link, str, Hello], Awaitable[bool]]


class Hub:
    """The sessions of all avatars of a process, on one clock.

    Args:
        avatars: by slug; the first one is the default. Shared by all sessions.
        voice: text to speech, or None where it is not installed.
        max_sessions: how many clients may be connected at once.
        clock: of the ticker, see there.

    Attributes:
        avatars: as given.
        default: slug of the first avatar.
        tiles: by slug, of the avatars that have them.
        clear_tiles: likewise, of avatars that are transparent.
        clients: sessions by id, those that wait to be resumed included.
        stats: totals.
        draining: the server is about to stop and takes nobody in.
        ticker: the clock.
        voice: as given.
        max_sessions: as given.
        relay: goes on with a session that is not here, see ``Siblings.relay``.
    """

    def __init__(
        self,
        avatars: Mapping[str, Avatar],
        *,
        voice: Voice | None,
        max_sessions: int,
        clock: Callable[[], Clock] = asyncio.get_running_loop,
    ) -> None:
        self.avatars = dict(avatars)
        self.default = next(iter(self.avatars))
        opened = {slug: open_tiles(avatar.opaque) for slug, avatar in self.avatars.items()}
        self.tiles = {slug: tiles for slug, tiles in opened.items() if tiles is not None}
        cleared = {
            slug: open_tiles(avatar) for slug, avatar in self.avatars.items() if avatar.transparent
        }
        self.clear_tiles = {slug: tiles for slug, tiles in cleared.items() if tiles is not None}
        self.clients: dict[str, Client] = {}
        self.stats = Stats()
        self.draining = False
        self.ticker = Ticker(self.stats, clock)
        self.voice = voice
        self.max_sessions = max_sessions
        self.relay: Relay | None = None
        self._places = 0
        self._tidying: asyncio.TimerHandle | None = None
        self._voice_asked = False
        self._background: set[asyncio.Task[None]] = set()
        self._ends: dict[str, asyncio.TimerHandle] = {}  # of sessions that wait to be resumed

    @property
    def sessions(self) -> int:
        """Connected clients, those still shaking hands included."""
        return self._places

    @property
    def full(self) -> bool:
        """Whether another client would be one too many."""
        return self.draining or self._places >= self.max_sessions

    def modes(self, slug: str) -> tuple[str, ...]:
        """Wire modes of an avatar, the one every client can show first."""
        avatar = self.avatars[slug]
        tiles = ("tiles",) if slug in self.tiles else ()
        # Chroma has half the resolution, so x264 wants even sizes.
        h264 = ("h264",) if avatar.width % 2 == 0 and avatar.height % 2 == 0 else ()
        return ("jpeg", *tiles, *h264)

    def describe(
        self, client: Client, modes: tuple[str, ...], *, alpha: bool = False
    ) -> dict[str, Any]:
        """The part of ``hello`` that does not depend on the connection."""
        avatar = self.avatars[client.slug]
        parts = self.clear_tiles if alpha else self.tiles
        tiles = parts.get(client.slug) if "tiles" in modes else None
        return {
            "type": "hello",
            "protocol": PROTOCOL_VERSION,
            "session": client.id,
            "modes": list(modes),
            "avatar": {
                "name": avatar.name,
                "slug": client.slug,
                "kind": avatar.kind,
                "width": avatar.width,
                "height": avatar.height,
                "gestures": list(client.session.gestures),
                "emotions": list(avatar.emotions),
            },
            "alpha": alpha,
            "tiles": None if tiles is None else tiles.describe(client.slug),
            "fps": FPS,
            "sample_rate": SAMPLE_RATE,
            "samples_per_frame": SAMPLES_PER_FRAME,
            "voice": self.voice is not None,
            "voice_hint": "" if self.voice is not None else INSTALL_HINT,
            "resume_seconds": RESUME_SECONDS,
            "ai_generated": True,
        }

    def slug(self, named: str | None = None) -> str:
        """The avatar that a path names, or the default one.

        Raises:
            NoAvatar: there is no such avatar.
        """
        slug = self.default if named is None else named
        if slug not in self.avatars:
            raise NoAvatar
        return slug

    # -- connections -----------------------------------------------------------------------------

    async def handle(self, request: web.Request, slug: str | None = None) -> web.StreamResponse:
        """Serve a WebSocket until it ends.

        Raises:
            NoAvatar: there is no such avatar.
            HTTPServiceUnavailable: every place is taken.
            HTTPUpgradeRequired: the request is not for a WebSocket.
        """
        slug = self.slug(slug)
        if self.full:
            self.stats.refused += 1
            reason = "The server is about to stop" if self.draining else "All sessions are in use"
            fields = {"event": "refused", "avatar": slug, "peer": request.remote}
            _LOG.info("refused: %s", reason.lower(), extra=fields)
            raise web.HTTPServiceUnavailable(
                text=f"{reason}; try again shortly.\n",
                headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
            )
        # Compression triples the cost and saves nothing: JPEG and speech are dense already.
        ws = web.WebSocketResponse(
            compress=False,
            autoclose=False,  # that is up to the link
            heartbeat=_HEARTBEAT_SECONDS,
            max_msg_size=MAX_MESSAGE_BYTES,
        )
        if not ws.can_prepare(request).ok:
            raise web.HTTPUpgradeRequired(text="This address speaks WebSocket; open / instead.\n")
        transport = request.transport
        if transport is None:
            raise web.HTTPBadRequest(text="The connection is lost.\n")
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._places += 1
        self._tidy_soon()
        try:
            try:
                await ws.prepare(request)
            except ConnectionError:  # gone before it was let in
                raise web.HTTPBadRequest(text="The connection is lost.\n") from None
            link = Link(ws, transport)
            hello = await self._greeted(link, slug)
            if hello is not None:
                await self._serve(link, slug, hello)
            await link.close(WSCloseCode.OK, "")  # the answer to the client's, if need be
        finally:
            self._places -= 1
            self._tidy_soon()
        return ws

    def _tidy_soon(self) -> None:
        """Once nobody has been there for a while, nobody minds what it takes."""
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        if not self._places and not self.draining:
            loop = asyncio.get_running_loop()
            self._tidying = loop.call_later(_TIDY_SECONDS, memory.trim)

    async def _greeted(self, link: Link, slug: str) -> Hello | None:
        """The client's first message; None if there is none worth an answer."""
        try:
            message = await link.socket.receive(_HELLO_TIMEOUT)
            if message.type is not WSMsgType.TEXT and link.socket.closed:
                return None
            text = message.data if message.type is WSMsgType.TEXT else ""
            return parse_hello(text, self.modes(slug))
        except TimeoutError:
            problem = ProtocolError("no hello came", code="HELLO_EXPECTED")
        except ProtocolError as error:
            problem = error
        link.send_text(
            json.dumps(
                {
                    "type": "error",
                    "code": problem.code,
                    "message": f"{problem}.",
                    "hint": "See PROTOCOL.md, version 2.",
                }
            )
        )
        await link.close(WSCloseCode.PROTOCOL_ERROR, problem.code)
        return None

    async def _serve(self, link: Link, slug: str, hello: Hello) -> None:
        client = await self._resumed(hello.resume, slug)
        resumed = client is not None
        elsewhere = self.relay if hello.resume and not resumed else None
        if elsewhere is not None and await elsewhere(link, slug, hello):
            return
        if client is None:
            client = Client(self, slug, self.avatars[slug])
            self.clients[client.id] = client
            self.stats.sessions += 1
        if len(self.clients) == _CROWD and slug in self.tiles:
            self.avatars[slug].player.expect_crowd()
        modes, mode = hello.modes, hello.mode
        # No video codec that is made for live pictures has an alpha channel.
        clear = tuple(mode for mode in modes if mode != "h264")
        alpha = hello.alpha and self.avatars[slug].transparent and bool(clear)
        if alpha:
            modes, mode = clear, mode if mode in clear else clear[0]
        client.attach(link, modes, mode, hello.next, alpha=alpha)
        self.ticker.add(client)
        began = asyncio.get_running_loop().time()
        client.log("connect", "connected", peer=link.peer, mode=hello.mode, resumed=resumed)
        code: int | None = WSCloseCode.INTERNAL_ERROR
        try:
            code = await client.receive(link)
        except Exception:
            client.fail()
        finally:
            seconds = round(asyncio.get_running_loop().time() - began, 1)
            # Without a code the connection was lost.
            shown = None if code is None else int(code)
            client.log("disconnect", "disconnected", code=shown, seconds=seconds)
            if client.detach(link):
                self.ticker.remove(client)
                if client.id in self.clients:
                    self._part(client, code)

    async def _resumed(self, session: str, slug: str) -> Client | None:
        client = self.clients.get(session)
        if client is None or client.slug != slug:
            return None
        self.stats.resumed += 1
        if client.connected:
            self.ticker.remove(client)
            await client.replace(_RESUMED_ELSEWHERE, "resumed elsewhere")
            if client.id not in self.clients:
                return None
        if (timer := self._ends.pop(session, None)) is not None:
            timer.cancel()
        return client

    def _part(self, client: Client, code: int | None) -> None:
        """A connection is over: keep the session for a while if it was lost."""
        if code is not None or self.draining:
            self._forget(client)
            return
        # More waiting than could be connected is somebody playing with the door.
        while len(self._ends) >= self.max_sessions:
            self._forget(self.clients[next(iter(self._ends))])
        loop = asyncio.get_running_loop()
        client.parked_at = loop.time()
        self._ends[client.id] = loop.call_later(RESUME_SECONDS, self._forget, client)

    def _forget(self, client: Client) -> None:
        if (timer := self._ends.pop(client.id, None)) is not None:
            timer.cancel()
        self.clients.pop(client.id, None)
        self.ticker.remove(client)
        client.feed.interrupt()

    # -- ending ----------------------------------------------------------------------------------

    def end(
        self, session: str, code: int = _ENDED_BY_API, reason: str = "ended by request"
    ) -> bool:
        """End a session, connected or waiting to be resumed; False if there is none."""
        client = self.clients.get(session)
        if client is None:
            return False
        self._forget(client)
        self.spawn(client.close(code, reason))
        return True

    async def drain(self, seconds: float) -> None:
        """Finish what is being said, at most for so long, taking nobody in; then close."""
        self.draining = True
        if self._places:
            fields = {"event": "draining", "sessions": self._places, "seconds": seconds}
            _LOG.info("draining", extra=fields)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        for client in self.clients.values():
            client.tell_draining(seconds)
        while loop.time() < deadline and self._anybody_talks():  # noqa: ASYNC110 - rare, brief
            await asyncio.sleep(_DRAIN_STEP)
        left = deadline - loop.time()
        await self.close(min(max(left, _LEAST_GOODBYE_SECONDS), GOODBYE_SECONDS))

    def _anybody_talks(self) -> bool:
        return any(client.connected and client.feed.busy for client in self.clients.values())

    async def close(self, patience: float = GOODBYE_SECONDS) -> None:
        """Close every connection and stop background work.

        Args:
            patience: seconds that clients have to answer the goodbye.
        """
        self.draining = True
        clients = list(self.clients.values())
        await asyncio.gather(
            *(c.close(WSCloseCode.GOING_AWAY, "the server is stopping", patience) for c in clients)
        )
        for client in clients:
            self._forget(client)
        for task in list(self._background):
            task.cancel()
        if self.voice is not None:
            self.voice.close()

    # -- on the side -----------------------------------------------------------------------------

    def prepare_voice(self) -> None:
        """Load the voice in the background; once, however often clients ask."""
        if self.voice is not None and not self._voice_asked:
            self._voice_asked = True
            self.spawn(self.voice.warm_up())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the side and keep it alive until it is done."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("background work failed", exc_info=error)
