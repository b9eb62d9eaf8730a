"""Live sessions: the clock that makes frames due, and one queue and sender per client.

The clock never waits for a network. It asks a session for its next frame choice (two small
integers and 40 ms of PCM) and leaves it in the client's queue. The client's own sender task
turns choices into messages, as fast as that client reads: when it falls behind, pictures are left
out and sound is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from bithuman_cli.server.protocol import (
    PROTOCOL_VERSION,
    Control,
    Frame,
    ProtocolError,
    pack_frame,
    parse_control,
)
from bithuman_cli.server.security import TokenBucket
from bithuman_cli.server.voice import INSTALL_HINT, Voice
from engine.coefficients import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from engine.errors import AvatarError

if TYPE_CHECKING:
    from engine.stream.avatar import Avatar
    from engine.stream.types import FrameState

__all__ = ["Client", "Hub"]

_LOG = logging.getLogger(__name__)

_PERIOD: Final = 1.0 / FPS
_JITTER_MARGIN: Final = 0.01  # seconds between the first possible frame of speech and its turn

MAX_QUEUED_AUDIO_SECONDS: Final = 60.0
_PIECE_SECONDS: Final = 0.2
_SPEECH_AHEAD_SECONDS: Final = 8.0  # synthesised speech waits rather than piling up
_FRESH_PICTURES: Final = 2  # of a backlog, only the newest are worth drawing
_MAX_BACKLOG_FRAMES: Final = 15 * FPS  # a client that reads nothing for so long is cut off
_MESSAGES_PER_SECOND: Final = 200.0
_MAX_BAD_MESSAGES: Final = 20
_MAX_WAITING_TEXTS: Final = 16
_CLOSE_TIMEOUT: Final = 2.0


class Client:
    """One WebSocket with its session.

    Args:
        socket: a prepared WebSocket.
        transport: the connection below it, to cut when the peer does not even read a close.
        hub: the owner.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        hub: Hub,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.session = hub.avatar.session()
        self.due = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.starved = False
        self.pictures = True
        self._socket = socket
        self._transport = transport
        self._hub = hub
        self._sample_rate = SAMPLE_RATE
        self._frames: deque[FrameState] = deque()
        self._next_index = 0
        self._controls: deque[str] = deque()
        self._wake = asyncio.Event()
        self._bucket = TokenBucket(_MESSAGES_PER_SECOND, 2 * _MESSAGES_PER_SECOND)
        self._errors = TokenBucket(2.0, 10.0)
        self._bad_messages = 0
        self._texts: asyncio.Queue[str] = asyncio.Queue(_MAX_WAITING_TEXTS)
        self._speaker: asyncio.Task[None] | None = None
        self._closing = False

    # -- called by the hub -------------------------------------------------------------------

    def offer(self, state: FrameState) -> None:
        """Queue a frame; never blocks. Cuts off a client that has stopped reading."""
        self._next_index = state.frame_index + 1
        self._frames.append(state)
        self._wake.set()
        if len(self._frames) > _MAX_BACKLOG_FRAMES and not self._closing:
            self._closing = True
            _LOG.info("session %s: the client reads too slowly, closing", self.id)
            self._hub.spawn(self.close(WSCloseCode.POLICY_VIOLATION, "reading too slowly"))

    async def close(self, code: int, reason: str) -> None:
        """Close the connection; gives up politely waiting after a moment."""
        self._closing = True
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._socket.close(code=code, message=reason.encode())
                return
        # The peer does not read: without this the handler would wait for it forever.
        if self._transport is not None:
            self._transport.abort()

    async def run(self) -> None:
        """Serve this client until it leaves."""
        self._send_control(type="hello", session=self.id, **self._hub.describe())
        sender = asyncio.create_task(self._send_loop())
        try:
            async for message in self._socket:
                if not self._bucket.take():
                    self.error("RATE_LIMITED", "Too many messages; slow down.")
                    await self.close(WSCloseCode.POLICY_VIOLATION, "too many messages")
                    break
                try:
                    if message.type is WSMsgType.BINARY:
                        await self._on_audio(message.data)
                    elif message.type is WSMsgType.TEXT:
                        self._on_control(parse_control(message.data))
                except ProtocolError as problem:
                    self._bad_messages += 1
                    self.error(problem.code, f"{problem}.")
                    if self._bad_messages >= _MAX_BAD_MESSAGES:
                        await self.close(WSCloseCode.POLICY_VIOLATION, "too many bad messages")
                        break
                except AvatarError as problem:
                    self.error(problem.code, str(problem), problem.hint)
        finally:
            self._closing = True
            tasks = [task for task in (sender, self._speaker) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- receiving -----------------------------------------------------------------------------

    async def _on_audio(self, pcm: bytes) -> None:
        if len(pcm) % 2:
            raise ProtocolError("PCM16 has two bytes per sample", code="BAD_AUDIO")
        if self.session.pending > MAX_QUEUED_AUDIO_SECONDS:
            self.error(
                "AUDIO_BUFFER_FULL",
                f"More than {MAX_QUEUED_AUDIO_SECONDS:.0f} seconds of audio are waiting; "
                "this piece was not taken.",
            )
            return
        await self._push(pcm, self._sample_rate)

    async def _push(self, pcm: bytes, sample_rate: int) -> None:
        was_ready = self.session.ready
        # Resampling a long piece at once would keep everybody's frames waiting.
        piece = 2 * int(sample_rate * _PIECE_SECONDS)
        for start in range(0, len(pcm), piece):
            self.session.push_audio(pcm[start : start + piece], sample_rate)
            if start + piece < len(pcm):
                await asyncio.sleep(0)
        if self.session.ready and not was_ready and (self.starved or not self.session.speaking):
            self._hub.bring_forward(self)

    def _on_control(self, message: Control) -> None:
        match message.type:
            case "audio":
                self._sample_rate = message.sample_rate
            case "flush":
                self.session.flush()
            case "interrupt":
                self.interrupt()
            case "speak_text":
                self._speak(message.text)
            case "prepare_voice":
                self._hub.prepare_voice()
            case "pictures":
                self.pictures = message.enabled
            case "ping":
                self._send_control(type="pong", t=message.t)

    def interrupt(self) -> None:
        """Stop speaking: nothing that was queued is heard, the mouth closes."""
        if self._speaker is not None:
            self._speaker.cancel()
            self._speaker = None
        while not self._texts.empty():
            self._texts.get_nowait()
        self.session.interrupt()
        self._frames.clear()
        # Messages on the wire before this one may still hold sound: the client drops frames
        # below this index.
        self._send_control(type="interrupted", frame_index=self._next_index)

    def _speak(self, text: str) -> None:
        if self._hub.voice is None:
            self.error("VOICE_UNAVAILABLE", "No voice is installed here.", INSTALL_HINT)
            return
        try:
            self._texts.put_nowait(text)
        except asyncio.QueueFull:
            self.error("TOO_MANY_TEXTS", f"{_MAX_WAITING_TEXTS} texts are already waiting.")
            return
        if self._speaker is None or self._speaker.done():
            self._speaker = asyncio.create_task(self._speak_loop(self._hub.voice))

    async def _speak_loop(self, voice: Voice) -> None:
        while not self._texts.empty():
            try:
                async for pcm, rate in voice.speak(self._texts.get_nowait()):
                    await self._push(pcm, rate)
                    await asyncio.sleep(max(0.0, self.session.pending - _SPEECH_AHEAD_SECONDS))
            except Exception:
                _LOG.exception("session %s: the voice failed", self.id)
                self.error("VOICE_FAILED", "The voice could not speak this text.")
            self.session.flush()

    # -- sending -------------------------------------------------------------------------------

    def error(self, code: str, message: str, hint: str = "") -> None:
        """Tell the client what went wrong, without letting it turn errors into a flood."""
        if self._errors.take():
            self._send_control(type="error", code=code, message=message, hint=hint)

    def _send_control(self, **message: Any) -> None:
        self._controls.append(json.dumps(message))
        self._wake.set()

    async def _send_loop(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._controls or self._frames:
                    if self._controls:
                        await self._socket.send_str(self._controls.popleft())
                    else:
                        await self._send_frame(self._frames.popleft())
        except ConnectionError:
            return  # the receiving side notices as well
        except Exception:
            self._hub.fail(self)

    async def _send_frame(self, state: FrameState) -> None:
        draw = self.pictures and len(self._frames) < _FRESH_PICTURES
        if draw:
            image = self.session.avatar.compose_jpeg(state)
        else:
            image = b""
            self._hub.pictures_dropped += self.pictures
        audio = b"" if state.audio is None else state.audio.tobytes()
        if not (image or audio or state.end_of_speech):
            return
        await self._socket.send_bytes(
            pack_frame(Frame(state.frame_index, audio, image, state.end_of_speech))
        )
        self._hub.frames_sent += 1


class Hub:
    """All sessions of one avatar, and their clock.

    Args:
        avatar: shared by all sessions.
        voice: text to speech, or None where it is not installed.
        max_sessions: how many clients may be connected at once.
    """

    def __init__(
        self,
        avatar: Avatar,
        *,
        voice: Voice | None,
        max_sessions: int,
    ) -> None:
        self.avatar = avatar
        self.voice = voice
        self.max_sessions = max_sessions
        self.frames_sent = 0
        self.pictures_dropped = 0
        self.frames_late = 0
        self._clients: set[Client] = set()
        self._reserved = 0
        self._voice_asked = False
        self._background: set[asyncio.Task[None]] = set()

    @property
    def sessions(self) -> int:
        """Connected clients, those still shaking hands included."""
        return self._reserved

    @property
    def full(self) -> bool:
        """Whether another client would be one too many."""
        return self._reserved >= self.max_sessions

    def describe(self) -> dict[str, Any]:
        """The part of ``hello`` that is the same for everybody."""
        return {
            "protocol": PROTOCOL_VERSION,
            "avatar": {
                "name": self.avatar.name,
                "width": self.avatar.width,
                "height": self.avatar.height,
            },
            "fps": FPS,
            "sample_rate": SAMPLE_RATE,
            "samples_per_frame": SAMPLES_PER_FRAME,
            "voice": self.voice is not None,
            "voice_hint": "" if self.voice is not None else INSTALL_HINT,
            "ai_generated": True,
        }

    async def serve_client(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        """Run a session over a socket that is not prepared yet; the caller checked `full`."""
        self._reserved += 1
        try:
            await socket.prepare(request)
            client = Client(socket, request.transport, self)
            self._join(client)
            try:
                await client.run()
            finally:
                self._leave(client)
        finally:
            self._reserved -= 1

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

    def _join(self, client: Client) -> None:
        self._clients.add(client)
        client.due = asyncio.get_running_loop().time()
        self._schedule(client)

    def _leave(self, client: Client) -> None:
        self._unschedule(client)
        self._clients.discard(client)

    async def close(self) -> None:
        """Close every connection and stop background work."""
        clients = list(self._clients)
        await asyncio.gather(
            *(c.close(WSCloseCode.GOING_AWAY, "the server is stopping") for c in clients)
        )
        for task in list(self._background):
            task.cancel()
        if self.voice is not None:
            self.voice.close()

    # -- the clock -----------------------------------------------------------------------------

    def bring_forward(self, client: Client) -> None:
        """Advance the schedule of a client that can speak now, or go on speaking.

        Its frame would otherwise wait for the client's next turn, up to 40 ms away. Later frames
        follow at even gaps.
        """
        soon = asyncio.get_running_loop().time() + _JITTER_MARGIN
        if client.timer is not None and soon < client.due:
            self._unschedule(client)
            client.due = soon
            self._schedule(client)

    def _schedule(self, client: Client) -> None:
        client.timer = asyncio.get_running_loop().call_at(client.due, self._advance, client)

    @staticmethod
    def _unschedule(client: Client) -> None:
        if client.timer is not None:
            client.timer.cancel()
            client.timer = None

    def _advance(self, client: Client) -> None:
        """Give a client its next frame. The schedule is absolute: no drift from lateness.

        After a stall of more than a frame it starts anew: catching up would send bursts.
        """
        stalled = int((asyncio.get_running_loop().time() - client.due) / _PERIOD)
        self.frames_late += stalled
        client.due += (1 + stalled) * _PERIOD
        self._schedule(client)
        session = client.session
        try:
            # Sound a few milliseconds late delays its frame by as much, not by a whole turn.
            client.starved = session.speaking and not session.ready and not client.starved
            if not client.starved:
                client.offer(session.next_index())
        except Exception:
            self.fail(client)

    def fail(self, client: Client) -> None:
        """Log the exception being handled and end this session; the others go on."""
        _LOG.exception("session %s failed", client.id)
        self._unschedule(client)
        self.spawn(client.close(WSCloseCode.INTERNAL_ERROR, "the session failed"))
