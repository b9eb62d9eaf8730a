"""The blocking interface: a recording in, pictures out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.closing import Closing
from engine.stream.avatar import Avatar
from engine.stream.canvas import Canvas
from engine.stream.opening import open as open_avatar
from engine.stream.recording import pieces, speech_frames
from engine.stream.types import AudioChunk, Image


@dataclass(frozen=True, slots=True, eq=False)
class ComposedFrame:
    """A picture of `Bithuman.compose`.

    Attributes:
        bgr: BGR uint8 (height, width, 3).
        frame_idx: counts up from 0.
        audio: the 40 ms of sound that go with it.
    """

    bgr: Image
    frame_idx: int
    audio: AudioChunk


class Bithuman(Closing):
    """An avatar that speaks whole recordings; for live speech see ``AsyncBithuman``.

    Args:
        avatar: what ``engine.open`` returns; closed together with this.
    """

    def __init__(self, avatar: Avatar) -> None:
        self.avatar = avatar

    @classmethod
    def load(cls, source: str | os.PathLike[str], **ignored: Any) -> Self:
        """Open an avatar by path or slug; keys and tokens are accepted and not needed.

        Raises:
            AvatarError: see ``engine.open``.
        """
        del ignored
        return cls(open_avatar(source))

    @property
    def frame_width(self) -> int:
        """Pixels."""
        return self.avatar.width

    @property
    def frame_height(self) -> int:
        """Pixels."""
        return self.avatar.height

    def compose(
        self, audio: NDArray[np.int16], output_size: tuple[int, int] | None = None
    ) -> Iterator[ComposedFrame]:
        """Say 16 kHz mono sound, as fast as the machine can.

        Args:
            audio: int16 (n,).
            output_size: (width, height) in pixels; the picture is centred in it.

        Yields:
            ``ceil(n / 640)`` frames.
        """
        canvas = Canvas((self.avatar.width, self.avatar.height), output_size)
        for state in speech_frames(self.avatar, pieces(audio)):
            picture = self.avatar.compose(state)
            if output_size is not None:
                picture = canvas.fit(picture).copy()
            assert state.audio is not None
            yield ComposedFrame(picture, state.frame_index, AudioChunk(state.audio))

    def close(self) -> None:
        """Let go of the avatar; idempotent."""
        self.avatar.close()
