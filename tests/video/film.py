"""Clips of a person, made here: a face drawn by Expression, filmed by a camera that shakes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from engine.coefficients import INDEX
from engine.cue import Cue
from engine.face.renderer import Renderer
from engine.motion import Performer

Image = np.ndarray


def people(
    renderer: Renderer,
    frames: int,
    *,
    talking: float = 0.0,
    seed: int = 1,
    gestures: dict[int, str] | None = None,
    turn: dict[int, tuple[float, float, float]] | None = None,
) -> Iterator[Image]:
    """A person who idles, and talks for a share of the time."""
    performer = Performer(seed)
    rng = np.random.default_rng(seed)
    mouth = np.zeros(16, np.float32)
    for i in range(frames):
        if gestures and i in gestures:
            performer.act(gestures[i], force=True)
        says = talking > 0 and (i // 10) % 10 < 10 * talking
        if i % 3 == 0:
            target = np.zeros(16, np.float32)
            if says:
                target[INDEX["jawOpen"]] = rng.uniform(0.0, 0.55)
                target[INDEX["mouthPucker"]] = rng.uniform(0, 0.5) * (rng.random() < 0.4)
                target[INDEX["mouthLowerDown"]] = rng.uniform(0, 0.3)
        mouth += 0.5 * (target - mouth)
        state = performer.step(Cue(mouth, None, speaking=says))
        yield renderer.render(mouth, **state.arguments(), quality="cubic")


def room(size: tuple[int, int], seed: int = 2) -> Image:
    """A wall of many colours, BGR uint8."""
    width, height = size
    small = np.random.default_rng(seed).integers(70, 170, (height // 8, width // 8, 3))
    return cv2.resize(small.astype(np.uint8), size, interpolation=cv2.INTER_CUBIC)


def sketch(picture: Image) -> Image:
    """A pencil drawing of a picture, BGR uint8."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    soft = cv2.GaussianBlur(255 - grey, (0, 0), picture.shape[0] / 80)
    return cv2.cvtColor(cv2.divide(grey, 255 - soft, scale=256), cv2.COLOR_GRAY2BGR)


def filmed(
    pictures: Iterator[Image],
    size: tuple[int, int] = (640, 480),
    *,
    zoom: float = 0.85,
    shake: float = 1.5,
    noise: float = 2.0,
    drift: float = 0.0,
    away: tuple[int, int] | None = None,
    seed: int = 2,
) -> Iterator[Image]:
    """The pictures in a room, through a camera that shakes, drifts and has noise.

    Args:
        pictures: square, with a face.
        size: width and height of the video.
        zoom: side of the picture over the height of the video.
        shake: pixels.
        noise: standard deviation of 255.
        drift: pixels in all.
        away: first and last frame of a time in which the person is out of the picture.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    wall = room(size, seed)
    at = np.zeros(2)
    for i, picture in enumerate(pictures):
        side = len(picture)
        scale = zoom * height / side
        at = 0.9 * at + rng.normal(0, shake * 0.4, 2)
        offset = at + np.array([drift * i / 100, 0])
        if away and away[0] <= i <= away[1]:
            middle = 0.5 * (away[0] + away[1])
            span = 0.5 * (away[1] - away[0])
            offset = offset + np.array([1.2 * width * (1 - abs(i - middle) / span), 0])
        corner = np.array([(width - side * scale) / 2, height - side * scale * 0.98])
        frame = cv2.warpAffine(
            wall,
            np.array([[1, 0, at[0] + drift * i / 100], [0, 1, at[1]]]),
            size,
            borderMode=cv2.BORDER_REFLECT,
        )
        place = np.column_stack([scale * np.eye(2), corner + offset])
        edge = np.zeros((side, side), np.float32)
        edge[int(0.02 * side) :, int(0.04 * side) : int(0.96 * side)] = 1
        edge = cv2.GaussianBlur(edge, (0, 0), 0.012 * side)
        alpha = cv2.warpAffine(edge, place, size)[..., None]
        drawn = cv2.warpAffine(
            picture, place, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
        )
        frame = frame + (drawn - frame.astype(np.float32)) * alpha
        frame = frame + rng.normal(0, noise, frame.shape) if noise else frame
        yield np.rint(frame).clip(0, 255).astype(np.uint8)


def write(path: Path, frames: Iterator[Image], *, fps: float = 25, crf: int = 16) -> Path:
    """Encode H.264, equal frames to equal bytes."""
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        stream = None
        for image in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=rate)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
                # mbtree's AVX-512 code depends on what was in memory before.
                same = "threads=1:mbtree=0"
                stream.options = {"crf": str(crf), "preset": "veryfast", "x264-params": same}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    return path
