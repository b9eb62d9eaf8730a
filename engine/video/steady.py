"""What of each frame of a clip becomes the picture of an avatar."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.coefficients import FPS
from engine.face import topology
from engine.face.align import FACE_SHIFT, FRAME_PER_FACE, TIGHTEST, Crop
from engine.pictures import even, even_size
from engine.video.track import Tracking, runs

__all__ = ["frame_matrices", "transformed"]

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

_MARGIN: Final = 0.06  # of the face, that has to be around it in every frame
_STILL: Final = 1.5  # pixels in 1280: less than this is not the camera but noise
_OUTSIDE: Final = 0.02  # of the frames may show a little beyond the picture, or lose the margin
_FOLLOW: Final = 1.2 * FPS  # frames over which a crop follows a person who walks about


def frame_matrices(
    tracking: Tracking, video: tuple[int, int], size: int, crop: Crop
) -> tuple[Doubles, tuple[int, int]]:
    """Affine maps from the pixels of every frame to those of the avatar's picture.

    The picture stands still where the camera does, and, as far as its edges allow, where it
    shakes; where the person leaves the crop it follows slowly.

    Args:
        tracking: of the clip.
        video: width and height of the clip in pixels.
        size: side of the square picture; the longer side for crop ``none``.
        crop: ``auto`` around the face, ``none`` all of the frame, which is not steadied.

    Returns:
        (n, 2, 3), and width and height of the picture, both even.
    """
    count = len(tracking)
    if crop == "none":
        scale = size / max(video)
        out = even_size(*video, scale)
        ratio = np.array([out[0] / video[0], out[1] / video[1]])
        matrix = np.column_stack([np.diag(ratio), 0.5 * ratio - 0.5])
        return np.repeat(matrix[None], count, axis=0), out
    side_px = even(size)
    used = tracking.usable
    camera = _steadied(tracking, video)
    oval = tracking.points[:, list(topology.FACE_OVAL), :2].astype(np.float64)
    low, high = _extremes(transformed(oval, camera))
    face = float(np.median((high - low)[used].max(axis=1)))
    edges = np.array([[0, 0], [video[0], 0], [video[0], video[1]], [0, video[1]]], np.float64)
    bounds = transformed(np.repeat(edges[None], count, axis=0), camera)[used]
    left_top = np.quantile(bounds[:, [0, 0], [0, 1]], 1 - _OUTSIDE, axis=0)
    right_bottom = np.quantile(bounds[:, [2, 2], [0, 1]], _OUTSIDE, axis=0)
    room = float((right_bottom - left_top).min())
    side = min(FRAME_PER_FACE * face, max(room, TIGHTEST * face))
    centre = np.median(((low + high) / 2)[used], axis=0) - [0, FACE_SHIFT * face]
    corner = np.clip(centre - side / 2, left_top, np.maximum(right_bottom - side, left_top))
    margin = _MARGIN * face
    kept = np.asarray(low - margin >= corner) & (high + margin <= corner + side)
    scale = side_px / side
    if room >= 0.98 * side and kept[used].all(axis=1).mean() >= 1 - _OUTSIDE:
        corners = np.repeat(corner[None], count, axis=0)
    else:
        # In the frame's own pixels: its edges are what limits the crop.
        camera = np.repeat(np.eye(2, 3)[None], count, axis=0)
        low, high = _extremes(oval)
        side = min(FRAME_PER_FACE * face, max(float(min(video)), TIGHTEST * face))
        scale = side_px / side
        path = _followed((low + high) / 2, used) - [0, FACE_SHIFT * face]
        corners = np.clip(path - side / 2, 0, np.maximum(np.array(video) - side, 0))
    matrices = np.empty((count, 2, 3))
    matrices[:, :, :2] = scale * camera[:, :, :2]
    matrices[:, :, 2] = scale * (camera[:, :, 2] - corners + 0.5) - 0.5
    return matrices, (side_px, side_px)


def transformed(points: NDArray[np.floating], matrices: Doubles) -> Doubles:
    """Points (n, m, 2 or 3) carried by a matrix (n, 2, 3) each; depth is scaled alike."""
    flat = np.asarray(points, np.float64)
    moved = np.einsum("nij,nmj->nmi", matrices[:, :, :2], flat[..., :2]) + matrices[:, None, :, 2]
    if flat.shape[-1] == 2:
        return np.asarray(moved, np.float64)
    scale = np.sqrt(np.abs(np.linalg.det(matrices[:, :, :2])))
    return np.concatenate([moved, flat[..., 2:] * scale[:, None, None]], axis=2)


def _steadied(tracking: Tracking, video: tuple[int, int]) -> Doubles:
    """What undoes the camera; nothing where it stands still."""
    middle = np.array([[[video[0] / 2, video[1] / 2]]])
    moved = transformed(np.repeat(middle, len(tracking), axis=0), tracking.camera) - middle
    if np.ptp(moved[tracking.usable, 0], axis=0).max() < _STILL * max(video) / 1280:
        return np.repeat(np.eye(2, 3)[None], len(tracking), axis=0)
    return tracking.camera


def _extremes(oval: Doubles) -> tuple[Doubles, Doubles]:
    return oval.min(axis=1), oval.max(axis=1)


def _followed(path: Doubles, used: NDArray[np.bool_]) -> Doubles:
    """A path of the face made slow, over every stretch of frames by itself."""
    out = path.copy()
    for first, end in runs(used):
        part = path[first:end]
        reach = int(3 * _FOLLOW)
        padded = (
            np.pad(part, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
            if (len(part) > reach)
            else np.pad(part, ((reach, reach), (0, 0)), mode="edge")
        )
        out[first:end] = cv2.GaussianBlur(padded, (1, 0), 0.01, sigmaY=_FOLLOW)[reach:-reach]
    return out
