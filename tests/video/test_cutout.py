"""The person of one picture is found again in others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.matte import composite
from engine.face.renderer import Renderer
from engine.video.cutout import Cutout

PORTRAITS = Path(__file__).resolve().parents[2] / "training" / "showcase" / "portraits"
SIZE = 256
REST = np.zeros(16, np.float32)
Image = np.ndarray


@pytest.fixture(scope="module")
def jester() -> Renderer:
    """Somebody with a hat that the segmentation network does not take for theirs."""
    image = load_image(PORTRAITS / "modern-court-jester.webp")
    return Renderer.from_image(image, find_face(image), size=SIZE)


@pytest.fixture(scope="module")
def room() -> Image:
    noise = np.random.default_rng(3).integers(70, 170, (12, 12, 3)).astype(np.uint8)
    return cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def filmed(
    face: Renderer, room: Image, turn: tuple[float, float, float], aside: float
) -> tuple[Image, Image]:
    """A picture of the person in a room, and who they are in it."""
    layers = face.layers(REST, pose=turn)
    move = np.array([[1.0, 0, aside], [0, 1, 0.3 * abs(aside)]])
    picture, alpha = (
        cv2.warpAffine(plane, move, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
        for plane in (layers.picture, layers.alpha)
    )
    return composite(picture, alpha, room), alpha


@pytest.fixture(scope="module")
def cutout(jester: Renderer, room: Image) -> Cutout:
    return Cutout(*filmed(jester, room, (0.0, 0.0, 0.0), 0.0))


def error(found: Image, truth: Image) -> float:
    return float(np.abs(found.astype(float) - truth).mean())


@pytest.mark.parametrize(
    ("turn", "aside"), [((0.0, 0.0, 0.0), 0.0), ((6.0, -3.0, 2.0), 4.0), ((-5.0, 4.0, -3.0), -7.0)]
)
def test_they_are_followed(
    cutout: Cutout, jester: Renderer, room: Image, turn: tuple[float, float, float], aside: float
) -> None:
    _, before = filmed(jester, room, (0.0, 0.0, 0.0), 0.0)
    picture, truth = filmed(jester, room, turn, aside)
    found = error(cutout.alpha(picture), truth)
    assert found < (4.2 if aside else 1.0)
    if aside:
        assert found < 0.4 * error(before, truth)


def test_the_known_picture_keeps_its_matte(cutout: Cutout, jester: Renderer, room: Image) -> None:
    picture, alpha = filmed(jester, room, (0.0, 0.0, 0.0), 0.0)
    assert np.array_equal(cutout.alpha(picture, 1.0), alpha)
    other, _ = filmed(jester, room, (6.0, 0.0, 0.0), 5.0)
    apart = [error(cutout.alpha(other, like), alpha) for like in (0.0, 0.5, 1.0)]
    assert apart[0] > apart[1] > apart[2] == 0


def test_pictures_do_not_depend_on_each_other(
    cutout: Cutout, jester: Renderer, room: Image
) -> None:
    a, _ = filmed(jester, room, (4.0, 0.0, 0.0), 3.0)
    b, _ = filmed(jester, room, (-4.0, 0.0, 0.0), -3.0)
    once = cutout.alpha(a)
    cutout.alpha(b)
    assert np.array_equal(cutout.alpha(a), once)
