"""Which triangle covers each pixel: a z-buffer in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Float = npt.NDArray[np.float64]
_Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Coverage:
    """The nearest surface under each pixel.

    Attributes:
        triangle: int64 (H, W), index of the triangle, -1 where there is none.
        weights: float64 (H, W, 3), barycentric weights of its corners.
        depth: float64 (H, W), larger is nearer, -inf where there is none.
    """

    triangle: _Int
    weights: _Float
    depth: _Float


def rasterise(points: _Float, depth: _Float, triangles: _Int, size: int) -> Coverage:
    """Cover a square picture with triangles.

    Every pixel of every bounding box is tested at once. That is fast for meshes whose triangles
    are a few pixels large, and takes memory in proportion to the sum of the boxes.

    Args:
        points: (V, 2) pixels, x right, y down; pixel centres are at whole numbers.
        depth: (V,), larger is nearer.
        triangles: (F, 3).
        size: of the picture in pixels.
    """
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    area = _cross(b - a, c - a)
    corners = np.stack([a, b, c])
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, size)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, size)
    extent = np.maximum(high - low, 0)
    extent[np.abs(area) < 1e-9] = 0  # seen from the edge

    counts = extent.prod(axis=1)
    face = np.repeat(np.arange(len(triangles)), counts)
    within = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    x = low[face, 0] + within % extent[face, 0]
    y = low[face, 1] + within // extent[face, 0]

    pixel = np.stack([x, y], axis=1)
    second = _cross(pixel - a[face], c[face] - a[face]) / area[face]
    third = _cross(b[face] - a[face], pixel - a[face]) / area[face]
    weights = np.stack([1 - second - third, second, third], axis=1)
    inside = (weights >= -1e-6).all(axis=1)
    face, x, y, weights = face[inside], x[inside], y[inside], weights[inside]
    z = (weights * depth[triangles[face]]).sum(axis=1)

    # Farthest first: where a pixel is assigned several times, the last value stays.
    order = np.argsort(z, kind="stable")
    face, x, y, weights, z = face[order], x[order], y[order], weights[order], z[order]
    triangle = np.full((size, size), -1)
    barycentric = np.zeros((size, size, 3))
    nearest = np.full((size, size), -np.inf)
    triangle[y, x], barycentric[y, x], nearest[y, x] = face, weights, z
    return Coverage(triangle, barycentric, nearest)


def _cross(a: _Float, b: _Float) -> _Float:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
