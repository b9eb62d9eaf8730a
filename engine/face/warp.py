"""Backward warping: invert a displacement field and resample the photo through it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["invert", "pixel_map", "resample"]

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

_ITERATIONS: Final = 6


def invert(field: Floats, iterations: int = _ITERATIONS) -> Floats:
    """Backward displacement of a forward displacement field.

    Solves b(x) = u(x - b(x)) by fixed-point iteration (Chen et al. 2008, "A simple fixed-point
    approach to invert a deformation field"), which converges where u stretches by less than 1.

    Args:
        field: (rows, columns, 2) displacement u in grid cells: what is at x moves to x + u(x).
        iterations: of the fixed point.

    Returns:
        (rows, columns, 2) b with: what appears at x comes from x - b(x).
    """
    rows, columns = field.shape[:2]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    base = np.dstack([x, y])
    backward = field
    for _ in range(iterations):
        backward = np.asarray(
            cv2.remap(
                field, base - backward, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            ),
            np.float32,
        )
    return backward


def pixel_map(backward: Floats, cell: int, pixels: Floats, offset: tuple[int, int]) -> Floats:
    """Where every pixel of a window comes from.

    Args:
        backward: (rows, columns, 2) backward displacement in grid cells.
        cell: pixels per cell.
        pixels: (h, w, 2) coordinates of the window's pixels.
        offset: (x, y) pixels between the left top corner of the grid and that of the window.

    Returns:
        (h, w, 2) source coordinates for ``resample``.
    """
    rows, columns = backward.shape[:2]
    fine = cv2.resize(backward, (columns * cell, rows * cell), interpolation=cv2.INTER_LINEAR)
    x, y = offset
    h, w = pixels.shape[:2]
    out: Floats = pixels - fine[y : y + h, x : x + w] * np.float32(cell)
    return out


def resample(image: Image, source: Floats, cubic: bool) -> Image:
    """The image seen through a source map; beyond its edge the border is repeated."""
    interpolation = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    seen = cv2.remap(image, source, None, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)
