from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.face.align import crop_face
from engine.face.basis import load_basis
from engine.face.eyes import Eye, build_eyes
from engine.face.fit import fit_face
from engine.face.image import load_image
from engine.face.landmarks import find_face

DATA = Path(__file__).parents[1] / "data"
Scene = tuple[np.ndarray, np.ndarray, tuple[Eye, Eye]]


@pytest.fixture(scope="module")
def scene() -> Scene:
    photo = load_image(DATA / "face_front.webp")
    image, points = crop_face(photo, find_face(photo).points, 512, "auto")
    return image, points, build_eyes(image, fit_face(load_basis(), points))


def paint(scene: Scene, eye: Eye, blink: float, gaze: tuple[float, float]) -> np.ndarray:
    image = scene[0].copy()
    y, x = np.mgrid[0:512, 0:512].astype(np.float32)
    photo = np.dstack([scene[0], scene[0][..., :1]])
    eye.paint(image, np.dstack([x, y]), photo, eye.state(blink, gaze), cubic=False)
    return image


def test_the_left_eye_is_the_subject_left(scene: Scene) -> None:
    left, right = scene[2]
    assert left.box[0] > right.box[2] - 20  # on the right of the picture


def test_an_open_eye_that_looks_ahead_is_the_photo(scene: Scene) -> None:
    for eye in scene[2]:
        np.testing.assert_array_equal(paint(scene, eye, 0, (0, 0)), scene[0])


def test_only_its_box_changes(scene: Scene) -> None:
    for eye in scene[2]:
        change = np.abs(paint(scene, eye, 1, (5, 5)).astype(int) - scene[0])
        x0, y0, x1, y1 = eye.box
        assert change[y0:y1, x0:x1].max() > 40
        change[y0:y1, x0:x1] = 0
        assert change.max() == 0


def test_a_closed_eye_shows_no_white(scene: Scene) -> None:
    image, points, (left, right) = scene
    for eye, iris in ((left, 473), (right, 468)):
        x, y = points[iris, :2].round().astype(int)
        around = np.s_[y - 5 : y + 6, x - 14 : x + 15]
        spread = np.ptp(image[around].astype(int).mean(2))
        assert np.ptp(paint(scene, eye, 1, (0, 0))[around].astype(int).mean(2)) < 0.75 * spread


def test_lids_come_down_gradually(scene: Scene) -> None:
    eye = scene[2][0]
    shown = [float(eye.state(b, (0, 0)).opening.sum()) for b in (0, 0.25, 0.5, 0.75, 1)]
    assert all(np.diff(shown) < 0)
    assert shown[-1] < 0.02 * shown[0]
