"""What is shown behind a person: nothing, a colour, a picture, or what was in the photo."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from engine.errors import NotSupported
from engine.face.image import load_image

__all__ = ["TRANSPARENT", "Background", "BackgroundSource", "parse_background"]

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Background:
    """What to show instead of the photo's own background.

    Attributes:
        colour: BGR, 0 to 255; None for a picture or for nothing.
        image: BGR uint8 (h, w, 3) of any size; None for a colour or for nothing.
    """

    colour: tuple[int, int, int] | None = None
    image: Image | None = field(default=None, repr=False)

    @property
    def transparent(self) -> bool:
        """Whether nothing is shown: frames have an alpha channel."""
        return self.colour is None and self.image is None

    def picture(self, width: int, height: int) -> Image:
        """The background of a frame, new BGR uint8 (height, width, 3).

        A picture covers the frame: it keeps its shape, and what hangs over is cut off evenly.

        Raises:
            ValueError: it is transparent.
        """
        if self.image is None:
            if self.colour is None:
                raise ValueError("a transparent background has no picture")
            return np.full((height, width, 3), self.colour, np.uint8)
        rows, columns = self.image.shape[:2]
        scale = max(width / columns, height / rows)
        size = (max(width, round(columns * scale)), max(height, round(rows * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        scaled = cv2.resize(self.image, size, interpolation=method)
        x, y = (size[0] - width) // 2, (size[1] - height) // 2
        return np.ascontiguousarray(scaled[y : y + height, x : x + width], np.uint8)


TRANSPARENT: Final = Background()

BackgroundSource = str | os.PathLike[str] | Image | Background
"""``transparent``; ``none`` for the photo's own; a colour such as ``#00ff00`` or ``white``; a
picture by path or as BGR uint8 pixels."""


def parse_background(source: BackgroundSource | None) -> Background | None:
    """What a user names.

    Returns:
        None for the photo's own background, which is what None and ``none`` mean.

    Raises:
        NotSupported: ``BACKGROUND``, neither a colour nor a file.
        InvalidImage: the file is not there or cannot be used.
    """
    if source is None or isinstance(source, Background):
        return source
    if isinstance(source, np.ndarray):
        return Background(image=load_image(source))
    text = os.fspath(source)
    if isinstance(source, str):
        word = text.strip().lower()
        if word == "none":
            return None
        if word == "transparent":
            return TRANSPARENT
        if (colour := _colour(word)) is not None:
            return Background(colour=colour)
        if not _names_file(text):
            raise NotSupported(
                f"{text!r} is neither a colour nor a file",
                code="BACKGROUND",
                hint="Write transparent, none, a colour such as #00ff00, or the path of a picture.",
            )
    return Background(image=load_image(Path(text)))


def _names_file(text: str) -> bool:
    """Whether words are meant for a path: the file is there, or they look like none else."""
    return Path(text).name != text or "." in text or os.path.lexists(text)


def _colour(word: str) -> tuple[int, int, int] | None:
    try:
        values = ImageColor.getrgb(word)
    except ValueError:
        return None
    if len(values) != 3:
        raise NotSupported(
            f"{word!r} is a colour that is transparent in part",
            code="BACKGROUND",
            hint="Write a full colour such as #00ff00, or transparent.",
        )
    red, green, blue = values
    return blue, green, red
