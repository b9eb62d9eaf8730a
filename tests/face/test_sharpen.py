"""Photos that are enlarged get some of their sharpness back, without rims or more grain."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.face.align import crop_face, natural_size
from engine.face.landmarks import find_face
from tests.face.test_matte import PORTRAITS, load_image


def shrunk(factor: float) -> np.ndarray:
    image = load_image(PORTRAITS / "modern-court-jester.webp")
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def detail(image: np.ndarray) -> float:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[150:400, 130:390].std())


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return find_face(load_image(PORTRAITS / "modern-court-jester.webp")).points


def test_an_enlarged_face_comes_closer_to_the_sharp_one(
    points: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharp, _ = crop_face(load_image(PORTRAITS / "modern-court-jester.webp"), points, 512, "auto")
    image = shrunk(0.4)
    assert natural_size(image, 0.4 * points) < 300
    enlarged, _ = crop_face(image, 0.4 * points, 512, "auto")
    monkeypatch.setattr("engine.face.align._SHARPEN", 0.0)
    soft, _ = crop_face(image, 0.4 * points, 512, "auto")
    assert detail(soft) * 1.15 < detail(enlarged) < detail(sharp)
    face = (slice(100, 420), slice(100, 420))
    away = [np.square(f[face].astype(float) - sharp[face]).mean() for f in (soft, enlarged)]
    assert away[1] < 0.95 * away[0]


def test_no_rims_beside_edges() -> None:
    from engine.face.align import _sharpened

    edge = np.full((120, 120, 3), 60, np.uint8)
    edge[:, 60:] = 190
    soft = cv2.GaussianBlur(edge, (0, 0), 2)
    sharp = _sharpened(soft, 2.0)
    assert sharp.min() >= 56
    assert sharp.max() <= 194
    assert np.abs(np.diff(sharp[60, :, 0].astype(int))).max() > (
        np.abs(np.diff(soft[60, :, 0].astype(int))).max()
    )


def test_photos_that_are_not_enlarged_are_left_alone() -> None:
    from engine.face.align import _sharpened

    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    assert _sharpened(noise, 1.0) is noise
    assert _sharpened(noise, 0.4) is noise
