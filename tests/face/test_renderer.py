from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from engine.coefficients import COEFFICIENTS, INDEX
from engine.face.image import load_image
from engine.face.landmarks import find_face, head_pose
from engine.face.measure import eye_aspect, lip_gap
from engine.face.renderer import Renderer

DATA = Path(__file__).parents[1] / "data"


def vector(**values: float) -> np.ndarray:
    out = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in values.items():
        out[INDEX[name]] = value
    return out


def around_the_mouth(renderer: Renderer) -> tuple[int, int, int, int]:
    """The mouth with as much again to its left and right, and more than that below."""
    corners = renderer.landmarks[[61, 291], :2]
    width = float(np.ptp(corners[:, 0]))
    x, y = corners.mean(0)
    x0, y0 = round(x - 1.5 * width), round(y - 0.9 * width)
    return x0, y0, round(x + 1.5 * width), round(y + 1.7 * width)


REST = vector()
AA = vector(jawOpen=0.68, mouthStretch=0.05, mouthLowerDown=0.3, mouthUpperUp=0.1)
AE = vector(jawOpen=0.55, mouthStretch=0.28, mouthLowerDown=0.35, mouthUpperUp=0.15)
PP = vector(jawOpen=0.09, mouthClose=0.09, mouthPress=0.4, mouthRollLower=0.2, lipClosure=1)


@pytest.fixture(scope="module")
def front() -> Renderer:
    image = load_image(DATA / "face_front.webp")
    return Renderer.from_image(image, find_face(image))


@pytest.fixture(scope="module")
def smile() -> Renderer:
    image = load_image(DATA / "face_smile.webp")
    return Renderer.from_image(image, find_face(image))


@pytest.fixture(params=["front", "smile"])
def renderer(request: pytest.FixtureRequest) -> Renderer:
    found: Renderer = request.getfixturevalue(request.param)
    return found


def read(frame: np.ndarray) -> np.ndarray:
    return find_face(frame).points


def test_shapes(front: Renderer) -> None:
    frame = front.render(REST)
    assert front.size == (512, 512)
    assert frame.shape == front.image.shape == (512, 512, 3)
    assert frame.dtype == np.uint8
    assert front.landmarks.shape == (478, 3)


@pytest.mark.parametrize("closed", [REST, PP, vector(jawOpen=0.4, mouthClose=0.4)])
def test_closed_lips_read_back_closed(renderer: Renderer, closed: np.ndarray) -> None:
    assert lip_gap(read(renderer.render(closed))) < 0.02


@pytest.mark.parametrize("vowel", [AA, AE])
def test_open_vowels_read_back_open(renderer: Renderer, vowel: np.ndarray) -> None:
    assert lip_gap(read(renderer.render(vowel))) > 0.2


def test_the_photo_itself_is_kept_on_request(smile: Renderer) -> None:
    frame = smile.render(REST, close=0.0)
    assert np.abs(frame.astype(int) - smile.image).mean() < 1.0
    assert lip_gap(read(frame)) > 0.05


def test_a_smile_in_the_photo_lets_go_when_the_lips_are_rounded(
    front: Renderer, smile: Renderer
) -> None:
    def lift(renderer: Renderer, coefficients: np.ndarray, close: float = 1.0) -> float:
        """How high the corners are above the middle of the lips, of the width of the face."""
        points = read(renderer.render(coefficients, close=close))
        width = np.linalg.norm(points[127, :2] - points[356, :2])
        return float((points[[0, 17], 1].mean() - points[[61, 291], 1].mean()) / width)

    rounded = vector(jawOpen=0.15, mouthPucker=0.8, mouthFunnel=0.3)
    smiling, resting, plain = lift(smile, REST, close=0.0), lift(smile, REST), lift(front, REST)
    assert smiling > plain + 0.01
    assert plain - 0.001 < resting < smiling - 0.002  # less of it at rest, but no frown
    assert lift(smile, rounded) < lift(front, rounded) - 0.004  # -0.002 with the smile kept


def test_a_mouth_moves_nothing_else(front: Renderer) -> None:
    x0, y0, x1, y1 = around_the_mouth(front)
    change = np.abs(front.render(AA).astype(int) - front.render(REST)).max(2)
    assert change[y0:y1, x0:x1].max() > 60
    change[y0:y1, x0:x1] = 0
    assert change.mean() < 0.2
    assert change[:140].max() == 0  # forehead, hair


def test_blinks_close_and_open_again(front: Renderer) -> None:
    open_eyes = min(eye_aspect(read(front.render(REST))))
    assert max(eye_aspect(read(front.render(REST, blink=(1, 1))))) < 0.12
    left, right = eye_aspect(read(front.render(REST, blink=(1, 0))))
    assert left < 0.7 * right
    assert open_eyes > 0.2


def test_gaze_moves_the_iris_the_way_it_says(front: Renderer) -> None:
    rest = read(front.render(REST))[[468, 473], :2]
    right = read(front.render(REST, gaze=(8, 0)))[[468, 473], :2]
    up = read(front.render(REST, gaze=(0, 6)))[[468, 473], :2]
    assert ((right - rest)[:, 0] > 0.7).all()
    assert ((up - rest)[:, 1] < -0.3).all()


@pytest.mark.parametrize("pose", [(4, 0, 0), (-4, 0, 0), (0, 4, 0), (0, -4, 0), (0, 0, 4)])
def test_pose_follows_the_command(front: Renderer, pose: tuple[float, float, float]) -> None:
    rest = np.array(head_pose(read(front.render(REST))))
    seen = np.array(head_pose(read(front.render(REST, pose=pose)))) - rest
    np.testing.assert_allclose(seen, pose, atol=1.5)


def test_posed_points_are_where_the_frame_shows_them(front: Renderer) -> None:
    pose = (3.0, -2.0, 2.0)
    points = front.posed_points(pose, AA)
    seen = read(front.render(AA, pose=pose))[:, :2]
    assert points.shape == (478, 2)
    assert np.abs(points - seen).mean() < 2.5


@pytest.mark.parametrize("pose", [(0, 0, 0), (3, -2, 2)])
@pytest.mark.parametrize("shape", [REST, AA])
def test_a_patch_is_a_part_of_the_frame(
    renderer: Renderer, shape: np.ndarray, pose: tuple[float, float, float]
) -> None:
    x0, y0, x1, y1 = box = around_the_mouth(renderer)
    patch = renderer.render_patch(shape, box, pose=pose)
    frame = renderer.render(shape, pose=pose)[y0:y1, x0:x1]
    assert np.abs(patch.astype(int) - frame).max() <= 2


def test_the_border_never_moves(front: Renderer) -> None:
    frame = front.render(REST, pose=(4, 4, 4)).astype(int)
    for edge in (np.s_[:2], np.s_[-2:], np.s_[:, :2], np.s_[:, -2:]):
        assert np.abs(frame[edge] - front.image[edge]).mean() < 2


def test_the_same_twice_and_after_a_pickle(front: Renderer) -> None:
    options = {"pose": (2, 1, -1), "blink": (0.4, 0.6), "gaze": (3, 1)}
    first = front.render(AA, **options)
    np.testing.assert_array_equal(front.render(AA, **options), first)
    again = pickle.loads(pickle.dumps(front))
    np.testing.assert_array_equal(again.render(AA, **options), first)
    image = load_image(DATA / "face_front.webp")
    rebuilt = Renderer.from_image(image, find_face(image))
    np.testing.assert_array_equal(rebuilt.render(AA, **options), first)


def test_extra_units_raise_the_brows(front: Renderer) -> None:
    rest = front.render(REST)
    raised = front.render(REST, units={"browOuterUpLeft": 0.8, "browInnerUp": 0.8})
    brow = front.landmarks[[282, 295], :2].mean(0).round().astype(int)
    around = np.s_[brow[1] - 12 : brow[1] + 12, brow[0] - 20 : brow[0] + 20]
    assert np.abs(raised[around].astype(int) - rest[around]).max() > 5
    assert np.abs(raised[380:].astype(int) - rest[380:]).max() <= 1


def test_a_wide_photo_kept_whole() -> None:
    image = load_image(DATA / "face_front.webp")
    wide = np.hstack([image[:, :200][:, ::-1], image])
    renderer = Renderer.from_image(wide, find_face(wide), 480, "none")
    width, height = renderer.size
    assert (width, height) == (480, 366)
    assert renderer.render(AA, pose=(2, 2, 2), blink=(1, 1)).shape == (height, width, 3)


def test_wrong_shapes_are_refused(front: Renderer) -> None:
    with pytest.raises(ValueError, match=r"\(16,\)"):
        front.render(np.zeros(15))
