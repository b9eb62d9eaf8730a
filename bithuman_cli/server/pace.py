"""Making up for delays that have crept in between the sound of a client and its frames."""

from __future__ import annotations

from typing import Final

from engine.coefficients import FPS

__all__ = ["Pace"]

_WINDOW: Final = 2 * FPS  # frames that are looked back on
_MOST: Final = 8  # frames; more than these were sent ahead on purpose
_STEPS: Final = 8  # frames over which one is made up for: each a little early


class Pace:
    """Finds out that frames lag behind sound that comes in real time.

    After a stall of the network or of this machine, sound has piled up, and would stay: it comes
    as fast as it goes. What has been left over at *every* turn for two seconds is of no use
    against jitter, only late.
    """

    def __init__(self) -> None:
        self._least: int | None = None
        self._turns = 0
        self._early = 0

    def turn(self, spare: int | None) -> bool:
        """One turn of a client.

        Args:
            spare: frames of sound that are left over, see ``Session.spare``.

        Returns:
            Whether the next turn should come an eighth of a frame early.
        """
        if spare is None:
            self._least, self._turns, self._early = None, 0, 0
            return False
        if self._early:
            self._early -= 1
            return True
        self._least = spare if self._least is None else min(self._least, spare)
        self._turns += 1
        if self._turns < _WINDOW:
            return False
        if 1 <= self._least <= _MOST:
            self._early = self._least * _STEPS
        self._least, self._turns = None, 0
        return False
