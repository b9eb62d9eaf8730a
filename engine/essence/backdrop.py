"""Another background behind a person who is stored with their own.

Base frames and patches hold the person over the picture of the avatar's ``backdrop``, with a known
alpha. What is the person's of a pixel is what is left when the share of the old background is taken
out (Porter and Duff 1984, "Compositing digital images", premultiplied); the new one is added to it.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.face.matte import spread

__all__ = ["cleaned", "exchanged"]

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

_COARSE: Final = 8  # px: beyond the person their colours are continued at this resolution
_CLEAR: Final = 0.25  # of a pixel: with less of the person in it, it has the colours around it
_WHOLE: Final = 255
_SEEN: Final = 0.05  # of a coarse pixel
_WEIGHTS: Final = np.where(np.arange(256) > 250, _WHOLE, 0).astype(np.uint8)


def exchanged(picture: Image, alpha: Image, old: Image, new: Image) -> Image:
    """The person of a picture over another background.

    Args:
        picture: uint8 (h, w, 3), the person over ``old``.
        alpha: uint8 (h, w), their share of each pixel.
        old: uint8 (h, w, 3).
        new: uint8 (h, w, 3).

    Returns:
        New uint8 (h, w, 3). Where ``alpha`` is 0 it is exactly ``new``.
    """
    result = new.copy()
    cv2.copyTo(picture, alpha, result)  # wherever there is something of the person
    edge = _edge(alpha)
    share, mine = _own(picture, alpha, old, edge)
    behind = new.reshape(-1, 3)[edge]
    result.reshape(-1, 3)[edge] = mine + (1 - share) * behind + np.float32(0.5)
    return result


def cleaned(picture: Image, alpha: Image, old: Image) -> Image:
    """The person of a picture in their own colours, which continue beyond their edge.

    Args:
        picture: uint8 (h, w, 3), the person over ``old``.
        alpha: uint8 (h, w), their share of each pixel.
        old: uint8 (h, w, 3).

    Returns:
        New uint8 (h, w, 3), not multiplied by ``alpha``.
    """
    height, width = alpha.shape
    half = (max(1, width // _COARSE), max(1, height // _COARSE))
    weight = cv2.LUT(alpha, _WEIGHTS)
    part = cv2.resize(weight, half, interpolation=cv2.INTER_AREA).reshape(half[::-1])
    seen: Floats = np.asarray(part, np.float32) / np.float32(_WHOLE)
    kept = np.zeros_like(picture)
    cv2.copyTo(picture, weight, kept)
    small = cv2.resize(kept, half, interpolation=cv2.INTER_AREA).astype(np.float32)
    known = np.asarray(seen > _SEEN, np.float32)
    gain = np.asarray(known / np.maximum(seen, _SEEN), np.float32)
    around = spread(small.reshape(half[1], half[0], 3) * gain[..., None], known)
    around = np.clip(around, 0, _WHOLE).astype(np.uint8)
    result = np.asarray(
        cv2.resize(around, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
    )
    edge = _edge(alpha)
    guess = result.reshape(-1, 3)[edge].astype(np.float32)
    cv2.copyTo(picture, alpha, result)
    share, mine = _own(picture, alpha, old, edge)
    colour = guess + (mine / share - guess) * np.minimum(share / np.float32(_CLEAR), 1)
    result.reshape(-1, 3)[edge] = np.clip(colour, 0, _WHOLE) + np.float32(0.5)
    return result


def _edge(alpha: Image) -> NDArray[np.intp]:
    """Flat indices of the pixels that are the person's in part."""
    return np.flatnonzero((alpha - np.uint8(1)) < _WHOLE - 1)


def _own(picture: Image, alpha: Image, old: Image, edge: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Share (n, 1) and premultiplied colour (n, 3) of the person at the pixels of an edge."""
    share: Floats = alpha.reshape(-1)[edge].astype(np.float32)[:, None] / np.float32(_WHOLE)
    mine = picture.reshape(-1, 3)[edge] - (1 - share) * old.reshape(-1, 3)[edge]
    return share, np.clip(mine, 0, _WHOLE * share)
