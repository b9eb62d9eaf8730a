"""H.264 for one client, without delay: every picture in gives one access unit out."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from engine.coefficients import FPS

__all__ = ["H264Encoder"]

_QUALITY: Final = "23"  # crf
_KEY_SECONDS: Final = 10
_OPTIONS: Final = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "crf": _QUALITY,
    "forced-idr": "1",
    "x264-params": (
        f"annexb=1:repeat-headers=1:keyint={_KEY_SECONDS * FPS}:scenecut=0:threads=1:"
        "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m:fullrange=off"
    ),
}


class H264Encoder:
    """A stream of pictures; not to be used by two threads at once.

    Args:
        width: pixels, even.
        height: pixels, even.
    """

    def __init__(self, width: int, height: int) -> None:
        self._context = av.VideoCodecContext.create("libx264", "w")
        self._context.width, self._context.height = width, height
        self._context.pix_fmt = "yuv420p"
        self._context.framerate = Fraction(FPS)
        self._context.thread_count = 1
        self._context.options = dict(_OPTIONS)
        self._key = True

    def request_key(self) -> None:
        """Make the next picture one that can be decoded without those before it."""
        self._key = True

    def encode(self, image: NDArray[np.uint8]) -> tuple[bytes, bool]:
        """Add a picture.

        Args:
            image: BGR uint8 (height, width, 3).

        Returns:
            An access unit in Annex B format, and whether it is a key frame, which then begins
            with the parameter sets.
        """
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        if self._key:
            frame.pict_type = PictureType.I
            self._key = False
        packets = self._context.encode(frame)
        return b"".join(bytes(p) for p in packets), any(p.is_keyframe for p in packets)
