"""A recording and an avatar become a video file."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import av
import cv2
import numpy as np

from engine.background import TRANSPARENT, Background, BackgroundSource
from engine.coefficients import FPS, SAMPLE_RATE
from engine.errors import InvalidAudio, NotSupported
from engine.essence import EssencePlayer
from engine.essence.planar import PlanarComposer, to_i420
from engine.face.matte import composite
from engine.stream.canvas import Canvas, TargetSize
from engine.stream.recording import Audio, pieces, speech_frames
from engine.stream.session import Playable
from engine.stream.tracks import Preset, opened
from engine.stream.types import FrameState, Image
from engine.stream.utterance import Floats

TRACK_RATES: Final = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Rates in Hz a sound track may have; that of a file is kept if it is one, else the highest."""

_OPUS_RATE: Final = 48_000  # Opus runs at this rate whatever it is given


_QUALITIES: Final = {
    "LOW": Preset("ultrafast", 28, 64_000, (40, "realtime", 8)),
    "MEDIUM": Preset("ultrafast", 24, 96_000, (32, "realtime", 7)),
    "HIGH": Preset("faster", 17, 160_000, (18, "good", 4)),
}
Progress = Callable[[int, int | None], None]


class Filmed(Playable, Protocol):
    """What a video needs of an avatar."""

    @property
    def name(self) -> str:
        """The title of the file."""

    @property
    def kind(self) -> str:
        """``essence`` or ``expression``."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def background(self) -> Background | None:
        """What is shown behind the person; None is what the photo shows."""

    @property
    def player(self) -> EssencePlayer:
        """Base frames and mouth bank of an Essence avatar."""

    def with_background(self, background: BackgroundSource | None) -> Filmed:
        """The same before something else."""

    def fine(self) -> tuple[Filmed, tuple[int, int]]:
        """The same in more detail, and width and height to show its frames at."""


class Format(NamedTuple):
    """A kind of output.

    Attributes:
        suffix: of the files; of those in the folder for ``png``.
        alpha: whether it can be transparent.
    """

    suffix: str
    alpha: bool


FORMATS: Final[dict[str, Format]] = {
    "mp4": Format(".mp4", alpha=False),
    "webm": Format(".webm", alpha=True),
    "mov": Format(".mov", alpha=True),
    "png": Format(".png", alpha=True),
}
"""H.264 and AAC; VP9 and Opus; ProRes 4444 and PCM; a folder of numbered pictures and a WAV."""


@dataclass(frozen=True, slots=True)
class RenderResult:
    """What was written.

    Attributes:
        path: the file, or the folder.
        frames: pictures in it.
        seconds: its length; picture and sound end together.
        width: pixels.
        height: pixels.
        bytes: size of the file, or of all files in the folder.
    """

    path: Path
    frames: int
    seconds: float
    width: int
    height: int
    bytes: int


def output_format(out: str | os.PathLike[str]) -> str:
    """The format that a name asks for: by its suffix, or ``png`` if it ends with a slash.

    A ``Path`` has lost its slash: say ``format="png"`` instead.

    Raises:
        NotSupported: ``OUTPUT_FORMAT``.
    """
    written = os.fspath(out)
    if written.endswith(("/", os.sep)):
        return "png"
    suffix = Path(written).suffix.lower()
    for name, kind in FORMATS.items():
        if kind.suffix == suffix and name != "png":
            return name
    raise NotSupported(
        f"{written} does not end like a video that can be written",
        code="OUTPUT_FORMAT",
        hint="End it with .mp4, .webm or .mov, or with / for a folder of numbered PNG pictures.",
    )


def write_mp4(
    avatar: Filmed,
    audio: Audio,
    out: str | os.PathLike[str],
    *,
    target_size: TargetSize | None = None,
    quality: str = "MEDIUM",
    limit: float | None = None,
    progress: Progress | None = None,
) -> RenderResult:
    """``write_video`` in the format ``mp4``, whatever the name of the file."""
    return write_video(
        avatar,
        audio,
        out,
        format="mp4",
        target_size=target_size,
        quality=quality,
        limit=limit,
        progress=progress,
    )


def write_video(
    avatar: Filmed,
    audio: Audio,
    out: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    target_size: TargetSize | None = None,
    quality: str = "MEDIUM",
    limit: float | None = None,
    progress: Progress | None = None,
) -> RenderResult:
    """Write what an avatar says as video, 25 frames per second, marked as AI-generated.

    ``mp4`` is H.264 with AAC, ``webm`` VP9 with Opus, ``mov`` ProRes 4444 with PCM, ``png`` a
    folder of pictures ``frame-000000.png`` and so on with the sound as ``audio.wav``. All but mp4
    carry the alpha channel of a ``transparent`` avatar, their colours not multiplied by it.

    Every sound sample keeps its place: what encoders put before it is declared in the file, and
    players take it off. The output appears complete or not at all. Memory does not grow with the
    length of the recording.

    Args:
        avatar: who speaks, an ``Avatar``.
        audio: what it says, as for ``Avatar.render``.
        out: file, or folder with a slash at its end, to write in a folder that exists. A folder
            that is there already must be empty.
        format: one of ``FORMATS``; None goes by the name, see ``output_format``.
        target_size: longer side, or width and height with the picture centred on black, or on
            its background; the avatar's own size if None. See ``Canvas``.
        quality: ``LOW``, ``MEDIUM`` (what live viewers see) or ``HIGH``; higher is larger and
            slower. ``HIGH`` draws Expression avatars in more detail, those of a photo at its own
            resolution up to 1080 pixels: see ``Avatar.fine``.
        limit: stop after this many seconds of sound, more than 0.
        progress: called with the number of frames done and, where known, of all frames.

    Raises:
        InvalidAudio: there is no such file, or no sound in it.
        NotSupported: ``TARGET_SIZE``, ``QUALITY``, ``LIMIT``, ``OUTPUT_FORMAT``, or ``NO_ALPHA``
            for an mp4 of a transparent avatar.
        Failed: ``WRITE_FAILED``, ``DISK_FULL`` or ``ENCODE_FAILED``.
    """
    if quality not in _QUALITIES:
        raise NotSupported(
            f"the quality is {quality}, expected {', '.join(_QUALITIES)}", code="QUALITY"
        )
    kind = output_format(out) if format is None else format
    if kind not in FORMATS:
        raise NotSupported(
            f"the format is {kind}, expected {', '.join(FORMATS)}", code="OUTPUT_FORMAT"
        )
    if avatar.transparent and not FORMATS[kind].alpha:
        raise NotSupported(
            f"{kind} files cannot be transparent",
            code="NO_ALPHA",
            hint="Write .webm, .mov or a folder of pictures, or choose a colour as background.",
        )
    if limit is not None and not limit > 0:  # NaN is not, either
        raise NotSupported(f"the limit is {limit} seconds, expected more than 0", code="LIMIT")
    preset = _QUALITIES[quality]
    shown = (avatar.width, avatar.height)
    canvas = Canvas(shown, target_size)  # a size that cannot be is refused before any work
    if quality == "HIGH":
        avatar, shown = avatar.fine()
        canvas = Canvas((avatar.width, avatar.height), target_size or shown)
    rate, seconds = _probe(audio, kind)
    total = None if seconds is None else math.ceil(min(seconds, limit or math.inf) * FPS)
    target = Path(out)
    with opened(
        target, kind, canvas, rate, preset, title=avatar.name, alpha=avatar.transparent
    ) as (sound, pictures):
        blocks = _limited(pieces(audio, rate), limit)
        paint = _painter(avatar, canvas, planar=kind == "mp4")
        frames = 0
        for state in speech_frames(avatar, sound.tee(blocks)):
            pictures.write(paint(state))
            frames += 1
            if progress is not None:
                progress(frames, total)
        if not frames:
            raise InvalidAudio("there is no sound to say", code="AUDIO_EMPTY")
        sound.finish(frames)
        pictures.finish()
    if progress is not None:
        progress(frames, frames)
    files = target.iterdir() if kind == "png" else [target]
    size = sum(file.stat().st_size for file in files)
    return RenderResult(target, frames, frames / FPS, canvas.width, canvas.height, size)


def _painter(avatar: Filmed, canvas: Canvas, *, planar: bool) -> Callable[[FrameState], Image]:
    """How frames become pictures of the size of the canvas: new I420, or BGRA."""
    same = (canvas.width, canvas.height) == (avatar.width, avatar.height)
    if planar and same and avatar.kind == "essence" and avatar.background is None:
        composer = PlanarComposer(avatar.player)
        return lambda state: composer.compose(state.base, state.patch)
    cut: Filmed | None = None
    behind: Image | None = None
    if avatar.background is not None and (avatar.transparent or canvas.framed):
        # Beside a picture that does not fill the canvas its background goes on.
        cut = avatar.with_background(TRANSPARENT)
        if not avatar.transparent:
            behind = avatar.background.picture(canvas.width, canvas.height)

    def paint(state: FrameState) -> Image:
        picture, alpha = (avatar.compose(state), None) if cut is None else cut.compose_cut(state)
        picture = canvas.fit(picture)
        plane = None if alpha is None else canvas.fit_alpha(alpha)
        if behind is not None and plane is not None:
            picture, plane = composite(picture, plane, behind), None
        if planar:
            return to_i420(picture)
        if plane is None:
            return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA), np.uint8)
        return np.dstack([picture, plane])

    return paint


def _limited(
    blocks: Iterable[tuple[Floats, int]], limit: float | None
) -> Iterator[tuple[Floats, int]]:
    left = math.inf if limit is None else limit
    for samples, rate in blocks:
        count = len(samples) if left == math.inf else min(len(samples), round(left * rate))
        if count:
            yield samples[:count], rate
        left -= count / rate
        if left < 0.5 / rate:
            return


def _probe(audio: Audio, kind: str) -> tuple[int, float | None]:
    """Rate for the sound track and length of the sound in seconds, where it can be told."""
    rate, seconds = _probe_source(audio)
    return (rate if kind != "webm" else _OPUS_RATE), seconds


def _probe_source(audio: Audio) -> tuple[int, float | None]:
    if isinstance(audio, str | os.PathLike):
        rate, seconds = 0, None
        path = str(Path(audio).absolute())
        # What is wrong with the file is said, better, when it is decoded.
        with (
            contextlib.suppress(av.FFmpegError, OSError, ValueError),
            av.open(path, metadata_errors="ignore") as file,
        ):
            seconds = None if file.duration is None else file.duration / av.time_base
            track = next(iter(file.streams.audio), None)
            rate = getattr(getattr(track, "codec_context", None), "sample_rate", 0)
        return rate if rate in TRACK_RATES else TRACK_RATES[-1], seconds
    if isinstance(audio, np.ndarray):
        return SAMPLE_RATE, len(audio) / SAMPLE_RATE
    if isinstance(audio, bytes | bytearray | memoryview):
        return SAMPLE_RATE, len(audio) / 2 / SAMPLE_RATE
    return SAMPLE_RATE, None
