"""Replacing a part of a JPEG without touching the rest.

A baseline JPEG (ITU-T T.81) with restart markers falls into pieces that do not depend on each
other: each can be decoded, encoded and exchanged alone. Here the pieces are *cells*, a few MCUs
wide and one high, so that rows and columns of them can be addressed. The markers between them
count modulo eight, so cells that move are given new ones. With 4:2:0 chroma an MCU is 16 by 16
pixels.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Strips = tuple[bytes, ...]

MCU = 16
"""Pixels along a side of an MCU."""
LEAST = 4
"""MCUs in a cell, at least: a marker costs three bytes or four."""

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")  # never inside coded data: there 0xff is stuffed
_MARKERS = [bytes((0xFF, 0xD0 + k)) for k in range(8)]
_START_OF_SCAN, _START_OF_FRAME, _END = b"\xff\xda", b"\xff\xc0", b"\xff\xd9"
_INTERVAL = b"\xff\xdd\x00\x04"
_MARKER = 2  # bytes of a restart marker, and of the end of the image
_HEIGHT = 5  # bytes from the frame marker to the height: marker, length, precision


def cell_mcus(width: int) -> int:
    """MCUs in a cell of a picture so many pixels wide: the fewest that divide a row of them."""
    across = -(-width // MCU)
    return next(n for n in range(min(LEAST, across), across + 1) if across % n == 0)


class GridJpeg:
    """A JPEG whose cells can be taken out and replaced.

    Args:
        data: baseline 4:2:0 JPEG as ``encode`` makes it.

    Attributes:
        data: the whole file.
        width, height: pixels.
        cell: width of a cell in pixels; the last one of a row may be cut.
        columns, rows: cells across and down.
    """

    __slots__ = ("_frame", "_starts", "cell", "columns", "data", "height", "rows", "width")

    def __init__(self, data: bytes) -> None:
        self.data = data
        scan = data.index(_START_OF_SCAN)
        start = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
        self._frame = data.index(_START_OF_FRAME) + _HEIGHT
        self.height = int.from_bytes(data[self._frame : self._frame + 2], "big")
        self.width = int.from_bytes(data[self._frame + 2 : self._frame + 4], "big")
        interval = data.index(_INTERVAL, 0, scan) + len(_INTERVAL)
        mcus = int.from_bytes(data[interval : interval + 2], "big")
        self.cell = mcus * MCU
        self.columns = -(-self.width // self.cell)
        self.rows = -(-self.height // MCU)
        self._starts = array("I", (start,))
        self._starts.extend(marker.end() for marker in _RESTART.finditer(data, start))
        self._starts.append(len(data))

    def decode(self, left: int, top: int, right: int, bottom: int) -> Image:
        """Pixels of a rectangle of cells, as a decode of the whole gives them.

        Args:
            left: its first column of cells.
            top: its first row.
            right: the first column after it.
            bottom: the first row after it.

        Returns:
            BGR uint8 (16 * (bottom - top), cell * (right - left), 3), less where the picture ends.
        """
        # Chroma is interpolated over the edges of MCUs, so the neighbours are decoded with them.
        x0, y0 = max(left - 1, 0), max(top - 1, 0)
        x1, y1 = min(right + 1, self.columns), min(bottom + 1, self.rows)
        lines = min(y1 * MCU, self.height) - y0 * MCU
        across = min(x1 * self.cell, self.width) - x0 * self.cell
        cells = [row * self.columns + column for row in range(y0, y1) for column in range(x0, x1)]
        jpeg = b"".join(
            (
                self.data[: self._frame],
                lines.to_bytes(2, "big"),
                across.to_bytes(2, "big"),
                self.data[self._frame + 4 : self._starts[0]],
                self._join(cells, 0),
                _END,
            )
        )
        image = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
        x, y = (left - x0) * self.cell, (top - y0) * MCU
        return image[
            y : y + (bottom - top) * MCU,
            x : x + (right - left) * self.cell,
        ]

    def strips(self, left: int, top: int, part: GridJpeg) -> Strips:
        """The rows of a smaller picture, coded as they have to be at a place in this one.

        Args:
            left: column of cells where the part begins.
            top: its row.
            part: encoded with cells of the same width and the same quality.
        """
        across = part.columns
        return tuple(
            part._join(range(row * across, (row + 1) * across), (top + row) * self.columns + left)
            for row in range(part.rows)
        )

    def replaced(self, left: int, top: int, across: int, strips: Sequence[bytes]) -> bytes:
        """The file with a rectangle of cells exchanged.

        Args:
            left: as in ``strips``.
            top: as in ``strips``.
            across: columns of the part.
            strips: its rows.
        """
        data, starts = self.data, self._starts
        first = top * self.columns + left
        pieces = [data[: starts[first]]]
        for strip in strips[:-1]:
            after, first = first + across, first + self.columns
            pieces += (strip, data[starts[after] - _MARKER : starts[first]])
        pieces += (strips[-1], data[starts[first + across] - _MARKER :])
        return b"".join(pieces)

    def _join(self, cells: Iterable[int], number: int) -> bytes:
        """Coded cells with restart markers between them, counted from ``number``."""
        parts = []
        for index, cell in enumerate(cells, number):
            parts.append(self.data[self._starts[cell] : self._starts[cell + 1] - _MARKER])
            parts.append(_MARKERS[index % 8])
        return b"".join(parts[:-1])


def encode(image: Image, quality: int, cell: int | None = None) -> bytes:
    """Baseline 4:2:0 JPEG with the default tables and a restart marker after every cell.

    Args:
        image: BGR uint8 (height, width, 3).
        quality: 1 to 100.
        cell: MCUs in a cell, a divisor of those in a row; by default what ``cell_mcus`` says.
    """
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
        *(cv2.IMWRITE_JPEG_RST_INTERVAL, cell or cell_mcus(image.shape[1])),
    ]
    return cv2.imencode(".jpg", image, options)[1].tobytes()
