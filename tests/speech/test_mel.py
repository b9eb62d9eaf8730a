from __future__ import annotations

import numpy as np

from training.speech import mel


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32)


def test_row_j_sees_240_samples_before_and_160_after_its_start() -> None:
    signal = noise(1_600)
    rows = mel.log_mel(signal)
    assert rows.shape == (10, mel.MEL_BANDS)
    changed = signal.copy()
    changed[: 5 * 160 - 240] = changed[5 * 160 + 160 :] = 0
    np.testing.assert_allclose(mel.log_mel(changed)[5], rows[5], atol=1e-6)
    changed[5 * 160 + 100] += 0.5
    assert np.abs(mel.log_mel(changed)[5] - rows[5]).max() > 0.1


def test_sounds_in_a_batch_are_computed_alike() -> None:
    signal = noise(3_200)
    both = mel.log_mel(np.stack([signal, signal * 0.1]))
    np.testing.assert_allclose(both[0], mel.log_mel(signal), atol=1e-5)
    np.testing.assert_allclose(both[1], mel.log_mel(signal * np.float32(0.1)), atol=1e-5)


def test_silence_and_constant_offsets_are_exactly_zero() -> None:
    assert not mel.log_mel(np.zeros(3_200, np.float32)).any()
    assert np.abs(mel.log_mel(np.full(3_200, 0.3, np.float32))[3:]).max() < 1e-3


def test_tones_appear_in_their_band() -> None:
    t = np.arange(16_000) / 16_000
    bands = [
        int(mel.log_mel((0.5 * np.sin(2 * np.pi * f * t)).astype(np.float32))[50].argmax())
        for f in (200, 500, 1_000, 2_000, 4_000, 7_000)
    ]
    assert bands == sorted(bands)
    assert len(set(bands)) == len(bands)


def test_the_spectrum_as_matrices_is_that_of_the_fft() -> None:
    window = noise(400) + np.float32(0.3)
    wanted = np.fft.rfft((window - window[1:].mean()) * mel.hann(), 512, norm="forward")[:256]
    cosines, sines = mel.spectrum()
    after, before = window[200:], window[200:0:-1]
    power = ((after + before) @ cosines) ** 2 + ((after - before) @ sines) ** 2
    np.testing.assert_allclose(power, np.abs(wanted) ** 2, atol=1e-8)
