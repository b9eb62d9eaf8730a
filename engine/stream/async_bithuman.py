"""The live interface, under the names that scripts for such avatars already use."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from engine.background import BackgroundSource
from engine.coefficients import FPS, SAMPLE_RATE
from engine.director import Shot
from engine.errors import Failed, NotSupported
from engine.identity import Photo
from engine.stream.avatar import Avatar
from engine.stream.inbox import MAX_QUEUED_SECONDS, Pcm, check_pcm
from engine.stream.opening import open as open_avatar
from engine.stream.session import Session
from engine.stream.types import AudioChunk, Image, VideoControl, VideoFrame

_FRAME = 1.0 / FPS  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """Fixed properties under the names that integrations ask for."""

    FPS: int = FPS
    INPUT_SAMPLE_RATE: int = SAMPLE_RATE


class AsyncBithuman:
    """One live conversation with an avatar.

        runtime = await AsyncBithuman.create(model_path="avatar.imx")
        await runtime.push_audio(pcm, 24_000, last_chunk=True)
        async for frame in runtime.run():
            show(frame.bgr_image, frame.audio_chunk)

    Conversations of the same file share its memory. Use one per listener. Methods belong to the
    event loop, except ``interrupt``, which any thread may call.

    Args:
        avatar: what ``engine.open`` returns; closed by ``shutdown`` only if ``create`` opened it.
    """

    settings = Settings()

    def __init__(self, avatar: Avatar) -> None:
        self.avatar = avatar
        self.session: Session = avatar.session()
        self._owned = False
        self._pushing = asyncio.Lock()
        self._current: asyncio.Event | None = None  # set to end the run it belongs to
        self._taken = asyncio.Event()  # set when run has taken a frame, or ends
        self._interruptions = 0

    @classmethod
    async def create(
        cls,
        model_path: str | os.PathLike[str] | None = None,
        *,
        avatar: Avatar | None = None,
        model: str | None = None,
        background: BackgroundSource | None = None,
        api_secret: str | None = None,
        token: str | None = None,
        agent_code: str | None = None,
        **ignored: Any,
    ) -> Self:
        """Open an avatar without blocking the event loop.

        Args:
            model_path: path or slug, as for ``engine.open``; or
            avatar: one that is open already.
            model: ``expression`` if ``model_path`` is a photo, as for ``engine.open``.
            background: what to show behind the person, for ``model_path``; see ``engine.open``.
            api_secret: not needed, ignored, like the two that follow and any other keyword.
            token: ignored.
            agent_code: ignored.
            ignored: ignored.

        Raises:
            AvatarError: see ``engine.open``.
            ValueError: not exactly one of ``model_path`` and ``avatar``.
        """
        del api_secret, token, agent_code, ignored
        if avatar is not None and model_path is None:
            return cls(avatar)
        if model_path is None or avatar is not None:
            raise ValueError("give either model_path or avatar")
        opened = await asyncio.to_thread(
            open_avatar, model_path, model=model, background=background
        )
        self = cls(opened)
        self._owned = True
        return self

    # What it is

    @property
    def frame_width(self) -> int:
        """Pixels."""
        return self.avatar.width

    @property
    def frame_height(self) -> int:
        """Pixels."""
        return self.avatar.height

    def get_frame_size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.avatar.width, self.avatar.height

    def get_first_frame(self) -> Image:
        """A picture at rest, BGR uint8 (height, width, 3)."""
        return self.session.avatar.compose(Shot())

    # Input

    async def push_audio(
        self, data: Pcm, sample_rate: int = SAMPLE_RATE, last_chunk: bool = True
    ) -> None:
        """Say something after everything that was pushed before.

        Waits while more than ten minutes are queued and ``run`` is taking frames.

        Args:
            data: mono, little-endian 16-bit bytes, or an int16 or float32 array.
            sample_rate: Hz, 8000 to 96000.
            last_chunk: whether this ends the utterance. When speech arrives in pieces pass False
                for all but the last, or call ``flush`` after it.

        Raises:
            InvalidAudio: not such samples or rate.
            Failed: ``QUEUE_FULL``, nobody is running to make room.
        """
        before = self._interruptions
        async with self._pushing:
            check_pcm(data)
            pieces = _seconds(data, sample_rate)
            if not self._running and self._room < _duration(data, sample_rate):
                # Nothing would ever make room, so waiting would be for ever.
                raise Failed(
                    f"more than {MAX_QUEUED_SECONDS:.0f} seconds of sound are waiting",
                    code="QUEUE_FULL",
                    hint="Take frames from run() while pushing.",
                )
            for piece in pieces:
                while self._running and self._room < 1.0:
                    self._taken.clear()
                    await self._taken.wait()
                if self._interruptions != before:
                    return  # what was said before an interruption is not wanted after it
                self.session.push_audio(piece, sample_rate)
                await asyncio.sleep(0)
            if last_chunk and self._interruptions == before:
                self.session.flush()

    async def push(self, control: VideoControl) -> None:
        """Ask for something.

        Raises:
            NotSupported: text (``TEXT``), a gesture or clip the avatar does not have
                (``GESTURE``), an ``EMOTION`` it cannot show or an ``ARTICULATION`` out of range.
                What stands before it in this list has been done.
            TypeError: not a ``VideoControl``, or its sound is no ``AudioChunk``.
        """
        if not isinstance(control, VideoControl):
            raise TypeError(f"push takes a VideoControl, not {type(control).__name__}")
        if control.audio is not None and not isinstance(control.audio, AudioChunk):
            raise TypeError(f"audio takes an AudioChunk, not {type(control.audio).__name__}")
        if control.text is not None:
            raise NotSupported(
                "this interface speaks sound, not text",
                code="TEXT",
                hint="Synthesise the text first and push the sound.",
            )
        actions = [control.action] if isinstance(control.action, str) else control.action or []
        name = control.target_video
        if actions:
            name = random.choice(actions)  # noqa: S311 - any will do
        if name is not None:
            self.session.act(
                name,
                control.force_action,
                stop_on_user_speech=bool(control.stop_on_user_speech),
                stop_on_agent_speech=bool(control.stop_on_agent_speech),
            )
        if control.emotion is not None:
            intensity = control.emotion_intensity
            self.session.set_emotion(control.emotion, 1.0 if intensity is None else intensity)
        if control.articulation is not None:
            self.session.articulation = control.articulation
        if control.audio is not None:
            await self.push_audio(control.audio.array, control.audio.sample_rate, True)

    async def flush(self) -> None:
        """End the current utterance: its last samples play, then the avatar idles."""
        async with self._pushing:
            self.session.flush()

    def interrupt(self) -> None:
        """Stop talking now: drop all queued sound, close the mouth within two frames."""
        self._interruptions += 1
        self.session.interrupt()

    # Output

    async def run(
        self,
        out_buffer_empty: Callable[[], bool] | None = None,
        *,
        idle_timeout: float | None = None,
    ) -> AsyncIterator[VideoFrame]:
        """Frames at 25 per second until ``stop``, idle ones while there is nothing to say.

        Paced by an absolute clock, so it does not drift. A consumer that is late by more than a
        frame is not flooded afterwards: the clock starts anew, and no sound is lost. A second run
        ends the first.

        Args:
            out_buffer_empty: idle frames are made only while this returns true.
            idle_timeout: ignored; idle frames come at the same pace as others.

        Yields:
            Frames with ``audio_chunk`` while speaking and without when idle.
        """
        del idle_timeout
        await self.stop()
        stopped = self._current = asyncio.Event()
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while not stopped.is_set():
                session = self.session
                busy = session.ready or session.speaking
                if busy or out_buffer_empty is None or out_buffer_empty():
                    frame = session.next_frame()
                    self._taken.set()
                    yield frame
                due += _FRAME
                if loop.time() - due > _FRAME:
                    due = loop.time()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await stopped.wait()
        finally:
            if self._current is stopped:
                self._current = None
            self._taken.set()

    async def start(self) -> None:
        """Nothing to do: an avatar is ready when it is created."""

    async def stop(self) -> None:
        """End ``run``; what is queued stays, and a new ``run`` may follow."""
        if self._current is not None:
            self._current.set()

    def shutdown(self) -> None:
        """End ``run`` and let go of the avatar; idempotent."""
        if self._current is not None:
            self._current.set()
        self.session.interrupt()
        if self._owned:
            self.avatar.close()

    cleanup = shutdown

    async def set_identity(self, image: Photo) -> None:
        """Change the face; frames go on with the old one until the new one is ready.

        Args:
            image: path, file content or BGR uint8 pixels of a photo.

        Raises:
            InvalidImage: it cannot be used; nothing has changed.
            NotSupported: ``IDENTITY``; an Essence avatar is one person.
        """
        await asyncio.to_thread(self.session.set_identity, image)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()

    @property
    def _running(self) -> bool:
        return self._current is not None

    @property
    def _room(self) -> float:
        return MAX_QUEUED_SECONDS - self.session.pending


def _seconds(data: Pcm, rate: int) -> list[Pcm]:
    """Pieces of at most a second; bytes may be cut inside a sample."""
    if not isinstance(data, np.ndarray):
        data = memoryview(data).cast("B")
        rate *= 2
    return [data[start : start + rate] for start in range(0, len(data), max(1, rate))]


def _duration(data: Pcm, rate: int) -> float:
    samples = len(data) if isinstance(data, np.ndarray) else memoryview(data).nbytes / 2
    return samples / max(1, rate)
