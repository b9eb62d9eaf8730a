"""The main path, from a photo to a video that is measured: build, info, render, decode, look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bithuman_cli.main import main
from engine import audio
from engine.coefficients import SAMPLE_RATE, SAMPLES_PER_FRAME
from engine.face.detect import detect_faces
from engine.face.landmarks import landmarks
from engine.face.measure import lip_gap

ROOT = Path(__file__).resolve().parents[1]
PAUSE = SAMPLE_RATE  # samples of silence before and after the speech


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """Silence, speech, silence; float32 at 16 kHz."""
    speech = audio.decode(ROOT / "web" / "audio" / "hello.mp3", limit=4.0)
    pause = np.zeros(PAUSE, np.float32)
    return np.concatenate([pause, speech, pause])


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, sound: np.ndarray) -> Path:
    directory = tmp_path_factory.mktemp("main-path")
    with av.open(str(directory / "sound.wav"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        pcm = (sound * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        file.mux(stream.encode(frame) + stream.encode(None))
    photo = ROOT / "tests" / "data" / "face_front.webp"
    avatar, out = directory / "face.imx", directory / "face.mp4"
    assert main(["build", str(photo), "-o", str(avatar), "--size", "320", "-q"]) == 0
    assert main(["info", str(avatar), "-q"]) == 0
    assert main(["render", str(avatar), str(directory / "sound.wav"), "-o", str(out), "-q"]) == 0
    return out


@pytest.fixture(scope="module")
def gaps(video: Path) -> np.ndarray:
    """Opening of the mouth in every frame of the video, over its width, read back by a network."""
    with av.open(str(video)) as file:
        pictures = [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]
    return np.array([lip_gap(landmarks(p, detect_faces(p)[0]).points) for p in pictures])


def test_a_frame_for_every_40_ms(gaps: np.ndarray, sound: np.ndarray) -> None:
    assert len(gaps) == -(-len(sound) // SAMPLES_PER_FRAME)


def test_the_sound_is_where_it_was(video: Path, sound: np.ndarray) -> None:
    heard = audio.decode(video)[: len(sound)]
    size = 1 << (len(sound) + len(heard)).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sound, size))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    assert min(lag, size - lag) <= 1


def test_the_mouth_is_closed_in_silence(gaps: np.ndarray) -> None:
    pause = PAUSE // SAMPLES_PER_FRAME
    silent = np.concatenate([gaps[: pause - 5], gaps[-pause + 8 :]])
    assert silent.max() <= 0.02


def test_the_mouth_opens_with_the_voice(gaps: np.ndarray, sound: np.ndarray) -> None:
    padded = np.pad(sound, (0, len(gaps) * SAMPLES_PER_FRAME - len(sound)))
    level = np.sqrt((padded.reshape(len(gaps), -1) ** 2).mean(1))

    def smooth(values: np.ndarray) -> np.ndarray:
        """Syllables, not sounds: m and n are loud with the lips closed."""
        return np.convolve(values, np.full(9, 1 / 9), "same")

    opening, loudness = smooth(gaps), smooth(np.sqrt(level))
    shifts = range(-12, 13)
    matches = [np.corrcoef(np.roll(opening, shift), loudness)[0, 1] for shift in shifts]

    assert gaps.max() >= 0.2
    assert matches[shifts.index(0)] >= 0.5
    # Lips prepare a sound before it is heard, by a tenth of a second; nothing else shifts them.
    assert -2 <= shifts[int(np.argmax(matches))] <= 4


def test_info_counts_what_the_video_shows(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(video.with_suffix(".imx")), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    with av.open(str(video)) as file:
        stream = file.streams.video[0]
        shown = stream.width, stream.height, stream.average_rate
    assert shown == (told["manifest"]["width"], told["manifest"]["height"], told["manifest"]["fps"])
