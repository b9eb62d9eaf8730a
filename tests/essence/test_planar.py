"""Frames for encoders are the frames of ``compose``, in other planes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.essence import EssencePlayer
from engine.essence.planar import PlanarComposer, planes_of, to_i420
from engine.imx import Reader

JESTER = Path(__file__).parents[2] / "showcase" / "modern-court-jester.imx"


@pytest.fixture(scope="module")
def player() -> EssencePlayer:
    with Reader(JESTER) as reader:
        return EssencePlayer(reader)


def test_planes_are_views() -> None:
    image = np.zeros((12, 8), np.uint8)
    luma, blue, red = planes_of(image)
    assert luma.shape == (8, 8)
    assert blue.shape == red.shape == (4, 4)
    luma[:], blue[:], red[:] = 1, 2, 3
    assert np.bincount(image.ravel()).tolist() == [0, 64, 16, 16]


def test_colour_conversion() -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8), (0, 0), 2)
    back = cv2.cvtColor(to_i420(image), cv2.COLOR_YUV2BGR_I420)
    assert abs(back.astype(int) - image).mean() < 3
    # A checkerboard of two colours: the mean of both, not the colour of one corner.
    board = np.zeros((64, 64, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = (255, 0, 0)
    chroma = to_i420(board)[64:]
    flat = to_i420(np.full((64, 64, 3), (128, 0, 0), np.uint8))[64:]
    assert abs(chroma.astype(int) - flat).max() <= 2


@pytest.mark.parametrize("shape", [None, 1, 20, 90])
def test_agrees_with_compose(player: EssencePlayer, shape: int | None) -> None:
    composer = PlanarComposer(player)
    for base in (0, 5, player.frames - 1):
        planar = composer.compose(base, shape)
        expected = to_i420(player.compose(base, shape))
        assert planar.shape == expected.shape
        for ours, theirs in zip(planes_of(planar), planes_of(expected), strict=True):
            difference = np.abs(ours.astype(int) - theirs)
            assert difference.mean() < 1.0
            assert difference.max() <= 24  # what the JPEG of the base frame loses


@pytest.mark.parametrize("shape", [1, 90])
def test_outside_the_patch_nothing_changes(player: EssencePlayer, shape: int) -> None:
    composer = PlanarComposer(player)
    for base in (2, 11):
        rest, spoken = composer.compose(base, None), composer.compose(base, shape)
        x0, y0, x1, y1 = player.patch_box(base)
        luma, *chroma = (a != b for a, b in zip(planes_of(spoken), planes_of(rest), strict=True))
        assert luma.any()
        luma[y0:y1, x0:x1] = False
        assert not luma.any()
        for plane in chroma:
            plane[y0 // 2 : (y1 + 1) // 2, x0 // 2 : (x1 + 1) // 2] = False
            assert not plane.any()


def test_pictures_are_the_callers_own(player: EssencePlayer) -> None:
    composer = PlanarComposer(player)
    first = composer.compose(0, 1)
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(composer.compose(0, 1), kept)
