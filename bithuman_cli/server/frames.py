"""Pictures for the wire: a frame choice (base, patch) in, JPEG out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from engine.essence.player import BASE_QUALITY

if TYPE_CHECKING:
    from engine.stream.avatar import Avatar

__all__ = ["encode"]


def encode(avatar: Avatar, base: int, patch: int | None) -> bytes:
    """Baseline 4:2:0 JPEG of one frame.

    A frame at rest is a base frame as the player holds it and costs nothing; one with a mouth
    shape takes about a millisecond at 512×512. Both have the same quality, so that the picture
    does not change its texture when speech begins.
    """
    if not patch:
        return avatar.player.base_jpeg(base)
    image = avatar.compose(base, patch)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, BASE_QUALITY])[1].tobytes()
