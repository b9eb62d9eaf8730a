"""Geometry of the mouth bank: which poses it is rendered at and how it lands on a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PARALLAX = np.array([1.0, 1.0, 0.35])
"""How much a degree of yaw, pitch and roll makes a patch differ: roll is nearly undone by the
affine map, turning and nodding are not."""


def cluster_poses(
    pose: NDArray[np.floating], count: int, given: Floats | None = None
) -> tuple[Floats, NDArray[np.int64]]:
    """K-means over head poses (Lloyd, 1982), started from farthest points; deterministic.

    Args:
        pose: (n, 3) yaw, pitch, roll in degrees.
        count: clusters wanted; fewer if there are fewer different poses.
        given: (g, 3) centres that there are already and that stay: what they are near to needs
            no others.

    Returns:
        Centres (k, 3) in degrees, those that are given not among them, and the cluster of each
        pose (n,), every new one in use; the given ones are counted first.
    """
    points = np.asarray(pose, np.float64) * _PARALLAX
    fixed = np.empty((0, 3)) if given is None else np.asarray(given, np.float64) * _PARALLAX
    centres = fixed
    if not len(fixed):
        centres = points[np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1))][None]
    for _ in range(len(centres), len(fixed) + count):
        distance = np.linalg.norm(points[:, None] - centres, axis=2).min(axis=1)
        if distance.max() < 1e-6:
            break
        centres = np.vstack([centres, points[np.argmax(distance)]])
    labels = np.zeros(len(points), np.int64)
    for _ in range(100):
        nearest = np.argmin(np.linalg.norm(points[:, None] - centres, axis=2), axis=1)
        used = np.union1d(np.arange(len(fixed)), nearest)
        free = [points[nearest == k].mean(axis=0) for k in used[len(fixed) :]]
        centres = np.vstack([fixed, *free])
        nearest = np.searchsorted(used, nearest)
        if np.array_equal(nearest, labels):
            break
        labels = nearest
    return centres[len(fixed) :] / _PARALLAX, labels


def pose_distance(pose: NDArray[np.floating], centres: NDArray[np.floating]) -> Floats:
    """How unlike poses (n, 3) and centres (k, 3) look, in degrees: (n, k)."""
    offset = (np.asarray(pose, np.float64)[:, None] - centres) * _PARALLAX
    return np.asarray(np.linalg.norm(offset, axis=2), np.float64)


def nearest_poses(pose: NDArray[np.floating], centres: Floats) -> NDArray[np.int64]:
    """The centre (n,) that looks most like each pose (n, 3), both in degrees."""
    nearest: NDArray[np.int64] = pose_distance(pose, centres).argmin(axis=1)
    return nearest


def fit_affine(
    source: NDArray[np.floating], target: NDArray[np.floating], weights: NDArray[np.floating]
) -> Floats:
    """Weighted least-squares affine map between point sets.

    Args:
        source: (m, 2), at least three points that are not on a line.
        target: (m, 2).
        weights: (m,) positive, how much the miss at each point counts.

    Returns:
        (2, 3) with ``target ≈ source @ a[:, :2].T + a[:, 2]``.
    """
    root = np.sqrt(np.asarray(weights, np.float64))[:, None]
    design = np.column_stack([source, np.ones(len(source))]) * root
    solution, *_ = np.linalg.lstsq(design, np.asarray(target, np.float64) * root, rcond=None)
    return np.asarray(solution.T, np.float64)
