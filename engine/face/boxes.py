"""Parts of a frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Box", "corners", "intersection", "padded"]

Box = tuple[int, int, int, int]
"""Pixels x0 ≤ x < x1, y0 ≤ y < y1 as (x0, y0, x1, y1)."""


def corners(box: Box) -> npt.NDArray[np.float64]:
    """Its corners (4, 2), clockwise from the upper left."""
    x0, y0, x1, y1 = box
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


def padded(box: Box, margin: int) -> Box:
    """A box with a margin on every side."""
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin


def intersection(a: Box, b: Box) -> Box:
    """What two boxes share; one without pixels if that is nothing."""
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return x0, y0, max(x0, x1), max(y0, y1)
