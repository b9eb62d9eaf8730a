"""Rendered files: decoded again, they have every frame and every sample in its place."""

import math
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import engine
from engine.director import Shot
from engine.errors import Failed, InvalidAudio, NotSupported
from engine.stream.avatar import Avatar
from engine.stream.recording import pieces, speech_frames
from engine.stream.video import write_mp4

Wav = Callable[[np.ndarray, int], Path]


def pictures(path: Path) -> tuple[list[float], list[np.ndarray]]:
    with av.open(str(path)) as file:
        decoded = list(file.decode(file.streams.video[0]))
    return [frame.time for frame in decoded], [
        frame.to_ndarray(format="bgr24") for frame in decoded
    ]


def track(path: Path) -> tuple[np.ndarray, int, float]:
    """Samples, rate and start time of the sound, as players that honour edit lists hear it."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        frames = list(file.decode(stream))
        rate = stream.codec_context.sample_rate
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), rate, frames[0].time


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 16_000, 40_001])
def test_frame_count_and_length(
    avatar: Avatar, speech: np.ndarray, tmp_path: Path, samples: int
) -> None:
    result = write_mp4(avatar, speech[:samples], tmp_path / "out.mp4")
    expected = -(-samples // 640)
    times, images = pictures(tmp_path / "out.mp4")
    assert result.frames == len(images) == expected
    np.testing.assert_allclose(times, np.arange(expected) / 25, atol=1e-6)
    assert result.seconds == pytest.approx(expected / 25)
    assert result.bytes == (tmp_path / "out.mp4").stat().st_size
    assert (result.width, result.height) == (96, 96)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.duration / av.time_base == pytest.approx(expected / 25, abs=1e-3)


def test_pictures_are_those_of_the_session(
    avatar: Avatar, speech: np.ndarray, tmp_path: Path
) -> None:
    write_mp4(avatar, speech, tmp_path / "out.mp4", quality="HIGH")
    _, images = pictures(tmp_path / "out.mp4")
    states = list(speech_frames(avatar, pieces(speech)))
    assert len({state.patch for state in states}) > 2
    for image, state in zip(images, states, strict=True):
        expected = avatar.compose(state).astype(int)
        assert abs(image[8:40, 8:-8].astype(int) - expected[8:40, 8:-8]).mean() < 4
        middle = image[58:70, 42:54].reshape(-1, 3).mean(0)
        assert abs(middle - expected[58:70, 42:54].reshape(-1, 3).mean(0)).max() < 14


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_impulses_keep_their_place(avatar: Avatar, wav: Wav, tmp_path: Path, rate: int) -> None:
    pcm = np.zeros(rate * 2, np.int16)
    places = [0.1, 0.52, 1.0, 1.73]
    for place in places:
        pcm[round(place * rate)] = 30_000
    write_mp4(avatar, wav(pcm, rate), tmp_path / "out.mp4")
    samples, out_rate, start = track(tmp_path / "out.mp4")
    assert start == 0
    assert len(samples) / out_rate == pytest.approx(2.0, abs=1024 / out_rate)
    for place in places:
        first = round((place - 0.05) * out_rate)
        window = np.abs(samples[first : first + round(0.1 * out_rate)])
        assert (first + int(window.argmax())) / out_rate == pytest.approx(place, abs=0.0003)


def test_sound_of_an_array_keeps_its_place(
    avatar: Avatar, speech: np.ndarray, tmp_path: Path
) -> None:
    write_mp4(avatar, speech, tmp_path / "out.mp4")
    samples, rate, start = track(tmp_path / "out.mp4")
    assert (rate, start) == (16_000, 0)
    original = speech / 32768
    lags = range(-40, 41)
    scores = [
        float(np.dot(original[1_000:40_000], samples[1_000 + lag : 40_000 + lag])) for lag in lags
    ]
    assert lags[int(np.argmax(scores))] == 0


def test_the_delay_of_the_encoder_is_declared(
    avatar: Avatar, speech: np.ndarray, tmp_path: Path
) -> None:
    """Players differ in how they decode, but all take off what the edit list says."""
    write_mp4(avatar, speech, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as file:
        stream = file.streams.audio[0]
        assert next(file.demux(stream)).pts == -1024
        assert stream.start_time == 0


def test_markings_and_formats(avatar: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    write_mp4(avatar, speech, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.metadata["comment"] == "AI-generated"
        assert file.metadata["title"] == "Test Card"
        video, audio = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert video.codec_context.pix_fmt == "yuv420p"
        assert video.average_rate == 25
        assert video.codec_context.colorspace == 6
        assert video.codec_context.color_range == 1
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # starts to play before it is all there


def test_sizes(avatar: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    for target, size in (("128", (128, 128)), ("200x100", (200, 100)), ((65, 333), (64, 332))):
        result = write_mp4(avatar, speech[:3_200], tmp_path / "out.mp4", target_size=target)
        _, images = pictures(tmp_path / "out.mp4")
        assert (result.width, result.height) == size == images[0].shape[1::-1]


def test_quality(avatar: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    states = list(speech_frames(avatar, pieces(speech)))
    errors = []
    for quality in ("LOW", "MEDIUM", "HIGH"):
        write_mp4(avatar, speech, tmp_path / "out.mp4", quality=quality)
        _, images = pictures(tmp_path / "out.mp4")
        errors.append(
            np.mean(
                [
                    np.abs(image - avatar.compose(state).astype(float)).mean()
                    for image, state in zip(images, states, strict=True)
                ]
            )
        )
    assert errors[0] > errors[1] > errors[2]
    with pytest.raises(NotSupported) as caught:
        write_mp4(avatar, speech, tmp_path / "out.mp4", quality="BEST")
    assert caught.value.code == "QUALITY"
    for limit in (math.nan, 0.0, -1.0, -math.inf):
        with pytest.raises(NotSupported) as caught:
            write_mp4(avatar, speech, tmp_path / "out.mp4", limit=limit)
        assert caught.value.code == "LIMIT"


def test_limit_and_progress(avatar: Avatar, speech: np.ndarray, wav: Wav, tmp_path: Path) -> None:
    for audio in (speech, wav(speech, 16_000), [speech]):
        calls: list[tuple[int, int | None]] = []

        def note(done: int, total: int | None, calls: list[Any] = calls) -> None:
            calls.append((done, total))

        result = write_mp4(avatar, audio, tmp_path / "out.mp4", limit=1.0, progress=note)
        assert result.frames == 25
        assert calls[-1] == (25, 25)
        assert [done for done, _ in calls[:-1]] == list(range(1, 26))
        assert {total for _, total in calls[:-1]} == {None if isinstance(audio, list) else 25}


def test_sound_of_a_video_file(avatar: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    write_mp4(avatar, speech, tmp_path / "one.mp4")
    result = write_mp4(avatar, tmp_path / "one.mp4", tmp_path / "two.mp4")
    assert result.frames == pytest.approx(75, abs=1)


def test_a_title_in_another_encoding(
    avatar: Avatar, speech: np.ndarray, wav: Wav, tmp_path: Path
) -> None:
    path = wav(speech, 22_050)
    title = b"INFOINAM" + (6).to_bytes(4, "little") + b"caf\xe9 1"  # Latin-1
    chunk = b"LIST" + len(title).to_bytes(4, "little") + title
    data = path.read_bytes() + chunk
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    result = write_mp4(avatar, path, tmp_path / "out.mp4")
    assert result.seconds == pytest.approx(len(speech) / 22_050, abs=0.04)
    with av.open(str(result.path)) as file:
        assert file.streams.audio[0].codec_context.sample_rate == 22_050


def test_writing_over_its_own_source(avatar: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    write_mp4(avatar, speech, tmp_path / "one.mp4")
    write_mp4(avatar, tmp_path / "one.mp4", tmp_path / "one.mp4")
    assert len(pictures(tmp_path / "one.mp4")[1]) == pytest.approx(75, abs=1)


def test_any_extension(avatar: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    write_mp4(avatar, speech[:3_200], tmp_path / "video")
    assert len(pictures(tmp_path / "video")[1]) == 5


def test_nothing_is_left_behind(avatar: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"the old file")

    def interrupted(done: int, total: int | None) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mp4(avatar, speech, out, progress=interrupted)
    for audio, code in (
        (tmp_path / "none.wav", "AUDIO_NOT_FOUND"),
        (b"", "AUDIO_EMPTY"),
        (np.zeros(0, np.float32), "AUDIO_EMPTY"),
        ([], "AUDIO_EMPTY"),
    ):
        with pytest.raises(InvalidAudio) as caught:
            write_mp4(avatar, audio, out)
        assert caught.value.code == code
    with pytest.raises(Failed) as failed:
        write_mp4(avatar, speech, tmp_path / "none" / "out.mp4")
    assert failed.value.code == "WRITE_FAILED"
    assert out.read_bytes() == b"the old file"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_full_disk(avatar_path: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk that is full."""
    code = (
        "import resource, signal, sys, numpy as np, engine\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "avatar = engine.open(sys.argv[1])\n"
        "noise = np.random.default_rng(0).normal(0, 3000, 160_000).astype(np.int16)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    avatar.render(noise, sys.argv[2])\n"
        "except engine.Failed as error:\n"
        "    print(error.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(avatar_path), str(tmp_path / "out.mp4")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() in ("ENCODE_FAILED", "WRITE_FAILED"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_length(
    avatar: Avatar, speech: np.ndarray, tmp_path: Path
) -> None:
    def peak(repeats: int) -> int:
        write_mp4(avatar, (speech for _ in range(repeats)), tmp_path / "out.mp4", quality="LOW")
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = peak(2)
    assert peak(10) - first < 12_000  # KiB; the pictures alone would be 16 MB more


@pytest.mark.parametrize("size", [94, 96, 98])
def test_colours_are_in_their_place_at_every_even_height(
    cut_out_path: Path, tmp_path: Path, size: int
) -> None:
    silence = np.zeros(640, np.int16)
    with engine.open(cut_out_path) as avatar:  # a red disc before a green wall
        write_mp4(avatar, silence, tmp_path / "a.mp4", target_size=size, quality="HIGH")
        whole = avatar.compose(Shot())
    _, (picture,) = pictures(tmp_path / "a.mp4")
    expected = cv2.resize(whole, (size, size), interpolation=cv2.INTER_CUBIC)
    redness = [p[:, :, 2].astype(int) - p[:, :, 1] for p in (picture, expected)]
    assert np.abs(redness[0] - redness[1]).mean() < 9
