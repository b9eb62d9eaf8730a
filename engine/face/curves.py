"""Small drawing tools shared by the mouth and the eyes: curves, filled shapes, soft steps."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.boxes import Box

__all__ = ["catmull_rom", "fill", "smoothstep"]

_SUBPIXEL_BITS = 3


def catmull_rom(points: npt.NDArray[np.floating], steps: int = 6) -> npt.NDArray[np.float64]:
    """Smooth curve through points (Catmull and Rom 1974, uniform).

    Args:
        points: (n, 2).
        steps: samples per segment.

    Returns:
        (steps * (n - 1) + 1, 2), beginning and ending at the first and last point.
    """
    p = np.asarray(points, np.float64)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    smooth: npt.NDArray[np.float64] = np.concatenate([curve.reshape(-1, 2), p[-2:-1]])
    return smooth


def fill(
    polygons: list[npt.NDArray[np.floating]], box: Box, supersample: int = 4
) -> npt.NDArray[np.float32]:
    """Coverage of polygons in a box.

    Args:
        polygons: each (n, 2) pixel coordinates of the frame, integers at pixel centres.
        box: the part of the frame to draw.
        supersample: samples per pixel side.

    Returns:
        (y1 - y0, x1 - x0) float32 in [0, 1].
    """
    x0, y0, x1, y1 = box
    mask = np.zeros(((y1 - y0) * supersample, (x1 - x0) * supersample), np.uint8)
    scale = 1 << _SUBPIXEL_BITS
    for polygon in polygons:
        local = (polygon - [x0, y0]) * supersample + (supersample - 1) / 2
        cv2.fillPoly(mask, [np.round(local * scale).astype(np.int32)], 255, shift=_SUBPIXEL_BITS)
    small = cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return np.asarray(small).astype(np.float32) * np.float32(1 / 255)


def smoothstep(low: float, high: float, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Hermite step from 0 at ``low`` to 1 at ``high`` (falling where ``high < low``)."""
    t = ((np.asarray(x, np.float32) - low) / (high - low)).clip(0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
