"""The avatar at rest, shown until the first live frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from aiohttp import web

from engine.director import Shot

if TYPE_CHECKING:
    from engine.stream.avatar import Avatar

__all__ = ["poster"]

_QUALITY: Final = 85


def poster(avatar: Avatar) -> web.Response:
    """A JPEG, or of a transparent avatar a WebP with alpha; changes when the server does."""
    if avatar.transparent:
        picture = np.dstack(avatar.compose_cut(Shot()))
        options = [cv2.IMWRITE_WEBP_QUALITY, _QUALITY]
        body, kind = cv2.imencode(".webp", picture, options)[1].tobytes(), "image/webp"
    else:
        body, kind = avatar.compose_jpeg(Shot()), "image/jpeg"
    return web.Response(body=body, content_type=kind, headers={"Cache-Control": "no-cache"})
