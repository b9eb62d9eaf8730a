"""Alpha planes as PNG: what goes in comes out, also of other decoders."""

from __future__ import annotations

import io

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from engine.alpha import pack_alpha, unpack_alpha

planes = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


@given(planes)
def test_what_goes_in_comes_out(alpha: np.ndarray) -> None:
    data = pack_alpha(alpha)
    np.testing.assert_array_equal(unpack_alpha(data), alpha)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = decoded[:, :, 3] if decoded.ndim == 3 and decoded.shape[2] == 4 else None
    if expected is not None:  # OpenCV leaves the alpha out where all is opaque
        np.testing.assert_array_equal(expected, alpha)
    with Image.open(io.BytesIO(data)) as picture:
        rgba = np.asarray(picture.convert("RGBA"))
    np.testing.assert_array_equal(rgba[:, :, 3], alpha)
    assert not rgba[:, :, :3].any()


def test_a_head_is_small() -> None:
    y, x = np.mgrid[0:512, 0:512]
    away = np.hypot(x - 256, y - 300)
    alpha = (255 * np.clip((200 - away) / 3, 0, 1)).astype(np.uint8)
    assert len(pack_alpha(alpha)) < 12_000
