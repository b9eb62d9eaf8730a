"""Sound and pictures of a video file, or of a folder of pictures, as encoders take them."""

from __future__ import annotations

import contextlib
import wave
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
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

from engine.coefficients import FPS
from engine.errors import Failed
from engine.essence.planar import planes_of, to_i420
from engine.files import NO_ROOM, atomic, atomic_folder
from engine.stream.canvas import Canvas
from engine.stream.types import Image
from engine.stream.utterance import Floats

__all__ = ["Preset", "opened"]

_COMMENT = "AI-generated"
# Code points of ITU-T H.273: matrix, primaries and transfer, range.
_BT601, _BT709, _LIMITED = 6, 1, 1
_FOLDER_SOUND: Final = "audio.wav"
_PNG_LEVEL: Final = 3


class Preset(NamedTuple):
    """How hard the encoders try."""

    preset: str  # of x264
    crf: int  # of x264
    bit_rate: int  # of the sound
    vp9: tuple[int, str, int]  # constant quality; how it decides, and how fast


@contextlib.contextmanager
def opened(
    target: Path,
    kind: str,
    canvas: Canvas,
    rate: int,
    preset: Preset,
    *,
    title: str,
    alpha: bool,
) -> Iterator[tuple[_Sound, _Pictures]]:
    """The tracks of a file or folder that appears when the body ends well.

    Args:
        target: the file, or the folder for ``png``.
        kind: ``mp4``, ``webm``, ``mov`` or ``png``.
        canvas: the size of the pictures.
        rate: of the sound in Hz.
        preset: how hard the encoders try.
        title: what the file says it shows.
        alpha: keep the alpha channel of the pictures.

    Yields:
        What takes the sound and what takes the pictures: I420 for mp4, BGRA for the others.

    Raises:
        Failed: ``WRITE_FAILED``, ``DISK_FULL`` or ``ENCODE_FAILED``.
    """
    if kind == "png":
        with (
            atomic_folder(target) as folder,
            contextlib.closing(_WavFile(folder / _FOLDER_SOUND, rate)) as sound,
        ):
            yield sound, _PictureFiles(folder, title)
        return
    options = {"movflags": "faststart"} if kind in ("mp4", "mov") else {}
    with atomic(target) as part:
        try:
            with av.open(str(part.absolute()), "w", format=kind, options=options) as file:
                file.metadata.update(title=title, comment=_COMMENT)
                yield (
                    _SoundTrack(file, kind, rate, preset.bit_rate),
                    _PictureTrack(file, kind, canvas, preset, alpha=alpha),
                )
        except av.FFmpegError as error:
            if error.errno in NO_ROOM:
                raise OSError(error.errno, error.strerror) from error  # for ``atomic`` to tell
            raise Failed(f"the video cannot be encoded: {error}", code="ENCODE_FAILED") from error


class _Sound(ABC):
    """Takes the sound on its way to the avatar.

    Args:
        rate: samples per second.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._samples = 0

    def tee(self, blocks: Iterable[tuple[Floats, int]]) -> Iterator[tuple[Floats, int]]:
        """Write what passes by."""
        for samples, rate in blocks:
            self._add(samples)
            yield samples, rate

    def finish(self, frames: int) -> None:
        """Add silence up to the end of the last picture."""
        missing = frames * self._rate // FPS - self._samples
        if missing > 0:
            self._add(np.zeros(missing, np.float32))

    def _add(self, samples: Floats) -> None:
        if len(samples):
            self._write(samples)
            self._samples += len(samples)

    @abstractmethod
    def _write(self, samples: Floats) -> None:
        """Write float32 (n,) samples, of which there are some."""


class _Pictures(Protocol):
    """Takes pictures, as the painter of the format makes them."""

    def write(self, picture: Image) -> None:
        """Add one."""

    def finish(self) -> None:
        """There are no more."""


class _SoundTrack(_Sound):
    """The sound of a file."""

    def __init__(self, file: OutputContainer, kind: str, rate: int, bit_rate: int) -> None:
        super().__init__(rate)
        self._file = file
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

    def finish(self, frames: int) -> None:
        """Add silence up to the end of the last picture, and flush the encoder."""
        super().finish(frames)
        self._file.mux(self._stream.encode(None))

    def _write(self, samples: Floats) -> None:
        values = _to_int16(samples)[None] if self._format == "s16" else samples[None]
        frame = av.AudioFrame.from_ndarray(values, format=self._format, layout="mono")
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._samples
        self._file.mux(self._stream.encode(frame))


class _WavFile(_Sound):
    """The sound beside pictures, 16 bits."""

    def __init__(self, path: Path, rate: int) -> None:
        super().__init__(rate)
        self._file = wave.open(str(path), "wb")  # noqa: SIM115 - closed by ``close``
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(rate)

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    def _write(self, samples: Floats) -> None:
        self._file.writeframes(_to_int16(samples).astype("<i2", copy=False).tobytes())


def _to_int16(samples: Floats) -> NDArray[np.int16]:
    return np.asarray(np.rint(samples * 32768.0).clip(-32768, 32767), np.int16)


class _PictureTrack:
    """The pictures of a file; BT.601 limited range, and tagged so."""

    def __init__(
        self, file: OutputContainer, kind: str, canvas: Canvas, preset: Preset, *, alpha: bool
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
