"""What is on its way to a client: frames in order, drawn as late as possible."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from bithuman_cli.server.link import Link
from bithuman_cli.server.protocol import Frame, frame_index, pack_frame, sound_of
from bithuman_cli.server.stats import Stats
from engine.coefficients import FPS

if TYPE_CHECKING:
    from bithuman_cli.server.h264 import H264Encoder
    from engine.stream.avatar import Avatar
    from engine.stream.session import Session
    from engine.stream.types import FrameState

__all__ = ["Outbox"]

_REMEMBERED_FRAMES: Final = 2 * FPS
_LATE: Final = 1  # frames that may wait for a picture: whoever is late once, catches up

# For pictures that take longer than a turn of the clock may.
_painters = ThreadPoolExecutor(thread_name_prefix="painter")
# Drawing a face holds the interpreter for half of the time: two threads get in each other's way,
# and five faces take 1.3 cores instead of 0.95 (benchmarks/expression.py).
_artist = ThreadPoolExecutor(1, thread_name_prefix="artist")


class Outbox:
    """The frames of one client that are due and not sent yet.

    Pictures that are quick to make are made and written at once. Others (H.264, a face drawn
    anew) are made in threads, one at a time per client. A client that falls behind gets the
    newest picture only, but all sound.

    Args:
        session: whose frames they are.
        avatar: whom the session began with.
        stats: where to count.
        on_error: called while an exception of a painter is being handled.

    Attributes:
        link: where frames go; None without a connection.
        audio_return: whether frames carry their sound.
        alpha: whether pictures are transparent, for a client that asked for it.
        ready_at: when the sound came that the next frame with sound had waited for, in seconds of
            ``time.perf_counter``.
    """

    def __init__(
        self, session: Session, avatar: Avatar, stats: Stats, on_error: Callable[[], None]
    ) -> None:
        self.link: Link | None = None
        self.audio_return = True
        self.alpha = False
        self.ready_at: float | None = None
        self._session = session
        self._slow_jpeg = avatar.kind != "essence"
        self._size = (avatar.width, avatar.height)
        self._stats = stats
        self._on_error = on_error
        self._mode = "jpeg"
        self._pictures = True
        self._frames: deque[tuple[FrameState, bool]] = deque()  # with whether it is speaking
        self._sent: deque[bytes] = deque(maxlen=_REMEMBERED_FRAMES)  # messages, without pictures
        self._said_speaking = False
        self._encoder: H264Encoder | None = None
        self._painting: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def mode(self) -> str:
        """How pictures are sent."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self._mode = mode
        self._encoder = None

    @property
    def pictures(self) -> bool:
        """Whether pictures are wanted."""
        return self._pictures

    @pictures.setter
    def pictures(self, wanted: bool) -> None:
        self._pictures = wanted
        self._encoder = None  # megabytes that nobody looks at

    def request_key(self) -> None:
        """Make the next picture of H.264 a key frame."""
        if self._encoder is not None:
            self._encoder.request_key()

    def attach(self, link: Link, mode: str, *, alpha: bool = False) -> None:
        """Send over a new connection."""
        self.link = link
        self.alpha = alpha
        self.mode = mode
        self.pictures = self.audio_return = True

    def detach(self) -> None:
        """Without a connection nothing is sent or drawn."""
        self.link = None
        self._encoder = None

    def offer(self, state: FrameState) -> None:
        """Send a frame, or queue it for a client that is behind."""
        speaking = state.audio is not None or self._session.speaking
        if self._mode == "tiles" and not self._frames and self._painting is None:
            link = self.link
            if link is not None and link.room:  # what a crowd does all the time
                self._send(link, state, speaking, "tiles" if self._pictures else None, b"")
                return
        self._frames.append((state, speaking))
        if self._painting is not None:
            return  # it takes this frame too
        if self._pictures and (self._mode == "h264" or (self._slow_jpeg and self._mode == "jpeg")):
            self._painting = asyncio.create_task(self._paint())
            return
        link = self.link
        while self._frames and link is not None and link.room:
            state, speaking = self._frames.popleft()
            mode = self._wanted()
            image, alpha = self._draw_jpeg(state) if mode == "jpeg" else (b"", b"")
            self._send(link, state, speaking, mode, image, alpha=alpha)

    def clear(self) -> None:
        """Forget what was said, sent or not."""
        self._frames.clear()
        self._sent.clear()
        self.ready_at = None

    def unheard(self, following: int | None) -> list[bytes]:
        """The sound that the client has not heard, as messages without pictures; to be sent now.

        Args:
            following: the first frame it has not received; None: it has all that were sent.
        """
        lost = []
        if following is not None:
            lost = [message for message in self._sent if frame_index(message) >= following]
        for state, speaking in self._frames:
            self._said_speaking = speaking
            if state.audio is not None:
                message = pack_frame(
                    Frame(
                        state.frame_index,
                        audio=state.audio.tobytes(),
                        end_of_speech=state.end_of_speech,
                        speaking=speaking,
                    )
                )
                lost.append(message)
                self._sent.append(message)
        self._frames.clear()
        return lost

    def send_again(self, messages: Iterable[bytes]) -> None:
        """Send what was ``unheard``."""
        for message in messages:
            if self.link is not None:
                self.link.send_bytes(message)
                self._stats.frames_sent += 1

    def _wanted(self) -> str | None:
        """Mode of the picture of the frame just taken from the queue."""
        if not self._pictures:
            return None
        if len(self._frames) > _LATE:  # of a backlog, only the newest is worth drawing
            self._stats.frames_dropped += 1
            return None
        return self._mode

    async def _paint(self) -> None:
        """Draw and send in order, until nothing is left."""
        run = asyncio.get_running_loop().run_in_executor
        try:
            while self._frames and self.link is not None and self.link.room:
                state, speaking = self._frames.popleft()
                mode, image, alpha, key = self._wanted(), b"", b"", False
                if mode == "h264":
                    image, key = await run(_painters, self._encode, state, self._h264())
                elif mode == "jpeg":
                    image, alpha = await run(_artist, self._draw_jpeg, state)
                if self.link is not None:
                    self._send(self.link, state, speaking, mode, image, alpha=alpha, key=key)
                elif state.audio is not None:
                    self._frames.appendleft((state, speaking))
        except Exception:
            self._on_error()
        finally:
            self._painting = None

    def _h264(self) -> H264Encoder:
        if self._encoder is None:
            from bithuman_cli.server.h264 import H264Encoder  # takes memory that few need

            self._encoder = H264Encoder(*self._size)
        return self._encoder

    def _draw_jpeg(self, state: FrameState) -> tuple[bytes, bytes]:
        """The picture, and its alpha if it is wanted."""
        begin = time.perf_counter()
        avatar = self._session.avatar
        if self.alpha:
            image, alpha = avatar.compose_cut_jpeg(state)
        else:
            image, alpha = avatar.opaque.compose_jpeg(state), b""
        self._stats.encode_ms.observe(1000 * (time.perf_counter() - begin))
        return image, alpha

    def _encode(self, state: FrameState, encoder: H264Encoder) -> tuple[bytes, bool]:
        begin = time.perf_counter()
        unit, key = encoder.encode(self._session.avatar.opaque.compose(state))
        self._stats.encode_ms.observe(1000 * (time.perf_counter() - begin))
        return unit, key

    def _send(
        self,
        link: Link,
        state: FrameState,
        speaking: bool,
        mode: str | None,
        image: bytes,
        *,
        alpha: bytes = b"",
        key: bool = False,
    ) -> None:
        audio = b""
        if state.audio is not None and self.audio_return:
            audio = state.audio.tobytes()
        if not (mode or audio or state.end_of_speech or speaking != self._said_speaking):
            return
        self._said_speaking = speaking
        message = pack_frame(
            Frame(
                state.frame_index,
                state.base,
                state.patch or 0,
                audio,
                mode,
                image,
                end_of_speech=state.end_of_speech,
                key=key,
                speaking=speaking,
                alpha=alpha,
            )
        )
        link.send_bytes(message)
        self._stats.frames_sent += 1
        if audio:
            self._sent.append(sound_of(message))
        if state.audio is not None and self.ready_at is not None:
            self._stats.audio_lag_ms.observe(1000 * (time.perf_counter() - self.ready_at))
            self.ready_at = None
