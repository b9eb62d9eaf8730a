"""The parts of an Essence avatar over HTTP, for clients that put frames together themselves.

Everything lies below a path with a digest of all of it, so it never changes and may be cached for
ever, by browsers and by whatever stands between.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from aiohttp import web
from PIL import Image

from engine.errors import NotSupported

if TYPE_CHECKING:
    from engine.essence import EssencePlayer
    from engine.stream.avatar import Avatar

__all__ = ["Tiles", "open_tiles", "pack", "routes"]

CHUNK: Final = 25
"""Base frames in a pack: a second."""
_FORMAT: Final = 2  # goes into the digest: raise it when the same avatar gives other parts
_PATCH_QUALITY: Final = 92
_PATCH_EFFORT: Final = 2  # a third of the time of the usual 4, for a tenth more bytes
_MAX_BASES: Final = 1 << 16  # what the frame header can count
_MAX_SHAPES: Final = 1 << 8
_FOR_EVER: Final = "public, max-age=31536000, immutable"

# One at a time and off the event loop: a bank takes a while, and nobody's frames wait for it.
_encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tiles")


class Tiles:
    """What clients fetch of one avatar.

    Args:
        player: draws the avatar.

    Attributes:
        index: content of ``index.json``.
        digest: of all parts, hexadecimal.

    Raises:
        NotSupported: ``TILES``, it has more parts than a frame can name.
    """

    def __init__(self, player: EssencePlayer) -> None:
        self._player = player
        poses = int(player.pose.max()) + 1
        if player.frames > _MAX_BASES or player.shapes > _MAX_SHAPES:
            raise NotSupported("this avatar has too many frames or shapes for tiles", code="TILES")
        x0, y0, x1, y1 = player.roi
        description = {
            "width": player.width,
            "height": player.height,
            "bases": player.frames,
            "chunk": CHUNK,
            "poses": poses,
            "shapes": player.shapes,
            "patch": [x1 - x0, y1 - y0],
            **({"alpha": True} if player.transparent else {}),
            "clips": [
                {"name": name, "first": first, "frames": frames}
                for name, (first, frames) in player.clips.items()
            ],
            "frames": [
                [int(pose), *(round(float(value), 5) for value in matrix.ravel())]
                for pose, matrix in zip(player.pose, player.affine, strict=True)
            ],
        }
        self.index = json.dumps(description, separators=(",", ":")).encode()
        digest = hashlib.sha256(b"%d" % _FORMAT + self.index + player.mask_png)
        player.add_to(digest)
        self.digest = digest.hexdigest()[:32]
        self._poses, self._bases = poses, player.frames
        self._banks: dict[int, asyncio.Future[bytes]] = {}

    def describe(self, slug: str) -> dict[str, Any]:
        """What ``hello`` says of them."""
        return {
            "digest": self.digest,
            "url": f"/{slug}/tiles/{self.digest}/",
            "bases": self._bases,
        }

    def bases(self, chunk: int) -> bytes:
        """Pack of base frames ``CHUNK * chunk`` and the following ones.

        Raises:
            KeyError: there is no such pack.
        """
        first = chunk * CHUNK
        if not 0 <= first < self._bases:
            raise KeyError(chunk)
        last = min(first + CHUNK, self._bases)
        return pack([self._player.base_jpeg(base) for base in range(first, last)])

    def alphas(self, chunk: int) -> bytes:
        """Pack of the alphas of the same base frames, PNG.

        Raises:
            KeyError: there is no such pack, or no alpha.
        """
        first = chunk * CHUNK
        if not 0 <= first < self._bases or not self._player.transparent:
            raise KeyError(chunk)
        last = min(first + CHUNK, self._bases)
        return pack([self._player.alpha_png(base) for base in range(first, last)])

    async def patches(self, pose: int) -> bytes:
        """Pack of the patches of a pose; made when first asked for, then kept.

        Raises:
            KeyError: there is no such pose.
        """
        if not 0 <= pose < self._poses:
            raise KeyError(pose)
        bank = self._banks.get(pose)
        if bank is None:
            loop = asyncio.get_running_loop()
            bank = loop.run_in_executor(_encoder, self._encode, pose)
            self._banks[pose] = bank
        return await asyncio.shield(bank)  # others may be waiting for it as well

    def _encode(self, pose: int) -> bytes:
        player = self._player
        files = []
        for shape in range(1, player.shapes):
            picture = np.dstack([player.patch(pose, shape), player.mask])
            file = io.BytesIO()
            Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)).save(
                file, "WEBP", quality=_PATCH_QUALITY, method=_PATCH_EFFORT
            )
            files.append(file.getvalue())
        return pack(files)


def pack(files: Sequence[bytes]) -> bytes:
    """Several files as one: u32 count, u32 sizes, contents."""
    head = struct.pack(f"<I{len(files)}I", len(files), *map(len, files))
    return b"".join((head, *files))


def open_tiles(avatar: Avatar) -> Tiles | None:
    """The tiles of an avatar; None if it is not made of parts, or of too many."""
    try:
        return Tiles(avatar.player)
    except NotSupported:
        return None


def routes(*tiles: Mapping[str, Tiles]) -> list[web.RouteDef]:
    """HTTP routes below ``/<slug>/tiles/<digest>/``.

    Args:
        tiles: by slug of the avatar.
    """

    def find(request: web.Request) -> Tiles:
        for by_slug in tiles:
            found = by_slug.get(request.match_info["slug"])
            if found is not None and found.digest == request.match_info["digest"]:
                return found
        raise web.HTTPNotFound(text="There are no such tiles.\n")

    def answer(request: web.Request, body: bytes, kind: str) -> web.Response:
        return web.Response(
            body=body,
            content_type=kind,
            headers={"Cache-Control": _FOR_EVER, "ETag": f'"{request.match_info["digest"]}"'},
        )

    def unchanged(request: web.Request) -> web.Response | None:
        # A path with a digest in it has one content only: whatever was kept of it is right.
        if request.headers.get("If-None-Match"):
            return web.Response(status=304, headers={"Cache-Control": _FOR_EVER})
        return None

    async def index(request: web.Request) -> web.Response:
        body = find(request).index
        return unchanged(request) or answer(request, body, "application/json")

    async def bases(request: web.Request) -> web.Response:
        found = find(request)
        try:
            number = int(request.match_info["number"])
            # Before another background they are made now.
            body = await asyncio.get_running_loop().run_in_executor(_encoder, found.bases, number)
        except KeyError:
            raise web.HTTPNotFound(text="There are no such base frames.\n") from None
        return unchanged(request) or answer(request, body, "application/octet-stream")

    async def alphas(request: web.Request) -> web.Response:
        found = find(request)
        try:
            body = found.alphas(int(request.match_info["number"]))
        except KeyError:
            raise web.HTTPNotFound(text="There are no such alphas.\n") from None
        return unchanged(request) or answer(request, body, "application/octet-stream")

    async def patches(request: web.Request) -> web.Response:
        found = find(request)
        try:
            body = await found.patches(int(request.match_info["number"]))
        except KeyError:
            raise web.HTTPNotFound(text="There are no such patches.\n") from None
        return unchanged(request) or answer(request, body, "application/octet-stream")

    root = "/{slug}/tiles/{digest}"
    number = r"{number:\d{1,6}}"
    return [
        web.get(f"{root}/index.json", index),
        web.get(f"{root}/bases/{number}", bases),
        web.get(f"{root}/alphas/{number}", alphas),
        web.get(f"{root}/patches/{number}", patches),
    ]
