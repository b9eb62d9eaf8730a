"""What whoever moves a face is told, frame by frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cue"]


class Cue(NamedTuple):
    """What is known when a frame is due.

    Attributes:
        coefficients: float32 (16,) in [0, 1], the mouth.
        audio: int16 (640,) at 16 kHz that plays with the frame, or None when nothing does.
        speaking: an utterance has begun and not ended.
        listening: the user is speaking.
    """

    coefficients: NDArray[np.float32]
    audio: NDArray[np.int16] | None = None
    speaking: bool = False
    listening: bool = False
