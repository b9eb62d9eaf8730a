from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.coefficients import COEFFICIENTS, INDEX
from engine.face import topology
from engine.face.align import crop_face, fit_similarity
from engine.face.basis import load_basis, speech_units
from engine.face.fit import LIPS, FaceFit, fit_face
from engine.face.image import load_image
from engine.face.landmarks import find_face

DATA = Path(__file__).parents[1] / "data"
PHOTOS = ("face_front.webp", "face_smile.webp")

vectors = hnp.arrays(np.float32, len(COEFFICIENTS), elements=st.floats(0, 1, width=32))


@pytest.fixture(scope="module", params=PHOTOS)
def fit(request: pytest.FixtureRequest) -> FaceFit:
    image = load_image(DATA / request.param)
    _, points = crop_face(image, find_face(image).points, 512, "auto")
    return fit_face(load_basis(), points)


def vector(**values: float) -> np.ndarray:
    out = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in values.items():
        out[INDEX[name]] = value
    return out


def gap(fit: FaceFit, coefficients: np.ndarray) -> float:
    """Largest opening between the inner lips in mouth widths; negative where they press."""
    strengths, seal = speech_units(coefficients)
    points = fit.displaced(strengths, 1.0, seal)
    apart = points[list(topology.LOWER_INNER)] - points[list(topology.UPPER_INNER)]
    return float((apart @ fit.down)[1:-1].max()) / fit.mouth_width


def test_similarity_is_recovered() -> None:
    rng = np.random.default_rng(0)
    neutral = load_basis().neutral
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    points = (neutral @ turn.T * 12.5 + rng.normal(size=3)) * [1, -1, -1]
    found = fit_similarity(neutral, points)
    assert found.scale == pytest.approx(12.5)
    np.testing.assert_allclose(found.rotation, turn, atol=1e-6)


def test_auto_crop_puts_the_face_in_the_middle() -> None:
    image = np.pad(load_image(DATA / "face_front.webp"), ((90, 90), (90, 90), (0, 0)), mode="edge")
    frame, points = crop_face(image, find_face(image).points, 512, "auto")
    assert frame.shape == (512, 512, 3)
    oval = points[list(topology.FACE_OVAL), :2]
    assert np.ptp(oval[:, 1]) == pytest.approx(256, abs=1)
    assert abs(oval[:, 0].mean() - 256) < 20
    # the landmarks of the frame itself agree with the moved ones
    again = find_face(frame).points[:, :2]
    assert np.abs(again - points[:, :2]).mean() < 1.0


def test_auto_crop_prefers_the_photo_to_its_border() -> None:
    image = load_image(DATA / "face_front.webp")[40:600, 40:600]
    marked = image.copy()
    marked[:2] = marked[-2:] = marked[:, :2] = marked[:, -2:] = (0, 255, 0)
    frame, points = crop_face(marked, find_face(image).points, 560, "auto")
    assert np.ptp(points[list(topology.FACE_OVAL), 1]) > 300  # closer than usual
    # the frame is the photo itself: its edge is not repeated
    np.testing.assert_array_equal(frame, marked)


def test_what_is_beyond_the_photo_is_soft() -> None:
    image = load_image(DATA / "face_front.webp")[:505, 150:500]
    rng = np.random.default_rng(0)
    image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    frame, points = crop_face(image, find_face(image).points, 512, "auto")
    oval = points[list(topology.FACE_OVAL), :2]
    assert oval.min() > 0
    assert oval.max() < 512
    beyond = (
        frame[:, :3].astype(int) if oval[:, 0].min() > 512 - oval[:, 0].max() else frame[:, -3:]
    )
    assert np.abs(np.diff(beyond.astype(int), axis=0)).mean() < 3


def test_no_crop_keeps_the_whole_photo_with_even_sides() -> None:
    image = load_image(DATA / "face_front.webp")[:, 20:]  # 640 × 620
    frame, points = crop_face(image, find_face(image).points, 501, "none")
    assert frame.shape == (500, 486, 3)
    assert np.abs(find_face(frame).points[:, :2] - points[:, :2]).mean() < 1.0


def test_speech_is_linear_without_a_seal() -> None:
    a, b = vector(jawOpen=0.3, mouthSmile=0.4), vector(mouthPucker=0.5, jawOpen=0.2)
    both = speech_units(a + b)[0]
    np.testing.assert_allclose(both, speech_units(a)[0] + speech_units(b)[0], atol=1e-6)


def test_extra_units_are_added_by_name() -> None:
    basis = load_basis()
    strengths, _ = speech_units(vector(), {"browInnerUp": 0.7})
    assert strengths[basis.index("browInnerUp")] == pytest.approx(0.7)
    with pytest.raises(KeyError, match="eyebrows"):
        speech_units(vector(), {"eyebrows": 1.0})


@pytest.mark.parametrize(
    "closed",
    [
        vector(),
        vector(jawOpen=0.5, mouthClose=0.5),
        vector(jawOpen=0.4, lipClosure=1),
        vector(jawOpen=0.1, mouthClose=0.1, mouthPress=0.4, mouthRollLower=0.2, lipClosure=1),
        vector(jawOpen=0.3, mouthFunnel=0.6, mouthLowerDown=0.5, lipClosure=1),
    ],
)
def test_closed_is_closed(fit: FaceFit, closed: np.ndarray) -> None:
    assert gap(fit, closed) < 0.008


def test_the_jaw_opens_the_mouth_steadily(fit: FaceFit) -> None:
    gaps = [gap(fit, vector(jawOpen=jaw)) for jaw in np.linspace(0, 0.7, 8)]
    assert all(np.diff(gaps) > 0)
    assert gaps[-1] > 0.2


@pytest.mark.parametrize("width", [0.85, 1.0, 1.2])
def test_every_mouth_opens_by_the_same_share_of_its_width(width: float) -> None:
    image = load_image(DATA / "face_front.webp")
    _, points = crop_face(image, find_face(image).points, 512, "auto")
    lips = sorted({i for ring in topology.UPPER_LIP + topology.LOWER_LIP for i in ring})
    middle = points[lips, 0].mean()
    points[lips, 0] = middle + width * (points[lips, 0] - middle)
    fit = fit_face(load_basis(), points)
    a = vector(jawOpen=0.42, mouthLowerDown=0.22, mouthUpperUp=0.08)
    assert 0.185 < gap(fit, a) < 0.23
    a[INDEX["lipClosure"]] = 1
    assert gap(fit, a) < 0.005


@given(vectors)
def test_lips_never_cross_nor_vanish(fit: FaceFit, coefficients: np.ndarray) -> None:
    strengths, seal = speech_units(coefficients)
    moved, _ = fit.lips(strengths, 1.0, seal)
    points = fit.points[list(LIPS), :2] + moved
    upper, lower = points[:9], points[18:27]
    assert ((lower - upper) @ fit.down).min() > -0.015 * fit.mouth_width
    thickness = np.linalg.norm(points[27:] - points[18:27], axis=1)
    photo = fit.points[list(LIPS), :2]
    assert (thickness > 0.25 * np.linalg.norm(photo[27:] - photo[18:27], axis=1)).all()


def test_rounding_narrows_and_smiling_widens(fit: FaceFit) -> None:
    def width(coefficients: np.ndarray) -> float:
        strengths, seal = speech_units(coefficients)
        points = fit.displaced(strengths, 1.0, seal)
        return float(np.linalg.norm(points[61] - points[291]))

    rest = width(vector())
    assert width(vector(mouthPucker=0.8)) < 0.88 * rest
    assert width(vector(mouthFunnel=0.8)) < 0.92 * rest
    assert width(vector(mouthSmile=0.5)) > 1.06 * rest
    assert width(vector(mouthStretch=0.5)) > 1.06 * rest


def test_rounded_lips_leave_a_narrower_rounder_hole(fit: FaceFit) -> None:
    def hole(coefficients: np.ndarray) -> tuple[float, float]:
        """Share of the lips' width that is open, and of that box that the hole fills."""
        strengths, seal = speech_units(coefficients)
        points = fit.displaced(strengths, 1.0, seal)
        apart = (points[list(topology.LOWER_INNER)] - points[list(topology.UPPER_INNER)]) @ fit.down
        x = points[list(topology.UPPER_INNER)] @ fit.across
        fine = np.linspace(x[0], x[-1], 200)
        heights = np.interp(fine, x, apart)
        wide = heights > 0.1 * heights.max()
        return float(wide.mean()), float(heights[wide].mean() / heights.max())

    spread, _ = hole(vector(jawOpen=0.3))
    width, filled = hole(vector(jawOpen=0.3, mouthFunnel=0.6, mouthPucker=0.3))
    assert width < 0.85 * spread
    assert filled > 0.6  # a triangle fills half, an ellipse 0.79
