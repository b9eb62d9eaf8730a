"""Displacement fields: smooth interpolation of moving points over the frame.

A thin-plate spline (Duchon 1977) is linear in the displacements of its control points, so the
field of every unit is computed once and a frame needs only a weighted sum of fields. Two layers
share the frame: the *upper* one ignores the lower lip, the *lower* one ignores the upper lip, so
that each stays smooth across the mouth opening.

A field lives on a grid of square cells; sample (i, j) sits at the centre of its cell.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.face.curves import smoothstep
from engine.face.fit import LIPS, FaceFit
from engine.face.warp import remap

__all__ = [
    "Grid",
    "Layer",
    "Part",
    "Pose",
    "PoseField",
    "ThinPlate",
    "build_fields",
    "rotation",
]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Pose = tuple[float, float, float]
"""Yaw, pitch, roll in degrees relative to the photo, see ``rotation``."""

_CELLS: Final = 128  # along the longer side
_SMOOTHING: Final = 3e-5
_HEIGHT_SMOOTHING: Final = 2e-2  # the raw landmark depth makes the far cheek ripple
_RELIEF: Final = 1.35  # makes up for what that smoothing flattens: a pose reads back as asked
_POSE_SMOOTHING: Final = 5e-3
_FAINT: Final = 4e-5  # of the frame: what a unit moves by less is left where it is
_FAINT_LIP: Final = 3e-3  # of the motion of a lip point, likewise

# Copies of the face oval that carry motion out of the face: size, expression share, pose share.
_HALOS: Final = ((1.16, 0.45, 1.0), (1.36, 0.08, 0.95), (1.62, 0.0, 0.7))
_NECK_LOSS: Final = (0.35, 0.6, 0.9)  # pose share lost per halo below the chin: the neck stays

_RIM: Final = 0.07  # of the frame: head motion fades out over this at the border
_EARS: Final = (234, 454)
# The red of the lips between its borders, and the irises: too close to others to steer a spline.
_MIDDLE = {i for ring in topology.UPPER_LIP[1:3] + topology.LOWER_LIP[1:3] for i in ring}
_MIDDLE |= set(topology.RIGHT_IRIS) | set(topology.LEFT_IRIS)
_UPPER_LIP = set(topology.UPPER_INNER[1:-1] + topology.UPPER_OUTER[1:-1])
_LOWER_LIP = set(topology.LOWER_INNER[1:-1] + topology.LOWER_OUTER[1:-1])
_NONE: Final = np.empty(0, np.float32)  # nothing to add to a product


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


class Part(NamedTuple):
    """A field that is zero outside of a part of the grid.

    Attributes:
        rows, columns: where it is not.
        values: (rows, columns, n) of that part.
    """

    rows: slice
    columns: slice
    values: Floats

    @classmethod
    def of(cls, field: Floats, least: float) -> Part:
        """What is anywhere larger than ``least``, of a field over all of the grid."""
        large = np.zeros(field.shape[:2], bool)
        for plane in np.moveaxis(field, 2, 0):  # NumPy reduces a short last axis slowly
            large |= np.abs(plane) > least
        rows, columns = np.flatnonzero(large.any(1)), np.flatnonzero(large.any(0))
        if not len(rows):
            rows = columns = np.array([0, -1])
        kept = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        return cls(*kept, field[kept].copy())  # of its own: not even an empty view of all of it

    def window(self, rows: slice, columns: slice) -> Part:
        """What is left of it on a window of the grid."""
        (own_rows, in_rows), (own_columns, in_columns) = (
            _overlap(self.rows, rows),
            _overlap(self.columns, columns),
        )
        values = np.ascontiguousarray(self.values[own_rows, own_columns])
        return Part(in_rows, in_columns, values)


def _overlap(part: slice, window: slice) -> tuple[slice, slice]:
    """What two ranges share, counted from the start of either."""
    first = max(part.start, window.start)
    last = max(min(part.stop, window.stop), first)
    return (
        slice(first - part.start, last - part.start),
        slice(first - window.start, last - window.start),
    )


@dataclass(frozen=True)
class Layer:
    """Precomputed fields of one layer on a window of the grid.

    Attributes:
        shape: rows and columns of the window.
        units: field of every unit, then of the closing displacement: px at strength 1.
        lips: influence of one pixel of extra motion of each of the 36 points of ``LIPS``.
    """

    shape: tuple[int, int]
    units: tuple[Part, ...]
    lips: Part

    def window(self, rows: slice, columns: slice) -> Layer:
        """The same fields on a part of the grid."""
        return Layer(
            (rows.stop - rows.start, columns.stop - columns.start),
            tuple(unit.window(rows, columns) for unit in self.units),
            self.lips.window(rows, columns),
        )

    def displacement(self, strengths: Floats, close: float, lips: Doubles) -> Floats:
        """Weighted sum of the fields.

        Args:
            strengths: (52,) unit strengths.
            close: strength of the closing field.
            lips: (36, 2) extra motion of the lip points, see ``FaceFit.lips``.

        Returns:
            (rows, columns, 2) displacement in px.
        """
        weights = np.append(strengths, np.float32(close))
        # Not by BLAS, whose threads go on burning every core long after so small a product.
        field: Floats = np.zeros((*self.shape, 2), np.float32)
        for unit in np.flatnonzero(weights).tolist():
            rows, columns, values = self.units[unit]
            part = field[rows, columns]
            part += weights[unit] * values
        rows, columns, values = self.lips
        if values.size:
            motion = lips.astype(np.float32)
            flat = values.reshape(-1, values.shape[2])
            added = cv2.gemm(flat, motion, 1.0, _NONE, 0.0)
            part = field[rows, columns]
            part += np.asarray(added, np.float32).reshape(part.shape)
        return field


@dataclass(frozen=True)
class PoseField:
    """Rigid head motion, full on the face and fading to nothing at the border of the frame.

    Attributes:
        weighted: (samples, 3) position relative to the pivot times the local share of the motion.
        pivot: (3,) px, the point the head turns about.
    """

    weighted: Floats
    pivot: Doubles

    def window(self, grid: Grid, rows: slice, columns: slice) -> PoseField:
        """The same field on a part of the grid."""
        weighted = self.weighted.reshape(grid.rows, grid.columns, 3)[rows, columns]
        return PoseField(np.ascontiguousarray(weighted).reshape(-1, 3), self.pivot)

    def at(self, grid: Grid, points: Doubles) -> PoseField:
        """The field at pixel positions (n, 2) instead of the samples of the grid."""
        cells = ((points + 0.5) / grid.cell - 0.5).astype(np.float32)[None]
        weighted = remap(self.weighted.reshape(grid.rows, grid.columns, 3), cells)[0]
        return PoseField(weighted, self.pivot)

    def displacement(self, pose: Pose) -> Floats:
        """(samples, 2) displacement in px for a pose in degrees."""
        turn = (rotation(pose) - np.eye(3))[:2].T.astype(np.float32)
        return np.asarray(cv2.gemm(self.weighted, turn, 1.0, _NONE, 0.0), np.float32)


@functools.lru_cache(maxsize=16)  # every part of a frame asks for the same one
def rotation(pose: Pose) -> Doubles:
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
    turn.flags.writeable = False
    return turn


def build_fields(fit: FaceFit, grid: Grid) -> tuple[Layer, Layer, PoseField]:
    """The upper layer, the lower layer and the pose field over the whole grid."""
    anchors = _Anchors.around(fit, grid)
    spline = ThinPlate(np.concatenate([fit.points[:, :2], anchors.halo, anchors.border]), grid)
    return (
        _layer(fit, grid, anchors, spline, _LOWER_LIP),
        _layer(fit, grid, anchors, spline, _UPPER_LIP),
        _pose(fit, grid, anchors, spline),
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
                below = float(smoothstep(0.25, 0.8, (points[i, 1] - centre[1]) / chin))
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


def _layer(
    fit: FaceFit, grid: Grid, anchors: _Anchors, spline: ThinPlate, ignored: set[int]
) -> Layer:
    moves = np.concatenate([fit.units[..., :2], fit.closing[None, :, :2]]).astype(np.float64)
    carried = moves[:, anchors.source] * anchors.expression[:, None]
    still = np.zeros((len(moves), len(anchors.border), 2))
    controls = np.concatenate([moves, carried, still], axis=1)  # (53, controls, 2)
    values = controls.transpose(1, 0, 2).reshape(controls.shape[1], -1)
    lips = np.zeros((len(values), len(LIPS)))
    kept = [i for i in range(len(values)) if i not in ignored | _MIDDLE]
    for column, point in enumerate(LIPS):
        lips[point, column] = point not in ignored
    field = spline.interpolate(kept, np.concatenate([values, lips], axis=1)[kept], _SMOOTHING)
    shape = grid.rows, grid.columns
    units = field[:, : values.shape[1]].reshape(*shape, len(moves), 2)
    faint = _FAINT * max(grid.width, grid.height)
    return Layer(
        shape,
        tuple(Part.of(units[:, :, unit], faint) for unit in range(len(moves))),
        Part.of(field[:, values.shape[1] :].reshape(*shape, -1), _FAINT_LIP),
    )


def _pose(fit: FaceFit, grid: Grid, anchors: _Anchors, spline: ThinPlate) -> PoseField:
    points = fit.points
    n_border = len(anchors.border)
    face = abs(points[topology.FOREHEAD_TOP, 1] - points[topology.CHIN, 1])
    behind = points[list(topology.FACE_OVAL), 2].mean() + 0.3 * face
    depth = np.concatenate([points[:, 2], anchors.depth, np.full(n_border, behind)])
    share = np.concatenate([np.ones(len(points)), anchors.pose, np.zeros(n_border)])
    sample = np.unique(np.r_[np.arange(0, 468, 3), list(topology.FACE_OVAL)])
    used = [*sample.tolist(), *range(len(points), len(depth))]
    level = float(points[list(topology.FACE_OVAL), 2].mean())
    relief = _RELIEF * (depth - level)
    height = level + spline.interpolate(used, relief[used, None], _HEIGHT_SMOOTHING)[:, 0]
    weight = spline.interpolate(used, share[used, None], _POSE_SMOOTHING)[:, 0].clip(0, 1)
    samples = grid.centres
    inside = np.minimum(samples, [grid.width - 1, grid.height - 1] - samples).min(1)
    weight *= smoothstep(0, _RIM * max(grid.width, grid.height), inside)

    right, left = (points[i] for i in _EARS)
    ears = (right + left) / 2
    pivot = np.array(
        [
            ears[0],
            0.4 * ears[1] + 0.6 * points[topology.CHIN, 1],
            ears[2] + 0.25 * abs(left[0] - right[0]),
        ]
    )
    weighted = (np.c_[samples, height] - pivot) * weight[:, None]
    return PoseField(weighted.astype(np.float32), pivot)


class ThinPlate:
    """Smoothing thin-plate splines through subsets of one set of control points."""

    def __init__(self, controls: Doubles, grid: Grid) -> None:
        unit = float(max(grid.width, grid.height))
        self._controls = controls / unit
        samples = grid.centres / unit
        self._between = _kernel(self._controls, self._controls)
        # single precision is exact to 0.001 px here and twice as fast
        self._to_grid = _kernel(
            samples.astype(np.float32), self._controls.astype(np.float32)
        ).astype(np.float32)
        self._affine = np.c_[np.ones(len(samples)), samples].astype(np.float32)

    def interpolate(self, used: list[int], values: Doubles, smoothing: float) -> Floats:
        """Spread values (n, k) at the controls ``used`` (n) over the grid: (samples, k)."""
        n, k = values.shape
        affine = np.c_[np.ones(n), self._controls[used]]
        system = np.zeros((n + 3, n + 3))
        system[:n, :n] = self._between[np.ix_(used, used)] + smoothing * np.eye(n)
        system[:n, n:] = affine
        system[n:, :n] = affine.T
        solved = np.linalg.solve(system, np.concatenate([values, np.zeros((3, k))]))
        weights = np.zeros((len(self._controls), k), np.float32)
        weights[used] = solved[:n]
        field: Floats = self._to_grid @ weights
        field += self._affine @ solved[n:].astype(np.float32)
        return field


def _kernel(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """r² log r between two point sets."""
    square = (a[:, None, 0] - b[None, :, 0]) ** 2
    square += (a[:, None, 1] - b[None, :, 1]) ** 2
    np.maximum(square, 1e-14, out=square)
    logarithm: npt.NDArray[Any] = np.log(square)
    logarithm *= square
    logarithm *= 0.5
    return logarithm
