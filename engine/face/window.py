"""From an expression and a pose to where in the photo every pixel of a frame comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.face.boxes import Box
from engine.face.field import Grid, Layer, Pose, PoseField
from engine.face.warp import invert, pixel_map

__all__ = ["Expressed", "Window"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_HALO_CELLS: Final = 10  # around a window: as far as a displacement may reach


@dataclass(frozen=True)
class Expressed:
    """One expression and pose, resolved."""

    strengths: Floats
    close: float
    seal: float
    unsmiled: float  # how far the photo's smile is taken back, 0 to 1
    lips: Doubles
    added: Doubles
    pose: Pose
    coefficients: Floats
    carried: Floats  # (n, 2) px by which the pose moves the marks of the renderer


class Window:
    """One layer's source map on a part of the frame."""

    def __init__(self, grid: Grid, box: Box, layer: Layer, pose: PoseField) -> None:
        k = grid.cell
        x0, y0, x1, y1 = box
        rows = slice(max(y0 // k - _HALO_CELLS, 0), min(-(-y1 // k) + _HALO_CELLS, grid.rows))
        columns = slice(max(x0 // k - _HALO_CELLS, 0), min(-(-x1 // k) + _HALO_CELLS, grid.columns))
        self._cell = k
        self._corner = (columns.start * k, rows.start * k)
        self._box = box
        if (rows.stop - rows.start, columns.stop - columns.start) != (grid.rows, grid.columns):
            layer, pose = layer.window(rows, columns), pose.window(grid, rows, columns)
        self._layer, self._pose = layer, pose

    def source(self, face: Expressed) -> Floats:
        """Where in the photo every pixel of the window comes from: (h, w, 2)."""
        field = self._layer.displacement(face.strengths, face.close, face.added)
        if any(face.pose):
            field += self._pose.displacement(face.pose).reshape(field.shape)
        field *= np.float32(1 / self._cell)
        return pixel_map(invert(field), self._cell, self._box, self._corner)
