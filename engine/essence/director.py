"""Which base frame and mouth shape an Essence avatar shows next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.director import Cue, Shot
from engine.errors import NotSupported
from engine.essence.selector import ShapeSelector


class EssenceDirector:
    """Plays the idle loop over and over; one per session.

    Args:
        frames: length of the loop.
        codebook: float32 (S, 16), see `ShapeSelector`.
    """

    def __init__(self, frames: int, codebook: NDArray[np.float32]) -> None:
        self._frames = frames
        self._selector = ShapeSelector(codebook)
        self._next = 0

    @property
    def gestures(self) -> tuple[str, ...]:
        """Names that ``act`` takes."""
        return ()

    @property
    def action(self) -> str | None:
        """The gesture that is running or about to."""
        return None

    def step(self, cue: Cue) -> Shot:
        """The next frame."""
        base = self._next
        self._next = (base + 1) % self._frames
        return Shot(base, self._selector.select(cue.coefficients))

    def act(self, gesture: str, *, force: bool = False) -> None:
        """Begin a gesture.

        Raises:
            NotSupported: ``GESTURE``.
        """
        del force
        raise NotSupported(
            f"this avatar cannot do {gesture!r}",
            code="GESTURE",
            hint="Its gestures: " + (", ".join(self.gestures) or "none") + ".",
        )

    def stop_action(self) -> None:
        """Return to rest from a gesture; without one, do nothing."""

    def set_emotion(self, name: str | None, intensity: float = 1.0) -> None:
        """Change the mood.

        Raises:
            NotSupported: ``EMOTION``, always; the pictures of an Essence avatar are made already.
        """
        del intensity
        raise NotSupported(
            f"the mood of an Essence avatar cannot be changed to {name!r}",
            code="EMOTION",
            hint="Play the photo with `--model expression`.",
        )
