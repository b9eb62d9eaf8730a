from __future__ import annotations

import numpy as np
import pytest

from engine.audio import MEL_BANDS, LogMel
from engine.audio.mel import log_mel


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32)


@pytest.mark.parametrize("size", [1, 159, 160, 640, 1000, 6400])
def test_streaming_equals_batch(size: int) -> None:
    signal = noise(6_400)
    stream = LogMel()
    rows = [stream.process(signal[i : i + size]) for i in range(0, len(signal), size)]
    np.testing.assert_allclose(np.concatenate(rows), LogMel().process(signal), atol=1e-5)


def test_a_video_frame_of_sound_gives_four_rows_at_once() -> None:
    stream = LogMel()
    for _ in range(3):
        assert stream.process(noise(640)).shape == (4, MEL_BANDS)


def test_row_j_sees_240_samples_before_and_160_after_its_start() -> None:
    signal = noise(1_600)
    rows = LogMel().process(signal)
    np.testing.assert_allclose(rows[5], log_mel(signal[5 * 160 - 240 : 5 * 160 + 160]), atol=1e-6)


def test_silence_and_constant_offsets_are_exactly_zero() -> None:
    assert not LogMel().process(np.zeros(3_200, np.float32)).any()
    assert np.abs(LogMel().process(np.full(3_200, 0.3, np.float32))[3:]).max() < 1e-3


def test_tones_appear_in_their_band() -> None:
    t = np.arange(16_000) / 16_000
    bands = [
        int(LogMel().process((0.5 * np.sin(2 * np.pi * f * t)).astype(np.float32))[50].argmax())
        for f in (200, 500, 1_000, 2_000, 4_000, 7_000)
    ]
    assert bands == sorted(bands)
    assert len(set(bands)) == len(bands)


def test_reset_forgets() -> None:
    stream = LogMel()
    first = stream.process(noise(640))
    stream.reset()
    np.testing.assert_array_equal(stream.process(noise(640)), first)
