from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.audio import Resampler

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 44_101, 48_000, 96_000)


def tone(rate: int, count: int) -> NDArray[np.float32]:
    t = np.arange(count) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * t) + 0.2 * np.sin(2 * np.pi * 2500 * t)).astype(
        np.float32
    )


def whole(rate: int, signal: NDArray[np.float32]) -> NDArray[np.float32]:
    resampler = Resampler(rate)
    return np.concatenate([resampler.process(signal), resampler.flush()])


@pytest.mark.parametrize("rate", RATES)
def test_tones_keep_their_phase_at_every_rate(rate: int) -> None:
    out = whole(rate, tone(rate, rate + 17))
    expected = tone(16_000, len(out))
    assert len(out) == (2 * (rate + 17) * 16_000 + rate) // (2 * rate)
    assert np.abs(out - expected)[200:-200].max() < 1e-3


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_what_lies_above_the_new_band_is_removed(rate: int) -> None:
    t = np.arange(rate) / rate
    out = whole(rate, np.sin(2 * np.pi * 9_500 * t).astype(np.float32))
    assert np.abs(out[500:-500]).max() < 2e-3


@settings(deadline=None, max_examples=30)
@given(
    rate=st.sampled_from(RATES),
    pieces=st.lists(st.integers(0, 2_000), min_size=1, max_size=12),
)
def test_pieces_of_any_size_give_what_the_whole_gives(rate: int, pieces: list[int]) -> None:
    signal = np.random.default_rng(0).uniform(-1, 1, sum(pieces)).astype(np.float32)
    resampler = Resampler(rate)
    out, start = [], 0
    for size in pieces:
        out.append(resampler.process(signal[start : start + size]))
        start += size
    out.append(resampler.flush())
    streamed = np.concatenate(out)
    assert len(streamed) == (2 * len(signal) * 16_000 + rate) // (2 * rate)
    np.testing.assert_allclose(streamed, whole(rate, signal), atol=2e-6)


def test_flush_starts_anew() -> None:
    resampler = Resampler(48_000)
    signal = tone(48_000, 5_000)
    first = np.concatenate([resampler.process(signal), resampler.flush()])
    second = np.concatenate([resampler.process(signal), resampler.flush()])
    np.testing.assert_array_equal(first, second)
    assert len(resampler.flush()) == 0


def test_output_comes_before_the_input_ends() -> None:
    out = Resampler(48_000).process(tone(48_000, 4_800))
    assert 1_600 - len(out) < 40  # less than 2.5 ms are held back


def test_16_bit_input_is_scaled() -> None:
    out = Resampler(16_000).process(np.array([-32768, 16384], np.int16))
    np.testing.assert_allclose(out, [-1.0, 0.5])


@pytest.mark.parametrize("rate", [0, -1, 999, 768_001])
def test_absurd_rates_are_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="sample rate"):
        Resampler(rate)
