"""People are told from what is behind them, to the hair and without a rim of the old background."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import NotSupported
from engine.face import topology
from engine.face.align import crop_face
from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.matte import Matte, composite, find_person, uncovered
from engine.face.renderer import Renderer
from engine.identity import before

PORTRAITS = Path(__file__).resolve().parents[2] / "training" / "showcase" / "portraits"
REST = np.zeros(16, np.float32)


class Portrait:
    """A face of the showcase at 512 px, and its matte."""

    def __init__(self, name: str) -> None:
        image = load_image(PORTRAITS / f"{name}.webp")
        self.image, self.points = crop_face(image, find_face(image).points, 512, "auto")
        found = find_person(self.image, self.points)
        assert found is not None
        self.matte: Matte = found

    @property
    def face(self) -> np.ndarray:
        mask = np.zeros(self.image.shape[:2], np.uint8)
        oval = self.points[list(topology.FACE_OVAL), :2]
        cv2.fillConvexPoly(mask, np.rint(cv2.convexHull(oval.astype(np.float32))).astype(int), 1)
        return cv2.erode(mask, np.ones((15, 15))) > 0  # cheeks end where the person does


@pytest.fixture(scope="module")
def jester() -> Portrait:
    return Portrait("modern-court-jester")


@pytest.fixture(scope="module")
def host() -> Portrait:
    return Portrait("studio-host")


def test_the_face_is_all_person_and_the_corners_are_not(jester: Portrait, host: Portrait) -> None:
    for portrait in (jester, host):
        alpha = portrait.matte.alpha
        assert (alpha[portrait.face] == 255).all()
        assert portrait.matte.sure
    assert host.matte.alpha[:40].max() == 0
    assert host.matte.alpha[300, :60].max() == 0


def test_a_hat_with_bells_is_kept_and_the_gap_below_it_is_open(jester: Portrait) -> None:
    alpha = jester.matte.alpha
    assert alpha[40, 60] == alpha[60, 430] == 255  # the horns
    assert alpha[200:208, 20:32].min() == 255  # a bell
    assert alpha[160:260, 75:100].max() == 0  # between horn and hood
    # no holes: everything behind is connected to the border
    count, parts = cv2.connectedComponents((alpha < 128).astype(np.uint8))
    border = set(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]).tolist())
    assert set(range(1, count)) <= border


def test_hair_has_soft_edges(host: Portrait) -> None:
    hair = host.matte.alpha[40:110, 150:380]
    partly = ((hair > 20) & (hair < 235)).mean()
    assert 0.01 < partly < 0.15


def test_photo_over_its_background_is_the_photo(jester: Portrait, host: Portrait) -> None:
    for portrait in (jester, host):
        matte = portrait.matte
        again = composite(portrait.image, matte.wide, matte.background)
        difference = np.abs(again.astype(int) - portrait.image)
        assert difference.max() <= 8
        assert (matte.wide >= matte.alpha).all()


def test_nothing_of_the_person_is_left_in_the_background(host: Portrait) -> None:
    # The host is before a plain grey-blue wall, with skin and hair of very different colours.
    background = host.matte.background.astype(np.float32)
    assert background.std((0, 1)).max() < 25
    inside = background[host.matte.alpha == 255]
    outside = host.image[host.matte.wide == 0]
    assert np.abs(inside.mean(0) - outside.mean(0)).max() < 20


def test_the_old_background_leaves_no_rim(host: Portrait) -> None:
    """On black hair before a light wall a rim would be lighter than the hair."""
    matte = host.matte
    hair = np.zeros_like(matte.alpha)
    hair[30:110, 150:380] = matte.alpha[30:110, 150:380]
    edge = (hair > 60) & (hair < 220)
    assert edge.sum() > 300
    photo = host.image[edge].mean()
    cleaned = matte.foreground[edge].mean()
    within = matte.foreground[hair == 255].mean()
    assert abs(cleaned - within) < 0.5 * abs(photo - within)


def test_the_cut_survives_another_background(host: Portrait) -> None:
    """Put the person before stripes and cut again: the alpha that was put in comes out."""
    y, x = np.mgrid[0:512, 0:512]
    stripes = np.where((x + y) // 24 % 2, 200, 150).astype(np.uint8)
    before = np.dstack([stripes, np.full_like(stripes, 160), 255 - stripes])
    staged = composite(host.matte.foreground, host.matte.alpha, before)
    again = find_person(staged, host.points)
    assert again is not None
    difference = np.abs(again.alpha.astype(int) - host.matte.alpha)
    assert difference.mean() < 2.5
    assert np.abs(again.background.astype(int) - before)[again.wide == 0].max() <= 2


def test_equal_photos_give_equal_mattes(host: Portrait) -> None:
    cv2.setRNGSeed(7)
    again = find_person(host.image.copy(), host.points)
    assert again is not None
    np.testing.assert_array_equal(again.alpha, host.matte.alpha)
    np.testing.assert_array_equal(again.foreground, host.matte.foreground)


def test_where_there_is_no_person_there_is_no_matte(host: Portrait) -> None:
    assert find_person(np.full((512, 512, 3), 120, np.uint8), host.points) is None


def test_a_straight_line_beside_the_head_stays_straight_when_it_turns(host: Portrait) -> None:
    """With the picture warped as a whole, lines near a turning head bend."""
    behind = host.matte.background.copy()
    behind[:, 100:104] = 255
    image = composite(host.matte.foreground, host.matte.alpha, behind)
    renderer = Renderer(image, host.points)
    assert renderer.matte is not None
    assert renderer.matte.sure
    turned = renderer.render(REST, pose=(9.0, 0.0, 0.0))
    rows = slice(20, 330)  # above the shoulders
    line = turned[rows, 90:114].astype(np.float32).mean(2)
    centre = (
        (line - line.min(1, keepdims=True))
        @ np.arange(24)
        / (line - line.min(1, keepdims=True)).sum(1)
    )
    assert np.ptp(centre) < 1.0
    # … and the head did turn
    assert np.abs(turned.astype(int) - image)[host.face].mean() > 5


def test_the_matte_moves_with_the_head(host: Portrait) -> None:
    renderer = Renderer(host.image, host.points)
    pose = (8.0, 0.0, 3.0)
    foreground, alpha, wide = renderer.layers(REST, pose=pose)
    assert foreground.shape == host.image.shape
    assert alpha.shape == host.image.shape[:2]
    oval = renderer.posed_points(pose)[list(topology.FACE_OVAL)]
    moved = (oval.mean(0) + 0.9 * (oval - oval.mean(0))).round().astype(int)
    assert (alpha[moved[:, 1], moved[:, 0]] == 255).all()
    assert np.abs(alpha.astype(int) - host.matte.alpha).max() > 200
    assert (wide >= alpha).mean() > 0.999
    # over the photo's own background it is what `render` shows, away from the soft edge
    shown = composite(foreground, alpha, renderer.matte.background)  # type: ignore[union-attr]
    whole = renderer.render(REST, pose=pose)
    inside = cv2.erode(alpha, np.ones((5, 5))) == 255
    assert np.abs(shown.astype(int) - whole)[inside].max() <= 3


def test_without_a_person_nothing_can_be_cut_out(host: Portrait) -> None:
    renderer = Renderer(host.image, host.points)
    renderer.matte = None
    with pytest.raises(ValueError, match="background"):
        renderer.layers(REST)


def test_who_is_wanted_transparent_moves_alone_however_unsure_the_edge(host: Portrait) -> None:
    renderer = Renderer(host.image, host.points)
    renderer.matte = dataclasses.replace(host.matte, sure=False)
    assert before(renderer, "transparent").moves_alone
    assert before(renderer, "white").moves_alone
    assert not before(renderer, "none").moves_alone
    renderer.matte = None
    with pytest.raises(NotSupported) as caught:
        before(renderer, "transparent")
    assert caught.value.code == "MATTE"


def test_what_one_picture_hides_another_shows() -> None:
    rng = np.random.default_rng(0)
    wall = cv2.resize(rng.integers(0, 255, (16, 16, 3)).astype(np.uint8), (128, 128))

    def passing(x: int) -> tuple[np.ndarray, np.ndarray]:
        alpha = np.zeros((128, 128), np.uint8)
        cv2.circle(alpha, (x, 64), 20, 255, -1)
        return composite(np.zeros_like(wall), alpha, wall), alpha

    away = np.abs(np.mgrid[0:128, 0:128] - np.array([64, 34])[:, None, None])
    hidden = np.hypot(*away) < 20
    alone = np.abs(uncovered([passing(34)]).astype(int) - wall).mean(axis=2)
    together = np.abs(uncovered([passing(34), passing(64), passing(94)]).astype(int) - wall)
    assert alone[~hidden].mean() < 4
    assert alone[hidden].mean() > 15
    assert together.mean(axis=2)[hidden].mean() < 0.35 * alone[hidden].mean()


def test_a_head_that_turns_away_shows_what_is_behind(host: Portrait) -> None:
    face = Renderer(host.image, host.points)
    assert face.moves_alone
    assert face.matte is not None
    told = face.before(np.full_like(host.image, (0, 0, 255)))
    assert face.matte.background[..., 2].mean() < 250
    outside = face.matte.wide == 0
    assert (told.render(REST, pose=(8.0, 0.0, 0.0))[outside] == (0, 0, 255)).all(
        axis=1
    ).mean() > 0.9


def test_behind_a_person_who_fills_the_picture_is_the_picture() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (64, 48, 3)).astype(np.uint8)
    everywhere = np.full((64, 48), 255, np.uint8)
    assert np.array_equal(uncovered([(picture, everywhere), (picture[::-1], everywhere)]), picture)
