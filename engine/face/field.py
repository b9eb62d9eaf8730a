"""Displacement fields: smooth interpolation of moving points over the frame.

A thin-plate spline (Duchon 1977) is linear in the displacements of its control points, so the
field of every unit is computed once and a frame needs only a weighted sum of fields. Two layers
share the frame: the *upper* one ignores the lower lip, the *lower* one ignores the upper lip, so
that each stays smooth across the mouth opening.

A field lives on a grid of square cells; sample (i, j) sits at the centre of its cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.face.fit import LIPS, FaceFit

__all__ = ["Grid", "Layer", "PoseField", "build_fields", "rotation"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_CELLS: Final = 128  # along the longer side
_SMOOTHING: Final = 3e-5
_HEIGHT_SMOOTHING: Final = 2e-2  # the raw landmark depth makes the far cheek ripple
_POSE_SMOOTHING: Final = 5e-3

# Copies of the face oval that carry motion out of the face: size, expression share, pose share.
_HALOS: Final = ((1.16, 0.45, 1.0), (1.36, 0.08, 0.95), (1.62, 0.0, 0.7))
_NECK_LOSS: Final = (0.35, 0.6, 0.9)  # pose share lost per halo below the chin: the neck stays

_EARS: Final = (234, 454)
# The red of the lips between its borders, and the irises: too close to others to steer a spline.
_MIDDLE = {i for ring in topology.UPPER_LIP[1:3] + topology.LOWER_LIP[1:3] for i in ring}
_MIDDLE |= set(topology.RIGHT_IRIS) | set(topology.LEFT_IRIS)
_UPPER_LIP = set(topology.UPPER_INNER[1:-1] + topology.UPPER_OUTER[1:-1])
_LOWER_LIP = set(topology.LOWER_INNER[1:-1] + topology.LOWER_OUTER[1:-1])


@dataclass(frozen=True)
class Grid:
    """The sampling grid of a frame: ``columns`` × ``rows`` cells of ``cell`` pixels."""

    width: int
    height: int
    cell: int
    columns: int
    rows: int

    @classmethod
    def over(cls, width: int, height: int) -> Grid:
        """A grid with about 128 cells along the longer side."""
        cell = max(2, round(max(width, height) / _CELLS))
        return cls(width, height, cell, -(-width // cell), -(-height // cell))

    @property
    def centres(self) -> Doubles:
        """(rows * columns, 2) pixel coordinates (x, y) of the samples."""
        y, x = np.mgrid[0 : self.rows, 0 : self.columns]
        centres: Doubles = np.c_[x.ravel() + 0.5, y.ravel() + 0.5] * self.cell - 0.5
        return centres


@dataclass(frozen=True)
class Layer:
    """Precomputed fields of one layer on a window of the grid, flat over (rows, columns).

    Attributes:
        units: (52 + 1, samples * 2) field of every unit, then of the closing displacement.
        lips: (36, samples) influence of one pixel of extra motion of each point of ``LIPS``.
    """

    units: Floats
    lips: Floats

    def window(self, grid: Grid, rows: slice, columns: slice) -> Layer:
        """The same fields on a part of the grid, contiguous in memory."""
        units = self.units.reshape(-1, grid.rows, grid.columns, 2)[:, rows, columns]
        lips = self.lips.reshape(-1, grid.rows, grid.columns)[:, rows, columns]
        return Layer(
            np.ascontiguousarray(units).reshape(len(units), -1),
            np.ascontiguousarray(lips).reshape(len(lips), -1),
        )

    def displacement(self, strengths: Floats, close: float, lips: Doubles) -> Floats:
        """Weighted sum of the fields.

        Args:
            strengths: (52,) unit strengths.
            close: strength of the closing field.
            lips: (36, 2) extra motion of the lip points, see ``FaceFit.lips``.

        Returns:
            (samples, 2) displacement in px.
        """
        weights = np.append(strengths, np.float32(close))
        active = np.flatnonzero(weights)
        field: Floats = (weights[active] @ self.units[active]).reshape(-1, 2)
        moving = np.flatnonzero(np.abs(lips).max(1) > 0.01)
        if len(moving):
            field = field + self.lips[moving].T @ lips[moving].astype(np.float32)
        return field


@dataclass(frozen=True)
class PoseField:
    """Rigid head motion, full on the face and fading to nothing at the border of the frame.

    Attributes:
        weighted: (samples, 3) position relative to the pivot times the local share of the motion.
        pivot: (3,) px, the point the head turns about.
        share: (samples,) in [0, 1].
    """

    weighted: Floats
    pivot: Doubles
    share: Floats

    def window(self, grid: Grid, rows: slice, columns: slice) -> PoseField:
        """The same field on a part of the grid."""
        weighted = self.weighted.reshape(grid.rows, grid.columns, 3)[rows, columns]
        share = self.share.reshape(grid.rows, grid.columns)[rows, columns]
        return PoseField(
            np.ascontiguousarray(weighted).reshape(-1, 3), self.pivot, share.reshape(-1)
        )

    def displacement(self, pose: tuple[float, float, float]) -> Floats:
        """(samples, 2) displacement in px for a pose in degrees."""
        turn = (rotation(pose) - np.eye(3))[:2].T.astype(np.float32)
        field: Floats = self.weighted @ turn
        return field


def rotation(pose: tuple[float, float, float]) -> Doubles:
    """(3, 3) rotation in image space (x right, y down, z away) for yaw, pitch, roll in degrees.

    The axes and signs are those of ``engine.face.landmarks.head_pose``: with positive yaw the
    nose moves to the left of the picture, with positive pitch down; positive roll is clockwise.
    """
    yaw, pitch, roll = np.radians(pose)
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    turn: Doubles = about_z @ about_y @ about_x
    return turn


def build_fields(fit: FaceFit, grid: Grid) -> tuple[Layer, Layer, PoseField]:
    """The upper layer, the lower layer and the pose field over the whole grid."""
    anchors = _Anchors.around(fit, grid)
    return (
        _layer(fit, grid, anchors, _LOWER_LIP),
        _layer(fit, grid, anchors, _UPPER_LIP),
        _pose(fit, grid, anchors),
    )


@dataclass(frozen=True)
class _Anchors:
    """Control points outside the face: halos of the oval, and the border, which never moves."""

    halo: Doubles  # (n, 2)
    source: npt.NDArray[np.intp]  # oval point each copies
    expression: Doubles
    pose: Doubles
    depth: Doubles
    border: Doubles  # (m, 2)

    @classmethod
    def around(cls, fit: FaceFit, grid: Grid) -> _Anchors:
        points = fit.points
        oval = list(topology.FACE_OVAL)
        centre = points[oval, :2].mean(0)
        chin = points[topology.CHIN, 1] - centre[1]
        face = abs(points[topology.FOREHEAD_TOP, 1] - points[topology.CHIN, 1])
        rows = []
        for (size, expression, pose), loss in zip(_HALOS, _NECK_LOSS, strict=True):
            for i in oval[::2]:
                x, y = centre + (points[i, :2] - centre) * size
                if not (2 < x < grid.width - 3 and 2 < y < grid.height - 3):
                    continue
                below = _smoothstep(0.25, 0.8, (points[i, 1] - centre[1]) / chin)
                depth = points[i, 2] + (size - 1) * 0.25 * face
                rows.append((x, y, i, expression, pose * (1 - below * loss), depth))
        table = np.array(rows, np.float64).reshape(-1, 6)
        xs, ys = np.linspace(0, grid.width - 1, 9), np.linspace(0, grid.height - 1, 9)
        border = [(x, y) for x in xs for y in (0, grid.height - 1)]
        border += [(x, y) for y in ys[1:-1] for x in (0, grid.width - 1)]
        return cls(
            halo=table[:, :2],
            source=table[:, 2].astype(np.intp),
            expression=table[:, 3],
            pose=table[:, 4],
            depth=table[:, 5],
            border=np.array(border, np.float64),
        )


def _layer(fit: FaceFit, grid: Grid, anchors: _Anchors, ignored: set[int]) -> Layer:
    kept = np.array([i for i in range(topology.POINTS) if i not in ignored | _MIDDLE])
    controls = np.concatenate([fit.points[kept, :2], anchors.halo, anchors.border])
    moves = np.concatenate([fit.units[..., :2], fit.closing[None, :, :2]]).astype(np.float64)
    values = np.zeros((len(controls), 2 * len(moves) + len(LIPS)))
    n_kept, n_halo = len(kept), len(anchors.halo)
    values[:n_kept, : 2 * len(moves)] = moves[:, kept].transpose(1, 0, 2).reshape(n_kept, -1)
    carried = moves[:, anchors.source] * anchors.expression[:, None]
    values[n_kept : n_kept + n_halo, : 2 * len(moves)] = carried.transpose(1, 0, 2).reshape(
        n_halo, -1
    )
    where = {int(point): row for row, point in enumerate(kept)}
    for column, point in enumerate(LIPS):
        if point in where:
            values[where[point], 2 * len(moves) + column] = 1
    field = _thin_plate(controls, values, grid, _SMOOTHING)
    units = field[:, : 2 * len(moves)].reshape(-1, len(moves), 2).transpose(1, 0, 2)
    return Layer(
        np.ascontiguousarray(units.reshape(len(moves), -1), np.float32),
        np.ascontiguousarray(field[:, 2 * len(moves) :].T, np.float32),
    )


def _pose(fit: FaceFit, grid: Grid, anchors: _Anchors) -> PoseField:
    points = fit.points
    sample = np.unique(np.r_[np.arange(0, 468, 3), list(topology.FACE_OVAL)])
    controls = np.concatenate([points[sample, :2], anchors.halo, anchors.border])
    n_border = len(anchors.border)
    face = abs(points[topology.FOREHEAD_TOP, 1] - points[topology.CHIN, 1])
    behind = points[list(topology.FACE_OVAL), 2].mean() + 0.3 * face
    depth = np.concatenate([points[sample, 2], anchors.depth, np.full(n_border, behind)])
    share = np.concatenate([np.ones(len(sample)), anchors.pose, np.zeros(n_border)])
    height = _thin_plate(controls, depth[:, None], grid, _HEIGHT_SMOOTHING)[:, 0]
    weight = np.clip(_thin_plate(controls, share[:, None], grid, _POSE_SMOOTHING)[:, 0], 0, 1)

    right, left = (points[i] for i in _EARS)
    ears = (right + left) / 2
    pivot = np.array(
        [
            ears[0],
            0.4 * ears[1] + 0.6 * points[topology.CHIN, 1],
            ears[2] + 0.25 * abs(left[0] - right[0]),
        ]
    )
    weighted = (np.c_[grid.centres, height] - pivot) * weight[:, None]
    return PoseField(weighted.astype(np.float32), pivot, weight.astype(np.float32))


def _thin_plate(controls: Doubles, values: Doubles, grid: Grid, smoothing: float) -> Doubles:
    """Interpolate values (n, k) at control points (n, 2) over the grid: (samples, k)."""
    unit = float(max(grid.width, grid.height))
    x, y = controls / unit, grid.centres / unit
    n = len(x)
    affine = np.c_[np.ones(n), x]
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _kernel(x, x) + smoothing * np.eye(n)
    system[:n, n:] = affine
    system[n:, :n] = affine.T
    solved = np.linalg.solve(system, np.concatenate([values, np.zeros((3, values.shape[1]))]))
    field: Doubles = _kernel(y, x) @ solved[:n]
    field += np.c_[np.ones(len(y)), y] @ solved[n:]
    return field


def _kernel(a: Doubles, b: Doubles) -> Doubles:
    """r² log r between two point sets."""
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    np.maximum(square, 1e-14, out=square)
    kernel: Doubles = 0.5 * square * np.log(square)
    return kernel


def _smoothstep(low: float, high: float, x: float) -> float:
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)
