"""Bring a photo into the frame of the avatar, and the canonical face onto the photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.pictures import even, even_size

__all__ = [
    "FACE_SHIFT",
    "FRAME_PER_FACE",
    "TIGHTEST",
    "Crop",
    "Similarity",
    "crop_face",
    "fit_similarity",
    "natural_size",
]

Image = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
Crop = Literal["auto", "none"]

FRAME_PER_FACE: Final = 2.0  # side of the square frame over the height of the face oval
TIGHTEST: Final = 1.45  # … where the photo does not show more
FACE_SHIFT: Final = 0.02  # of its height: how far the face sits below the middle of the frame

_SHARPEN: Final = 0.8  # share of the detail that is added
_SHARPEN_WHOLE: Final = 0.6  # … where a photo is enlarged by this much more than not at all
_SHARPEN_LEAST: Final = 0.1
_SHARPEN_SIGMA: Final = 0.55  # px of the photo
_GRAIN, _MOST_DETAIL, _OVERSHOOT = 0.7, 14.0, 3.0  # levels of brightness


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
        The frame (BGR) and the points in it (478, 3), z scaled alike. The square of ``auto``
        shifts and shrinks to stay inside the photo; what is still beyond it repeats the border,
        blurred.
    """
    points_px: Doubles = np.asarray(points, np.float64)
    height, width = image.shape[:2]
    if crop == "none":
        scale = size / max(height, width)
        out = even_size(width, height, scale)
        sx, sy = out[0] / width, out[1] / height
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        frame = cv2.resize(image, out, interpolation=interpolation)
        offset = np.array([0.5 * sx - 0.5, 0.5 * sy - 0.5, 0])
        return _sharpened(np.asarray(frame, np.uint8), scale), points_px * [sx, sy, scale] + offset

    low, high, face, side = _square(image, points_px)
    corner = (low + high) / 2 - [0, FACE_SHIFT * face] - side / 2
    corner = np.clip(corner, np.minimum(0, high + 0.08 * face - side), low - 0.08 * face)
    limits = np.maximum(np.array([width, height]) - side, 0)
    inside = np.clip(corner, 0, limits)
    corner = np.clip(inside, high + 0.08 * face - side, low - 0.08 * face)

    out_side = even(size)
    scale = out_side / side
    matrix = np.column_stack([scale * np.eye(2), scale * (0.5 - corner) - 0.5])
    source = image if scale > 0.6 else cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    shape = (out_side, out_side)
    frame = cv2.warpAffine(
        source, matrix, shape, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    moved = points_px * scale
    moved[:, :2] += matrix[:, 2]
    covered = cv2.warpAffine(np.full((height, width), 255, np.uint8), matrix, shape)
    sharp = _sharpened(np.asarray(frame, np.uint8), scale)
    return _soften_beyond(sharp, np.asarray(covered, np.uint8)), moved


def _sharpened(frame: Image, scale: float) -> Image:
    """Take back some of the softness of a photo that was enlarged.

    An unsharp mask on the brightness alone, which may not go far beyond what is around a pixel:
    no bright or dark rims along edges. Steps as small as grain are left as they are.
    """
    strength = _SHARPEN * min(1.0, (scale - 1) / _SHARPEN_WHOLE)
    if strength < _SHARPEN_LEAST:
        return frame
    colours = cv2.cvtColor(frame, cv2.COLOR_BGR2YCrCb)
    light = colours[..., 0].astype(np.float32)
    detail = light - cv2.GaussianBlur(light, (0, 0), _SHARPEN_SIGMA * scale)
    steps = np.clip(np.abs(detail) - _GRAIN, 0, _MOST_DETAIL) * np.sign(detail)
    around = np.ones((2 * round(scale) + 1,) * 2, np.uint8)
    low, high = cv2.erode(light, around), cv2.dilate(light, around)
    sharp = np.clip(light + strength * steps, low - _OVERSHOOT, high + _OVERSHOOT)
    colours[..., 0] = np.clip(np.rint(sharp), 0, 255)
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_YCrCb2BGR), np.uint8)


def natural_size(image: Image, points: npt.NDArray[np.floating]) -> int:
    """Side in px of what ``crop_face`` cuts out of a photo with ``auto``, before it is scaled."""
    return round(_square(image, np.asarray(points, np.float64))[3])


def _square(image: Image, points: Doubles) -> tuple[Doubles, Doubles, float, float]:
    """Corners of the face oval, its height, and the side of the square around it, px."""
    oval = points[list(topology.FACE_OVAL), :2]
    low, high = oval.min(0), oval.max(0)
    face = float((high - low).max())
    # Rather a larger face than pixels that are not in the photo.
    side = min(FRAME_PER_FACE * face, max(min(image.shape[:2]), TIGHTEST * face))
    return low, high, face, side


def _soften_beyond(frame: Image, covered: Image) -> Image:
    """Blur what is not in the photo: a repeated border row looks like streaks."""
    if covered.min() == 255:
        return frame
    sigma = len(frame) / 32
    blurred = cv2.GaussianBlur(frame, (0, 0), sigma)
    eroded = cv2.erode(covered, np.ones((3, 3), np.uint8))
    weight = cv2.GaussianBlur(eroded, (0, 0), sigma / 4).astype(np.float32)[..., None] / 255
    weight = np.where(covered[..., None] == 255, np.minimum(2 * weight - 1, 1).clip(0), 0)
    mixed = blurred + (frame - blurred.astype(np.float32)) * weight
    return np.rint(mixed).astype(np.uint8)


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
