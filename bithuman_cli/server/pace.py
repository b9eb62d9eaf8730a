"""Keeping the turns of a client close behind the arrival of its sound."""

from __future__ import annotations

from typing import Final

from engine.coefficients import FPS

__all__ = ["Pace"]

_FRAME: Final = 1 / FPS
_WINDOW: Final = 2 * FPS  # turns that are looked back on
_MOST: Final = FPS  # frames; more than these were sent ahead on purpose
_MARGIN: Final = 0.002  # seconds that sound is let wait, against jitter of the clocks


class Pace:
    """Finds out that frames lag behind sound that comes in real time.

    After a stall of the network or of this machine turns come later than they would have to, or
    sound has piled up, and that would stay: it comes as fast as it goes. What sound has waited at
    *every* turn for two seconds is of no use against jitter, only late.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._least = _MOST * _FRAME
        self._turns = 0
        self._early = 0

    def turn(self, spare: int | None, waited: float | None, step: float) -> bool:
        """One turn of a client.

        Args:
            spare: frames of sound that are left over, see ``Session.spare``.
            waited: seconds since the frame of this turn became possible; None if it was at the
                turn before.
            step: seconds by which a turn can come early.

        Returns:
            Whether the next turn should come early.
        """
        if spare is None or spare > _MOST:
            self._forget()
            return False
        if self._early:
            self._early -= 1
            return True
        if spare < 0:
            waited = 0.0
        elif waited is None:  # as long as what has come after it, which came in real time
            waited = max(spare, 1) * _FRAME
        self._least = min(self._least, waited)
        self._turns += 1
        if self._turns < _WINDOW:
            return False
        early = int((self._least - _MARGIN) / step + 1e-6)
        self._forget()
        self._early = max(0, early)
        return False
