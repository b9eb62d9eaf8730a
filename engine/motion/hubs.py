"""Places in an idle loop where other clips can begin and end without a jump."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import FPS
from engine.motion.idle import IdleMotion

__all__ = ["through_rest"]

_REACH: Final = 1.0 * FPS  # frames on each side in which the face comes back to rest
_SPACING: Final = 1.5 * FPS
_LIDS: Final = 6  # frames around a hub without a blink


def through_rest(motion: IdleMotion) -> tuple[IdleMotion, list[int]]:
    """Let a loop pass through rest between its breaths.

    Args:
        motion: a loop.

    Returns:
        The same loop, but that at some frames, the *hubs*, the head faces as in the photo and does
        not move, the eyes are open and look where the photo looks, and the lungs are empty; and
        these frames, ascending.
    """
    frames = len(motion)
    empty = motion.breath < 1e-3
    # The last frame of each rest between two breaths.
    ends = [i for i in range(frames) if empty[i] and not empty[(i + 1) % frames]]
    # A loop of less than a breath may have none: then where the lungs are emptiest.
    ends = ends or [int(np.argmin(motion.breath))]
    hubs: list[int] = []
    for end in ends:
        apart = min((min((end - h) % frames, (h - end) % frames) for h in hubs), default=frames)
        if apart >= _SPACING:
            hubs.append(end)
    time = np.arange(frames)
    share = np.ones(frames)
    lids = motion.blink.copy()
    for hub in hubs:
        away = np.minimum((time - hub) % frames, (hub - time) % frames) / _REACH
        share *= np.where(away < 1.0, np.sin(0.5 * np.pi * np.minimum(away, 1.0)) ** 2, 1.0)
        for step in range(-_LIDS, _LIDS + 1):
            _open(lids, (hub + step) % frames)
    weight = share[:, None].astype(np.float32)
    still = replace(
        motion,
        pose=motion.pose * weight,
        gaze=motion.gaze * weight,
        breath=motion.breath if empty.any() else motion.breath * weight[:, 0],
        blink=lids,
        brows=motion.brows * weight[:, 0],
    )
    return still, sorted(hubs)


def _open(lids: NDArray[np.float32], at: int) -> None:
    """Take away the blink that a frame is part of."""
    frames = len(lids)
    for step in (-1, 1):
        index = at
        while lids[index].any():
            if index != at:
                lids[index] = 0.0
            index = (index + step) % frames
            if index == at:
                break
    lids[at] = 0.0
