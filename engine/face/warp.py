"""Backward warping: invert a displacement field and resample the photo through it."""

from __future__ import annotations

import functools
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["invert", "pixel_map", "remap", "resample"]

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
    base = _coordinates(*field.shape[:2])
    backward = field
    for _ in range(iterations):
        backward = remap(field, base - backward)
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
    fine = cv2.resize(
        backward * np.float32(cell), (columns * cell, rows * cell), interpolation=cv2.INTER_LINEAR
    )
    x, y = offset
    h, w = pixels.shape[:2]
    out: Floats = np.subtract(pixels, fine[y : y + h, x : x + w])
    return out


def remap(plane: Floats, source: Floats, border: int = cv2.BORDER_REPLICATE) -> Floats:
    """Bilinear look-up of a float plane (h, w) or (h, w, n ≤ 4) at (x, y) positions."""
    return np.asarray(_remap(plane, source, cv2.INTER_LINEAR, border), np.float32)


def resample(image: Image, source: Floats, cubic: bool) -> Image:
    """The image seen through a source map; beyond its edge the border is repeated."""
    interpolation = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    return np.asarray(_remap(image, source, interpolation, cv2.BORDER_REPLICATE), np.uint8)


def _remap(plane: Any, source: Floats, interpolation: int, border: int) -> Any:
    # OpenCV's stubs do not know that the second map is None where the first has two channels
    no_second_map: Any = None
    return cv2.remap(plane, source, no_second_map, interpolation, borderMode=border)


@functools.lru_cache(maxsize=16)
def _coordinates(rows: int, columns: int) -> Floats:
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    base = np.dstack([x, y])
    base.flags.writeable = False
    return base
