"""How hard somebody speaks, compared with how they usually do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from engine.coefficients import FPS

WEAKEST: Final = 0.75
STRONGEST: Final = 1.25

_PER_DECIBEL = 0.035
_ORDINARY = 2.5  # decibels around the mean that mean nothing
_FAST = 1 - math.exp(-1 / (0.3 * FPS))  # a syllable and a half: words, not vowels, are loud
_SLOW = 1 - math.exp(-1 / (8.0 * FPS))
_VOICED = 18.0  # decibels below the mean; what is softer is a consonant or a gap
_FLOOR = 1e-6


class Effort:
    """A gain for how far the mouth opens, from the loudness of words.

    Raising the voice lowers the jaw, also on the same vowels (Schulman 1989; Huber and
    Chandrasekaran 2006). What a microphone makes of a voice is unknown, so the reference is the
    speaker's own mean over the last seconds: constant loudness gives 1, wherever it lies.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets the speaker."""
        self._usual = self._now = 0.0  # decibels
        self._heard = 0

    def gains(self, powers: Sequence[float]) -> list[float]:
        """Takes the mean power of the next frames; a gain for each of them, 0.75 to 1.25."""
        return [self._gain(power) for power in powers]

    def _gain(self, power: float) -> float:
        if power > _FLOOR:
            level = 10 * math.log10(power)
            # Gaps and weak consonants say nothing about effort.
            if not self._heard or level > self._usual - _VOICED:
                self._heard += 1
                first = 1 / self._heard  # plain means, until there is something to compare
                self._usual += max(_SLOW, first) * (level - self._usual)
                self._now += max(_FAST, first) * (level - self._now)
        louder = self._now - self._usual
        beyond = math.copysign(max(0.0, abs(louder) - _ORDINARY), louder)
        gain = 1 + _PER_DECIBEL * beyond
        return min(max(gain, WEAKEST), STRONGEST)
