"""Laying one picture over another."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["blend", "warp"]

Image = NDArray[np.uint8]


def blend(region: Image, drawn: Image, alpha: NDArray[np.uint16]) -> None:
    """Draw over a region in place; where ``alpha`` is 0 nothing changes, where it is 255 all does.

    Args:
        region: uint8 of any shape.
        drawn: uint8 of the same shape.
        alpha: 0 to 255, of the same shape.
    """
    # Exact integers: 255 * 255 + 127 fits uint16.
    mixed = region * (255 - alpha)
    mixed += drawn * alpha
    mixed += 127
    mixed //= 255
    region[:] = mixed


def warp(image: Image, matrix: NDArray[np.float64], size: tuple[int, int], border: int) -> Image:
    """A picture carried by a 2x3 matrix from its own pixels to those of a region of ``size``."""
    flags = cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=flags, borderMode=border), np.uint8)
