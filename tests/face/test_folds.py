from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.coefficients import COEFFICIENTS, INDEX
from engine.face.basis import load_basis
from engine.face.folds import Folds
from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.measure import lip_gap
from engine.face.renderer import Renderer

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def front() -> Renderer:
    image = load_image(DATA / "face_front.webp")
    return Renderer.from_image(image, find_face(image), 512)


def shading(front: Renderer, saturation: float = 1.0, **units: float) -> np.ndarray:
    """What is taken (negative) or added to an even grey, over the photo at rest."""
    folds = Folds(front.size, front._fit, load_basis(), saturation)
    strengths = np.zeros(52, np.float32)
    for name, value in units.items():
        strengths[load_basis().index(name)] = value
    plain = np.full((512, 512, 3), 150, np.uint8)
    y, x = np.mgrid[0:512, 0:512].astype(np.float32)
    folds.shade(plain, np.dstack([x, y]), folds.strengths(strengths))
    change: np.ndarray = plain.astype(int) - 150
    return change


def test_without_expression_nothing_is_shaded(front: Renderer) -> None:
    assert not shading(front).any()
    assert not shading(front, jawOpen=0.6, mouthPucker=1.0).any()


def test_a_smile_darkens_beside_the_mouth_on_its_own_side(front: Renderer) -> None:
    x = int(front.landmarks[1, 0])
    left, right = (shading(front, **{f"mouthSmile{side}": 0.9}) for side in ("Left", "Right"))
    assert left.min() < -20
    assert right.min() < -20
    assert not left[:, : x - 8].any()  # the subject's left is on the right of the picture
    assert not right[:, x + 8 :].any()
    weak = shading(front, mouthSmileLeft=0.3)
    assert left.min() < weak.min() < 0


def test_a_frown_darkens_between_the_brows(front: Renderer) -> None:
    change = shading(front, browDownLeft=1.0, browDownRight=1.0).sum(2)
    y, x = np.unravel_index(change.argmin(), change.shape)
    brow = front.landmarks[9, :2]
    assert abs(x - brow[0]) < 30
    assert abs(y - brow[1]) < 30


def test_black_and_white_stays_so() -> None:
    photo = cv2.cvtColor(load_image(DATA / "face_front.webp"), cv2.COLOR_BGR2GRAY)
    grey = np.repeat(photo[..., None], 3, 2)
    renderer = Renderer.from_image(grey, find_face(grey), 512)
    smile = np.zeros(len(COEFFICIENTS), np.float32)
    smile[INDEX["mouthSmile"]] = 1.0
    assert np.ptp(renderer.render(smile).astype(int), axis=2).max() <= 2


def test_a_smile_with_teeth_relaxes_as_the_mouth_closes() -> None:
    image = load_image(DATA / "face_smile.webp")
    renderer = Renderer.from_image(image, find_face(image), 512)
    rest = np.zeros(len(COEFFICIENTS), np.float32)
    seen = find_face(renderer.render(rest), face=1).points
    width = np.linalg.norm(seen[61, :2] - seen[291, :2])
    before = np.linalg.norm(renderer.landmarks[61, :2] - renderer.landmarks[291, :2])
    assert width < 0.96 * before
    assert lip_gap(seen) < 0.02
