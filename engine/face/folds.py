"""Shading of the skin that comes and goes with an expression.

A warped photo keeps the light of its rest: a cheek that is pushed up by a smile stays as flat as
it was. Three folds are drawn where anatomy puts them, each as dark as its muscles pull: from the
wings of the nose to the corners of the mouth (zygomaticus), and between the brows (corrugator).
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.basis import Basis
from engine.face.boxes import Box
from engine.face.curves import catmull_rom, smoothstep
from engine.face.fit import FaceFit
from engine.face.tones import LUMA
from engine.face.warp import remap, shifted

__all__ = ["Folds"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_SIDES: Final = ("Right", "Left")
_NASOLABIAL: Final = {"Right": (129, 203, 206, 216, 57), "Left": (358, 423, 426, 436, 287)}
_GLABELLA: Final = {"Right": (107, 55, 193), "Left": (336, 285, 417)}
_BETWEEN: Final = 9  # the brows
_VALLEY, _SLOPE = 0.30, 0.90  # cm: the fold itself, and the cheek that rolls over it
_DEPTH: Final = 0.55  # of the light lost in a fold at full strength
_BULGE: Final = 0.06  # gained on the cheek above it
_SHADE: Final = (0.42, 0.50, 0.74)  # of the light, BGR: what reaches into a fold is red
_GAIN: Final = 1.2  # of light: more would bleach what is bright already
_LEAST: Final = 0.05  # below this nothing is drawn

# What pulls each fold, besides the unit it is named after.
_SMILE: Final = {"mouthSmile": 1.0, "cheekSquint": 0.35, "noseSneer": 0.3, "mouthUpperUp": 0.35}
_FROWN: Final = {"browDown": 0.8}


class Folds:
    """The folds of one face, in the pixels of its photo."""

    def __init__(
        self, size: tuple[int, int], fit: FaceFit, basis: Basis, saturation: float
    ) -> None:
        """Place them.

        Args:
            size: width and height of the photo.
            fit: the face in it.
            basis: names of the units.
            saturation: of the photo, 0 for black and white to 1.
        """
        grey = float(np.array(_SHADE) @ LUMA)
        self._shade = (grey + saturation * (np.array(_SHADE) - grey)).astype(np.float32)
        points, cm = fit.points[:, :2], fit.similarity.scale
        rings = [*_NASOLABIAL.values(), *_GLABELLA.values()]
        corners = points[[i for ring in rings for i in ring]]
        low = np.maximum(np.floor(corners.min(0) - 1.2 * cm), 0).astype(int)
        high = np.minimum(np.ceil(corners.max(0) + 1.2 * cm), size).astype(int)
        self.box: Box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        """Pixels of the photo they may shade."""
        planes = [self._nasolabial(points[list(_NASOLABIAL[side])], fit) for side in _SIDES]
        glabella = [self._glabella(points, side, fit) for side in _SIDES]
        planes.append(np.maximum(*glabella))
        self._planes = np.ascontiguousarray(np.dstack(planes))
        self._pulls = np.zeros((3, len(basis.names)), np.float32)
        for row, side in enumerate(_SIDES):
            for name, share in _SMILE.items():
                self._pulls[row, basis.index(name + side)] = share
            for name, share in _FROWN.items():
                self._pulls[2, basis.index(name + side)] = share / 2

    def _distance(self, path: Doubles, fit: FaceFit) -> tuple[Floats, Floats]:
        """(h, w) cm from a path, positive towards the middle of the face; and along it, 0 to 1."""
        x0, y0, x1, y1 = self.box
        y, x = np.mgrid[y0:y1:2, x0:x1:2]
        pixels = np.stack([x, y], axis=-1)[:, :, None]
        curve = catmull_rom(path, 5)
        offset = pixels - curve
        far = np.linalg.norm(offset, axis=3)
        nearest = far.argmin(2)
        least = np.take_along_axis(offset, nearest[..., None, None], 2)[:, :, 0]
        middle = fit.points[_BETWEEN, :2] + 4 * fit.similarity.scale * fit.down
        side = np.sign((middle - curve[len(curve) // 2]) @ fit.across)
        signed = np.sign(least @ fit.across) * side * far.min(2) / fit.similarity.scale
        size = (x1 - x0, y1 - y0)
        along = nearest / (len(curve) - 1)
        return (
            np.asarray(cv2.resize(signed.astype(np.float32), size), np.float32),
            np.asarray(cv2.resize(along.astype(np.float32), size), np.float32),
        )

    def _nasolabial(self, path: Doubles, fit: FaceFit) -> Floats:
        """Dark (positive) in the fold, softly so towards the mouth; light on the cheek."""
        away, along = self._distance(path, fit)
        valley = np.exp(-((away / _VALLEY) ** 2)) * 0.30
        below = 0.42 * np.exp(-((away / _SLOPE) ** 2)) * smoothstep(-0.3, 0.25, away)
        above = np.exp(-(((away + 0.75) / 0.40) ** 2)) * _BULGE / _DEPTH
        ends = smoothstep(0.0, 0.15, along) * smoothstep(1.0, 0.55, along)
        plane: Floats = ((valley + below - above) * ends).astype(np.float32)
        return plane

    def _glabella(self, points: Doubles, side: str, fit: FaceFit) -> Floats:
        path = points[list(_GLABELLA[side])]
        path = path + 0.35 * (points[_BETWEEN] - path) @ fit.across[:, None] * fit.across
        away, along = self._distance(path, fit)
        ends = smoothstep(0.0, 0.35, along) * smoothstep(0.95, 0.6, along)
        valley = np.exp(-((away / (0.6 * _VALLEY)) ** 2)) - 0.25 * np.exp(
            -(((away - 0.35) / 0.25) ** 2)
        )
        plane: Floats = (0.7 * valley * ends).astype(np.float32)
        return plane

    def strengths(self, units: Floats) -> Floats:
        """How deep each fold is (3,): beside the right and left cheek, between the brows.

        Args:
            units: (52,) strengths of the basis' units.
        """
        deep: Floats = np.clip(self._pulls @ units, 0, 1)
        return deep

    def shade(self, frame: Image, source: Floats, strengths: Floats) -> None:
        """Draw them over a window of the frame, in place.

        Args:
            frame: (h, w, 3) BGR pixels of the window.
            source: (h, w, 2) where in the photo each of them comes from.
            strengths: from ``strengths``.
        """
        if float(strengths.max()) < _LEAST:
            return
        weights = (_DEPTH * strengths).astype(np.float32)
        plane = cv2.transform(self._planes, weights[None])
        local = shifted(source, self.box[0], self.box[1])
        depth = remap(np.asarray(plane, np.float32), local, cv2.BORDER_CONSTANT)
        dark = np.maximum(depth, 0)
        light = 1 + np.clip(-depth, 0, _GAIN - 1)
        left = cv2.merge([light - lost * dark for lost in 1 - self._shade])
        frame[:] = cv2.multiply(np.ascontiguousarray(frame), left, dtype=cv2.CV_8U)
