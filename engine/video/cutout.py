"""Who is the person in every frame of a clip.

The person of one frame has been cut out with care (``engine.face.matte``). That matte is carried to
other frames along the optical flow, which keeps hats and what the segmentation network does not
know. The network is asked about every frame, too: where it is certain, and was right about the
first frame, it decides, so that a raised hand belongs to the person. A guided filter then finds the
edges of each frame by itself. Every frame is cut out alone: nothing drifts.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.face.curves import smoothstep
from engine.face.matte import likelihood, refined
from engine.face.warp import remap
from engine.video.flow import coordinates, flow

__all__ = ["Cutout"]

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

_SIDE: Final = 256  # longer side of the picture the network answers for
_CERTAIN: Final = (0.25, 0.45)  # how far from a half the network has to be to be believed
_RIGHT: Final = (0.3, 0.7)  # how far from the matte it may have been


class Cutout:
    """Cuts a person out of pictures like one in which that has been done.

    Args:
        picture: BGR uint8 (h, w, 3).
        alpha: uint8 (h, w), the share of the person in its pixels.
    """

    def __init__(self, picture: Image, alpha: Image) -> None:
        self._picture = picture
        self._alpha = alpha
        self._base = coordinates(*alpha.shape)
        share = alpha.astype(np.float32) / 255
        wrong = np.abs((self._likelihood(picture) > 0.5) - share)
        trusted = 1 - smoothstep(*_RIGHT, wrong)
        self._known: Floats = np.dstack([share, trusted]).astype(np.float32)

    def alpha(self, picture: Image, like: float = 0.0) -> Image:
        """The share of the person in each pixel.

        Args:
            picture: BGR uint8 (h, w, 3), the same person before the same background.
            like: how much the picture is a mixture with the known one, 1 for all of it.

        Returns:
            uint8 (h, w).
        """
        if like >= 1:
            return self._alpha
        carried = remap(self._known, self._base + flow(picture, self._picture))
        person = self._likelihood(picture)
        certain = smoothstep(*_CERTAIN, np.abs(person - 0.5)) * carried[..., 1]
        rough = carried[..., 0] + ((person > 0.5) - carried[..., 0]) * certain
        share = refined(picture, rough.astype(np.float32))
        share += (self._known[..., 0] - share) * np.float32(like)
        return np.asarray(np.rint(share * 255), np.uint8)

    def _likelihood(self, picture: Image) -> Floats:
        height, width = picture.shape[:2]
        shrink = _SIDE / max(height, width)
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        small = likelihood(picture, size)
        return np.asarray(
            cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
        )
