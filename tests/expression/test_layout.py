import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidAvatar
from engine.expression import layout
from engine.identity import webp


@pytest.mark.parametrize("quality", [50, 95, 101])
@pytest.mark.parametrize(("width", "height"), [(32, 48), (513, 17)])
def test_sizes_of_lossy_and_lossless_pictures(width: int, height: int, quality: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    assert layout.webp_size(webp(image, quality)) == (width, height)


@given(st.binary(max_size=64))
def test_other_data_has_no_size(data: bytes) -> None:
    if not data.startswith(b"RIFF"):
        assert layout.webp_size(data) is None
    layout.webp_size(b"RIFF....WEBP" + data)


def face() -> np.ndarray:
    return np.random.default_rng(1).uniform(100, 400, (478, 3)).astype(np.float32)


def test_a_face_in_the_portrait_is_accepted() -> None:
    layout.check_points(face(), 512, 512)


@pytest.mark.parametrize(
    "points",
    [
        face().astype(np.float64),
        face()[:468],
        face()[:, :2],
        face() * np.float32("nan"),
        face() * 100,
        face() + 1000,
        face() * 0 + 200,
    ],
)
def test_no_face_is_refused(points: np.ndarray) -> None:
    with pytest.raises(InvalidAvatar) as error:
        layout.check_points(points, 512, 512)
    assert error.value.member == layout.POINTS
