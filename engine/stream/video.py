"""A recording and an avatar become a video file."""

from __future__ import annotations

import contextlib
import math
import os
import wave
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from engine.background import TRANSPARENT
from engine.coefficients import FPS, SAMPLE_RATE
from engine.errors import Failed, InvalidAudio, NotSupported
from engine.essence.planar import PlanarComposer, planes_of, to_i420
from engine.face.matte import composite
from engine.files import atomic, atomic_folder
from engine.stream.avatar import Audio, Avatar, pieces, speech_frames
from engine.stream.canvas import Canvas, TargetSize
from engine.stream.types import FrameState, Image
from engine.stream.utterance import Floats

TRACK_RATES: Final = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Rates in Hz a sound track may have; that of a file is kept if it is one, else the highest."""

_OPUS_RATE: Final = 48_000  # Opus runs at this rate whatever it is given
_COMMENT = "AI-generated"
# Code points of ITU-T H.273: matrix, primaries and transfer, range.
_BT601, _BT709, _LIMITED = 6, 1, 1
_FOLDER_SOUND: Final = "audio.wav"
_PNG_LEVEL: Final = 3


class _Preset(NamedTuple):
    preset: str  # of x264
    crf: int  # of x264
    bit_rate: int  # of the sound
    vp9: tuple[int, str, int]  # constant quality; how it decides, and how fast


_QUALITIES: Final = {
    "LOW": _Preset("ultrafast", 28, 64_000, (40, "realtime", 8)),
    "MEDIUM": _Preset("ultrafast", 24, 96_000, (32, "realtime", 7)),
    "HIGH": _Preset("faster", 17, 160_000, (18, "good", 4)),
}
Progress = Callable[[int, int | None], None]


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
    """The format that a name asks for: by its suffix; without one it is a folder of pictures.

    Raises:
        NotSupported: ``OUTPUT_FORMAT``.
    """
    suffix = Path(out).suffix.lower()
    if not suffix or Path(out).is_dir():
        return "png"
    for name, kind in FORMATS.items():
        if kind.suffix == suffix and name != "png":
            return name
    raise NotSupported(
        f"{Path(out).name} has the suffix of no kind of video that can be written",
        code="OUTPUT_FORMAT",
        hint="Write .mp4, .webm or .mov, or for numbered PNG pictures the name of a folder.",
    )


def write_mp4(
    avatar: Avatar,
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
    avatar: Avatar,
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
        avatar: who speaks.
        audio: what it says, as for ``Avatar.render``.
        out: file or folder to write, in a folder that exists. A folder that is there already must
            be empty.
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
        NotSupported: ``TARGET_SIZE``, ``QUALITY``, ``OUTPUT_FORMAT``, or ``NO_ALPHA`` for an mp4
            of a transparent avatar.
        Failed: ``WRITE_FAILED`` or ``ENCODE_FAILED``.
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
    preset = _QUALITIES[quality]
    shown = (avatar.width, avatar.height)
    canvas = Canvas(shown, target_size)  # a size that cannot be is refused before any work
    if quality == "HIGH":
        avatar, shown = avatar.fine()
        canvas = Canvas((avatar.width, avatar.height), target_size or shown)
    rate, seconds = _probe(audio, kind)
    total = None if seconds is None else math.ceil(min(seconds, limit or math.inf) * FPS)
    target = Path(out)
    with _opened(target, kind, avatar, canvas, rate, preset) as (sound, pictures):
        blocks = _limited(pieces(audio, rate), limit)
        paint = _painter(avatar, canvas, planar=kind == "mp4", fine=quality == "HIGH")
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


class _Sound(Protocol):
    """Takes the sound on its way to the avatar."""

    def tee(self, blocks: Iterable[tuple[Floats, int]]) -> Iterator[tuple[Floats, int]]:
        """Keep what passes by."""

    def finish(self, frames: int) -> None:
        """Add silence up to the end of the last picture."""


class _Pictures(Protocol):
    """Takes pictures, as the painter of the format makes them."""

    def write(self, picture: Image) -> None:
        """Add one."""

    def finish(self) -> None:
        """There are no more."""


@contextlib.contextmanager
def _opened(
    target: Path, kind: str, avatar: Avatar, canvas: Canvas, rate: int, preset: _Preset
) -> Iterator[tuple[_Sound, _Pictures]]:
    """The tracks of a file or folder that appears when the body ends well."""
    if kind == "png":
        with (
            atomic_folder(target) as folder,
            contextlib.closing(_WavFile(folder / _FOLDER_SOUND, rate)) as sound,
        ):
            yield sound, _PictureFiles(folder, avatar.name)
        return
    options = {"movflags": "faststart"} if kind in ("mp4", "mov") else {}
    with atomic(target) as part:
        try:
            with av.open(str(part.absolute()), "w", format=kind, options=options) as file:
                file.metadata.update(title=avatar.name, comment=_COMMENT)
                yield (
                    _SoundTrack(file, kind, rate, preset.bit_rate),
                    _PictureTrack(file, kind, canvas, preset, alpha=avatar.transparent),
                )
        except av.FFmpegError as error:
            raise Failed(f"the video cannot be encoded: {error}", code="ENCODE_FAILED") from error


class _SoundTrack:
    """The sound of a file; sees it on its way to the avatar."""

    def __init__(self, file: OutputContainer, kind: str, rate: int, bit_rate: int) -> None:
        self._file = file
        self._rate = rate
        codec, options = {
            # A third of the time of the default search, and no worse for speech.
            "mp4": ("aac", {"aac_coder": "fast"}),
            "webm": ("libopus", {}),
            "mov": ("pcm_s16le", {}),
        }[kind]
        stream = file.add_stream(codec, rate=rate, layout="mono", options=options)
        assert isinstance(stream, AudioStream)
        self._stream = stream
        self._format = "s16" if kind == "mov" else "flt" if kind == "webm" else "fltp"
        if kind != "mov":
            self._stream.bit_rate = bit_rate
        self._stream.time_base = Fraction(1, rate)
        self._samples = 0

    def tee(self, blocks: Iterable[tuple[Floats, int]]) -> Iterator[tuple[Floats, int]]:
        """Encode what passes by."""
        for samples, rate in blocks:
            self._write(samples)
            yield samples, rate

    def finish(self, frames: int) -> None:
        """Add silence up to the end of the last picture, and flush the encoder."""
        missing = frames * self._rate // FPS - self._samples
        if missing > 0:
            self._write(np.zeros(missing, np.float32))
        self._file.mux(self._stream.encode(None))

    def _write(self, samples: Floats) -> None:
        if not len(samples):
            return
        values = _to_int16(samples)[None] if self._format == "s16" else samples[None]
        frame = av.AudioFrame.from_ndarray(values, format=self._format, layout="mono")
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._samples
        self._samples += len(samples)
        self._file.mux(self._stream.encode(frame))


class _PictureTrack:
    """The pictures of a file; BT.601 limited range, and tagged so."""

    def __init__(
        self, file: OutputContainer, kind: str, canvas: Canvas, preset: _Preset, *, alpha: bool
    ) -> None:
        self._file = file
        self._kind = kind
        self._alpha = alpha
        codec, pixels, options = {
            "mp4": (
                "libx264",
                "yuv420p",
                {
                    "preset": preset.preset,
                    "crf": str(preset.crf),
                    # Hardly anything moves: deciding on frame types and fades costs a fifth of the
                    # time and makes the file larger. B-frames and deblocking, which the fastest
                    # preset leaves out, halve the file for little time.
                    "x264-params": "weightp=0:b-adapt=0:bframes=3:no-deblock=0:deblock=0,0",
                },
            ),
            "webm": (
                "libvpx-vp9",
                "yuva420p" if alpha else "yuv420p",
                {
                    "deadline": preset.vp9[1],
                    "crf": str(preset.vp9[0]),
                    "b": "0",
                    "cpu-used": str(preset.vp9[2]),
                    "row-mt": "1",
                    "tile-columns": "1",
                    # Frames that are never shown would have no alpha to go with them.
                    **({"auto-alt-ref": "0"} if alpha else {}),
                },
            ),
            "mov": (
                "prores_ks",
                "yuva444p10le" if alpha else "yuv444p10le",
                {"profile": "4444", "vendor": "apl0", "alpha_bits": "16" if alpha else "0"},
            ),
        }[kind]
        stream = file.add_stream(codec, rate=FPS, options=options)
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.width, self._stream.height = canvas.width, canvas.height
        self._stream.pix_fmt = self._pixels = pixels
        self._stream.time_base = Fraction(1, FPS)
        context = self._stream.codec_context
        context.thread_count = 2  # one encodes while the next picture is composed
        context.colorspace = _BT601
        context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        self._frames = 0

    def write(self, picture: Image) -> None:
        """Add a picture, which becomes the encoder's own.

        Args:
            picture: I420, BT.601 limited range, for mp4; BGRA for the others.
        """
        if self._kind == "mp4":
            frame = _i420(picture)
        elif self._pixels == "yuv420p":
            frame = _i420(to_i420(np.ascontiguousarray(picture[:, :, :3])))
        elif self._pixels == "yuva420p":
            frame = _yuva420(picture)
        else:
            frame = av.VideoFrame.from_ndarray(picture, format="bgra").reformat(
                format=self._pixels, dst_colorspace=_BT601, dst_color_range=_LIMITED
            )
        frame.colorspace, frame.color_range = _BT601, _LIMITED
        frame.time_base = Fraction(1, FPS)
        frame.pts = self._frames
        self._frames += 1
        self._file.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Flush the encoder."""
        self._file.mux(self._stream.encode(None))


def _i420(planar: Image) -> av.VideoFrame:
    """Without a copy where PyAV can: it takes heights for multiples of four."""
    if planar.shape[0] % 6 == 0:
        return av.VideoFrame.from_numpy_buffer(planar, format="yuv420p")
    return av.VideoFrame.from_ndarray(planar, format="yuv420p")


def _yuva420(picture: Image) -> av.VideoFrame:
    """BGRA as four planes, the alpha in full range."""
    height, width = picture.shape[:2]
    planar = to_i420(np.ascontiguousarray(picture[:, :, :3]))
    frame = av.VideoFrame(width, height, "yuva420p")
    for plane, values in zip(
        frame.planes, (*planes_of(planar), np.ascontiguousarray(picture[:, :, 3])), strict=True
    ):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : plane.width] = values
        plane.update(rows.tobytes())
    return frame


class _PictureFiles:
    """Numbered PNG files; says in each that it is AI-generated."""

    def __init__(self, folder: Path, title: str) -> None:
        self._folder = folder
        self._frames = 0
        self._text = PngInfo()
        self._text.add_text("Title", title)
        self._text.add_text("Comment", _COMMENT)

    def write(self, picture: Image) -> None:
        """Add a BGRA picture."""
        picture[picture[:, :, 3] == 0] = 0  # colours nobody sees take a third of the file
        rgba = PillowImage.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA))
        name = f"frame-{self._frames:06d}.png"
        rgba.save(self._folder / name, compress_level=_PNG_LEVEL, pnginfo=self._text)
        self._frames += 1

    def finish(self) -> None:
        """Nothing is left to do."""


class _WavFile:
    """The sound beside pictures, 16 bits."""

    def __init__(self, path: Path, rate: int) -> None:
        self._rate = rate
        self._samples = 0
        self._file = wave.open(str(path), "wb")  # noqa: SIM115 - closed by ``close``
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(rate)

    def tee(self, blocks: Iterable[tuple[Floats, int]]) -> Iterator[tuple[Floats, int]]:
        """Write what passes by."""
        for samples, rate in blocks:
            self._write(samples)
            yield samples, rate

    def finish(self, frames: int) -> None:
        """Add silence up to the end of the last picture."""
        missing = frames * self._rate // FPS - self._samples
        if missing > 0:
            self._write(np.zeros(missing, np.float32))

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    def _write(self, samples: Floats) -> None:
        self._samples += len(samples)
        self._file.writeframes(_to_int16(samples).astype("<i2", copy=False).tobytes())


def _to_int16(samples: Floats) -> NDArray[np.int16]:
    return np.asarray(np.rint(samples * 32768.0).clip(-32768, 32767), np.int16)


def _painter(
    avatar: Avatar, canvas: Canvas, *, planar: bool, fine: bool
) -> Callable[[FrameState], Image]:
    """How frames become pictures of the size of the canvas: new I420, or BGRA."""
    same = (canvas.width, canvas.height) == (avatar.width, avatar.height)
    if planar and same and avatar.kind == "essence" and avatar.background is None:
        composer = PlanarComposer(avatar.player)
        return lambda state: composer.compose(state.base, state.patch)
    compose: Callable[[FrameState], tuple[Image, Image | None]]
    behind: Image | None = None
    if avatar.background is not None and (avatar.transparent or canvas.framed):
        # Beside a picture that does not fill the canvas its background goes on.
        cut = avatar.with_background(TRANSPARENT)
        compose = cut.compose_cut_fine if fine else cut.compose_cut
        if not avatar.transparent:
            behind = avatar.background.picture(canvas.width, canvas.height)
    else:
        draw = avatar.compose_fine if fine else avatar.compose

        def compose(state: FrameState) -> tuple[Image, Image | None]:
            return draw(state), None

    def paint(state: FrameState) -> Image:
        picture, alpha = compose(state)
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
