from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.face.lids import cut_lashes, spread_skin

BOX = (20, 30, 120, 110)
DOWN = np.array([0.0, 1.0])
SKIN = np.array([120, 150, 200], np.float32)
SIZE = 60.0


@pytest.fixture
def face() -> np.ndarray:
    """Skin that gets darker to the right, with an eye in it."""
    image = np.empty((140, 140, 3), np.float32)
    image[:] = SKIN * np.linspace(1.05, 0.8, 140)[None, :, None]
    image = image.astype(np.uint8)
    cv2.ellipse(image, (70, 70), (30, 12), 0, 0, 360, (245, 245, 245), -1)
    cv2.circle(image, (70, 70), 10, (40, 30, 20), -1)
    return image


def hole() -> np.ndarray:
    mask = np.zeros((80, 100), np.float32)
    cv2.ellipse(mask, (50, 40), (34, 16), 0, 0, 360, 1.0, -1)
    return mask


def test_skin_takes_the_place_of_the_eye_and_keeps_its_gradient(face: np.ndarray) -> None:
    skin = spread_skin(face, BOX, hole(), SKIN, SIZE, DOWN)
    wanted = SKIN * np.linspace(1.05, 0.8, 140)[None, 20:120, None]
    np.testing.assert_allclose(skin, np.broadcast_to(wanted, skin.shape), atol=14)


@pytest.mark.parametrize("colour", [(20, 20, 20), (0, 200, 255), (250, 250, 250)])
def test_hats_and_frames_are_left_out(face: np.ndarray, colour: tuple[int, int, int]) -> None:
    bare = spread_skin(face, BOX, hole(), SKIN, SIZE, DOWN)
    cv2.rectangle(face, (0, 34), (139, 50), colour, -1)
    covered = spread_skin(face, BOX, hole(), SKIN, SIZE, DOWN)
    middle = np.s_[25:60, 25:75]
    assert np.abs(covered - bare)[middle].max() < 16


def test_lashes_are_dark_hairs_from_the_edge_and_not_a_brow_further_up(face: np.ndarray) -> None:
    skin = spread_skin(face, BOX, hole(), SKIN, SIZE, DOWN)
    for x in range(46, 96, 6):
        cv2.line(face, (x, 58), (x, 52), (15, 10, 10), 1)
    cv2.line(face, (40, 47), (100, 47), (15, 10, 10), 2)
    edge = np.stack([np.linspace(-30, 30, 31), np.full(31, -12.0)], axis=1)
    axes = (np.array([70.0, 70.0]), np.array([[1.0, 0.0], DOWN]))
    lashes = cut_lashes(face, skin, BOX, edge, axes, np.array([15, 10, 10], np.float32), SIZE)

    def cover(x: float, outward: float) -> float:
        at = np.full((1, 1), x - 70, np.float32), np.full((1, 1), outward, np.float32)
        return float(lashes.cover(lashes.columns(at[0]), at[1])[0, 0])

    assert cover(70, 4) > 0.5  # on a hair
    assert cover(73, 4) < 0.2  # between two
    assert cover(73, 11) < 0.2  # the brow
    assert cover(200, 4) == 0
