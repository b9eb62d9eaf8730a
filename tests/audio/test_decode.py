from __future__ import annotations

import io
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import decode, iter_decode, to_float
from engine.errors import InvalidAudio


def tone(rate: int, seconds: float, hertz: float = 440.0) -> NDArray[np.float32]:
    t = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def wav(samples: NDArray[np.float32], rate: int, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setnchannels(channels)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes((samples * 32767).astype("<i2").tobytes())
    return out.getvalue()


def encode(path: Path, codec: str, rate: int, video: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        if video:
            pictures = container.add_stream("mpeg4", rate=25)
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
        sound = container.add_stream(codec, rate=rate, layout="stereo")
        if video:
            for _ in range(25):
                picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "bgr24")
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode(None))
        samples = np.stack([tone(rate, 1.0)] * 2)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=sound.codec_context.format, layout="stereo", rate=rate)
        for part in resampler.resample(frame):
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_wav_of_any_rate_is_aligned_to_the_sample(rate: int) -> None:
    out = decode(wav(tone(rate, 1.0), rate))
    assert len(out) == 16_000
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[200:-200], tone(16_000, 1.0)[200:-200], atol=2e-3)


@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        ("a.mp3", "mp3", False),
        ("a.flac", "flac", False),
        ("a.ogg", "libopus", False),
        ("a.m4a", "aac", False),
        ("a.webm", "libopus", False),
        ("a.mp4", "aac", True),
    ],
)
def test_common_files_and_videos(tmp_path: Path, name: str, codec: str, video: bool) -> None:
    out = decode(encode(tmp_path / name, codec, 48_000, video))
    assert abs(len(out) / 16_000 - 1.0) < 0.06
    spectrum = np.abs(np.fft.rfft(out[2_000:14_000]))
    assert abs(np.fft.rfftfreq(12_000, 1 / 16_000)[spectrum.argmax()] - 440) < 3


@pytest.mark.parametrize(("channels", "layout"), [(6, "5.1"), (8, "7.1")])
def test_surround_sound(channels: int, layout: str) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    pcm = np.repeat((tone * 32767).astype(np.int16), channels)[None]
    frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout=layout)
    frame.sample_rate = 48_000
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48_000, layout=layout)
        for part in av.AudioResampler("fltp", layout, 48_000, 1024).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    decoded = decode(file.getvalue())
    assert len(decoded) == pytest.approx(16_000, abs=1100)
    assert np.std(decoded[4_000:12_000]) > 0.1


def test_stereo_is_averaged() -> None:
    left, right = tone(16_000, 0.5), np.zeros(8_000, np.float32)
    out = decode(wav(np.stack([left, right], 1).ravel(), 16_000, 2))
    np.testing.assert_allclose(out, left / 2, atol=1e-3)


def test_file_objects_paths_limits_and_blocks(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    path.write_bytes(wav(tone(16_000, 2.0), 16_000))
    expected = decode(path)
    np.testing.assert_array_equal(decode(str(path)), expected)
    np.testing.assert_array_equal(decode(io.BytesIO(path.read_bytes())), expected)
    np.testing.assert_array_equal(np.concatenate(list(iter_decode(path))), expected)
    np.testing.assert_array_equal(decode(path, limit=0.5), expected[:8_000])
    assert len(decode(path, sample_rate=48_000)) == 96_000


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio) as error:
        decode(tmp_path / "none.wav")
    assert error.value.code == "AUDIO_NOT_FOUND"


def test_an_impossible_rate() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(13_844_096)
        sound.writeframes(bytes(2_000))
    with pytest.raises(InvalidAudio, match="13844096 Hz"):
        decode(file.getvalue())


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 5_000, b"RIFF1234WAVEfmt ", bytes(range(256)) * 40, b"hello\n" * 500]
)
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAudio) as error:
        decode(data)
    assert error.value.code in ("AUDIO_UNREADABLE", "AUDIO_EMPTY")


def test_a_file_without_samples() -> None:
    with pytest.raises(InvalidAudio) as error:
        decode(wav(np.zeros(0, np.float32), 16_000))
    assert error.value.code in ("AUDIO_EMPTY", "AUDIO_UNREADABLE")


def test_a_video_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "bgr24"))
        )
        container.mux(stream.encode(None))
    with pytest.raises(InvalidAudio, match="no sound track"):
        decode(path)


def test_a_cut_file_gives_what_is_there(tmp_path: Path) -> None:
    path = encode(tmp_path / "whole.mp3", "mp3", 44_100)
    data = path.read_bytes()
    out = decode(data[: len(data) // 2])
    assert 0.3 < len(out) / 16_000 < 0.7


def test_pcm_bytes_and_arrays() -> None:
    np.testing.assert_allclose(to_float(b"\x00\x80\x00\x40"), [-1.0, 0.5])
    np.testing.assert_allclose(to_float(np.array([16384, 0], np.int16), channels=2), [0.25])
    np.testing.assert_allclose(to_float(np.array([[0.5, 0.0], [0.2, 0.4]])), [0.25, 0.3])


def test_nonsense_in_float_pcm_becomes_finite() -> None:
    out = to_float(np.array([np.nan, np.inf, -np.inf, 7.0, -0.5], np.float32))
    np.testing.assert_allclose(out, [0.0, 1.0, -1.0, 1.0, -0.5])


@pytest.mark.parametrize(
    ("pcm", "channels"),
    [
        (b"\0\0\0", 1),
        (np.zeros(3, np.int16), 2),
        (np.zeros(4, np.int64), 1),
        (np.zeros((2, 2, 2)), 1),
        (np.zeros((2, 640)), 1),  # turned round
    ],
)
def test_pcm_that_does_not_fit(pcm: object, channels: int) -> None:
    with pytest.raises(InvalidAudio):
        to_float(pcm, channels)  # type: ignore[arg-type]
