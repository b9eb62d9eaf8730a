"""Bring a photo into the frame of the avatar, and the canonical face onto the photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import topology

__all__ = ["Crop", "Similarity", "crop_face", "fit_similarity"]

Image = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
Crop = Literal["auto", "none"]

_FRAME_PER_FACE = 2.0  # side of the square frame over the height of the face oval
_FACE_SHIFT = 0.02  # of the face height: the face sits this much below the middle of the frame


@dataclass(frozen=True)
class Similarity:
    """Canonical face (cm, y up, z near) to image (px, y down, z away), without the shift.

    Attributes:
        scale: pixels per centimetre.
        rotation: (3, 3) proper rotation in the y-up space.
    """

    scale: float
    rotation: Doubles

    def vectors(self, cm: npt.NDArray[np.floating]) -> Doubles:
        """Displacements (…, 3) in cm to displacements in px (x right, y down, z away)."""
        turned: Doubles = np.asarray(cm, np.float64) @ self.rotation.T
        moved: Doubles = self.scale * turned * [1.0, -1.0, -1.0]
        return moved


def crop_face(
    image: Image, points: npt.NDArray[np.floating], size: int, crop: Crop
) -> tuple[Image, Doubles]:
    """Cut and scale the photo to the avatar's frame.

    Args:
        image: BGR photo.
        points: (478, 3) landmarks in it.
        size: ``auto``: side of the square result, the face oval half as high as the frame.
            ``none``: the longer side of the whole photo, its shape kept. Rounded to even numbers.
        crop: which of the two.

    Returns:
        The frame (BGR) and the points in it (478, 3), z scaled alike. Beyond the edge of the
        photo its border is repeated.
    """
    points_px: Doubles = np.asarray(points, np.float64)
    height, width = image.shape[:2]
    if crop == "none":
        scale = size / max(height, width)
        out = (_even(width * scale), _even(height * scale))
        sx, sy = out[0] / width, out[1] / height
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        frame = cv2.resize(image, out, interpolation=interpolation)
        offset = np.array([0.5 * sx - 0.5, 0.5 * sy - 0.5, 0])
        return np.asarray(frame, np.uint8), points_px * [sx, sy, scale] + offset

    oval = points_px[list(topology.FACE_OVAL), :2]
    low, high = oval.min(0), oval.max(0)
    face = float((high - low).max())
    centre = (low + high) / 2 - [0, _FACE_SHIFT * face]
    side = _even(size)
    scale = side / (face * _FRAME_PER_FACE)
    matrix = np.array(
        [
            [scale, 0, (side - 1) / 2 - scale * centre[0]],
            [0, scale, (side - 1) / 2 - scale * centre[1]],
        ]
    )
    source = image if scale > 0.6 else cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    frame = cv2.warpAffine(
        source, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    moved = points_px * scale
    moved[:, :2] += matrix[:, 2]
    return np.asarray(frame, np.uint8), moved


def _even(value: float) -> int:
    return max(2, 2 * round(value / 2))


def fit_similarity(
    neutral: npt.NDArray[np.floating], points: npt.NDArray[np.floating]
) -> Similarity:
    """Least-squares similarity from the canonical face to landmarks (Umeyama 1991).

    Args:
        neutral: (478, 3) canonical points, cm, y up.
        points: (478, 3) landmarks, px, y down, z away from the viewer.
    """
    a = np.asarray(neutral, np.float64)[:468]
    b = np.asarray(points, np.float64)[:468] * [1, -1, -1]
    a, b = a - a.mean(0), b - b.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    flip = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = ((u * flip) @ vt).T
    return Similarity(float((s * flip).sum() / (a**2).sum()), rotation)
