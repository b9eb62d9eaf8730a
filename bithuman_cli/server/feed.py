"""What a session is given to say: sound in pieces, and texts one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bithuman_cli.server.voice import INSTALL_HINT, Voice
from engine.errors import AvatarError

if TYPE_CHECKING:
    from engine.stream.session import Session

__all__ = ["Feed"]

_LOG = logging.getLogger(__name__)

MAX_QUEUED_AUDIO_SECONDS: Final = 60.0
_PIECE_SECONDS: Final = 0.2
_SPEECH_AHEAD_SECONDS: Final = 8.0  # synthesised speech waits rather than piling up
_MAX_WAITING_TEXTS: Final = 16


class Feed:
    """The input side of a session.

    Args:
        session: what speaks.
        voice: text to speech, or None.
        on_ready: called when sound makes a frame of speech possible that was not before.
        on_error: called with the exception when the voice fails.
        on_text: called with a sentence just before its sound is added.
    """

    def __init__(
        self,
        session: Session,
        voice: Voice | None,
        on_ready: Callable[[], None],
        on_error: Callable[[AvatarError], None],
        on_text: Callable[[str], None],
    ) -> None:
        self._session = session
        self._voice = voice
        self._on_ready = on_ready
        self._on_error = on_error
        self._on_text = on_text
        self._texts: list[str] = []  # what is waiting
        self._speaker: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is left to say."""
        return self._speaker is not None or self._session.pending > 0

    async def push(self, pcm: bytes, sample_rate: int) -> None:
        """Add PCM16 mono to the current utterance.

        Raises:
            AvatarError: ``AUDIO_BUFFER_FULL``; nothing was taken.
        """
        if self._session.pending > MAX_QUEUED_AUDIO_SECONDS:
            raise AvatarError(
                f"More than {MAX_QUEUED_AUDIO_SECONDS:.0f} seconds of audio are waiting; this "
                "piece was not taken.",
                code="AUDIO_BUFFER_FULL",
                hint="Send audio at the pace it is played.",
            )
        await self._push(pcm, sample_rate)

    async def _push(self, pcm: bytes, sample_rate: int) -> None:
        was_ready = self._session.ready
        # Resampling a long piece at once would keep everybody's frames waiting.
        piece = 2 * int(sample_rate * _PIECE_SECONDS)
        for start in range(0, len(pcm), piece):
            self._session.push_audio(pcm[start : start + piece], sample_rate)
            if start + piece < len(pcm):
                await asyncio.sleep(0)
        self._check(was_ready)

    def flush(self) -> None:
        """End the utterance: the rest is spoken without waiting for more."""
        was_ready = self._session.ready
        self._session.flush()
        self._check(was_ready)

    def _check(self, was_ready: bool) -> None:
        if not was_ready and self._session.ready:
            self._on_ready()

    def speak(self, text: str) -> None:
        """Say a text after those before it.

        Raises:
            AvatarError: ``VOICE_UNAVAILABLE`` or ``TOO_MANY_TEXTS``.
        """
        if self._voice is None:
            raise AvatarError(
                "No voice is installed here.", code="VOICE_UNAVAILABLE", hint=INSTALL_HINT
            )
        if len(self._texts) >= _MAX_WAITING_TEXTS:
            raise AvatarError(
                f"{_MAX_WAITING_TEXTS} texts are already waiting.", code="TOO_MANY_TEXTS"
            )
        self._texts.append(text)
        if self._speaker is None:
            self._speaker = asyncio.create_task(self._speak_all(self._voice))

    async def _speak_all(self, voice: Voice) -> None:
        try:
            while self._texts:
                text = self._texts.pop(0)
                self._session.say_text(text)
                try:
                    async for sentence, pcm, rate in voice.speak(text):
                        self._on_text(sentence)
                        await self._push(pcm, rate)
                        await asyncio.sleep(max(0.0, self._session.pending - _SPEECH_AHEAD_SECONDS))
                except Exception:
                    _LOG.exception("the voice failed")
                    self._on_error(
                        AvatarError("The voice could not speak this text.", code="VOICE_FAILED")
                    )
                self.flush()
        finally:
            # After an interruption another task may be the speaker already.
            if self._speaker is asyncio.current_task():
                self._speaker = None

    def interrupt(self) -> None:
        """Forget everything that is left to say."""
        if self._speaker is not None:
            self._speaker.cancel()
            self._speaker = None
        self._texts.clear()
        self._session.interrupt()
