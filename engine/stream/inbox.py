"""What a session has been given to say and has not said yet."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio import Resampler, to_float
from engine.coefficients import FPS, SAMPLE_RATE
from engine.errors import Failed, InvalidAudio
from engine.stream.utterance import Floats, Utterance

__all__ = ["MAX_QUEUED_SECONDS", "Inbox", "Pcm", "check_pcm"]

MAX_QUEUED_SECONDS: Final = 600.0
"""Sound that may wait in a session; pushing more is refused."""

Pcm = bytes | bytearray | memoryview | NDArray[np.int16] | NDArray[np.float32]


def check_pcm(sound: object) -> None:
    """Refuse what is neither an array nor bytes.

    Raises:
        InvalidAudio: it is something else.
    """
    if not isinstance(sound, np.ndarray | bytes | bytearray | memoryview):
        raise InvalidAudio(f"{type(sound).__name__} is not sound")


class Inbox:
    """Utterances in order, each at 16 kHz whatever the rates of its pieces. Not thread-safe.

    Attributes:
        pending: samples in all utterances that have not been taken.
        cleared: how often everything was forgotten.
    """

    def __init__(self) -> None:
        self.pending = 0
        self.cleared = 0
        self._utterances: deque[Utterance] = deque()
        self._resampler: Resampler | None = None
        self._rate = 0
        self._odd_byte = b""

    def accept(self, pcm: Pcm, rate: int) -> Floats:
        """The samples of a push, to be added with ``append``; half a sample is kept for the next.

        Raises:
            InvalidAudio: these are no samples.
            Failed: ``QUEUE_FULL``; nothing has changed.
        """
        odd = b""
        if not isinstance(pcm, np.ndarray):
            data = self._odd_byte + bytes(pcm)
            whole = len(data) & ~1
            pcm, odd = data[:whole], data[whole:]
        samples = to_float(pcm)
        # An utterance takes at least a frame, however short: a flood of them is bounded too.
        waiting = self.pending / SAMPLE_RATE + len(self._utterances) / FPS
        if waiting + len(samples) / rate > MAX_QUEUED_SECONDS:
            raise Failed(
                f"more than {MAX_QUEUED_SECONDS:.0f} seconds of sound are waiting",
                code="QUEUE_FULL",
                hint="Push sound at the pace it is played.",
            )
        self._odd_byte = odd
        return samples

    def append(self, samples: Floats, rate: int) -> None:
        """Add float32 (n,) samples at ``rate`` Hz to the current utterance, or begin one."""
        if not self._utterances or self._utterances[-1].ended:
            self._utterances.append(Utterance())
            self._resampler = None
        utterance = self._utterances[-1]
        if self._resampler is None or self._rate != rate:
            self._drain_resampler(utterance)
            self._resampler, self._rate = Resampler(rate, SAMPLE_RATE), rate
        self._add(utterance, self._resampler.process(samples))

    def end(self) -> None:
        """Complete the current utterance; without one, do nothing."""
        self._odd_byte = b""
        if self._utterances and not self._utterances[-1].ended:
            self._drain_resampler(self._utterances[-1])
            self._utterances[-1].ended = True

    def clear(self) -> None:
        """Forget everything."""
        self._utterances.clear()
        self.pending = 0
        self._resampler = None
        self._odd_byte = b""
        self.cleared += 1

    def head(self) -> Utterance | None:
        """The utterance that is being said or comes next."""
        while self._utterances and self._utterances[0].done:
            self._utterances.popleft()
        return self._utterances[0] if self._utterances else None

    def take(self, head: Utterance) -> tuple[Floats, Floats]:
        """Sound and coefficients of the next frame of ``head``, see ``Utterance.take``."""
        before = head.pending
        taken = head.take()
        self.pending -= before - head.pending
        return taken

    def _drain_resampler(self, utterance: Utterance) -> None:
        if self._resampler is not None:
            self._add(utterance, self._resampler.flush())
            self._resampler = None

    def _add(self, utterance: Utterance, samples: Floats) -> None:
        utterance.append(samples)
        self.pending += len(samples)
