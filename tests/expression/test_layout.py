import numpy as np
import pytest

from engine.errors import InvalidAvatar
from engine.expression import layout


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
