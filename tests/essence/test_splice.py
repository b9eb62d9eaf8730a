import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.essence.splice import MCU, RowJpeg, encode


def picture(width: int, height: int, seed: int) -> np.ndarray:
    """Smooth colours with grain, so that every coefficient of the JPEG is at work."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    width = draw(st.integers(1, 12)) * 8
    height = draw(st.integers(2, 160)) * 2
    rows = -(-height // MCU)
    first = draw(st.integers(0, rows - 1))
    last = draw(st.integers(first + 1, rows))
    return picture(width, height, draw(st.integers(0, 99))), first, last


@settings(max_examples=60, deadline=None)
@given(cuts())
def test_rows_decode_as_in_the_whole_picture(cut: tuple[np.ndarray, int, int]) -> None:
    image, first, last = cut
    data = encode(image, 92)
    whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    part = RowJpeg(data).decode(first, last)
    np.testing.assert_array_equal(part, whole[first * MCU : last * MCU])


@settings(max_examples=60, deadline=None)
@given(cuts(), st.integers(50, 95))
def test_spliced_is_byte_identical_to_encoding_the_whole(
    cut: tuple[np.ndarray, int, int], quality: int
) -> None:
    image, first, last = cut
    changed = image.copy()
    rows = changed[first * MCU : last * MCU]
    rows[:] = 255 - rows
    before = RowJpeg(encode(image, quality))
    assert before.replaced(first, RowJpeg(encode(rows, quality))) == encode(changed, quality)


def test_other_decoders_accept_a_spliced_picture() -> None:
    image = picture(96, 200, 1)
    data = RowJpeg(encode(image, 92)).replaced(3, RowJpeg(encode(image[:64], 92)))
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        assert opened.size == (96, 200)


@pytest.mark.parametrize("height", [16, 17, 31, 32, 208, 512])
def test_counts_rows(height: int) -> None:
    assert RowJpeg(encode(picture(64, height, 0), 80)).rows == -(-height // 16)
