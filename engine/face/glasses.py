"""Whether somebody wears glasses, and which part of the face their frame keeps stiff.

A frame is drawn on the skin as far as the rig knows: brows that rise would bend it. Behind real
glasses brows move unseen, so whatever is at the height of the frame follows the head alone.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.face.curves import smoothstep
from engine.face.warp import remap

__all__ = ["stiffness", "wears_glasses"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

# All lengths are shares of the distance between the outer corners of the eyes.
_BLUR: Final = 0.008
_BRIDGE: Final = (0.06, 0.16)  # half width and height of the place looked at between the eyes
_RIM: Final = (0.08, 0.11)  # and below each eye
_BELOW: Final = 0.17
_STEPS: Final = 0.005
_EDGE: Final = 0.065  # natural logarithm of the light per step: a frame crosses all three places
_BROW_MARGIN: Final = 0.03
_LOWEST: Final = 0.27  # below the eyes: the lower edge of large frames
_FADE: Final = (0.22, 0.14)  # of the stiffness, above and below


def wears_glasses(image: Image, points: npt.NDArray[np.floating]) -> bool:
    """Whether a frame crosses the bridge of the nose and the skin below both eyes.

    Args:
        image: (H, W, 3) BGR uint8.
        points: (478, 2 or 3) landmarks in it, px.
    """
    middle, across, down, width = _axes(points)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    light = np.log(np.maximum(cv2.GaussianBlur(grey, (0, 0), _BLUR * width), 8)).astype(np.float32)

    def edge(centre: Doubles, half: tuple[float, float]) -> float:
        """The strongest step of light from row to row, all across a place."""
        x, y = (np.arange(-h, h, _STEPS) * width for h in half)
        places = centre + x[None, :, None] * across + y[:, None, None] * down
        return float(np.abs(np.diff(remap(light, places.astype(np.float32)).mean(1))).max())

    eyes = (topology.RIGHT_EYE_UPPER, topology.LEFT_EYE_UPPER)
    below = [
        np.asarray(points, np.float64)[[ring[0], ring[-1]], :2].mean(0) + _BELOW * width * down
        for ring in eyes
    ]
    found = [edge(middle, _BRIDGE), *(edge(place, _RIM) for place in below)]
    return min(found) > _EDGE


def stiffness(points: npt.NDArray[np.floating]) -> Floats:
    """How much each landmark (478,) is held by a frame: 1 at its height, 0 away from it."""
    middle, _, down, width = _axes(points)
    at = (np.asarray(points, np.float64)[:, :2] - middle) @ down / width
    top = float(at[[*topology.LEFT_BROW[0], *topology.RIGHT_BROW[0]]].min()) - _BROW_MARGIN
    above = smoothstep(top - _FADE[0], top, at)
    below = smoothstep(_LOWEST + _FADE[1], _LOWEST, at)
    held: Floats = above * below
    return held


def _axes(points: npt.NDArray[np.floating]) -> tuple[Doubles, Doubles, Doubles, float]:
    """The middle between the eyes, the face's directions, and the distance of the outer corners."""
    flat = np.asarray(points, np.float64)[:, :2]
    right, left = flat[topology.RIGHT_EYE_UPPER[0]], flat[topology.LEFT_EYE_UPPER[-1]]
    inner = flat[[topology.RIGHT_EYE_UPPER[-1], topology.LEFT_EYE_UPPER[0]]]
    width = float(np.linalg.norm(left - right))
    across = (left - right) / width
    return inner.mean(0), across, np.array([-across[1], across[0]]), width
