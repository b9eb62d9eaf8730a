"""Frames of a video file as a viewer sees them: upright, square pixels, 25 a second."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.coefficients import FPS
from engine.errors import InvalidVideo
from engine.files import is_unread, not_read
from engine.packets import decoded

__all__ = ["VideoFile"]

Image = NDArray[np.uint8]

_HINT: Final = "Use a video file such as MP4, MOV or WebM."
_TURNS: Final = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}
_HD: Final = 720  # lines from which a video that does not say is taken to be ITU-R BT.709
_MAX_SIDE: Final = 8192


class VideoFile:
    """A video file that can be read several times.

    Whatever its frame rate, even a changing one, frame ``i`` is the picture shown at ``i / 25``
    seconds after the first. Rotation and the shape of pixels that the file asks for are applied.
    One picture is held at a time. Sound is not looked at.

    Args:
        path: the file.

    Raises:
        InvalidVideo: ``FILE_NOT_FOUND``, ``FILE_NOT_ACCESSIBLE`` or ``VIDEO_UNREADABLE``.

    Attributes:
        width, height: upright, square pixels.
        seconds: length by the file's own account, or None.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.seconds: float | None = None
        self._origin = 0.0
        self._pixel_ratio = 1.0
        first = next(self._decoded(0.0), None)
        if first is None:
            raise self._unreadable("has no picture that can be decoded")
        frame, _ = first
        self._turn = round(frame.rotation / 90) * 90 % 360
        ratio = self._pixel_ratio
        width, height = frame.width, frame.height
        width, height = (
            (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
        )
        if max(width, height) > _MAX_SIDE:
            raise self._unreadable(f"has pictures of {width}x{height} pixels, which is too large")
        self.width, self.height = (height, width) if self._turn in (90, 270) else (width, height)

    @property
    def name(self) -> str:
        """Of the file, for messages."""
        return self.path.name

    def frames(
        self, longest: int | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, Image]]:
        """Read frames in order.

        Args:
            longest: pixels of the longer side, if that is less than the video has.
            start: first frame.
            stop: the frame after the last; None for all there are.

        Yields:
            Index and BGR uint8 (h, w, 3), a new array unless the frame before is shown for longer.

        Raises:
            InvalidVideo: ``VIDEO_UNREADABLE``.
        """
        index = start
        waiting: tuple[VideoFrame, float] | None = None
        image: Image | None = None
        step = 0.0
        size = self._scaled(longest)
        for frame, time in self._decoded(start / FPS):
            if waiting is not None:
                step = time - waiting[1]
                # Shown until half way to the next: rates that do not divide are off by half a
                # frame at most.
                image = None
                while index / FPS < (waiting[1] + time) / 2 and (stop is None or index < stop):
                    image = self._convert(waiting[0], size) if image is None else image
                    yield index, image
                    index += 1
            if stop is not None and index >= stop:
                return
            waiting = frame, time
        if waiting is not None:
            # The last is shown as long as the one before was.
            end = waiting[1] + max(step, 1.0 / FPS) / 2
            image = None
            while index / FPS < end and (stop is None or index < stop):
                image = self._convert(waiting[0], size) if image is None else image
                yield index, image
                index += 1

    def _decoded(self, start: float) -> Iterator[tuple[VideoFrame, float]]:
        """Decoded frames and their times since the first, from shortly before ``start``.

        Damaged packets are left out, as players do.
        """
        with self._open() as (container, stream):
            self.seconds = self._length(container, stream)
            ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
            self._pixel_ratio = float(ratio) if ratio and 0.1 < ratio < 10 else 1.0
            rate = float(stream.average_rate or stream.guessed_rate or FPS)
            if start > 0:
                offset = self._origin + start - 1.0 / FPS
                container.seek(int(max(offset, 0) * av.time_base), backward=True)
            counted, last = 0, -1.0
            try:
                for frame in decoded(container, stream):
                    time = frame.time
                    if time is None:
                        time = counted / rate
                    if not start and not counted:
                        self._origin = time
                    counted += 1
                    time -= self._origin
                    if time > last and isinstance(frame, VideoFrame):
                        last = time  # times that go back are a fault of the file
                        yield frame, time
            except av.FFmpegError as damage:
                if not start:
                    raise self._unreadable("cannot be decoded") from damage

    def _open(self) -> _Opened:
        try:
            # Absolute: FFmpeg would take what is before a colon for the name of a protocol.
            container = av.open(str(self.path.absolute()), "r", metadata_errors="ignore")
        except (av.FFmpegError, OSError, ValueError) as error:
            if is_unread(error, self.path):
                code, message = not_read(self.path, error)
                raise InvalidVideo(message, code=code, hint="Name a video file.") from error
            raise self._unreadable("is not a video file that can be read") from error
        stream = next(iter(container.streams.video), None)
        # No context, whatever PyAV's stubs say, where the codec is unknown.
        if stream is None or getattr(stream, "codec_context", None) is None:
            container.close()
            raise self._unreadable("has no pictures" if stream is None else "is of an unknown kind")
        stream.thread_type = "AUTO"
        return _Opened(container, stream)

    @staticmethod
    def _length(container: InputContainer, stream: VideoStream) -> float | None:
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return None if container.duration is None else container.duration / av.time_base

    def _scaled(self, longest: int | None) -> tuple[int, int]:
        """Size to convert to, before it is turned upright."""
        scale = min(1.0, (longest or _MAX_SIDE) / max(self.width, self.height))
        width, height = max(2, round(self.width * scale)), max(2, round(self.height * scale))
        return (height, width) if self._turn in (90, 270) else (width, height)

    def _convert(self, frame: VideoFrame, size: tuple[int, int]) -> Image:
        matrix = frame.colorspace
        if matrix not in (Colorspace.ITU709, Colorspace.ITU601, Colorspace.SMPTE240M):
            hd = min(frame.width, frame.height) >= _HD
            matrix = Colorspace.ITU709 if hd else Colorspace.ITU601
        converted = frame.reformat(
            width=size[0],
            height=size[1],
            format="bgr24",
            src_colorspace=matrix,
            interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND,
            threads=1,
        )
        image = np.asarray(converted.to_ndarray(), np.uint8)
        if self._turn:
            image = np.asarray(cv2.rotate(image, _TURNS[self._turn]), np.uint8)
        return np.ascontiguousarray(image)

    def _unreadable(self, what: str) -> InvalidVideo:
        return InvalidVideo(f"{self.name} {what}.", code="VIDEO_UNREADABLE", hint=_HINT)


class _Opened:
    """A container that is closed at the end, with its stream."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream

    def __enter__(self) -> tuple[InputContainer, VideoStream]:
        return self._container, self._stream

    def __exit__(self, *_: object) -> None:
        self._container.close()
