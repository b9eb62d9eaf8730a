"""What goes into and comes out of a session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.coefficients import SAMPLE_RATE
from engine.motion import FaceState

__all__ = [
    "AudioChunk",
    "FrameState",
    "Image",
    "VideoControl",
    "VideoFrame",
]

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Mono sound that belongs to one frame.

    Attributes:
        array: int16 (n,); 640 samples, 40 ms, in frames of a session.
        sample_rate: Hz.
    """

    array: NDArray[np.int16]
    sample_rate: int = SAMPLE_RATE

    @property
    def bytes(self) -> bytes:
        """The samples as little-endian 16-bit PCM."""
        return self.array.astype("<i2", copy=False).tobytes()

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.array) / self.sample_rate


@dataclass(frozen=True, slots=True, eq=False)
class FrameState:
    """One frame before anybody needs its pixels.

    Attributes:
        frame_index: counts up from 0 over the life of a session, idle or not.
        base: as in ``engine.director.Shot``.
        patch: as in ``engine.director.Shot``.
        audio: int16 (640,) at 16 kHz that plays with the frame, or None when idle.
        end_of_speech: the last frame of an utterance.
        face: as in ``engine.director.Shot``.
        mouth: as in ``engine.director.Shot``.
    """

    frame_index: int
    base: int
    patch: int | None
    audio: NDArray[np.int16] | None = None
    end_of_speech: bool = False
    face: FaceState | None = None
    mouth: NDArray[np.float32] | None = None


class VideoFrame:
    """One frame of 40 ms: a picture and, while the avatar speaks, the sound that goes with it.

    The picture is composed when it is first asked for and kept afterwards; frames that nobody
    looks at cost nothing. Safe to use from several threads.

    Attributes:
        audio_chunk: 40 ms of 16 kHz mono, or None when idle.
        state: the same frame as indices.
    """

    __slots__ = ("_alpha", "_compose", "_cut", "_image", "_lock", "audio_chunk", "state")

    def __init__(
        self,
        state: FrameState,
        compose: Callable[[FrameState], Image],
        cut: Callable[[FrameState], tuple[Image, Image]] | None = None,
    ) -> None:
        self.state = state
        self.audio_chunk = None if state.audio is None else AudioChunk(state.audio)
        self._compose = compose
        self._cut = cut
        self._image: Image | None = None
        self._alpha: Image | None = None
        self._lock = threading.Lock()

    @property
    def frame_index(self) -> int:
        """Counts up from 0 over the life of a session."""
        return self.state.frame_index

    @property
    def end_of_speech(self) -> bool:
        """Whether this is the last frame of an utterance."""
        return self.state.end_of_speech

    @property
    def has_image(self) -> bool:
        """Always true; kept for scripts that ask."""
        return True

    @property
    def bgr_image(self) -> Image:
        """The picture, BGR uint8 (height, width, 3)."""
        return self._drawn()[0]

    @property
    def alpha(self) -> Image:
        """How much of each pixel is the person, uint8 (height, width).

        All 255 unless the avatar was opened with ``background="transparent"``. Then ``bgr_image``
        is not multiplied by it, and continues the person's colours beyond their edge.
        """
        return self._drawn()[1]

    @property
    def bgra_image(self) -> Image:
        """``bgr_image`` and ``alpha`` as uint8 (height, width, 4); a new array each time."""
        picture, alpha = self._drawn()
        return np.dstack([picture, alpha])

    def _drawn(self) -> tuple[Image, Image]:
        with self._lock:
            if self._image is None:
                if self._cut is not None:
                    self._image, self._alpha = self._cut(self.state)
                else:
                    self._image = self._compose(self.state)
            if self._alpha is None:
                self._alpha = np.full(self._image.shape[:2], 255, np.uint8)
            return self._image, self._alpha

    @property
    def rgb_image(self) -> Image:
        """The picture, RGB uint8 (height, width, 3); a new array each time."""
        return np.asarray(cv2.cvtColor(self.bgr_image, cv2.COLOR_BGR2RGB), np.uint8)

    def __repr__(self) -> str:
        kind = "idle" if self.audio_chunk is None else "speech"
        end = ", end of speech" if self.end_of_speech else ""
        return f"<VideoFrame {self.frame_index}, {kind}{end}>"


@dataclass(frozen=True, slots=True)
class VideoControl:
    """A request to an avatar: something to say, something to do.

    Attributes:
        audio: sound to say.
        text: words to say; not supported here, synthesise them first and push the sound.
        target_video: name of a base clip to change to.
        action: a gesture, one of ``Avatar.gestures``, or several to choose from.
        force_action: do it now rather than at the next opportunity.
        stop_on_user_speech: end the gesture when the user speaks.
        stop_on_agent_speech: end the gesture when the avatar speaks.
        articulation: how far the mouth moves while speaking, 0.5 to 1.5; 1 is natural.
        emotion: mood from now on: joy, sadness, anger, surprise, thinking or neutral.
        emotion_intensity: 0 to 1.
    """

    audio: AudioChunk | None = None
    text: str | None = None
    target_video: str | None = None
    action: str | Sequence[str] | None = None
    force_action: bool = False
    stop_on_user_speech: bool | None = field(default=None)
    stop_on_agent_speech: bool | None = field(default=None)
    articulation: float | None = None
    emotion: str | None = None
    emotion_intensity: float | None = None
