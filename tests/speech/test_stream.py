from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.audio import Resampler, decode, to_float
from engine.coefficients import INDEX
from engine.speech import (
    LOOK_AHEAD_FRAMES,
    SilenceGate,
    SpeechStream,
    coefficients,
    process_batch,
)

FRAME = 640
HELLO = Path(__file__).parents[2] / "web" / "audio" / "hello.mp3"


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """Six seconds of the sample that avatars say in the page, whole frames."""
    return decode(HELLO, limit=6.0)[: 150 * FRAME]


def noise(seconds: float, level_db: float, seed: int = 0) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 10 ** (level_db / 20), int(seconds * 25) * FRAME).astype(np.float32)


@settings(deadline=None, max_examples=5)
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_streaming_equals_batch(speech: NDArray[np.float32], sizes: list[int]) -> None:
    whole = SpeechStream().process(speech)
    stream, rows, start = SpeechStream(), [], 0
    for size in [*sizes, 150]:
        part = speech[start * FRAME : (start + size) * FRAME]
        rows.append(stream.process(part))
        start += size
    np.testing.assert_allclose(np.concatenate(rows), whole, atol=1e-5)


def test_a_batch_of_streams_gives_what_each_gives(speech: NDArray[np.float32]) -> None:
    pieces = [speech[: 40 * FRAME], speech[20 * FRAME : 45 * FRAME], speech[:0]]
    together = process_batch([SpeechStream() for _ in pieces], pieces)
    for rows, piece in zip(together, pieces, strict=True):
        np.testing.assert_allclose(rows, SpeechStream().process(piece), atol=1e-5)
    assert process_batch([], []) == []


def test_offline_rows_belong_to_their_own_frame(speech: NDArray[np.float32]) -> None:
    padded = np.concatenate([speech, np.zeros(LOOK_AHEAD_FRAMES * FRAME, np.float32)])
    streamed = SpeechStream().process(padded)[LOOK_AHEAD_FRAMES:]
    np.testing.assert_allclose(coefficients(speech), streamed, atol=1e-5)
    assert coefficients(speech[:641]).shape == (2, 16)
    assert coefficients(speech[:0]).shape == (0, 16)


def test_reset_forgets(speech: NDArray[np.float32]) -> None:
    stream = SpeechStream()
    first = stream.process(speech[: 30 * FRAME])
    stream.reset()
    np.testing.assert_array_equal(stream.process(speech[: 30 * FRAME]), first)


def test_the_mouth_follows_speech(speech: NDArray[np.float32]) -> None:
    rows = coefficients(speech)
    loudness = np.log10(speech.reshape(-1, FRAME).std(axis=1) + 1e-4)
    jaw = rows[:, INDEX["jawOpen"]]
    fits = [
        float(np.corrcoef(np.roll(jaw, shift)[5:-5], loudness[5:-5])[0, 1])
        for shift in range(-4, 5)
    ]
    assert abs(int(np.argmax(fits)) - 4) <= 1  # neither early nor late by more than a frame
    assert max(fits) > 0.5
    assert jaw.max() > 0.3
    assert rows[:, INDEX["lipClosure"]].max() > 0.5  # "my … picture … computer … bubbles"


def test_digital_silence_and_offsets_rest_exactly() -> None:
    assert not coefficients(np.zeros(50 * FRAME, np.float32)).any()
    assert not coefficients(np.full(50 * FRAME, 0.2, np.float32)).any()


def test_quiet_noise_rests_exactly() -> None:
    assert not coefficients(noise(3, -65)).any()


@pytest.mark.parametrize("level", [-50, -40])
def test_room_noise_hardly_moves_the_mouth(level: int) -> None:
    rows = coefficients(noise(4, level))[8:]  # its sudden start is like a consonant
    assert rows[:, INDEX["jawOpen"]].max() < 0.1
    assert (rows == 0).all(axis=1).mean() > 0.9


def test_the_mouth_rests_within_80_ms_of_the_last_sound(speech: NDArray[np.float32]) -> None:
    loud = speech[50 * FRAME : 75 * FRAME]
    rows = coefficients(np.concatenate([loud, np.zeros(20 * FRAME, np.float32)]))
    assert rows[:25].any(axis=1).mean() > 0.7
    assert not rows[25 + 1 :].any()


def test_the_mouth_does_not_wait_for_a_room_to_be_silent(speech: NDArray[np.float32]) -> None:
    loud = speech[25 * FRAME : 64 * FRAME]
    time = np.arange(20 * FRAME) / 16_000
    dying = noise(0.8, -47) * np.exp(-time * 3).astype(np.float32)  # 60 dB in 2.3 s
    rows = coefficients(np.concatenate([loud, dying]))
    assert rows[30:38, INDEX["jawOpen"]].max() > 0.1
    assert not rows[39 + 6 :].any()


def test_somebody_much_softer_is_heard_after_somebody_loud(speech: NDArray[np.float32]) -> None:
    soft = np.tile(speech[: 75 * FRAME], 2) * np.float32(0.1)
    jaw = coefficients(np.concatenate([speech, soft]))[150:, INDEX["jawOpen"]]
    alone = coefficients(soft)[:, INDEX["jawOpen"]]
    assert jaw[50:].mean() > 0.6 * alone[50:].mean()  # within two seconds
    assert np.corrcoef(jaw[75:], alone[75:])[0, 1] > 0.8


def test_the_gate_keeps_every_row_of_sounding_frames() -> None:
    gate = SilenceGate()
    rows = np.full((12, 16), 0.5, np.float32)
    sound = np.zeros((12, FRAME), np.float32)
    sound[4:6] = noise(0.08, -20).reshape(2, FRAME)
    sound[6] = noise(0.04, -50)  # it dies away
    out = gate.apply(rows, sound.ravel())[:, 0]
    # Row i belongs to frame i - 2: frames 2 … 5 hear sound in themselves or ahead.
    np.testing.assert_allclose(out[:4], 0.0)
    np.testing.assert_allclose(out[4:7], 0.5)
    np.testing.assert_allclose(out[7:10], [1 / 3, 1 / 6, 0.0], atol=1e-6)


def test_the_gate_does_not_depend_on_pieces(speech: NDArray[np.float32]) -> None:
    rows = np.full((150, 16), 0.5, np.float32)
    whole = SilenceGate().apply(rows, speech)
    gate = SilenceGate()
    pieces = [
        gate.apply(rows[i : i + 7], speech[i * FRAME : (i + 7) * FRAME]) for i in range(0, 150, 7)
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_other_rates_move_the_mouth_alike(speech: NDArray[np.float32], rate: int) -> None:
    there, back = Resampler(16_000, rate), Resampler(rate)
    other = np.concatenate([there.process(speech), there.flush()])
    again = np.concatenate([back.process(other), back.flush()])
    jaw = INDEX["jawOpen"]
    expected, found = coefficients(speech)[:, jaw], coefficients(again)[:150, jaw]
    assert np.corrcoef(expected, found)[0, 1] > (0.9 if rate == 8_000 else 0.98)


def test_stereo_moves_the_mouth_like_mono(speech: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    left_right = np.stack([speech * 1.5, speech * 0.5], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.clip(left_right, -1, 1) * 32767).astype("<i2").tobytes())
    jaw = INDEX["jawOpen"]
    mono, stereo = coefficients(speech)[:, jaw], coefficients(decode(path))[:150, jaw]
    assert np.corrcoef(mono, stereo)[0, 1] > 0.98


def test_offset_and_clipping_change_little(speech: NDArray[np.float32]) -> None:
    jaw = INDEX["jawOpen"]
    expected = coefficients(speech)[:, jaw]
    for changed in (speech + np.float32(0.1), np.clip(speech * 3, -1, 1)):
        assert np.corrcoef(expected, coefficients(changed)[:, jaw])[0, 1] > 0.9


def test_nonsense_samples_leave_no_trace(speech: NDArray[np.float32]) -> None:
    broken = speech[: 50 * FRAME].copy()
    broken[1_000:1_010] = np.nan
    broken[5_000] = np.inf
    rows = coefficients(to_float(broken))
    assert np.isfinite(rows).all()


def test_a_piece_that_is_no_whole_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="640"):
        SpeechStream().process(np.zeros(641, np.float32))
