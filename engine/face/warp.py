"""Backward warping: invert a displacement field and resample the photo through it."""

from __future__ import annotations

import functools
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.boxes import Box

__all__ = ["invert", "pixel_map", "remap", "resample", "shifted"]

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

_ITERATIONS: Final = 8
_EVERYWHERE: Final = 3  # iterations before those that only go where it has not converged
_CONVERGED: Final = 2e-3  # cells


def invert(field: Floats, iterations: int = _ITERATIONS) -> Floats:
    """Backward displacement of a forward displacement field.

    Solves b(x) = u(x - b(x)) by fixed-point iteration (Chen et al. 2008, "A simple fixed-point
    approach to invert a deformation field"), which converges where u stretches by less than 1.

    Args:
        field: (rows, columns, 2) displacement u in grid cells: what is at x moves to x + u(x).
        iterations: of the fixed point, at most; a sample that no longer moves is left.

    Returns:
        (rows, columns, 2) b with: what appears at x comes from x - b(x).
    """
    base = _coordinates(*field.shape[:2])
    backward = field
    for _ in range(min(_EVERYWHERE, iterations) - 1):
        backward = remap(field, base - backward)
    part: tuple[slice, ...] = (slice(None), slice(None))
    for _ in range(min(_EVERYWHERE, iterations) - 1, iterations):
        before = backward[part]
        after = remap(field, base[part] - before)
        moved = cv2.absdiff(after, before)
        if backward is field or after.shape == field.shape:
            backward = after
        else:
            backward[part] = after
        moving = np.maximum(moved[..., 0], moved[..., 1]) > _CONVERGED
        x, y, width, height = cv2.boundingRect(moving.view(np.uint8))
        if not width:
            break
        top, left = (s.start or 0 for s in part)
        part = (slice(top + y, top + y + height), slice(left + x, left + x + width))
    return backward


def pixel_map(backward: Floats, cell: int, window: Box, corner: tuple[int, int] = (0, 0)) -> Floats:
    """Where every pixel of a window comes from.

    Args:
        backward: (rows, columns, 2) backward displacement in grid cells.
        cell: pixels per cell.
        window: pixels of the frame.
        corner: (x, y) of the grid's left top corner in the frame.

    Returns:
        (h, w, 2) source coordinates in the frame, for ``resample``.
    """
    x0, y0, x1, y1 = np.subtract(window, (*corner, *corner)).tolist()
    rows, columns = backward.shape[:2]
    # the cells around the window; beyond the grid its edge is repeated
    top, left = max(y0 // cell - 1, 0), max(x0 // cell - 1, 0)
    bottom, right = min(-(-y1 // cell) + 1, rows), min(-(-x1 // cell) + 1, columns)
    around = cv2.copyMakeBorder(
        backward[top:bottom, left:right], 1, 1, 1, 1, borderType=cv2.BORDER_REPLICATE
    )
    height, width = around.shape[:2]
    base = _coordinates(height, width)
    # pixels of the centres: interpolating them interpolates the displacement
    centres = (base - np.asarray(around, np.float32)) * np.float32(cell)
    half = (cell - 1) / 2
    first = corner[0] + (left - 1) * cell + half, corner[1] + (top - 1) * cell + half
    centres = shifted(centres, -first[0], -first[1])
    fine = cv2.resize(centres, (width * cell, height * cell), interpolation=cv2.INTER_LINEAR)
    x, y = x0 - (left - 1) * cell, y0 - (top - 1) * cell
    out: Floats = np.asarray(fine, np.float32)[y : y + y1 - y0, x : x + x1 - x0]
    return out


def shifted(source: Floats, x: float, y: float) -> Floats:
    """The same source map for a picture whose left top corner is at (x, y)."""
    # NumPy takes ten times as long for a last axis of two; OpenCV's stubs know no scalars
    corner: Any = (x, y, 0.0, 0.0)
    return np.asarray(cv2.subtract(source, corner), np.float32)


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
