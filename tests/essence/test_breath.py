import numpy as np

from engine.essence.breath import Breath
from engine.face import topology
from engine.face.renderer import Renderer


def breathe(renderer: Renderer, amount: float) -> np.ndarray:
    frame = renderer.image.copy()
    Breath(renderer, 0).apply(frame, amount)
    return frame


def test_the_face_is_not_touched(renderer: Renderer) -> None:
    chin = int(renderer.landmarks[list(topology.FACE_OVAL), 1].max())
    for amount in (0.0, 1.0):
        frame = breathe(renderer, amount)
        assert np.array_equal(frame[:chin], renderer.image[:chin])
        assert (frame != renderer.image).any()


def test_half_a_breath_is_the_photo(renderer: Renderer) -> None:
    assert np.array_equal(breathe(renderer, 0.5), renderer.image)


def test_the_body_rises_with_the_breath(renderer: Renderer) -> None:
    """The picture of empty lungs looks more like that of full ones when it is shifted up."""
    empty, full = (breathe(renderer, amount).astype(float) for amount in (0.0, 1.0))
    rows = slice(renderer.size[1] - 60, renderer.size[1] - 10)

    def mismatch(shift: int) -> float:
        moved = np.roll(empty, -shift, axis=0)
        return float(np.abs(moved[rows] - full[rows]).mean())

    assert mismatch(1) < 0.9 * mismatch(-1)


def test_rows_above_the_given_one_stay(renderer: Renderer) -> None:
    frame = renderer.image.copy()
    top = renderer.size[1] - 20
    Breath(renderer, top).apply(frame, 1.0)
    assert np.array_equal(frame[:top], renderer.image[:top])
    nothing = renderer.image.copy()
    Breath(renderer, renderer.size[1] + 50).apply(nothing, 1.0)
    assert np.array_equal(nothing, renderer.image)
