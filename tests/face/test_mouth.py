from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.face.align import crop_face
from engine.face.basis import load_basis
from engine.face.curves import catmull_rom
from engine.face.fit import FaceFit, fit_face
from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.mouth import Articulation, HeadMotion, MouthInterior
from engine.face.teeth import PIXELS_PER_MM, arch_texture, turned
from engine.face.tones import measure_tones

DATA = Path(__file__).parents[1] / "data"
STILL = HeadMotion(np.eye(3), np.zeros(3))


def prepare(photo: np.ndarray) -> tuple[np.ndarray, FaceFit]:
    image, points = crop_face(photo, find_face(photo).points, 512, "auto")
    return image, fit_face(load_basis(), points)


@pytest.fixture(scope="module", params=["face_front.webp", "face_smile.webp"])
def scene(request: pytest.FixtureRequest) -> tuple[np.ndarray, FaceFit]:
    return prepare(load_image(DATA / request.param))


def draw(scene: tuple[np.ndarray, FaceFit], **articulation: float) -> np.ndarray:
    image, fit = scene
    corners = fit.points[[61, 291], :2]
    bow = np.linspace(-1, 1, 11)[:, None] ** 2
    line = corners[0] + np.linspace(0, 1, 11)[:, None] * (corners[1] - corners[0])
    upper = catmull_rom(line)
    lower = catmull_rom(line + (1 - bow) * fit.down * 0.35 * fit.mouth_width)
    values = dict.fromkeys(
        ("jaw", "sideways", "rounding", "pucker", "tongue_up", "tongue_out"), 0.0
    )
    mouth = MouthInterior(image, fit, measure_tones(image, fit))
    canvas = image.copy()
    mouth.draw(canvas, (0, 0, 512, 512), upper, lower, Articulation(**values | articulation), STILL)
    return canvas


def test_nothing_outside_the_opening_is_touched(scene: tuple[np.ndarray, FaceFit]) -> None:
    image, fit = scene
    changed = (draw(scene, jaw=0.4) != image).any(2)
    centre = fit.points[[61, 291], :2].mean(0) + fit.down * 0.17 * fit.mouth_width
    y, x = np.nonzero(changed)
    assert len(x) > 500
    assert np.abs(x - centre[0]).max() < 0.52 * fit.mouth_width + 3
    assert np.abs(y - centre[1]).max() < 0.20 * fit.mouth_width + 3


def test_upper_teeth_stand_out_from_the_cavity(scene: tuple[np.ndarray, FaceFit]) -> None:
    _, fit = scene
    canvas = draw(scene, jaw=0.4).astype(float).mean(2)
    x, y = (fit.points[[61, 291], :2].mean(0)).astype(int)
    column = canvas[y + 2 : y + int(0.33 * fit.mouth_width), x - 4 : x + 5].mean(1)
    third = len(column) // 3
    assert column[:third].max() > 1.3 * column[third : 2 * third].max()


def test_the_tongue_comes_up(scene: tuple[np.ndarray, FaceFit]) -> None:
    low, high = draw(scene, jaw=0.4), draw(scene, jaw=0.4, tongue_up=1.0)
    redness = [float((f[..., 2].astype(int) - f[..., 0]).clip(0).sum()) for f in (low, high)]
    assert redness[1] > redness[0]


def test_black_and_white_stays_so() -> None:
    photo = load_image(DATA / "face_front.webp")
    grey = np.repeat(cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)[..., None], 3, 2)
    canvas = draw(prepare(grey), jaw=0.4)
    assert np.ptp(canvas.astype(int), axis=2).max() <= 2


def test_an_arch_is_symmetric_but_for_what_is_one_persons_own() -> None:
    for upper in (True, False):
        texture = arch_texture(upper)
        assert texture.shape[2] == 4
        difference = np.abs(texture - texture[:, ::-1])
        assert 0.001 < difference.mean() < 0.01  # no row of teeth is its own mirror image
        people = np.mean([arch_texture(upper, seed) for seed in range(8)], axis=0)
        assert np.abs(people - people[:, ::-1]).mean() < 0.5 * difference.mean()
        assert 0 <= texture.min() <= texture.max() <= 1.01
        row = texture[len(texture) // 2 + (-2 if upper else 2) * PIXELS_PER_MM]
        middle = len(row) // 2
        assert row[middle - 40 : middle + 40, 0].max() > row[: middle - 150, 0].max()


def test_teeth_lie_in_the_shadow_of_a_moustache() -> None:
    image, fit = prepare(load_image(DATA / "face_front.webp"))
    bearded = image.copy()
    ring = [57, 92, 165, 167, 164, 393, 391, 322, 287, 291, 267, 0, 37, 61]
    hair = np.rint(fit.points[ring, :2]).astype(np.int32)
    cv2.fillPoly(bearded, [hair], (30, 40, 55))
    tones = [measure_tones(picture, fit).moustache for picture in (image, bearded)]
    assert tones == [0.0, 1.0]
    x, y = (fit.points[[61, 291], :2].mean(0)).astype(int)
    under = np.s_[y + 2 : y + int(0.1 * fit.mouth_width), x - 10 : x + 11]
    shaven, shaded = (
        draw((picture, fit), jaw=0.4)[under].astype(float).mean() for picture in (image, bearded)
    )
    assert shaded < 0.75 * shaven


def test_a_turned_row_shows_more_of_the_near_side() -> None:
    for upper in (True, False):
        texture = arch_texture(upper)
        same = turned(texture, upper, 1.0, 0.0)
        np.testing.assert_allclose(same[..., 1], texture[..., 1], atol=0.02)
        right, left = (turned(texture, upper, 0.92, side) for side in (-0.39, 0.39))
        half = texture.shape[1] // 2
        covered = [(row[:, :half, 1].sum(), row[:, half:, 1].sum()) for row in (right, left)]
        assert covered[0][1] > 1.3 * covered[0][0]
        assert covered[1][0] > 1.3 * covered[1][1]
        front = np.s_[:, half - 20 : half + 20, 1]
        np.testing.assert_allclose(right[front], texture[front], atol=0.25)


def test_everybody_has_their_own_teeth() -> None:
    np.testing.assert_array_equal(arch_texture(True, 7), arch_texture(True, 7))
    assert np.abs(arch_texture(True, 7) - arch_texture(True, 8)).mean() > 0.001
