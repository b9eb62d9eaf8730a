"""Numbers that say what a face is doing, from landmarks."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engine.face import topology

__all__ = ["eye_aspect", "lip_gap"]

_INNER: Final = slice(3, 8)  # of the lip rings: the middle half of the opening


def lip_gap(points: npt.NDArray[np.floating]) -> float:
    """Largest distance of the inner lips near the middle, over the mouth width.

    Args:
        points: (478, 2 or 3) landmarks, px.
    """
    flat = np.asarray(points, np.float64)[:, :2]
    upper = flat[list(topology.UPPER_INNER)][_INNER]
    lower = flat[list(topology.LOWER_INNER)][_INNER]
    corners = flat[[topology.RIGHT_MOUTH_CORNER, topology.LEFT_MOUTH_CORNER]]
    width = np.linalg.norm(corners[1] - corners[0])
    return float(np.linalg.norm(lower - upper, axis=1).max() / width)


def eye_aspect(points: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Height over width of the subject's left and right eye opening.

    The mean of the lid distances at a third, the half and two thirds of the eye over the distance
    of its corners (after Soukupová and Čech 2016, "Real-time eye blink detection").

    Args:
        points: (478, 2 or 3) landmarks, px.
    """
    flat = np.asarray(points, np.float64)[:, :2]

    def aspect(upper: tuple[int, ...], lower: tuple[int, ...]) -> float:
        gaps = np.linalg.norm(flat[list(upper[3:6])] - flat[list(lower[3:6])], axis=1)
        width = np.linalg.norm(flat[upper[0]] - flat[upper[-1]])
        return float(gaps.mean() / width)

    return (
        aspect(topology.LEFT_EYE_UPPER, topology.LEFT_EYE_LOWER),
        aspect(topology.RIGHT_EYE_UPPER, topology.RIGHT_EYE_LOWER),
    )
