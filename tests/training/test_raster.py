from __future__ import annotations

import numpy as np

from training.basis.raster import rasterise


def test_the_nearer_triangle_wins_and_weights_are_barycentric() -> None:
    points = np.array([[1, 1], [21, 1], [1, 21], [1, 1], [11, 1], [1, 11]], float)
    depth = np.array([0.0, 0, 0, 1, 1, -4])
    coverage = rasterise(points, depth, np.array([[0, 1, 2], [3, 4, 5]]), 32)
    assert coverage.triangle[1, 2] == 1
    assert coverage.triangle[9, 2] == 0, "here the second triangle lies behind the first"
    assert coverage.triangle[25, 25] == -1
    assert coverage.depth[25, 25] == -np.inf
    covered = coverage.triangle >= 0
    np.testing.assert_allclose(coverage.weights[covered].sum(axis=1), 1)
    rows, columns = np.nonzero(coverage.triangle == 0)
    rebuilt = coverage.weights[rows, columns] @ points[:3]
    np.testing.assert_allclose(rebuilt, np.stack([columns, rows], axis=1), atol=1e-9)


def test_area_of_a_disc() -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    rim = 50 + 40 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = np.vstack([rim, [[50, 50]]])
    index = np.arange(200)
    fan = np.stack([index, (index + 1) % 200, np.full(200, 200)], axis=1)
    coverage = rasterise(points, np.zeros(201), fan, 100)
    assert abs((coverage.triangle >= 0).sum() - np.pi * 40**2) < 30


def test_triangles_outside_or_seen_from_the_edge_cover_nothing() -> None:
    points = np.array([[-9, -9], [-5, -9], [-9, -5], [2, 2], [4, 4], [6, 6]], float)
    coverage = rasterise(points, np.zeros(6), np.array([[0, 1, 2], [3, 4, 5]]), 16)
    assert (coverage.triangle == -1).all()
