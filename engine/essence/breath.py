"""Breathing: chest and shoulders rise and sink a few pixels below a face that is already drawn."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.face import topology
from engine.face.renderer import Renderer

Image = NDArray[np.uint8]

_RISE: Final = 0.011  # of the height of the face: the way of the shoulders in a quiet breath
_BELOW_CHIN: Final = (0.12, 0.55)  # of the height of the face: where the way begins, and is whole
_AT_BORDER: Final = 0.5  # share of the way left at the lower border, where pixels would be missing


class Breath:
    """Moves the body of one portrait.

    The mouth region is left alone, so that patches of the mouth bank fit every breath.

    Args:
        renderer: the fitted face.
        top: first row that may move; nothing above it is touched.
    """

    def __init__(self, renderer: Renderer, top: int) -> None:
        width, height = renderer.size
        oval = renderer.landmarks[list(topology.FACE_OVAL), 1]
        face = float(oval.max() - oval.min())
        begin = max(float(oval.max()) + _BELOW_CHIN[0] * face, float(top))
        end = float(oval.max()) + _BELOW_CHIN[1] * face
        rows = np.arange(height, dtype=np.float64)
        grow = np.clip((rows - begin) / max(end - begin, 1.0), 0, 1)
        fade = np.clip((rows - end) / max(height - 1 - end, 1.0), 0, 1)
        way = grow * grow * (3 - 2 * grow) * (1 - (1 - _AT_BORDER) * fade)
        self._first = min(int(begin), height)
        self._way = (_RISE * face * way[self._first :]).astype(np.float32)
        self._columns = np.arange(width, dtype=np.float32)[None]
        self._rows = rows[self._first :].astype(np.float32)

    def apply(self, frame: Image, amount: float) -> None:
        """Move the body of a frame in place.

        Args:
            frame: BGR uint8, at the renderer's size.
            amount: lungs from 0 (empty) to 1 (full); at one half the body is as in the photo.
        """
        if not len(self._way):
            return
        source = self._rows + self._way * np.float32(amount - 0.5)
        size = (frame.shape[1], len(source))
        x = np.broadcast_to(self._columns, size[::-1]).astype(np.float32)
        y = np.ascontiguousarray(np.broadcast_to(source[:, None], size[::-1]))
        frame[self._first :] = cv2.remap(
            frame, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
