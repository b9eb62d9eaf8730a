from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.face.detect import Detection, detect_faces
from engine.face.image import load_image

DATA = Path(__file__).parents[1] / "data"
FRONT = load_image(DATA / "face_front.webp")
BACKGROUND = FRONT[5, 5]
# eyes, nose, mouth and ears as they are in face_front.webp
KEYPOINTS = np.array([[251, 266], [391, 266], [320, 330], [318, 411], [160, 290], [480, 290]])


def canvas(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def put(target: np.ndarray, size: int, x: int, y: int) -> None:
    """Paste the head, ``size`` pixels wide; the face itself is about half as wide."""
    target[y : y + size, x : x + size] = cv2.resize(
        FRONT, (size, size), interpolation=cv2.INTER_AREA
    )


def centre(face: Detection) -> np.ndarray:
    return np.array(face.box).reshape(2, 2).mean(axis=0)


def test_one_face() -> None:
    (face,) = detect_faces(FRONT)
    assert 0.8 < face.score <= 1
    assert face.keypoints.shape == (6, 2)
    assert 250 < face.size < 350
    np.testing.assert_allclose(centre(face), [320, 340], atol=25)
    # eyes, nose and mouth; the ears are guesses, even for people
    np.testing.assert_allclose(face.keypoints[:4], KEYPOINTS[:4], atol=20)
    assert face.keypoints[4, 0] < face.keypoints[0, 0]
    assert face.keypoints[5, 0] > face.keypoints[1, 0]


@pytest.mark.parametrize("size", [160, 640, 1600])
def test_scale_does_not_matter(size: int) -> None:
    picture = cv2.resize(FRONT, (size, size), interpolation=cv2.INTER_AREA)
    (face,) = detect_faces(picture)
    np.testing.assert_allclose(centre(face) * 640 / size, [320, 340], atol=30)


@pytest.mark.parametrize("place", [(30, 20), (1300, 900), (2250, 1300)])
def test_a_small_face_anywhere_in_a_large_picture(place: tuple[int, int]) -> None:
    picture = canvas(1500, 2500)
    put(picture, 200, *place)
    (face,) = detect_faces(picture)
    np.testing.assert_allclose(centre(face), np.add(place, [100, 106]), atol=15)


def test_largest_first_and_each_once() -> None:
    picture = canvas(700, 1500)
    put(picture, 320, 20, 200)
    put(picture, 480, 400, 100)
    put(picture, 400, 1000, 150)
    faces = detect_faces(picture)
    assert len(faces) == 3
    assert [face.size for face in faces] == sorted((f.size for f in faces), reverse=True)
    np.testing.assert_allclose(
        [centre(face)[0] for face in faces], [400 + 240, 1000 + 200, 20 + 160], atol=30
    )


@pytest.mark.parametrize("shape", [(640, 1), (1, 640), (7, 5), (128, 128), (300, 1200)])
def test_pictures_without_faces(shape: tuple[int, int]) -> None:
    assert detect_faces(canvas(*shape)) == []


def test_the_picture_is_not_changed() -> None:
    before = FRONT.copy()
    detect_faces(FRONT)
    np.testing.assert_array_equal(FRONT, before)
