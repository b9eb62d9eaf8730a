import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.essence.splice import MCU, GridJpeg, cell_mcus, encode


def picture(width: int, height: int, seed: int) -> np.ndarray:
    """Smooth colours with grain, so that every coefficient of the JPEG is at work."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    width = draw(st.integers(1, 60)) * 8
    height = draw(st.integers(2, 100)) * 2
    columns = -(-width // (MCU * cell_mcus(width)))
    rows = -(-height // MCU)
    left = draw(st.integers(0, columns - 1))
    top = draw(st.integers(0, rows - 1))
    right = draw(st.integers(left + 1, columns))
    bottom = draw(st.integers(top + 1, rows))
    return picture(width, height, draw(st.integers(0, 99))), (left, top, right, bottom)


@settings(max_examples=60, deadline=None)
@given(cuts())
def test_cells_decode_as_in_the_whole_picture(cut) -> None:
    image, (left, top, right, bottom) = cut
    data = encode(image, 92)
    whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    jpeg = GridJpeg(data)
    part = jpeg.decode(left, top, right, bottom)
    np.testing.assert_array_equal(
        part, whole[top * MCU : bottom * MCU, left * jpeg.cell : right * jpeg.cell]
    )


@settings(max_examples=60, deadline=None)
@given(cuts(), st.integers(50, 95))
def test_spliced_is_byte_identical_to_encoding_the_whole(cut, quality: int) -> None:
    image, (left, top, right, bottom) = cut
    before = GridJpeg(encode(image, quality))
    changed = image.copy()
    part = changed[top * MCU : bottom * MCU, left * before.cell : right * before.cell]
    part[:] = 255 - part
    cells = GridJpeg(encode(part, quality, before.cell // MCU))
    strips = before.strips(left, top, cells)
    assert before.replaced(left, top, right - left, strips) == encode(changed, quality)


def test_other_decoders_accept_a_spliced_picture() -> None:
    image = picture(96, 200, 1)
    jpeg = GridJpeg(encode(image, 92))
    strips = jpeg.strips(0, 3, GridJpeg(encode(image[:64], 92)))
    data = jpeg.replaced(0, 3, jpeg.columns, strips)
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        assert opened.size == (96, 200)


@pytest.mark.parametrize("height", [16, 17, 31, 32, 208, 512])
def test_counts_rows(height: int) -> None:
    assert GridJpeg(encode(picture(64, height, 0), 80)).rows == -(-height // 16)


@pytest.mark.parametrize(
    ("width", "cell"), [(512, 4), (720, 5), (405, 13), (1280, 4), (96, 6), (40, 3), (368, 23)]
)
def test_cells_are_narrow_and_fill_rows(width: int, cell: int) -> None:
    assert cell_mcus(width) == cell
    jpeg = GridJpeg(encode(picture(width, 64, 0), 80))
    assert (jpeg.columns, jpeg.rows) == (-(-width // 16) // cell, 4)
    assert jpeg.cell == 16 * cell
