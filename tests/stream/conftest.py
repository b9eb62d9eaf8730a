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
from tests.voice import voice, voice_pcm

SIZE = 96
FRAMES = 30
ROI = (32, 48, 64, 80)
RED = (40.0, 30.0, 180.0)


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


def person(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A red disc with a soft edge that sways: its colour, and its alpha in [0, 1]."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    away = np.hypot(x - 48 - 3 * np.sin(2 * np.pi * index / FRAMES), y - 64)
    return np.full((SIZE, SIZE, 3), RED), np.clip((30 - away) / 4, 0, 1)


def wall() -> np.ndarray:
    """What is behind the disc: a gradient of greens, brighter than it."""
    ramp = np.linspace(120, 220, SIZE)[None].repeat(SIZE, 0)
    return np.dstack([0.5 * ramp, ramp, np.full_like(ramp, 90)]).astype(np.uint8)


def standing(index: int) -> np.ndarray:
    """The disc before the wall."""
    colour, alpha = person(index)
    return np.rint(colour * alpha[..., None] + wall() * (1 - alpha[..., None])).astype(np.uint8)


def write_avatar(path: Path, *, matte: bool = False) -> Path:
    width, height = ROI[2] - ROI[0], ROI[3] - ROI[1]
    book = codebook()
    stored = io.BytesIO()
    np.save(stored, book)
    mask = np.zeros((height, width), np.uint8)
    mask[4:-4, 4:-4] = 255
    place = np.tile([[1.0, 0.0, ROI[0]], [0.0, 1.0, ROI[1]]], (FRAMES, 1, 1))
    members = {
        "clips/idle.mp4": clips.encode(
            map(standing if matte else base_picture, range(FRAMES)), fps=25, crf=6 if matte else 19
        ),
        layout.CLIPS: layout.format_clips({"idle": (np.zeros(FRAMES, np.int64), place)}),
        layout.CODEBOOK: stored.getvalue(),
        layout.MASK: cv2.imencode(".png", mask)[1].tobytes(),
    }
    for shape in range(1, len(book)):
        patch = np.full((height, width, 3), (0, 20 * shape, 255), np.uint8)
        data = cv2.imencode(".webp", patch, [cv2.IMWRITE_WEBP_QUALITY, 95])[1].tobytes()
        members[layout.patch_name(0, shape)] = data
    if matte:
        alphas = ((255 * person(index)[1]).round().astype(np.uint8) for index in range(FRAMES))
        members[layout.alpha_name("idle")] = clips.encode(alphas, fps=25)
        members[layout.BACKDROP] = cv2.imencode(".webp", wall(), [cv2.IMWRITE_WEBP_QUALITY, 98])[
            1
        ].tobytes()
    imx.write(
        path,
        imx.Manifest(
            kind="essence",
            name="Test Card",
            width=SIZE,
            height=SIZE,
            clips={
                "idle": imx.Clip(
                    "clips/idle.mp4", FRAMES, alpha=layout.alpha_name("idle") if matte else None
                )
            },
            backdrop=layout.BACKDROP if matte else None,
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


@pytest.fixture(scope="session")
def cut_out_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar that knows what of its pictures is the person: a red disc before a green wall."""
    return write_avatar(tmp_path_factory.mktemp("avatar") / "disc.imx", matte=True)


@pytest.fixture(scope="session")
def speech_like() -> Callable[..., np.ndarray]:
    return voice


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """Three seconds, int16 at 16 kHz."""
    return voice_pcm(3.0)


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
