"""One session with whoever watches it: what comes in is done, what is due goes out."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiohttp import WSCloseCode, WSMessage, WSMsgType

from bithuman_cli.server import memory
from bithuman_cli.server.feed import Feed
from bithuman_cli.server.limits import TokenBucket
from bithuman_cli.server.link import GOODBYE_SECONDS, Link
from bithuman_cli.server.outbox import Outbox
from bithuman_cli.server.pace import Pace
from bithuman_cli.server.protocol import Control, ProtocolError, frame_index, parse_control
from bithuman_cli.server.stats import Stats
from bithuman_cli.server.ticker import Ticker
from bithuman_cli.server.voice import Voice
from engine.coefficients import FPS, SAMPLE_RATE
from engine.errors import AvatarError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.stream.avatar import Avatar
    from engine.stream.types import FrameState

__all__ = ["Client"]

_LOG = logging.getLogger(__name__)

_MAX_BACKLOG_FRAMES: Final = 15 * FPS  # a client that reads nothing for so long is cut off
_MESSAGES_PER_SECOND: Final = 200.0
_MAX_BAD_MESSAGES: Final = 20
_MAX_CONTROLS: Final = 1000  # waiting for a client that does not read


class Owner(Protocol):
    """What a client needs of the hub that has it; everything as described there."""

    ticker: Ticker
    stats: Stats
    voice: Voice | None
    draining: bool

    def describe(
        self, client: Client, modes: tuple[str, ...], *, alpha: bool = False
    ) -> dict[str, Any]:
        """The part of ``hello`` that does not depend on the connection."""

    def prepare_voice(self) -> None:
        """Load the voice in the background."""

    def end(self, session: str, code: int, reason: str) -> bool:
        """End a session; False if there is none."""


class Client:
    """A session, and the connection it has at the moment.

    Args:
        hub: the owner.
        slug: of the avatar, in paths.
        avatar: who is shown.

    Attributes:
        id: names the session to clients.
        slug: as given.
        session: its state.
        feed: what it is given to say.
        swappable: whether the face can be replaced while it plays.
        parked_at: when the connection was lost, by the clock of the event loop; None with one.
    """

    def __init__(self, hub: Owner, slug: str, avatar: Avatar) -> None:
        self.id = secrets.token_hex(8)
        self.slug = slug
        self.session = avatar.session()
        self.feed = Feed(self.session, hub.voice, self._on_ready, self.error, self._caption)
        self.swappable = avatar.kind == "expression"
        self.parked_at: float | None = None
        self._hub = hub
        self._link: Link | None = None
        self._outbox = Outbox(self.session, avatar, hub.stats, self.fail)
        self._modes: tuple[str, ...] = ()
        self._sample_rate = SAMPLE_RATE
        self._starved = False
        self._possible_at: float | None = None  # since when its next frame can be made
        self._pace = Pace()
        self._controls: deque[str] = deque()
        self._next_index = 0
        self._action: str | None = None
        self._bucket = TokenBucket(_MESSAGES_PER_SECOND, 2 * _MESSAGES_PER_SECOND)
        self._errors = TokenBucket(2.0, 10.0)
        self._bad_messages = 0

    # -- the connection --------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether somebody is there."""
        return self._link is not None

    @property
    def mode(self) -> str:
        """How pictures are sent."""
        return self._outbox.mode

    def attach(
        self,
        link: Link,
        modes: tuple[str, ...],
        mode: str,
        following: int | None,
        *,
        alpha: bool = False,
    ) -> None:
        """Begin or go on over a connection; says hello first.

        Args:
            link: the connection.
            modes: what both sides can do.
            mode: the first to use.
            following: the first frame the client has not received, when it resumes.
            alpha: whether pictures are transparent.
        """
        resumed = self.parked_at is not None
        self._link, self.parked_at = link, None
        self._modes = modes
        self._outbox.attach(link, mode, alpha=alpha)
        self._sample_rate = SAMPLE_RATE
        self._controls.clear()
        self._bad_messages = 0
        again = self._outbox.unheard(following)
        first = frame_index(again[0]) if again else self._next_index
        self._send_control(
            **self._hub.describe(self, modes, alpha=alpha),
            resumed=resumed,
            frame_index=first,
            mode=mode,
        )
        # Their pictures are over; what was said must be heard.
        self._outbox.send_again(again)

    async def receive(self, link: Link) -> int | None:
        """Do what the client asks for until the connection ends.

        Returns:
            The close code, None when the connection was lost.
        """
        while True:
            message = await link.receive()
            if message.type is WSMsgType.CLOSE:
                return message.data or WSCloseCode.OK
            if message.type is WSMsgType.CLOSING:
                return link.socket.close_code or WSCloseCode.GOING_AWAY  # we are closing
            if message.type is WSMsgType.CLOSED:
                return None if link.open else WSCloseCode.GOING_AWAY
            if message.type is WSMsgType.ERROR:
                code = link.socket.close_code
                return None if code in (None, WSCloseCode.ABNORMAL_CLOSURE) else code
            if not await self._received(link, message):
                return WSCloseCode.POLICY_VIOLATION

    async def _received(self, link: Link, message: WSMessage) -> bool:
        """Do what one message asks for; False if the connection was closed because of it."""
        if not self._bucket.take():
            self.error(AvatarError("Too many messages; slow down.", code="RATE_LIMITED"))
            await link.close(WSCloseCode.POLICY_VIOLATION, "too many messages")
            return False
        try:
            if message.type is WSMsgType.BINARY:
                await self._on_audio(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._on_control(parse_control(message.data))
        except ProtocolError as problem:
            self._bad_messages += 1
            self.error(AvatarError(f"{problem}.", code=problem.code))
            if self._bad_messages >= _MAX_BAD_MESSAGES:
                await link.close(WSCloseCode.POLICY_VIOLATION, "too many bad messages")
                return False
        except AvatarError as problem:
            self.error(problem)
        return True

    def detach(self, link: Link) -> bool:
        """Forget a connection; False if another one has taken its place."""
        if self._link is not link:
            return False
        self._link = None
        self._outbox.detach()
        return True

    async def close(self, code: int, reason: str, patience: float = GOODBYE_SECONDS) -> None:
        """Close the connection, if there is one, and with it the session; see `Link.close`."""
        if self._link is not None:
            await self._link.close(code, reason, patience)

    async def replace(self, code: int, reason: str) -> None:
        """Let go of the connection, the session goes on."""
        link, self._link = self._link, None
        self._outbox.detach()
        self.parked_at = asyncio.get_running_loop().time()
        if link is not None:
            await link.close(code, reason)

    def fail(self) -> None:
        """Log the exception being handled and end this session; the others go on."""
        fields = {"event": "error", "session": self.id, "avatar": self.slug, "code": "INTERNAL"}
        _LOG.exception("the session failed", extra=fields)
        self._hub.end(self.id, WSCloseCode.INTERNAL_ERROR, "the session failed")

    def log(self, event: str, message: str, **fields: object) -> None:
        """Log what happens to this session."""
        about = {"event": event, "session": self.id, "avatar": self.slug}
        _LOG.info(message, extra={**about, **fields})

    # -- what can be asked for -------------------------------------------------------------------

    def speak(self, text: str) -> None:
        """Say a text after those before it.

        Raises:
            AvatarError: ``DRAINING``, ``VOICE_UNAVAILABLE`` or ``TOO_MANY_TEXTS``.
        """
        self.check_open()
        self.feed.speak(text)

    async def push(self, pcm: bytes, sample_rate: int) -> None:
        """Add PCM16 mono to the current utterance.

        Raises:
            AvatarError: ``DRAINING`` or ``AUDIO_BUFFER_FULL``; nothing was taken.
        """
        self.check_open()
        await self.feed.push(pcm, sample_rate)

    def flush(self) -> None:
        """End the current utterance."""
        self.feed.flush()

    def interrupt(self) -> None:
        """Stop speaking: nothing that was queued is heard, the mouth closes."""
        self.feed.interrupt()
        self._outbox.clear()
        # Messages on the wire before this one may still hold sound: the client drops frames
        # below this index.
        self._send_control(type="interrupted", frame_index=self._next_index)
        self._hub.ticker.bring_forward(self)

    def act(self, name: str, force: bool = False) -> None:
        """Begin a gesture, after the running one or, with ``force``, now.

        Raises:
            NotSupported: ``GESTURE``.
        """
        self.session.act(name, force)

    def stop_action(self) -> None:
        """End the running gesture."""
        self.session.stop_action()

    def spoken(self, text: str) -> None:
        """What the sound that is pushed next says: for captions, and for gestures."""
        self.session.say_text(text)
        self._caption(text)

    def heard(self, text: str) -> None:
        """What the user said, for gestures that answer to words."""
        self.session.hear_text(text)

    def set_emotion(self, name: str | None, intensity: float = 1.0) -> None:
        """Change the mood; None: what the voice suggests.

        Raises:
            NotSupported: ``EMOTION``.
        """
        self.session.set_emotion(name, intensity)

    def set_articulation(self, value: float) -> None:
        """How strongly the mouth moves, 0.5 to 1.5.

        Raises:
            NotSupported: ``ARTICULATION``.
        """
        self.session.articulation = value

    async def set_identity(self, image: NDArray[np.uint8]) -> None:
        """Give an expression avatar another face.

        Args:
            image: a photo, BGR uint8 (height, width, 3).

        Raises:
            InvalidImage: the photo cannot be used.
            NotSupported: ``IDENTITY``.
        """
        await asyncio.to_thread(self.session.set_identity, image)
        memory.trim()
        self._send_control(type="identity")

    # -- receiving -------------------------------------------------------------------------------

    async def _on_audio(self, pcm: bytes) -> None:
        if len(pcm) % 2:
            raise ProtocolError("PCM16 has two bytes per sample", code="BAD_AUDIO")
        await self.push(pcm, self._sample_rate)

    async def _on_control(self, message: Control) -> None:
        match message.type:
            case "audio":
                self._sample_rate = message.sample_rate
            case "flush":
                self.flush()
            case "interrupt":
                self.interrupt()
            case "speak_text":
                self.speak(message.text)
            case "prepare_voice":
                self._hub.prepare_voice()
            case "mode":
                self._change_mode(message.mode)
            case "keyframe":
                self._outbox.request_key()
            case "pictures":
                self._outbox.pictures = message.enabled
            case "audio_return":
                self._outbox.audio_return = message.enabled
            case "act":
                self._offer_only("UNKNOWN_GESTURE", self.act, message.name or "", message.force)
            case "stop_action":
                self.stop_action()
            case "emotion":
                self._offer_only("UNKNOWN_EMOTION", self.set_emotion, message.name, message.value)
            case "articulation":
                self.set_articulation(message.value)
            case "listening":
                self.session.listening = message.enabled
            case "heard":
                self.heard(message.text)
            case "spoken":
                self.spoken(message.text)
            case "ping":
                self._send_control(type="pong", t=message.t)

    @staticmethod
    def _offer_only(code: str, do: Any, *arguments: Any) -> None:
        """Do something, its refusal told under the protocol's own code."""
        try:
            do(*arguments)
        except AvatarError as problem:
            raise AvatarError(str(problem), code=code, hint=problem.hint) from problem

    def _change_mode(self, mode: str) -> None:
        if mode not in self._modes:
            raise AvatarError(
                f"The mode {mode!r} was not agreed on.",
                code="MODE_UNAVAILABLE",
                hint=f"Agreed modes: {', '.join(self._modes)}.",
            )
        self._outbox.mode = mode
        self._send_control(type="mode", mode=mode, frame_index=self._next_index)

    def check_open(self) -> None:
        """Refuse new speech while the server is about to stop.

        Raises:
            AvatarError: ``DRAINING``.
        """
        if self._hub.draining:
            raise AvatarError("The server is about to stop.", code="DRAINING")

    # -- sending ---------------------------------------------------------------------------------

    def error(self, problem: AvatarError) -> None:
        """Tell the client what went wrong, without letting it turn errors into a flood."""
        if self._errors.take():
            self.log("error", str(problem), code=problem.code)
            self._send_control(
                type="error", code=problem.code, message=str(problem), hint=problem.hint
            )

    def tell_draining(self, seconds: float) -> None:
        """Say that the server is about to stop; what is being said is finished."""
        self.feed.flush()
        self._send_control(type="draining", seconds=seconds)

    def turn(self, now: float, step: float) -> tuple[bool, bool]:
        """A frame is due.

        Args:
            now: when it was due, by the clock of the ticker.
            step: seconds by which a turn can come early.

        Returns:
            Whether it had better wait for sound that is a little late, and whether the next one
            should come a little early, see `Pace`.
        """
        spare = self.session.spare
        late = spare is not None and spare < 0
        waits = late and not self._starved  # once: it may not come at all
        self._starved = late
        waited = None if self._possible_at is None else now - self._possible_at
        self._possible_at = None
        return waits, self._pace.turn(spare, waited, step)

    def offer(self, state: FrameState) -> None:
        """Send a frame, or queue it for a client that is behind; cuts off one that never reads."""
        self._next_index = state.frame_index + 1
        link = self._link
        if link is None:
            return
        action = self.session.action
        if action != self._action:
            self._action = action
            self._send_control(type="action", gesture=action)
        while self._controls and link.room:
            link.send_text(self._controls.popleft())
        self._outbox.offer(state)
        if len(self._outbox) > _MAX_BACKLOG_FRAMES and link.open:
            self.log("error", "the client reads too slowly", code="READING_TOO_SLOWLY")
            self._hub.end(self.id, WSCloseCode.POLICY_VIOLATION, "reading too slowly")

    def _send_control(self, **message: Any) -> None:
        text = json.dumps(message)
        if self._link is not None and self._link.room and not self._controls:
            self._link.send_text(text)
        elif len(self._controls) < _MAX_CONTROLS:
            self._controls.append(text)

    def _caption(self, text: str) -> None:
        # Sound that is added now begins after what waits already.
        first = self._next_index + round(self.session.pending * FPS)
        self._send_control(type="caption", text=text, frame_index=first)

    def _on_ready(self) -> None:
        if self._outbox.ready_at is None:
            self._outbox.ready_at = time.perf_counter()
        self._possible_at = self._hub.ticker.time
        if self._starved:
            self._hub.ticker.make_up(self)
        elif not self.session.speaking:
            self._hub.ticker.bring_forward(self)
