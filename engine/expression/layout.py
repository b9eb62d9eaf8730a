"""Names and small formats of the members of an Expression avatar."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidAvatar

PORTRAIT: Final = "portrait.webp"
POINTS: Final = "landmarks.npy"
THUMB: Final = "thumb.webp"

_LANDMARKS: Final = 478


def check_points(points: NDArray[Any], width: int, height: int) -> None:
    """Refuse landmarks that no face in the portrait can have.

    Args:
        points: float32 (478, 3), pixels.
        width: of the portrait.
        height: of the portrait.

    Raises:
        InvalidAvatar: naming what is wrong.
    """
    if points.dtype != np.float32 or points.shape != (_LANDMARKS, 3):
        raise InvalidAvatar(f"{POINTS} is not a float32 array of {_LANDMARKS}x3", member=POINTS)
    size = np.array([width, height])
    # Also false for NaN. Ears and foreheads may be cut off, the middle of a face may not.
    if not (np.abs(points) < 4 * size.max()).all() or not (
        (points[:, :2].mean(0) > 0).all() and (points[:, :2].mean(0) < size).all()
    ):
        raise InvalidAvatar(f"{POINTS} holds no face in the portrait", member=POINTS)
    if not (np.ptp(points[:, :2], axis=0) > 16).all():
        raise InvalidAvatar(f"{POINTS} holds a face without extent", member=POINTS)
