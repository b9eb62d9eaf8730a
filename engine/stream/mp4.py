"""A recording and an avatar become a video file."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from engine.coefficients import FPS, SAMPLE_RATE
from engine.errors import Failed, InvalidAudio, NotSupported
from engine.essence.planar import PlanarComposer, to_i420
from engine.files import atomic
from engine.stream.avatar import Audio, Avatar, pieces, speech_frames
from engine.stream.canvas import Canvas, TargetSize
from engine.stream.types import FrameState, Image
from engine.stream.utterance import Floats

TRACK_RATES: Final = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Rates in Hz a sound track may have; that of a file is kept if it is one, else the highest."""

_COMMENT = "AI-generated"
# Code points of ITU-T H.273: matrix, primaries and transfer, range.
_BT601, _BT709, _LIMITED = 6, 1, 1


class _Preset(NamedTuple):
    preset: str  # of x264
    crf: int
    bit_rate: int  # of AAC


_QUALITIES: Final = {
    "LOW": _Preset("ultrafast", 28, 64_000),
    "MEDIUM": _Preset("ultrafast", 24, 96_000),
    "HIGH": _Preset("faster", 17, 160_000),
}
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class RenderResult:
    """What was written.

    Attributes:
        path: the file.
        frames: pictures in it.
        seconds: its length; picture and sound end together.
        width: pixels.
        height: pixels.
        bytes: size of the file.
    """

    path: Path
    frames: int
    seconds: float
    width: int
    height: int
    bytes: int


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
    """Write H.264 video and AAC sound, 25 frames per second, marked as AI-generated.

    Every sound sample keeps its place: the delay of the AAC encoder is declared in the file, as
    ISO/IEC 14496-12 edit list, and players take it off. The file appears complete or not at all.
    Memory does not grow with the length of the recording.

    Args:
        avatar: who speaks.
        audio: what it says, as for ``Avatar.render``.
        out: file to write, in a folder that exists.
        target_size: longer side, or width and height with the picture centred on black;
            the avatar's own size if None. See ``Canvas``.
        quality: ``LOW``, ``MEDIUM`` or ``HIGH``; higher is larger and slower.
        limit: stop after this many seconds of sound, more than 0.
        progress: called with the number of frames done and, where known, of all frames.

    Raises:
        InvalidAudio: there is no such file, or no sound in it.
        NotSupported: ``TARGET_SIZE`` or ``QUALITY``.
        Failed: ``WRITE_FAILED`` or ``ENCODE_FAILED``.
    """
    if quality not in _QUALITIES:
        raise NotSupported(
            f"the quality is {quality}, expected {', '.join(_QUALITIES)}", code="QUALITY"
        )
    preset = _QUALITIES[quality]
    canvas = Canvas((avatar.width, avatar.height), target_size)
    target = Path(out)
    rate, seconds = _probe(audio)
    total = None if seconds is None else math.ceil(min(seconds, limit or math.inf) * FPS)
    with atomic(target) as part:
        try:
            with av.open(
                str(part.absolute()), "w", format="mp4", options={"movflags": "faststart"}
            ) as file:
                file.metadata.update(title=avatar.name, comment=_COMMENT)
                track = _SoundTrack(file, rate, preset.bit_rate)
                video = _PictureTrack(file, canvas, preset)
                blocks = _limited(pieces(audio, rate), limit)
                picture = _painter(avatar, canvas, fine=quality == "HIGH")
                for state in speech_frames(avatar, track.tee(blocks)):
                    video.write(picture(state))
                    if progress is not None:
                        progress(state.frame_index + 1, total)
                track.finish(video.frames)
                video.finish()
        except av.FFmpegError as error:
            raise Failed(f"the video cannot be encoded: {error}", code="ENCODE_FAILED") from error
        if not video.frames:
            raise InvalidAudio("there is no sound to say", code="AUDIO_EMPTY")
        size = part.stat().st_size
    if progress is not None:
        progress(video.frames, video.frames)
    return RenderResult(target, video.frames, video.frames / FPS, canvas.width, canvas.height, size)


class _SoundTrack:
    """The AAC track; sees the sound on its way to the avatar."""

    def __init__(self, file: OutputContainer, rate: int, bit_rate: int) -> None:
        self._file = file
        self._rate = rate
        self._stream: AudioStream = file.add_stream(
            # A third of the time of the default search, and no worse for speech.
            "aac",
            rate=rate,
            layout="mono",
            options={"aac_coder": "fast"},
        )
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
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._samples
        self._samples += len(samples)
        self._file.mux(self._stream.encode(frame))


class _PictureTrack:
    """The H.264 track: BT.601 limited range, and tagged so."""

    def __init__(self, file: OutputContainer, canvas: Canvas, preset: _Preset) -> None:
        self._file = file
        self._stream: VideoStream = file.add_stream("libx264", rate=FPS)
        self._stream.width, self._stream.height = canvas.width, canvas.height
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = Fraction(1, FPS)
        self._stream.options = {
            "preset": preset.preset,
            "crf": str(preset.crf),
            # Hardly anything moves: deciding on frame types and fades costs a fifth of the time
            # and makes the file larger. B-frames and deblocking, which the fastest preset leaves
            # out, halve the file for little time.
            "x264-params": "weightp=0:b-adapt=0:bframes=3:no-deblock=0:deblock=0,0",
        }
        context = self._stream.codec_context
        context.thread_count = 2  # one encodes while the next picture is composed
        context.colorspace = _BT601
        context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        self.frames = 0

    def write(self, picture: Image) -> None:
        """Add an I420 picture, BT.601 limited range, which becomes the encoder's own."""
        frame = av.VideoFrame.from_numpy_buffer(picture, format="yuv420p")
        frame.colorspace, frame.color_range = _BT601, _LIMITED
        frame.time_base = Fraction(1, FPS)
        frame.pts = self.frames
        self.frames += 1
        self._file.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Flush the encoder."""
        self._file.mux(self._stream.encode(None))


def _painter(avatar: Avatar, canvas: Canvas, *, fine: bool) -> Callable[[FrameState], Image]:
    """How frames become new I420 pictures of the size of the canvas."""
    same = (canvas.width, canvas.height) == (avatar.width, avatar.height)
    if same and avatar.kind == "essence":
        composer = PlanarComposer(avatar.player)
        return lambda state: composer.compose(state.base, state.patch)
    compose = avatar.compose_fine if fine else avatar.compose
    return lambda state: to_i420(canvas.fit(compose(state)))


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


def _probe(audio: Audio) -> tuple[int, float | None]:
    """Rate for the sound track and length of the sound in seconds, where it can be told."""
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
