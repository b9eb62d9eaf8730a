"""Fitting pictures into a size that video encoders accept."""

from __future__ import annotations

import operator
import re
from typing import Final

import cv2
import numpy as np

from engine.errors import NotSupported
from engine.pictures import even_size
from engine.stream.types import Image

MIN_SIDE: Final = 64
MAX_SIDE: Final = 4096

TargetSize = int | str | tuple[int, int]
"""Longer side in pixels (1280 or "1280"), or width and height ((1280, 720) or "1280x720")."""


class Canvas:
    """Scales every picture to one even size.

    A longer side keeps the shape of the picture. A width and height keep it too: the picture is
    made as large as fits and centred on black, nothing is cropped or stretched.

    Args:
        size: (width, height) of the pictures.
        target: wanted size, or None to only make both sides even.

    Attributes:
        width, height: of the result in pixels, both even.

    Raises:
        NotSupported: ``TARGET_SIZE``, not a size or outside 64 to 4096 pixels.
    """

    def __init__(self, size: tuple[int, int], target: TargetSize | None = None) -> None:
        width, height = size
        if target is None:
            box = inner = even_size(width, height)
        else:
            wanted = _parse(target)
            if isinstance(wanted, int):
                scale = wanted / max(size)
                box = inner = even_size(width, height, scale)
            else:
                box = even_size(*wanted)
                scale = min(box[0] / width, box[1] / height)
                inner = even_size(width, height, scale)
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in box):
            raise _refusal(target)
        self.width, self.height = box
        self._inner = inner
        self._same = size == box
        self._method = cv2.INTER_AREA if inner[0] < width else cv2.INTER_CUBIC
        self._sheet = np.zeros((box[1], box[0], 3), np.uint8)
        self._alpha_sheet = np.zeros((box[1], box[0]), np.uint8)

    @property
    def framed(self) -> bool:
        """Whether something is left beside or above the picture."""
        return self._inner != (self.width, self.height)

    def fit(self, picture: Image) -> Image:
        """The picture, BGR uint8, at its place; valid until the next call."""
        return self._fit(picture, self._sheet)

    def fit_alpha(self, alpha: Image) -> Image:
        """Its alpha, uint8 (h, w), at the same place, 0 around it; valid until the next call."""
        return self._fit(alpha, self._alpha_sheet)

    def _fit(self, picture: Image, sheet: Image) -> Image:
        if self._same:
            return picture
        width, height = self._inner
        x, y = (self.width - width) // 2, (self.height - height) // 2
        place = sheet[y : y + height, x : x + width]
        place[:] = cv2.resize(picture, (width, height), interpolation=self._method)
        return sheet


def _parse(target: TargetSize) -> int | tuple[int, int]:
    if isinstance(target, str):
        match = re.fullmatch(r"(\d{1,5})(?:[xX](\d{1,5}))?", target.strip())
        if match is None:
            raise _refusal(target)
        target = int(match[1]) if match[2] is None else (int(match[1]), int(match[2]))
    try:
        if isinstance(target, tuple):
            width, height = map(operator.index, target)
            return width, height
        return operator.index(target)
    except (TypeError, ValueError):  # half pixels, NaN, three sides
        raise _refusal(target) from None


def _refusal(target: TargetSize | None) -> NotSupported:
    return NotSupported(
        f"{target!r} is not a picture size of {MIN_SIDE} to {MAX_SIDE} pixels",
        code="TARGET_SIZE",
        hint="Write a longer side such as 1280, or a width and height such as 1280x720.",
    )
