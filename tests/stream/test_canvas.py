"""Sizes of rendered pictures."""

import math

import numpy as np
import pytest

from engine.errors import NotSupported
from engine.stream.canvas import Canvas


@pytest.mark.parametrize(
    ("size", "target", "expected"),
    [
        ((512, 512), None, (512, 512)),
        ((511, 301), None, (512, 300)),
        ((512, 512), 1280, (1280, 1280)),
        ((512, 512), "1280", (1280, 1280)),
        ((720, 1280), "640", (360, 640)),
        ((416, 720), 721, (416, 720)),
        ((512, 512), "1280x720", (1280, 720)),
        ((512, 512), (333, 555), (332, 556)),
        ((512, 512), " 640X480 ", (640, 480)),
    ],
)
def test_sizes(
    size: tuple[int, int], target: int | str | tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    canvas = Canvas(size, target)
    assert (canvas.width, canvas.height) == expected
    assert canvas.width % 2 == canvas.height % 2 == 0
    picture = np.full((size[1], size[0], 3), 200, np.uint8)
    assert canvas.fit(picture).shape == (expected[1], expected[0], 3)


@pytest.mark.parametrize(
    "target",
    [
        *("", "big", "0", "61", "5000", "0x720", "720x", "-1", "1280x10", 99_999, (0, 0)),
        *(math.nan, (640, math.inf), 640.5, (1, 2, 3)),
    ],
)
def test_refusals(target: object) -> None:
    with pytest.raises(NotSupported) as caught:
        Canvas((512, 512), target)  # type: ignore[arg-type]
    assert caught.value.code == "TARGET_SIZE"


def test_the_whole_picture_is_kept_in_the_middle_on_black() -> None:
    picture = np.full((512, 512, 3), 200, np.uint8)
    sheet = Canvas((512, 512), "1280x720").fit(picture)
    assert not sheet[:, :280].any()
    assert not sheet[:, 1000:].any()
    assert (sheet[:, 280:1000] == 200).all()


def test_an_untouched_size_is_not_copied() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    assert Canvas((64, 64)).fit(picture) is picture
