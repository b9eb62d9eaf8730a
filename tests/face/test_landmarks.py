from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import models
from engine.errors import InvalidImage
from engine.face import topology
from engine.face.detect import Detection, detect_faces
from engine.face.image import load_image
from engine.face.landmarks import Landmarks, find_face, head_pose, landmarks

DATA = Path(__file__).parents[1] / "data"
FRONT = load_image(DATA / "face_front.webp")
SMILE = load_image(DATA / "face_smile.webp")
TURNED_20 = load_image(DATA / "face_turned_20.webp")
TURNED_50 = load_image(DATA / "face_turned_50.webp")
NEUTRAL = np.load(models.path("face_basis.npz"))["neutral"]


def side_by_side(*pictures: np.ndarray) -> np.ndarray:
    height = max(len(picture) for picture in pictures)
    columns = []
    for picture in pictures:
        column = np.full((height, picture.shape[1], 3), FRONT[5, 5], np.uint8)
        column[: len(picture)] = picture
        columns.append(column)
    return np.hstack(columns)


def scaled(picture: np.ndarray, factor: float) -> np.ndarray:
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))


def refuse(picture: np.ndarray, code: str, words: str, face: int | None = None) -> InvalidImage:
    with pytest.raises(InvalidImage, match=words) as caught:
        find_face(picture, face)
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


def lip_gap(points: np.ndarray) -> float:
    """Opening between the lips, in mouth widths."""
    upper, lower = points[[topology.UPPER_LIP_CENTRE, topology.LOWER_LIP_CENTRE], :2]
    corners = points[[topology.RIGHT_MOUTH_CORNER, topology.LEFT_MOUTH_CORNER], :2]
    return float(np.linalg.norm(upper - lower) / np.linalg.norm(corners[0] - corners[1]))


def test_landmarks_are_where_the_features_are() -> None:
    face = find_face(FRONT)
    assert face.points.shape == (topology.POINTS, 3)
    assert face.points.dtype == np.float32
    assert face.presence > 0.99
    assert 280 < face.temple_distance < 310
    for index, place in {
        topology.RIGHT_IRIS[0]: (254, 267),
        topology.LEFT_IRIS[0]: (386, 267),
        topology.UPPER_LIP_CENTRE: (319, 408),
        topology.CHIN: (319, 501),
    }.items():
        np.testing.assert_allclose(face.points[index, :2], place, atol=9)


def test_left_is_the_subjects_left() -> None:
    points = find_face(FRONT).points
    assert points[topology.LEFT_TEMPLE, 0] > points[topology.RIGHT_TEMPLE, 0]
    assert points[topology.LEFT_MOUTH_CORNER, 0] > points[topology.RIGHT_MOUTH_CORNER, 0]
    assert points[topology.LEFT_EYE_UPPER[4], 0] > points[topology.RIGHT_EYE_UPPER[4], 0]


def test_closed_lips_are_closed_and_open_ones_open() -> None:
    assert lip_gap(find_face(FRONT).points) < 0.03
    assert lip_gap(find_face(SMILE).points) > 0.05


@pytest.mark.parametrize("factor", [0.4, 4.0])
def test_scale_does_not_matter(factor: float) -> None:
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(FRONT, None, fx=factor, fy=factor, interpolation=method)
    here = find_face(np.asarray(picture)).points[:, :2] / factor
    there = find_face(FRONT).points[:, :2]
    assert np.linalg.norm(here - there, axis=1).mean() < 4


@pytest.mark.parametrize("angle", [-30, 15, 40])
def test_turning_the_picture_turns_the_landmarks(angle: float) -> None:
    size = FRONT.shape[0]
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), angle, 1)
    turned = cv2.warpAffine(FRONT, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    here, there = find_face(np.asarray(turned)).points, find_face(FRONT).points
    expected = there[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert np.linalg.norm(here[:, :2] - expected, axis=1).mean() < 8
    assert head_pose(here)[2] == pytest.approx(-angle, abs=4)


def test_the_crop_may_reach_beyond_the_picture() -> None:
    cut = FRONT[150:520, 140:500]
    here, there = find_face(cut).points[:, :2] + [140, 150], find_face(FRONT).points[:, :2]
    assert np.linalg.norm(here - there, axis=1).mean() < 6


@pytest.mark.parametrize("box", [(-900.0, -900.0, -700.0, -700.0), (1e6, 1e6, 2e6, 2e6)])
def test_a_detection_outside_the_picture_is_no_person(
    box: tuple[float, float, float, float],
) -> None:
    keypoints = np.array([[0, 0], [50, 0], [25, 30], [25, 60], [-20, 0], [70, 0]], np.float32)
    face = landmarks(FRONT, Detection(0.9, box, keypoints))
    assert np.isfinite(face.points).all()
    assert face.presence < 0.5


def test_no_face() -> None:
    refuse(np.full((300, 400, 3), 127, np.uint8), "NO_FACE", "no face")
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    refuse(noise, "NO_FACE", "no face")  # the detector takes this for a face


def test_a_part_of_a_picture_without_the_face() -> None:
    refuse(FRONT[520:], "NO_FACE", "no face")


def test_several_faces_are_counted() -> None:
    picture = side_by_side(scaled(FRONT, 0.6), FRONT, scaled(TURNED_20, 0.8))
    error = refuse(picture, "SEVERAL_FACES", "There are 3 faces")
    assert "--face" in error.hint


def test_choosing_a_face_counts_from_the_largest() -> None:
    picture = scaled(side_by_side(scaled(FRONT, 0.6), FRONT, scaled(SMILE, 0.8)), 0.6)
    middles = [find_face(picture, number).points[:, 0].mean() for number in (1, 2, 3)]
    np.testing.assert_allclose(middles, [0.6 * (384 + 320), 0.6 * (1024 + 256), 0.6 * 192], atol=15)
    refuse(picture, "NO_SUCH_FACE", "no face 4; the picture has 3 faces", face=4)
    refuse(picture, "NO_SUCH_FACE", "no face 0", face=0)


def test_one_face_may_be_chosen_too() -> None:
    np.testing.assert_array_equal(find_face(FRONT, 1).points, find_face(FRONT).points)
    refuse(FRONT, "NO_SUCH_FACE", "the picture has 1 face", face=2)


def test_a_small_bystander_is_not_asked_about() -> None:
    # 0.3 of the size, 88 pixels between the temples
    face = find_face(side_by_side(FRONT, scaled(SMILE, 0.3)))
    assert face.points[:, 0].mean() == pytest.approx(320, abs=20)


def test_small_face() -> None:
    error = refuse(scaled(FRONT, 0.2), "FACE_TOO_SMALL", r"\d+ pixels between the temples")
    assert "64" in str(error)
    assert 64 <= find_face(scaled(FRONT, 0.25)).temple_distance < 96


def test_profile() -> None:
    refuse(TURNED_50, "EXTREME_POSE", r"turned by \d\d°; up to 35°")


def test_the_same_picture_gives_the_same_points() -> None:
    first, second = find_face(SMILE), find_face(SMILE.copy())
    np.testing.assert_array_equal(first.points, second.points)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """As documented at head_pose: x right, y down, z away."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
    about_z = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_y) @ np.array(about_x)


angles = st.floats(-80, 80)


@settings(deadline=None)
@given(yaw=angles, pitch=angles, roll=st.floats(-170, 170), scale=st.floats(1, 100))
def test_head_pose_of_a_turned_canonical_face(
    yaw: float, pitch: float, roll: float, scale: float
) -> None:
    points = NEUTRAL * [1, -1, -1] @ rotation(yaw, pitch, roll).T * scale + [300, 200, 10]
    np.testing.assert_allclose(head_pose(points), [yaw, pitch, roll], atol=1e-2)


def test_the_nose_points_where_the_yaw_says() -> None:
    # face_turned_20 looks to the left side of the picture
    yaw, _, roll = head_pose(find_face(TURNED_20).points)
    assert yaw == pytest.approx(20, abs=4)
    assert abs(roll) < 5
    assert abs(head_pose(find_face(FRONT).points)[0]) < 3
    mirrored = head_pose(find_face(np.ascontiguousarray(TURNED_20[:, ::-1])).points)
    assert mirrored[0] == pytest.approx(-20, abs=4)


def test_every_candidate_in_a_crowd_is_one_person() -> None:
    crowd = side_by_side(*[scaled(FRONT, 0.5)] * 4)
    assert len(detect_faces(crowd)) >= 4
    refuse(crowd, "SEVERAL_FACES", "There are 4 faces")


def test_temple_distance() -> None:
    points = np.zeros((topology.POINTS, 3), np.float32)
    points[topology.LEFT_TEMPLE] = 30, 40, 99
    assert Landmarks(points, 1.0).temple_distance == 50
