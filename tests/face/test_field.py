from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.coefficients import COEFFICIENTS, INDEX
from engine.face.align import crop_face
from engine.face.basis import load_basis, speech_units
from engine.face.field import Grid, Layer, Part, PoseField, build_fields, rotation
from engine.face.fit import LIPS, FaceFit, fit_face
from engine.face.image import load_image
from engine.face.landmarks import find_face, head_pose
from engine.face.warp import remap

DATA = Path(__file__).parents[1] / "data"
STILL = np.zeros((len(LIPS), 2))


@pytest.fixture(scope="module")
def built() -> tuple[FaceFit, Grid, Layer, Layer, PoseField]:
    image = load_image(DATA / "face_front.webp")
    _, points = crop_face(image, find_face(image).points, 512, "auto")
    fit, grid = fit_face(load_basis(), points), Grid.over(512, 512)
    return fit, grid, *build_fields(fit, grid)


Built = tuple[FaceFit, Grid, Layer, Layer, PoseField]


def strengths(**values: float) -> np.ndarray:
    vector = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in values.items():
        vector[INDEX[name]] = value
    return speech_units(vector)[0]


def at(grid: Grid, field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A field at pixel positions."""
    planes = field.reshape(grid.rows, grid.columns, 2)
    return remap(planes, (((points + 0.5) / grid.cell) - 0.5)[None].astype(np.float32))[0]


def test_grid_covers_the_frame() -> None:
    grid = Grid.over(1280, 720)
    assert grid.columns * grid.cell >= 1280
    assert grid.rows * grid.cell >= 720
    np.testing.assert_allclose(grid.centres[0], [(grid.cell - 1) / 2] * 2)


def test_fields_superpose(built: Built) -> None:
    _, _, upper, _, _ = built
    a, b = strengths(jawOpen=0.3), strengths(mouthSmile=0.5, mouthPucker=0.2)
    together = upper.displacement(a + b, 1.0, STILL)
    apart = upper.displacement(a, 1.0, STILL) + upper.displacement(b, 0.0, STILL)
    np.testing.assert_allclose(together, apart, atol=2e-4)


def test_fields_pass_through_the_moving_points(built: Built) -> None:
    fit, grid, upper, lower, _ = built
    jaw = strengths(jawOpen=0.5)
    wanted = np.tensordot(jaw, fit.units, 1)[:, :2]
    for layer, points in ((upper, (13, 0, 33, 205)), (lower, (14, 17, 152, 199))):
        found = at(grid, layer.displacement(jaw, 0.0, STILL), fit.points[list(points), :2])
        assert np.abs(found - wanted[list(points)]).max() < 1.5


def test_the_layers_part_at_the_lips_only(built: Built) -> None:
    fit, grid, upper, lower, _ = built
    jaw = strengths(jawOpen=0.5)
    fields = [layer.displacement(jaw, 1, STILL) for layer in (upper, lower)]
    apart = np.abs(fields[0] - fields[1]).max(2).ravel()
    far = np.linalg.norm(grid.centres - fit.points[[13, 14], :2].mean(0), axis=1)
    assert apart[far < 10].max() > 3
    assert apart[far > 1.3 * fit.mouth_width].max() < 0.5


def test_a_window_holds_the_same_fields(built: Built) -> None:
    _, grid, upper, _, pose = built
    rows, columns = slice(40, 90), slice(30, 100)
    jaw = strengths(jawOpen=0.5)
    mouth = upper.displacement(jaw, 1, STILL), upper.window(rows, columns)
    head = pose.displacement((3, 2, 1)), pose.window(grid, rows, columns)
    for whole, part in (
        (mouth[0], mouth[1].displacement(jaw, 1, STILL)),
        (head[0], head[1].displacement((3, 2, 1))),
    ):
        cut = whole.reshape(grid.rows, grid.columns, 2)[rows, columns]
        np.testing.assert_allclose(part.reshape(cut.shape), cut, atol=1e-4)


@given(st.integers(0, 11), st.integers(1, 12), st.integers(0, 9), st.integers(1, 10))
def test_a_part_is_the_field_wherever_it_is_large(
    top: int, height: int, left: int, width: int
) -> None:
    rng = np.random.default_rng([top, height, left, width])
    field = rng.normal(0, 1, (12, 10, 2)).astype(np.float32) * (rng.random((12, 10, 1)) < 0.1)
    rows, columns = slice(top, min(top + height, 12)), slice(left, min(left + width, 10))
    part = Part.of(field, 0.5).window(rows, columns)
    found = np.zeros_like(field[rows, columns])
    found[part.rows, part.columns] = part.values
    wanted = field[rows, columns]
    large = np.abs(wanted).max(2) > 0.5
    np.testing.assert_array_equal(found[large], wanted[large])
    assert np.abs(found - wanted).max(initial=0) <= 0.5
    assert not Part.of(field, 9.0).values.size


def test_pose_leaves_the_border_in_place(built: Built) -> None:
    _, grid, _, _, pose = built
    moved = np.abs(pose.displacement((10, 10, 10))).max(1).reshape(grid.rows, grid.columns)
    assert moved.max() > 15
    for edge in (moved[0], moved[-1], moved[:, 0], moved[:, -1]):
        assert edge.max() < 0.1


def test_rotation_has_the_signs_of_the_measured_pose() -> None:
    neutral = load_basis().neutral * [1, -1, -1]
    for pose in ((8.0, 0, 0), (0, 8.0, 0), (0, 0, 8.0), (5.0, -4.0, 3.0)):
        turned = neutral @ rotation(pose).T
        np.testing.assert_allclose(head_pose(turned), pose, atol=1e-3)
