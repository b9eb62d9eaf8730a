"""One stretch of speech: its sound, and the mouth that the network hears in it."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import SAMPLES_PER_FRAME
from engine.speech import LOOK_AHEAD_FRAMES

Floats = NDArray[np.float32]

_AHEAD = 8  # frames heard at once where the sound is there: a call costs as much as two of them
_SILENCE = np.zeros(SAMPLES_PER_FRAME, np.float32)


class SampleQueue:
    """First in, first out, for float32 samples; appending one at a time is cheap."""

    def __init__(self) -> None:
        self._data: Floats = np.empty(0, np.float32)
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def append(self, samples: Floats) -> None:
        """Add (n,) samples at the end."""
        count = len(self) + len(samples)
        if self._end + len(samples) > len(self._data):
            # As much room again, so that moving stays rare; a long wait leaves none behind.
            data = np.empty(2 * count, np.float32)
            data[: len(self)] = self._data[self._start : self._end]
            self._data, self._start, self._end = data, 0, len(self)
        self._data[self._end : self._end + len(samples)] = samples
        self._end += len(samples)

    def take(self, count: int) -> Floats:
        """Remove and return the first ``count`` samples, or all if there are fewer."""
        stop = min(self._start + count, self._end)
        taken = self._data[self._start : stop].copy()
        self._start = stop
        return taken


class Utterance:
    """Sound at 16 kHz and the coefficients of each of its frames.

    A frame is ready when the look-ahead that follows it has arrived. The network hears sound when
    the frame is due, or a few frames earlier, not when it arrives: a long push costs nothing at
    once, and sessions that tick together can hear in one batch: ``wanted``, ``hear``, ``take``.
    """

    def __init__(self) -> None:
        self._unheard = SampleQueue()
        self._heard: deque[Floats] = deque()  # frames the network has heard, not yet taken
        self._rows: deque[Floats] = deque()
        self._fed = 0  # frames the network has heard, silence after the end included
        self._taken = 0
        self._samples = 0
        self.ended = False

    @property
    def pending(self) -> int:
        """Samples that have not been taken yet."""
        return max(0, self._samples - self._taken * SAMPLES_PER_FRAME)

    @property
    def started(self) -> bool:
        """Whether a frame has been taken."""
        return self._taken > 0

    @property
    def done(self) -> bool:
        """Whether the end was announced and every frame taken."""
        return self.ended and self.pending == 0

    @property
    def ready(self) -> bool:
        """Whether a frame can be taken, after hearing what it wants."""
        if self.ended:
            return self.pending > 0
        return self._samples >= (self._taken + 1 + LOOK_AHEAD_FRAMES) * SAMPLES_PER_FRAME

    @property
    def spare(self) -> int | None:
        """Frames that can be taken beyond the next one, -1 if it cannot; None after the end."""
        if self.ended:
            return None
        whole = self._samples // SAMPLES_PER_FRAME
        return max(whole - self._taken - 1 - LOOK_AHEAD_FRAMES, -1)

    def append(self, samples: Floats) -> None:
        """Add float32 (n,) mono samples."""
        self._unheard.append(samples)
        self._samples += len(samples)

    def wanted(self) -> Floats:
        """Sound the network has to hear before ``take``: (640 n,), n = 0 if it has."""
        frames = []
        missing = self._taken + 1 + LOOK_AHEAD_FRAMES - self._fed
        if missing > 0:
            missing = max(missing, min(len(self._unheard) // SAMPLES_PER_FRAME, _AHEAD))
        for _ in range(missing):
            frame = self._unheard.take(SAMPLES_PER_FRAME)
            if len(frame) == 0:
                frame = _SILENCE
            else:
                if len(frame) < SAMPLES_PER_FRAME:
                    frame = np.concatenate([frame, _SILENCE[len(frame) :]])
                self._heard.append(frame)
            frames.append(frame)
        if len(frames) == 1:  # somebody speaks in real time
            return frames[0]
        return np.concatenate(frames) if frames else _SILENCE[:0]

    def hear(self, rows: Floats) -> None:
        """Give what the network made of ``wanted()``: (n, 16)."""
        early = max(0, LOOK_AHEAD_FRAMES - self._fed)  # rows that belong to no frame
        self._rows.extend(rows[early:])
        self._fed += len(rows)

    def take(self) -> tuple[Floats, Floats]:
        """The next frame: float32 (640,) sound, silence after its end, and (16,) coefficients."""
        self._taken += 1
        return self._heard.popleft(), self._rows.popleft()
