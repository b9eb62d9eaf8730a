from __future__ import annotations

from pathlib import Path

import numpy as np

from engine import models
from engine.face.blendshapes import NAMES, read_blendshapes
from engine.face.image import load_image
from engine.face.landmarks import find_face

DATA = Path(__file__).parents[1] / "data"
FRONT = find_face(load_image(DATA / "face_front.webp")).points
SMILE = find_face(load_image(DATA / "face_smile.webp")).points
MIRROR = np.load(models.path("face_basis.npz"))["mirror"]


def test_every_name_has_a_score() -> None:
    scores = read_blendshapes(FRONT)
    assert tuple(scores) == NAMES
    assert len(set(NAMES)) == 52
    assert all(0 <= score <= 1 for score in scores.values())


def test_names_are_those_of_the_basis() -> None:
    units = set(np.load(models.path("face_basis.npz"))["names"])
    assert units - set(NAMES) == {"tongueOut"}
    assert set(NAMES) - units == {"_neutral"}


def test_a_smile_is_a_smile() -> None:
    rest, smile = read_blendshapes(FRONT), read_blendshapes(SMILE)
    for side in ("Left", "Right"):
        assert rest[f"mouthSmile{side}"] < 0.2
        assert smile[f"mouthSmile{side}"] > 0.6


def test_left_and_right_change_places_in_a_mirror() -> None:
    half = FRONT.copy()
    left = half[:, 0] > 320
    half[left] = SMILE[left]
    one = read_blendshapes(half)
    assert one["mouthSmileLeft"] > 2 * one["mouthSmileRight"]
    mirrored = half[MIRROR] * [-1, 1, 1]
    other = read_blendshapes(mirrored)
    assert other["mouthSmileRight"] > 2 * other["mouthSmileLeft"]


def test_place_and_scale_do_not_matter() -> None:
    here, there = read_blendshapes(SMILE), read_blendshapes(SMILE * 2.5 + [400, -90, 0])
    np.testing.assert_allclose(list(here.values()), list(there.values()), atol=1e-3)
