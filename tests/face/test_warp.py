from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.face.warp import invert, pixel_map, remap, resample


def smooth_field(seed: int, strength: float) -> np.ndarray:
    """A random displacement whose stretch stays under ``strength``."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:48, 0:64].astype(np.float32)
    field = np.zeros((48, 64, 2), np.float32)
    for _ in range(4):
        kx, ky = rng.uniform(-0.25, 0.25, 2)
        wave = np.sin(kx * x + ky * y + rng.uniform(0, 6))
        amplitude = strength / 4 / max(np.hypot(kx, ky), 0.02)
        field += (wave[..., None] * rng.uniform(-1, 1, 2) * min(amplitude, 3)).astype(np.float32)
    window = np.minimum(np.minimum(x, 63 - x), np.minimum(y, 47 - y)) / 12
    return field * np.clip(window, 0, 1)[..., None].astype(np.float32)


@given(st.integers(0, 10_000), st.floats(0.05, 0.4))
def test_inversion_brings_every_point_back(seed: int, strength: float) -> None:
    forward = smooth_field(seed, strength)
    backward = invert(forward, 12)
    y, x = np.mgrid[0:48, 0:64].astype(np.float32)
    source = np.dstack([x, y]) - backward
    # what came from there is moved by u(there) and must arrive here
    arrived = source + remap(forward, source)
    assert np.abs(arrived - np.dstack([x, y])).max() < 0.05


def test_no_motion_is_the_identity() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    still = pixel_map(np.zeros((8, 12, 2), np.float32), 4, (0, 0, 48, 32))
    for cubic in (False, True):
        np.testing.assert_array_equal(resample(image, still, cubic), image)


def test_strong_motion_in_one_place_is_followed_to_its_end() -> None:
    forward = np.zeros((48, 64, 2), np.float32)
    forward[15:30, 20:40, 1] = np.sin(np.linspace(0, np.pi, 15))[:, None] * 3  # stretch 0.67
    backward = invert(forward)
    y, x = np.mgrid[0:48, 0:64].astype(np.float32)
    source = np.dstack([x, y]) - backward
    assert np.abs(backward - remap(forward, source)).max() < 0.03
    assert not backward[40:].any()


def test_a_window_is_a_part_of_the_whole() -> None:
    backward = smooth_field(3, 0.2)
    whole = pixel_map(backward, 4, (0, 0, 256, 192))
    part = pixel_map(backward[4:, 6:], 4, (60, 40, 130, 90), corner=(24, 16))
    np.testing.assert_allclose(part, whole[40:90, 60:130], atol=1e-4)
