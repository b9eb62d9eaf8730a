from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.coefficients import COEFFICIENTS
from engine.errors import NotSupported
from engine.face.image import load_image
from engine.face.landmarks import find_face, head_pose
from engine.face.measure import eye_aspect
from engine.face.renderer import Renderer
from engine.motion import ALIASES, EMOTIONS, GESTURES, REST, FaceState, canonical, emotion, gesture

PORTRAIT = Path(__file__).parents[2] / "training/showcase/portraits/modern-court-jester.webp"
MOUTH = np.zeros(len(COEFFICIENTS), np.float32)


@pytest.mark.parametrize("name", [*GESTURES, *ALIASES])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_gesture_begins_and_ends_at_rest_and_never_jumps(name: str, seed: int) -> None:
    track = gesture(name, seed)
    assert 1.0 <= track.seconds <= 3.0
    assert track.frame(0) == REST
    assert track.frame(-1) == REST
    steps = np.abs(np.diff(track.values, axis=0))
    assert steps[[0, -1]].max() < 0.25  # it starts and stops gently
    assert np.abs(np.diff(track.pose, axis=0)).max() < 3.5  # degrees per frame
    assert steps[:, 8:].max() < 0.6
    assert np.abs(track.values).max() > 0.5


@pytest.mark.parametrize("name", GESTURES)
def test_seeds_vary_a_gesture(name: str) -> None:
    assert len({gesture(name, seed).values.tobytes() for seed in range(6)}) == 6
    assert gesture(name, 3).values.tobytes() == gesture(name, 3).values.tobytes()


@given(st.text(max_size=12))
def test_unknown_names_are_refused(name: str) -> None:
    if name in GESTURES or name in ALIASES:
        assert canonical(name) in GESTURES
        return
    with pytest.raises(NotSupported) as error:
        gesture(name)
    assert error.value.code == "GESTURE"
    with pytest.raises(NotSupported) as error:
        emotion(name + "?")
    assert error.value.code == "EMOTION"


def test_mirroring_twice_changes_nothing() -> None:
    for name in GESTURES:
        state = gesture(name).frame(9)
        assert state.mirrored().mirrored() == state
    wink = FaceState.of((2, 1, 3), (1, 0), (4, 5), units={"mouthSmileLeft": 0.5})
    assert wink.mirrored() == FaceState.of(
        (-2, 1, -3), (0, 1), (-4, 5), units={"mouthSmileRight": 0.5}
    )


class Seen:
    """What the landmark network reads from a rendered state."""

    def __init__(self, renderer: Renderer, state: FaceState) -> None:
        points = find_face(renderer.render(MOUTH, **state.arguments()), face=1).points
        self.yaw, self.pitch, self.roll = head_pose(points)
        self.left_eye, self.right_eye = eye_aspect(points)
        face = np.linalg.norm(points[10, :2] - points[152, :2])
        up = (points[152, :2] - points[10, :2]) / face  # from forehead to chin
        eyes, brows = points[[33, 133, 362, 263], :2], points[[66, 105, 296, 334], :2]
        self.brows = float(((eyes.mean(0) - brows.mean(0)) @ up) / face)
        middle = points[[0, 17], :2].mean(0)
        self.corners = ((middle - points[[291, 61], :2]) @ up) / face  # left, right; up is more
        self.width = float(np.linalg.norm(points[61, :2] - points[291, :2]) / face)
        self.gap = float(np.linalg.norm(points[13, :2] - points[14, :2]) / face)
        iris, corners = points[[468, 473], :2].mean(0), points[[33, 133, 362, 263], :2].mean(0)
        self.gaze = (iris - corners) / face


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    image = load_image(PORTRAIT)
    return Renderer.from_image(image, find_face(image), 384)


@pytest.fixture(scope="module")
def rest(renderer: Renderer) -> Seen:
    return Seen(renderer, REST)


def watch(renderer: Renderer, name: str) -> list[Seen]:
    track = gesture(name)
    return [Seen(renderer, track.frame(i)) for i in range(3, len(track) - 1, 3)]


def test_a_nod_goes_down_and_up_again(renderer: Renderer, rest: Seen) -> None:
    pitch = [seen.pitch - rest.pitch for seen in watch(renderer, "nod")]
    yaw = [seen.yaw - rest.yaw for seen in watch(renderer, "nod")]
    assert max(pitch) > 4
    assert min(pitch) < -0.5
    assert np.ptp(yaw) < 0.4 * np.ptp(pitch)


def test_shaking_goes_to_both_sides(renderer: Renderer, rest: Seen) -> None:
    yaw = np.array([seen.yaw - rest.yaw for seen in watch(renderer, "shake")])
    assert yaw.max() > 3
    assert yaw.min() < -3
    assert np.count_nonzero(np.diff(np.sign(yaw[np.abs(yaw) > 1]))) >= 2


def test_a_tilt_rolls(renderer: Renderer, rest: Seen) -> None:
    assert max(seen.roll - rest.roll for seen in watch(renderer, "tilt")) > 5


def test_a_wink_closes_one_eye(renderer: Renderer, rest: Seen) -> None:
    seen = min(watch(renderer, "wink"), key=lambda s: s.left_eye)
    assert seen.left_eye < 0.12
    assert seen.right_eye > 0.75 * rest.right_eye


def test_a_smile_and_a_laugh_lift_the_corners(renderer: Renderer, rest: Seen) -> None:
    for name in ("smile", "laugh"):
        best = max(watch(renderer, name), key=lambda s: float(s.corners.min()))
        assert (best.corners > rest.corners + 0.006).all(), name
        assert best.width > rest.width
    gaps = [seen.gap for seen in watch(renderer, "laugh")]
    assert max(gaps) > rest.gap + 0.02


def test_surprise_lifts_brows_and_opens_eyes(renderer: Renderer, rest: Seen) -> None:
    best = max(watch(renderer, "surprise"), key=lambda s: s.brows)
    assert best.brows > rest.brows + 0.012
    assert best.left_eye > rest.left_eye


def test_thinking_looks_up_and_away(renderer: Renderer, rest: Seen) -> None:
    away = max(watch(renderer, "think"), key=lambda s: float(s.gaze[0]))
    assert away.gaze[0] > rest.gaze[0] + 0.002
    assert away.gaze[1] < rest.gaze[1]


def test_bowing_greeting_frowning_and_kissing(renderer: Renderer, rest: Seen) -> None:
    assert max(seen.pitch - rest.pitch for seen in watch(renderer, "bow")) > 6
    assert max(seen.brows for seen in watch(renderer, "greet")) > rest.brows + 0.008
    frown = watch(renderer, "frown")
    assert min(seen.brows for seen in frown) < rest.brows - 0.008
    assert min(float(seen.corners.mean()) for seen in frown) < float(rest.corners.mean()) - 0.004
    assert min(seen.width for seen in watch(renderer, "kiss")) < 0.9 * rest.width


@pytest.mark.parametrize("name", EMOTIONS)
def test_a_mood_looks_like_its_name(renderer: Renderer, rest: Seen, name: str) -> None:
    seen = Seen(renderer, emotion(name))
    lift = float((seen.corners - rest.corners).mean())
    match name:
        case "neutral":
            assert emotion(name) == REST
        case "joy":
            assert lift > 0.006
        case "sadness":
            assert lift < -0.004
            assert seen.pitch > rest.pitch + 0.4
        case "anger":
            assert seen.brows < rest.brows - 0.008
        case "surprise":
            assert seen.brows > rest.brows + 0.012
        case "thinking":
            assert seen.gaze[1] < rest.gaze[1]
