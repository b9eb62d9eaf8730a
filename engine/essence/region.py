"""Which part of the frame a mouth patch replaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.face import topology
from engine.face.boxes import Box
from engine.face.renderer import Renderer

Image = NDArray[np.uint8]

# Pixels at a 512 px frame. Skin that moves less than this is hidden in the soft edge: the smaller
# the region, the smaller the file, and the eyes have to stay out of it.
_MOVES: Final = 4.4
_FEATHER: Final = 18.0
_STEP: Final = 16  # the box falls on the grid of JPEG blocks, which makes splicing cheap


@dataclass(frozen=True)
class MouthRegion:
    """Where patches go.

    Attributes:
        box: (x0, y0, x1, y1) in the frame at rest, multiples of 16 where the frame allows.
        mask: uint8 (h, w), share of the patch in the mix, 0 along the border of the box.
        anchors: indices of the face mesh points in the box; they steer the patch.
    """

    box: Box
    mask: Image
    anchors: NDArray[np.intp]

    def flatten(self, patch: Image) -> Image:
        """Replace what the mask hides by a smooth continuation, which costs no bytes."""
        height, width = patch.shape[:2]
        coarse = cv2.resize(
            patch, (-(-width // 16), -(-height // 16)), interpolation=cv2.INTER_AREA
        )
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        # Fully kept from a weight of 1/16 on: what is smoothed is at most that visible.
        keep = np.minimum(self.mask.astype(np.float32) * (16 / 255), 1.0)[..., None]
        return np.asarray(np.rint(smooth + (patch.astype(np.float32) - smooth) * keep), np.uint8)


def mouth_region(renderer: Renderer, codebook: NDArray[np.float32]) -> MouthRegion:
    """The region that the shapes of a codebook move, with a soft edge.

    Args:
        renderer: the fitted face.
        codebook: (S, 16) shapes, row 0 at rest.
    """
    width, height = renderer.size
    unit = max(width, height) / 512
    mesh = slice(0, topology.MESH_POINTS)
    placed = np.stack([renderer.posed_points((0.0, 0.0, 0.0), row)[mesh] for row in codebook])
    reach = np.linalg.norm(placed - placed[0], axis=2).max(axis=0)
    moving = placed[:, reach > _MOVES * unit].reshape(-1, 2)
    feather = _FEATHER * unit

    inside = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(inside, np.rint(cv2.convexHull(moving.astype(np.float32))).astype(int), 1)
    # Grow by the feather: the mix is whole where the points are and ends a feather outside.
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ramp = np.clip(1 - distance / feather, 0, 1)
    limit = _ramp(width, feather)[None] * _ramp(height, feather)[:, None]
    mask = ramp * ramp * (3 - 2 * ramp) * limit

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x0, y0 = columns[0] // _STEP * _STEP, rows[0] // _STEP * _STEP
    x1 = min(-(-(columns[-1] + 1) // _STEP) * _STEP, width)
    y1 = min(-(-(rows[-1] + 1) // _STEP) * _STEP, height)
    rest = placed[0]
    anchors = np.flatnonzero(((rest >= (x0, y0)) & (rest < (x1, y1))).all(axis=1))
    return MouthRegion(
        (int(x0), int(y0), int(x1), int(y1)),
        np.asarray(np.rint(255 * mask[y0:y1, x0:x1]), np.uint8),
        anchors,
    )


def _ramp(size: int, feather: float) -> NDArray[np.float64]:
    """Zero along the border of the frame, where nothing continues the patch."""
    at = np.arange(size)
    return np.clip(np.minimum(at, size - 1 - at) / feather, 0, 1)
