"""Playing an Essence avatar: a frame is two small integers until somebody needs its pixels.

The base clip is decoded once and kept as JPEG, a tenth of its size in pixels; mouth patches stay
WebP as in the file. What is decoded for use is held in small caches shared by all sessions.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.director import Choice
from engine.errors import InvalidAvatar, NotSupported
from engine.essence import layout
from engine.essence.blend import blend, warp
from engine.essence.cache import ArrayCache, Cache
from engine.essence.contents import BASE_QUALITY, read_contents
from engine.essence.director import Course, EssenceDirector, travel_of
from engine.essence.layers import LaterBases, Over
from engine.essence.selector import ShapeBook
from engine.essence.splice import MCU, GridJpeg, Strips, encode
from engine.imx import Reader
from engine.pictures import decode_picture, webp_size

Image = NDArray[np.uint8]

# Bilinear sampling at a random place blurs by a variance of 1/6 pixel per axis on average; taking
# half of that times the Laplacian off beforehand makes up for it, at a third of the cost of cubic.
_SHARPEN = np.array([[0, -1, 0], [-1, 16, -1], [0, -1, 0]], np.float32) / 12.0
_PADDING = 2  # pixels around a patch, of its colours but unseen
_BASE_CACHE = 4 << 20  # bytes of decoded base frames
# Bytes of other things kept, for a few viewers and for many.
_CELL_CACHE = 4 << 20, 48 << 20  # base frames around the mouth, decoded
_PATCH_CACHE = 8 << 20, 48 << 20
_STRIP_CACHE = 8 << 20, 64 << 20  # the same with a patch, as JPEG


class Digest(Protocol):
    """What ``hashlib`` makes."""

    def update(self, data: bytes, /) -> None:
        """Add to what is digested."""


class EssencePlayer:
    """Base frames and mouth bank of one avatar; immutable, shared by sessions and threads.

    Args:
        reader: an open file whose manifest says ``essence``. Not needed afterwards.

    Raises:
        InvalidAvatar: a member is missing, is not what the manifest promises, or asks for more
            memory than any avatar needs.

    Attributes:
        width, height: size of a frame in pixels.
        frames: base frames of all clips, the idle loop first.
        clips: name to first base frame and length; ``idle``, then the gestures in order.
        walk: how a director finds its way through them.
        shapes: rows of the codebook; 0 is rest and has no patch.
        codebook: float32 (shapes, 16).
        roi: (x0, y0, x1, y1), the box of a patch at its own pose.
        pose: int (frames,), the bank pose used on each frame.
        affine: float64 (frames, 2, 3), patch pixels (x, y) to frame pixels.
        mask: uint8 of the size of a patch: how much of the patch is seen.
        mask_png: the same as a grey PNG.
    """

    def __init__(self, reader: Reader) -> None:
        contents = read_contents(reader)
        self.width, self.height = contents.size
        self.clips = contents.clips
        self.frames = len(contents.bases)
        self.walk = contents.walk
        self.codebook = contents.codebook
        self.shapes = len(self.codebook)
        self.roi = contents.roi
        self.pose, self.affine = contents.pose, contents.affine
        self.mask, self.mask_png = contents.mask, contents.mask_png
        self._book = ShapeBook(self.codebook)
        self._patches = contents.patches
        self._patch_size = contents.patch_size
        self._course = Course(
            self.clips, self.walk, travel_of(self.clips, self.affine, self._patch_size)
        )
        visible = cv2.boundingRect(self.mask)
        self._boxes = [self._box(matrix, visible) for matrix in self.affine]
        self._layers = contents.layers
        self._over: Over | None = None
        self._before: EssencePlayer | None = None
        self._bases: Sequence[GridJpeg] = contents.bases
        self._clear_caches()

    def _clear_caches(self) -> None:
        self._base_cache: ArrayCache[int] = ArrayCache(_BASE_CACHE)
        self._cell_cache: ArrayCache[int] = ArrayCache(_CELL_CACHE[0])
        self._patch_cache: ArrayCache[tuple[int, int]] = ArrayCache(_PATCH_CACHE[0])
        self._strip_cache: Cache[tuple[int, int], Strips] = Cache(
            _STRIP_CACHE[0], lambda strips: sum(map(len, strips))
        )

    @property
    def has_matte(self) -> bool:
        """Whether the person can be shown before another background."""
        return self._layers is not None

    @property
    def transparent(self) -> bool:
        """Whether this is a player for transparent frames."""
        return self._over is not None and self._over.new is None

    def add_to(self, digest: Digest) -> None:
        """Feed all that base frames and patches are made of, without making them."""
        if self._before is not None and self._over is not None:
            self._before.add_to(digest)
            digest.update(b"cut" if self._over.new is None else self._over.new.tobytes())
            return
        for base in self._bases:
            digest.update(base.data)
        for patch in self._patches.values():
            digest.update(patch)

    def over(self, background: Image | None) -> EssencePlayer:
        """The same avatar before another background; its frames are made when first needed.

        Args:
            background: BGR uint8 (height, width, 3). None makes a player for transparent frames:
                its pictures continue the person's colours beyond their edge, and it has ``alpha``.

        Raises:
            NotSupported: ``MATTE``, the file does not say what of its pictures is the person.
            InvalidAvatar: its matte is damaged.
        """
        layers = self._layers
        if layers is None:
            raise NotSupported(
                "this avatar was built without a matte, so its background cannot be replaced",
                code="MATTE",
                hint="Build it from a picture of one person before a plain background.",
            )
        twin = copy.copy(self)
        twin._before = self
        old = layers.backdrop(self.width, self.height)
        alphas = layers.alphas(self.width, self.height)
        twin._over = over = Over(old, background, alphas)

        def change(base: int) -> GridJpeg:
            picture = decode_picture(self._bases[base].data)
            changed = over.change(picture, over.alpha(base), old, background)
            return GridJpeg(encode(changed, BASE_QUALITY))

        twin._bases = LaterBases(self.frames, change)
        twin._clear_caches()
        return twin

    def alpha(self, base: int) -> Image:
        """How much of each pixel of a base frame is the person: uint8 (height, width).

        Raises:
            ValueError: this player is not one for transparent frames.
        """
        return self._transparent().alpha(base)

    def alpha_png(self, base: int) -> bytes:
        """The same as a PNG with nothing but an alpha channel, as ``engine.alpha`` makes it."""
        return self._transparent().alphas[base]

    def _transparent(self) -> Over:
        if self._over is None or not self.transparent:
            raise ValueError("this player is not one for transparent frames")
        return self._over

    def draw_cut(self, choice: Choice) -> tuple[Image, Image]:
        """``draw``, and the alpha that goes with it."""
        return self.draw(choice), self.alpha(choice.base)

    def draw_cut_jpeg(self, choice: Choice) -> tuple[bytes, bytes]:
        """``draw_jpeg``, and the alpha that goes with it as a PNG."""
        return self.draw_jpeg(choice), self.alpha_png(choice.base)

    def expect_crowd(self) -> None:
        """Keep more of what was made: many viewers at once are all over the loop.

        Takes up to 120 MB more and saves most of the time of ``compose_jpeg``: sooner or later
        somebody has had this mouth on this base frame before.
        """
        self._cell_cache.limit = _CELL_CACHE[1]
        self._patch_cache.limit = _PATCH_CACHE[1]
        self._strip_cache.limit = _STRIP_CACHE[1]

    def director(self, seed: int | None = None) -> EssenceDirector:
        """A new director; sessions have one each, and walk each its own way without a seed."""
        return EssenceDirector(self._course, self._book, seed)

    @property
    def hubs(self) -> tuple[int, ...]:
        """Frames of the idle clip at which gestures begin and end."""
        return self.walk.hubs

    def draw(self, choice: Choice) -> Image:
        """``compose`` for a choice of a director."""
        return self.compose(choice.base, choice.patch)

    def draw_jpeg(self, choice: Choice) -> bytes:
        """``compose_jpeg`` for a choice of a director."""
        return self.compose_jpeg(choice.base, choice.patch)

    def base_jpeg(self, base: int) -> bytes:
        """A base frame as baseline 4:2:0 JPEG with restart markers, see ``splice``."""
        return self._bases[base].data

    def patch_box(self, base: int) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of the pixels of a frame that a patch can change."""
        return self._boxes[base]

    def patch(self, pose: int, shape: int) -> Image:
        """A patch ready for ``warp``, new BGR uint8 of the size of ``roi``.

        Raises:
            KeyError: there is no such patch; shape 0 has none.
        """
        inner = slice(_PADDING, -_PADDING)
        return self._layer(pose, shape)[inner, inner, :3].copy()

    def _layer(self, pose: int, shape: int) -> Image:
        """A patch with its mask, BGRA uint8, ``_PADDING`` pixels larger on every side."""
        return self._patch_cache.get((pose, shape), lambda: self._decode_patch(pose, shape))

    def compose(self, base: int, patch: int | None, out: Image | None = None) -> Image:
        """Draw one frame.

        Args:
            base: frame of the idle loop, 0 to ``frames - 1``.
            patch: shape, 1 to ``shapes - 1``; None or 0 leaves the base frame as it is.
            out: uint8 (height, width, 3) to draw into, instead of a new array.

        Returns:
            BGR uint8 (height, width, 3). Pixels outside the feathered patch are bit for bit those
            of the base frame.
        """
        frame = self._base_cache.get(base, lambda: decode_picture(self._bases[base].data))
        if out is None:
            out = frame.copy()
        else:
            np.copyto(out, frame)
        if patch:
            self._blend(out, base, patch)
        return out

    def compose_jpeg(self, base: int, patch: int | None) -> bytes:
        """Draw one frame for the wire: ``compose`` as JPEG, at half the cost or less.

        Only the cells that the patch touches are decoded, drawn and encoded; the others are those
        of ``base_jpeg``, byte for byte. Whatever was made lately is kept for all viewers.

        Args:
            base: as in ``compose``.
            patch: as in ``compose``.

        Returns:
            A JPEG as ``base_jpeg`` gives it.
        """
        jpeg = self._bases[base]
        x0, y0, x1, y1 = self._boxes[base]
        if not patch or x0 >= x1 or y0 >= y1:
            return jpeg.data
        left, top, right = x0 // jpeg.cell, y0 // MCU, -(-x1 // jpeg.cell)
        strips = self._strip_cache.get((base, patch), lambda: self._encode(base, patch))
        return jpeg.replaced(left, top, right - left, strips)

    def _encode(self, base: int, shape: int) -> Strips:
        """The cells under a patch, with it."""
        jpeg = self._bases[base]
        x0, y0, x1, y1 = self._boxes[base]
        left, top, right, bottom = x0 // jpeg.cell, y0 // MCU, -(-x1 // jpeg.cell), -(-y1 // MCU)
        cells = self._cell_cache.get(
            base, lambda: np.ascontiguousarray(jpeg.decode(left, top, right, bottom))
        ).copy()
        self._blend(cells, base, shape, left * jpeg.cell, top * MCU)
        part = GridJpeg(encode(cells, BASE_QUALITY, jpeg.cell // MCU))
        return jpeg.strips(left, top, part)

    def _blend(self, out: Image, base: int, shape: int, left: int = 0, top: int = 0) -> None:
        """Draw a patch into ``out``, whose first pixel is pixel (left, top) of the frame."""
        layer = self._layer(int(self.pose[base]), shape)
        x0, y0, x1, y1 = self._boxes[base]
        if x0 >= x1 or y0 >= y1:
            return
        matrix = self.affine[base] - [[0, 0, x0], [0, 0, y0]]
        matrix[:, 2] -= matrix[:, :2] @ (_PADDING, _PADDING)
        # Colours and mask in one go: OpenCV warps four channels in half the time of three.
        drawn = warp(layer, matrix, (x1 - x0, y1 - y0), cv2.BORDER_REPLICATE)
        mask = cv2.extractChannel(drawn, 3)
        alpha = cv2.merge((mask, mask, mask)).astype(np.uint16)
        colours = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_BGRA2BGR), np.uint8)
        blend(out[y0 - top : y1 - top, x0 - left : x1 - left], colours, alpha)

    def _box(
        self, matrix: NDArray[np.float64], visible: Sequence[int]
    ) -> tuple[int, int, int, int]:
        """Where the visible part (x, y, width, height) of a patch comes to lie."""
        left, above, width, height = visible
        right, below = left + width, above + height
        corners = np.array(
            [[left - 1, above - 1], [right, above - 1], [left - 1, below], [right, below]],
            np.float64,
        )
        placed = corners @ matrix[:, :2].T + matrix[:, 2]
        limit = np.array([self.width, self.height])
        low = np.clip(np.floor(placed.min(axis=0)), 0, limit).astype(int)
        high = np.clip(np.ceil(placed.max(axis=0)) + 1, 0, limit).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _decode_patch(self, pose: int, shape: int) -> Image:
        data = self._patches[pose, shape]
        if webp_size(data) != self._patch_size:
            name = layout.patch_name(pose, shape)
            raise InvalidAvatar(f"{name} is not a WebP picture of the size of a patch", member=name)
        image = decode_picture(data, layout.patch_name(pose, shape))
        if self._over is not None:
            image = self._over.change(image, *self._behind_patch(pose))
        image = np.asarray(
            cv2.filter2D(image, -1, _SHARPEN, borderType=cv2.BORDER_REPLICATE), np.uint8
        )
        around = (_PADDING,) * 4
        colours = cv2.copyMakeBorder(image, *around, cv2.BORDER_REPLICATE)
        mask = cv2.copyMakeBorder(self.mask, *around, cv2.BORDER_CONSTANT)
        return np.dstack([colours, mask])

    def _behind_patch(self, pose: int) -> tuple[Image, Image, Image | None]:
        """Alpha, old and new background of the patches of a pose, in their own pixels."""
        over = self._over
        assert over is not None
        if pose not in over.patches:
            x0, y0, _, _ = self.roi
            at_home = np.array([[1.0, 0.0, x0], [0.0, 1.0, y0]])
            frames = np.flatnonzero(self.pose == pose)
            away = np.abs(self.affine[frames] - at_home).sum((1, 2))
            base = int(frames[away.argmin()]) if len(frames) else 0
            matrix = cv2.invertAffineTransform(self.affine[base])

            def seen(picture: Image) -> Image:
                return warp(picture, matrix, self._patch_size, cv2.BORDER_REPLICATE)

            new = None if over.new is None else seen(over.new)
            over.patches[pose] = seen(over.alpha(base)), seen(over.old), new
        return over.patches[pose]
