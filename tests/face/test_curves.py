from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.face.curves import catmull_rom, fill, smoothstep


def test_the_curve_passes_through_its_points() -> None:
    points = np.array([[0, 0], [4, 1], [9, -2], [12, 5.0]])
    curve = catmull_rom(points, steps=6)
    assert curve.shape == (19, 2)
    np.testing.assert_allclose(curve[::6], points)


def test_a_straight_line_stays_straight() -> None:
    curve = catmull_rom(np.c_[np.arange(5.0), 2 * np.arange(5.0)])
    np.testing.assert_allclose(curve[:, 1], 2 * curve[:, 0])


@given(st.floats(5, 20), st.floats(5, 20), st.floats(1, 10), st.floats(1, 10))
def test_coverage_is_the_area(x: float, y: float, w: float, h: float) -> None:
    square = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
    mask = fill([square], (0, 0, 40, 40))
    assert 0 <= mask.min() <= mask.max() <= 1
    # fillPoly paints its outline too: up to one sample of a quarter pixel more on each side
    assert mask.sum() == pytest.approx(w * h, abs=0.5 * (w + h) + 0.3)
    inner = fill([square], (10, 5, 40, 40))
    np.testing.assert_array_equal(inner, mask[5:, 10:])


def test_smoothstep_rises_and_falls() -> None:
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(smoothstep(0, 1, x), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(1, 0, x), [1, 1, 0.5, 0, 0])
