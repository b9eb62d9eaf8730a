"""Speech that is much softer than the speech before it, made louder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from engine.coefficients import FPS

LARGEST: Final = 10 ** (24 / 20)

_NOW = 10 ** (-1.0 / FPS)  # the loudest frame of the last second: forgotten by 10 dB a second …
_BEFORE = 10 ** (-0.05 / FPS)  # … and of the last minute: by half a decibel
_ORDINARY = 10 ** (8 / 10)  # how much softer the network follows by itself, as a ratio of powers
_SILENCE = 1e-9  # mean power; digital silence is not made louder


class Gain:
    """Somebody else answers, or turns away: what is heard becomes much softer and stays so.

    In the training of the network a soft sound after speech is a crowd, music or a room, and the
    mouth rests; speech 20 dB softer than before was taken for one for many seconds. The gain
    follows the loudest frames of the last second, so it is 1 in the gaps of ordinary speech.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as if new."""
        self._now = self._before = _SILENCE

    def gains(self, powers: Sequence[float]) -> list[float]:
        """Takes the mean power of the next frames; what to multiply each of them by, 1 to 16."""
        gains = []
        for power in powers:
            self._now = max(power, self._now * _NOW, _SILENCE)
            self._before = max(self._now, self._before * _BEFORE)
            softer = self._before / self._now / _ORDINARY
            gains.append(min(math.sqrt(softer), LARGEST) if softer > 1 else 1.0)
        return gains
