"""From one picture to another like it, so that a cut cannot be seen."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.face.warp import remap, resample
from engine.motion.curves import minimum_jerk
from engine.video.flow import coordinates, flow

__all__ = ["EASE", "ease", "morph"]

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

EASE: Final = 14
"""Frames in which a clip comes out of the hub, and returns to it."""


def ease(frame: int, frames: int, reach: int = EASE) -> float:
    """Share of the hub, 1 to 0 to 1, in a frame of an arc.

    Args:
        frame: 0 to ``frames``; frame 0 is the hub, frame ``frames`` would be it again.
        frames: length of the arc.
        reach: frames from all of the hub to none.
    """
    reach = max(1, min(reach, frames // 2))
    away = min(frame, frames - frame) / reach
    return 1.0 - float(minimum_jerk(away))


def morph(start: Image, goal: Image, share: float) -> Image:
    """The picture between two: both moved along the optical flow between them, and dissolved.

    Args:
        start: BGR uint8 (h, w, 3), at share 0.
        goal: the same, at share 1.
        share: 0 to 1.
    """
    if share <= 0.004:
        return start
    if share >= 0.996:
        return goal
    there, back = flow(start, goal), flow(goal, start)
    base = coordinates(*start.shape[:2])
    from_start = resample(start, base - np.float32(share) * _at(there, base, share), True)
    from_goal = resample(goal, base - np.float32(1 - share) * _at(back, base, 1 - share), True)
    return np.asarray(cv2.addWeighted(from_start, 1 - share, from_goal, share, 0.0), np.uint8)


def _at(way: Floats, base: Floats, share: float) -> Floats:
    """Flow of what comes to lie at each pixel, rather than of what was there."""
    return remap(way, base - np.float32(share) * way)
