"""Laughter lines and the dark corners of a smile, gone where the lips are rounded.

A smile folds the skin beside the mouth, and the photo keeps the light of those folds. Pushed
together by rounded lips they would deepen into grooves, but on people they open: the muscle that
rounds the lips stretches the cheeks. What the photo shows darker there than the skin on either
side is found once, by a morphological closing, and taken back as far as the lips are rounded.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.boxes import Box
from engine.face.curves import catmull_rom, fill, smoothstep
from engine.face.fit import FaceFit
from engine.face.tones import photo_opening

__all__ = ["Creases"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_LINES: Final = ((203, 206, 216, 212), (423, 426, 436, 432))
_CORNERS: Final = ((61, 78), (291, 308))
_INSIDE: Final = ((78, 191, 95), (308, 415, 324))  # the dark of the opening next to them
# All lengths are cm.
_BESIDE: Final = (0.55, 0.90)  # of a line: fully and not at all smoothed
_AROUND: Final = (0.25, 0.55)  # of a corner of the mouth, likewise
_WIDEST: Final = 1.1  # of a crease
_FINE: Final = 0.06  # pores and stubble stay
_LEAST: Final = 0.03  # below this nothing is done


class Creases:
    """The creases of one face, in the pixels of its photo."""

    def __init__(self, image: Image, fit: FaceFit) -> None:
        """Find them.

        Args:
            image: the photo.
            fit: the face in it.
        """
        height, width = image.shape[:2]
        points, cm = fit.points[:, :2], fit.similarity.scale
        reach = (_BESIDE[1] + _WIDEST) * cm
        places = points[[i for line in (*_LINES, *_CORNERS) for i in line]]
        low = np.maximum(np.floor(places.min(0) - reach), 0).astype(int)
        high = np.minimum(np.ceil(places.max(0) + reach), (width, height)).astype(int)
        self.box: Box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        """Pixels of the photo they may lighten."""
        x0, y0, x1, y1 = self.box
        part = image[y0:y1, x0:x1].astype(np.float32)
        light = cv2.GaussianBlur(part, (0, 0), max(_FINE * cm, 0.5))
        across = 2 * max(round(_WIDEST * cm / 2), 1) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
        filled = cv2.morphologyEx(light, cv2.MORPH_CLOSE, disc)
        filled = cv2.GaussianBlur(filled, (0, 0), 0.25 * _WIDEST * cm)
        lost = np.maximum(filled - light, 0)
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        pixels = np.dstack([x, y])
        weight = np.zeros(part.shape[:2], np.float32)
        for line in _LINES:
            away = _distance(pixels, catmull_rom(points[list(line)], 5)) / cm
            weight = np.maximum(weight, smoothstep(_BESIDE[1], _BESIDE[0], away))
        for corner in _CORNERS:
            away = _distance(pixels, points[list(corner)]) / cm
            weight = np.maximum(weight, smoothstep(_AROUND[1], _AROUND[0], away))
        opening = cv2.dilate(fill([photo_opening(fit)], self.box), np.ones((3, 3), np.uint8))
        for inside in _INSIDE:
            away = _distance(pixels, points[list(inside)]) / cm
            weight = np.maximum(weight, smoothstep(_AROUND[1], _AROUND[0], away) * opening)
        lost *= weight[..., None]
        self._lost = np.asarray(cv2.merge((*cv2.split(lost), np.zeros_like(weight))), np.float32)

    def without(self, photo: Image, strength: float) -> Image:
        """The photo with less of them.

        Args:
            photo: (H, W, 4), BGR and any fourth plane.
            strength: 0 leaves them as they are, 1 takes all of them.
        """
        if strength < _LEAST:
            return photo
        x0, y0, x1, y1 = self.box
        smooth = photo.copy()
        lost = self._lost * np.float32(strength)
        part = np.ascontiguousarray(photo[y0:y1, x0:x1])
        smooth[y0:y1, x0:x1] = cv2.add(part, lost, dtype=cv2.CV_8U)
        return smooth


def _distance(pixels: Floats, points: Doubles) -> Floats:
    """From each pixel (h, w, 2) to the nearest of some points: (h, w)."""
    nearest = np.full(pixels.shape[:2], np.inf, np.float32)
    for point in points.astype(np.float32):
        np.minimum(nearest, np.hypot(*np.moveaxis(pixels - point, 2, 0)), out=nearest)
    return nearest
