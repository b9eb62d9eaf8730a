from __future__ import annotations

import numpy as np

from engine.face import topology
from engine.face.basis import load_basis
from engine.face.measure import eye_aspect, lip_gap


def face() -> np.ndarray:
    points: np.ndarray = load_basis().neutral * [20, -20, -20]
    return points


def test_a_gap_is_measured_in_mouth_widths() -> None:
    points = face()
    points[list(topology.LOWER_INNER)] = points[list(topology.UPPER_INNER)]
    assert lip_gap(points) == 0
    width = np.linalg.norm(points[61, :2] - points[291, :2])
    points[14, 1] += 0.3 * width
    assert np.isclose(lip_gap(points), 0.3)
    assert np.isclose(lip_gap(points * 3.7), 0.3)


def test_the_subject_left_eye_comes_first() -> None:
    points = face()
    points[list(topology.LEFT_EYE_LOWER)] = points[list(topology.LEFT_EYE_UPPER)]
    left, right = eye_aspect(points)
    assert left == 0
    assert right > 0.15
