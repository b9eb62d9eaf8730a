from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.coefficients import COEFFICIENTS, INDEX
from engine.face.creases import Creases
from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.renderer import Renderer

DATA = Path(__file__).parents[1] / "data"
LINE = (203, 206, 216)  # a laughter line, as landmarks


@pytest.fixture(scope="module")
def smiling() -> Renderer:
    """A smile with teeth whose laughter line on one side is drawn in."""
    image = load_image(DATA / "face_smile.webp")
    plain = Renderer.from_image(image, find_face(image), 512)
    creased = plain.image.copy()
    at = np.rint(plain.landmarks[list(LINE), :2]).astype(np.int32)
    cv2.polylines(creased, [at], False, (60, 70, 90), 3, cv2.LINE_AA)
    return Renderer(creased, plain.landmarks)


def darkness(picture: np.ndarray, points: np.ndarray) -> float:
    """How much darker the middle of the drawn line is than the skin around it."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(float)
    x, y = np.rint(points[LINE[1]]).astype(int)
    around = grey[y - 14 : y + 15, x - 14 : x + 15]
    return float(np.median(around) - around[8:21, 8:21].min())


def test_a_crease_is_taken_out_as_far_as_asked(smiling: Renderer) -> None:
    photo = cv2.cvtColor(smiling.image, cv2.COLOR_BGR2BGRA)
    photo[..., 3] = 77
    creases = Creases(smiling.image, smiling._fit)
    left = [
        darkness(creases.without(photo, strength)[..., :3], smiling.landmarks[:, :2])
        for strength in (0.0, 0.5, 1.0)
    ]
    assert left[0] > 40
    assert 0.3 * left[0] < left[1] < 0.7 * left[0]
    assert left[2] < 0.4 * left[0]
    smooth = creases.without(photo, 1.0)
    assert (smooth[..., 3] == 77).all()
    outside = np.ones(photo.shape[:2], bool)
    x0, y0, x1, y1 = creases.box
    outside[y0:y1, x0:x1] = False
    assert (smooth[outside] == photo[outside]).all()
    assert (smooth.astype(int) >= photo).all()  # nothing gets darker


def test_rounded_lips_open_the_laughter_lines(smiling: Renderer) -> None:
    def left(**values: float) -> float:
        vector = np.zeros(len(COEFFICIENTS), np.float32)
        for name, value in values.items():
            vector[INDEX[name]] = value
        points = smiling.posed_points((0, 0, 0), vector)
        return darkness(smiling.render(vector), points)

    photo = darkness(smiling.image, smiling.landmarks[:, :2])
    assert left(mouthPucker=1.0) < 0.35 * photo
    assert left() < 0.7 * photo
    assert left(mouthSmile=1.0) > left()
