"""Pictures: sizes that videos can have, those of pictures in files, and their pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidAvatar

__all__ = ["decode_picture", "even", "even_size", "png_size", "webp_size"]


def even(side: float) -> int:
    """The nearest even number of pixels, 2 at least: video has a colour for every two."""
    return max(2, 2 * round(side / 2))


def even_size(width: float, height: float, scale: float = 1.0) -> tuple[int, int]:
    """Width and height of a scaled picture, both even."""
    return even(width * scale), even(height * scale)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file without alpha, decoded or not; None if it is not one.

    RFC 9649: section 2.5 for ``VP8 `` (lossy), section 3 of the lossless specification for
    ``VP8L``, whose sizes are stored less one.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (26, 28))
        return width, height
    if data[12:16] == b"VP8L" and data[20:21] == b"\x2f":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG file without decoding it; None if it is not one."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def decode_picture(data: bytes, member: str = "") -> NDArray[np.uint8]:
    """Any picture of a file as BGR uint8 (height, width, 3).

    Args:
        data: JPEG, PNG or WebP.
        member: name used in errors.

    Raises:
        InvalidAvatar: it is damaged.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InvalidAvatar(f"{member} cannot be decoded", member=member)
    return np.asarray(image, np.uint8)
