"""A small real avatar: every frame and every mouth can be told from its pixels."""

import io
import wave
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import engine
from engine import imx
from engine.coefficients import COEFFICIENTS, INDEX
from engine.essence import clips, layout
from engine.stream.avatar import Avatar

SIZE = 96
FRAMES = 30
ROI = (32, 48, 64, 80)


def base_picture(index: int) -> np.ndarray:
    """Soft clouds that brighten over the loop."""
    noise = np.random.default_rng(0).normal(0, 60, (SIZE, SIZE, 3))
    clouds = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return (60 + 4 * index + clouds).clip(0, 255).astype(np.uint8)


def codebook() -> np.ndarray:
    """Rest, seven degrees of opening, and two sealed mouths."""
    rows = np.zeros((10, len(COEFFICIENTS)), np.float32)
    for shape in range(1, 8):
        rows[shape, INDEX["jawOpen"]] = shape / 7
        rows[shape, INDEX["mouthLowerDown"]] = shape / 14
    rows[8:, INDEX["lipClosure"]] = 1
    rows[9, INDEX["mouthPucker"]] = 0.6
    return rows


def write_avatar(path: Path) -> Path:
    width, height = ROI[2] - ROI[0], ROI[3] - ROI[1]
    book = codebook()
    stored = io.BytesIO()
    np.save(stored, book)
    mask = np.zeros((height, width), np.uint8)
    mask[4:-4, 4:-4] = 255
    place = np.tile([[1.0, 0.0, ROI[0]], [0.0, 1.0, ROI[1]]], (FRAMES, 1, 1))
    members = {
        "clips/idle.mp4": clips.encode(map(base_picture, range(FRAMES)), fps=25),
        layout.CLIPS: layout.format_clips({"idle": (np.zeros(FRAMES, np.int64), place)}),
        layout.CODEBOOK: stored.getvalue(),
        layout.MASK: cv2.imencode(".png", mask)[1].tobytes(),
    }
    for shape in range(1, len(book)):
        patch = np.full((height, width, 3), (0, 20 * shape, 255), np.uint8)
        data = cv2.imencode(".webp", patch, [cv2.IMWRITE_WEBP_QUALITY, 95])[1].tobytes()
        members[layout.patch_name(0, shape)] = data
    imx.write(
        path,
        imx.Manifest(
            kind="essence",
            name="Test Card",
            width=SIZE,
            height=SIZE,
            clips={"idle": imx.Clip("clips/idle.mp4", FRAMES)},
            mouth=imx.Mouth(1, len(book), ROI),
        ),
        members,
    )
    return path


@pytest.fixture(scope="session")
def avatar_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_avatar(tmp_path_factory.mktemp("avatar") / "card.imx")


@pytest.fixture
def avatar(avatar_path: Path) -> Avatar:
    return engine.open(avatar_path)


def _speech_like(seconds: float, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    """Bursts of coloured noise at the rhythm of syllables, float32 in [-1, 1]."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    time = np.arange(n) / rate
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    rhythm = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1)
    return (0.2 * rhythm * (voice + 0.1 * rng.standard_normal(n))).clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="session")
def speech_like() -> Callable[..., np.ndarray]:
    return _speech_like


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """Three seconds, int16 at 16 kHz."""
    return (_speech_like(3.0) * 32767).astype(np.int16)


@pytest.fixture
def wav(tmp_path: Path) -> Callable[[np.ndarray, int], Path]:
    """Writes int16 mono to a WAV file."""

    def write(pcm: np.ndarray, rate: int) -> Path:
        path = tmp_path / f"{rate}-{len(pcm)}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(pcm.astype("<i2").tobytes())
        return path

    return write
