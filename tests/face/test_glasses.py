from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.face import topology
from engine.face.glasses import stiffness, wears_glasses
from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.renderer import Renderer

DATA = Path(__file__).parents[1] / "data"
REST = np.zeros(16, np.float32)
BROWS = {"browInnerUp": 0.8, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8}


@pytest.fixture(scope="module")
def bare() -> Renderer:
    image = load_image(DATA / "face_front.webp")
    return Renderer.from_image(image, find_face(image), 512)


def dressed(bare: Renderer) -> np.ndarray:
    """The same face with a horn-rimmed frame drawn on it."""
    image = bare.image.copy()
    points = bare.landmarks[:, :2]
    width = float(np.linalg.norm(points[263] - points[33]))
    lower = np.array([0, 0.04 * width])
    lenses = [points[[a, b]].mean(0) + lower for a, b in ((33, 133), (362, 263))]
    for lens in lenses:
        axes = (round(0.24 * width), round(0.17 * width))
        cv2.ellipse(image, np.rint(lens).astype(int).tolist(), axes, 0, 0, 360, (25, 20, 20), 5)
    inner = [lenses[0] + [0.23 * width, -0.02 * width], lenses[1] - [0.23 * width, 0.02 * width]]
    ends = [np.rint(end).astype(int).tolist() for end in inner]
    cv2.line(image, ends[0], ends[1], (25, 20, 20), 5)
    return image


def test_a_frame_is_told_from_bare_skin(bare: Renderer) -> None:
    assert not wears_glasses(bare.image, bare.landmarks)
    assert wears_glasses(dressed(bare), bare.landmarks)


def test_shadow_of_a_brow_or_a_hat_is_no_frame(bare: Renderer) -> None:
    image = bare.image.copy()
    image[: int(bare.landmarks[168, 1])] //= 3
    assert not wears_glasses(image, bare.landmarks)


def test_what_is_held_is_as_high_as_the_frame(bare: Renderer) -> None:
    held = stiffness(bare.landmarks)
    assert (held[[105, 334, 33, 263, 168]] == 1).all()
    assert (held[[10, *topology.UPPER_OUTER, *topology.LOWER_OUTER, topology.CHIN]] == 0).all()


def test_brows_do_not_bend_a_frame(bare: Renderer) -> None:
    wearer = Renderer(dressed(bare), bare.landmarks)
    x0, y0 = (bare.landmarks[[33, 263], :2].min(0) - 30).astype(int)
    x1, y1 = (bare.landmarks[[33, 263], :2].max(0) + 30).astype(int)

    def moved(renderer: Renderer) -> float:
        raised, rest = (renderer.render(REST, units=units) for units in (BROWS, None))
        change = np.abs(raised.astype(int) - rest)[y0:y1, x0:x1]
        return float((change.max(2) > 8).mean())

    assert moved(bare) > 0.05
    assert moved(wearer) < 0.005
