"""Where things went from one picture to another (Kroeger et al. 2016, dense inverse search)."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["coordinates", "flow"]

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

_HALF: Final = 2  # flow is found on pictures this much smaller
_SMOOTH: Final = 3.0  # px there


def flow(a: Image, b: Image) -> Floats:
    """How far the content of each pixel of ``a`` is away in ``b``: float32 (h, w, 2), px, smooth.

    Args:
        a: BGR uint8 (h, w, 3).
        b: the same.
    """
    height, width = a.shape[:2]
    size = (max(16, width // _HALF), max(16, height // _HALF))
    small = [
        cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        for image in (a, b)
    ]
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = finder.calc(small[0], small[1], None)  # type: ignore[call-overload]
    found = cv2.GaussianBlur(found, (0, 0), _SMOOTH)
    full = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full * [width / size[0], height / size[1]], np.float32)


def coordinates(height: int, width: int) -> Floats:
    """(x, y) of each pixel: float32 (height, width, 2)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.dstack([x, y])
