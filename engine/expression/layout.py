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


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file without alpha, decoded or not; None if it is not one.

    RFC 9649: section 2.5 for ``VP8 `` (lossy), section 3 of the lossless specification for
    ``VP8L``, whose sizes are stored less one.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (26, 28))
        return width, height
    if data[12:16] == b"VP8L" and data[20:21] == b"\x2f":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None
