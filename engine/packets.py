"""Decoding the packets of a file as players do, whatever state it is in."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream


def decoded(
    container: InputContainer, stream: AudioStream | VideoStream
) -> Iterator[AudioFrame | VideoFrame]:
    """Frames of a stream, without those of damaged packets, up to where the file breaks off.

    Raises:
        av.FFmpegError: there is damage, and nothing else.
    """
    damage: av.FFmpegError | None = None
    empty = True
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                damage = error
                continue
            for frame in frames:
                if isinstance(frame, AudioFrame | VideoFrame):
                    empty = False
                    yield frame
    except av.FFmpegError as error:
        damage = error
    if damage is not None and empty:
        raise damage
