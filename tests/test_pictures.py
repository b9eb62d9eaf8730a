"""Pictures are measured before they are decoded."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidAvatar
from engine.identity import webp
from engine.pictures import decode_picture, png_size, webp_size


@pytest.mark.parametrize("quality", [50, 95, 101])
@pytest.mark.parametrize(("width", "height"), [(32, 48), (513, 17)])
def test_sizes_of_lossy_and_lossless_pictures(width: int, height: int, quality: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    assert webp_size(webp(image, quality)) == (width, height)


@given(st.binary(max_size=64))
def test_other_data_has_no_size(data: bytes) -> None:
    if not data.startswith(b"RIFF"):
        assert webp_size(data) is None
    webp_size(b"RIFF....WEBP" + data)


def test_sizes_of_png_and_of_damaged_files() -> None:
    image = np.random.default_rng(0).integers(0, 255, (37, 53, 3), np.uint8)
    lossy, png = webp(image, 80), cv2.imencode(".png", image)[1].tobytes()
    assert png_size(png) == (53, 37)
    np.testing.assert_array_equal(decode_picture(png), image)
    for other in (b"", b"RIFF", lossy[:20], png):
        assert webp_size(other) is None
    for other in (b"", png[:15], lossy):
        assert png_size(other) is None
    with pytest.raises(InvalidAvatar, match="thumb"):
        decode_picture(lossy[:20], "thumb.webp")
