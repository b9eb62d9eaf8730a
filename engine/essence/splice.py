"""Replacing some rows of a JPEG without touching the others.

A baseline JPEG (ITU-T T.81) with a restart marker after every row of MCUs falls into rows that do
not depend on each other: each can be decoded, encoded and exchanged alone. The markers count
modulo eight, so rows that move are given new ones. With 4:2:0 chroma a row of MCUs is 16 pixels
high.
"""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

MCU = 16
"""Pixels in a row of MCUs."""

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")  # never inside coded data: there 0xff is stuffed
_MARKERS = [bytes((0xFF, 0xD0 + k)) for k in range(8)]
_START_OF_SCAN, _START_OF_FRAME, _END = b"\xff\xda", b"\xff\xc0", b"\xff\xd9"
_HEIGHT = 5  # bytes from the frame marker to the height: marker, length, precision


class RowJpeg:
    """A JPEG whose rows of MCUs can be taken out and replaced.

    Args:
        data: baseline 4:2:0 JPEG as ``encode`` makes it.

    Attributes:
        data: the whole file.
    """

    __slots__ = ("_height", "_spans", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        scan = data.index(_START_OF_SCAN)
        start = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
        self._spans: list[tuple[int, int]] = []
        for marker in _RESTART.finditer(data, start):
            self._spans.append((start, marker.start()))
            start = marker.end()
        self._spans.append((start, len(data) - len(_END)))
        self._height = data.index(_START_OF_FRAME) + _HEIGHT

    @property
    def rows(self) -> int:
        """Rows of MCUs."""
        return len(self._spans)

    def decode(self, first: int, last: int) -> Image:
        """Pixels of the rows ``first`` up to but without ``last``, as a full decode gives them.

        Returns:
            BGR uint8 (16 * (last - first), width, 3), less where the picture ends before.
        """
        # Chroma is interpolated over the edge of a row, so the neighbours are decoded with it.
        above, below = max(first - 1, 0), min(last + 1, self.rows)
        height = int.from_bytes(self.data[self._height : self._height + 2], "big")
        lines = min(below * MCU, height) - above * MCU
        jpeg = b"".join(
            (
                self.data[: self._height],
                lines.to_bytes(2, "big"),
                self.data[self._height + 2 : self._spans[0][0]],
                self._join(above, below, number=0),
                _END,
            )
        )
        image = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
        return image[(first - above) * MCU : (last - above) * MCU]

    def replaced(self, first: int, rows: RowJpeg) -> bytes:
        """The file with the rows from ``first`` on exchanged for all of ``rows``.

        Args:
            first: the first row that changes.
            rows: encoded with the same width and quality.
        """
        last = first + rows.rows
        return b"".join(
            (
                self.data[: self._spans[first][0]],
                rows._join(0, rows.rows, number=first),
                self.data[self._spans[last - 1][1] :],
            )
        )

    def _join(self, first: int, last: int, *, number: int) -> bytes:
        """Coded rows with restart markers between them, counted from ``number``."""
        parts = []
        for row, (start, end) in enumerate(self._spans[first:last]):
            if row:
                parts.append(_MARKERS[(number + row - 1) % 8])
            parts.append(self.data[start:end])
        return b"".join(parts)


def encode(image: Image, quality: int) -> bytes:
    """Baseline 4:2:0 JPEG with the default tables and a restart marker per row of MCUs.

    Args:
        image: BGR uint8 (height, width, 3).
        quality: 1 to 100.
    """
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
        *(cv2.IMWRITE_JPEG_RST_INTERVAL, -(-image.shape[1] // MCU)),
    ]
    return cv2.imencode(".jpg", image, options)[1].tobytes()
