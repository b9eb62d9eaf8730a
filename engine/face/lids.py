"""What a lid looks like that the photo does not show, because it is open there.

The skin is spread from around the eye over the place where the eye is, leaving out whatever is
not skin: lashes, brows, frames of glasses, a fringe. The lashes are cut out as a strip along the
edge of the lid, which can be laid along any other edge, upright or hanging.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.boxes import Box
from engine.face.curves import smoothstep
from engine.face.tones import LUMA
from engine.face.warp import remap

__all__ = ["Lashes", "cut_lashes", "spread_skin"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_SCALES: Final = (0.5, 0.2, 0.08, 0.03)  # of the eye's width, coarse to fine
_LENGTH: Final = 0.20  # of the eye's width: nothing further from the edge is a lash
_ROOTS: Final = 0.03  # the dark edge itself, on the other side of the landmarks
_DETAIL: Final = 0.4  # of the eye's width below a place of the lid: whose texture it gets
_MAX_DETAIL: Final = 0.10  # of its brightness


def spread_skin(
    image: Image, box: Box, hole: Floats, reference: Floats, size: float, down: Doubles
) -> Floats:
    """The box of an eye as if there were only skin.

    Normalised convolution (Knutsson and Westin, 1993) with ever narrower kernels, each trusted as
    far as it has seen skin.

    Args:
        image: the photo.
        box: of the eye.
        hole: (h, w) where in the box the eye is, 0 to 1.
        reference: (3,) BGR of skin close to the eye.
        size: width of the eye, px.
        down: (2,) unit vector towards the chin.

    Returns:
        (h, w, 3) BGR float32.
    """
    x0, y0, x1, y1 = box
    part = image[y0:y1, x0:x1].astype(np.float32)
    sight = 1 - hole
    near = np.broadcast_to(np.maximum(reference, 4).astype(np.float32), part.shape)
    seen = part
    for darker, lighter, tint in ((0.75, 0.35, 0.20), (0.28, 0.22, 0.15)):
        likely = sight * _like(part, near, darker, lighter, tint)
        seen = np.array(near)
        for scale in _SCALES:
            amount = _soft(likely, scale * size)
            mean = _soft(likely[..., None] * part, scale * size)
            mean /= np.maximum(amount, 1e-4)[..., None]
            seen += (mean - seen) * np.clip(amount / 0.25, 0, 1)[..., None]
        near = np.maximum(seen, 4)
    fine = (part - cv2.GaussianBlur(part, (0, 0), 0.05 * size)) * likely[..., None]
    y, x = np.mgrid[0 : y1 - y0, 0 : x1 - x0].astype(np.float32)
    below = np.dstack([x, y]) + np.float32(_DETAIL * size) * down.astype(np.float32)
    fine = remap(np.asarray(fine, np.float32), below, cv2.BORDER_REFLECT_101)
    limit = _MAX_DETAIL * seen
    return np.asarray(seen + np.clip(fine, -limit, limit), np.float32)


def _soft(plane: Floats, sigma: float) -> Floats:
    """Gaussian blur in which nothing lies beyond the edges."""
    border = cv2.BORDER_CONSTANT
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.5), borderType=border))


def _like(part: Floats, near: Floats, darker: float, lighter: float, tint: float) -> Floats:
    """How well pixels match a colour, 0 to 1; tolerances are natural logarithms."""
    ratio = np.log(np.maximum(part, 4) / near)
    light = np.log(np.maximum(part @ LUMA, 4) / (near @ LUMA))
    off = np.abs(ratio - light[..., None]).max(2) / tint
    far = np.where(light < 0, -light / darker, light / lighter)
    like: Floats = np.exp(-(far**4) - off**4).astype(np.float32)
    return like


@dataclass(frozen=True)
class Lashes:
    """Upper lashes, unrolled along the edge of the lid.

    Attributes:
        strip: (rows, columns) how much of a lash covers a place, 0 to 1.
        vicinity: the same with everything near it, to paint over the lashes of the open eye.
        colour: (3,) BGR.
        first: along the eye of the first column, px from its centre.
    """

    strip: Floats
    vicinity: Floats
    colour: Floats
    first: float
    _above: float
    _step: float

    def columns(self, along: Floats) -> Floats:
        """Columns of the strip (h, w) at places along the eye, px from its centre."""
        return (along - np.float32(self.first)) * np.float32(1 / self._step)

    def cover(self, columns: Floats, outward: Floats) -> Floats:
        """What they cover (h, w).

        Args:
            columns: (h, w) from ``columns``.
            outward: (h, w) px from the edge of the lid towards the tips.
        """
        return self._look_up(self.strip, columns, outward)

    def around(self, columns: Floats, outward: Floats) -> Floats:
        """What they cover with everything near it (h, w), as ``cover``."""
        return self._look_up(self.vicinity, columns, outward)

    def _look_up(self, strip: Floats, columns: Floats, outward: Floats) -> Floats:
        rows = (outward + np.float32(self._above)) * np.float32(1 / self._step)
        return remap(strip, np.asarray(cv2.merge((columns, rows))), cv2.BORDER_CONSTANT)


def cut_lashes(
    image: Image,
    skin: Floats,
    box: Box,
    edge: Doubles,
    axes: tuple[Doubles, Doubles],
    colour: Floats,
    size: float,
) -> Lashes:
    """Find the lashes in a photo.

    Args:
        image: the photo.
        skin: from ``spread_skin``.
        box: of the eye.
        edge: (n, 2) px along the open lid, relative to the middle between the eye's corners.
        axes: that middle (2,), and along and down the face (2, 2), px.
        colour: (3,) BGR of the darkest of them.
        size: width of the eye, px.
    """
    centre, (across, down) = axes
    step = 0.5
    along, level = edge @ across, edge @ down
    order = np.argsort(along)
    at = np.arange(along.min(), along.max(), step)
    heights = np.interp(at, along[order], level[order])
    places = centre + at[:, None] * across + heights[:, None] * down
    outward = np.arange(-_ROOTS * size, _LENGTH * size, step)
    grid = places[None] + outward[:, None, None] * -down
    local = (grid - np.array(box[:2])).astype(np.float32)
    seen = remap(image[box[1] : box[3], box[0] : box[2]].astype(np.float32), local) @ LUMA
    bare = np.maximum(remap(skin, local) @ LUMA, 4)
    deepest = np.minimum(float(colour @ LUMA) / bare, 0.7)
    cover = np.clip((1 - seen / bare - 0.06) / (1 - deepest), 0, 1)
    # A lash begins at the edge: what is dark beyond a light gap is a fold, a brow or a frame.
    rooted = np.array(cover)
    roots = int(np.searchsorted(outward, 0.0)) + 2
    for row in range(roots, len(rooted)):
        reach = cv2.dilate(rooted[row - 1][None], np.ones((1, 5), np.uint8))[0]
        rooted[row] = np.minimum(rooted[row], reach)
    # A lash is narrow; what is dark all along the eye is paint at its edge, and shadow further up.
    common = smoothstep(0.2, 0.6, np.median(rooted, axis=1))
    paint = 1 - common * smoothstep(0.03 * size, 0.07 * size, outward)
    shadow = 1 - common * smoothstep(0.06 * size, 0.13 * size, outward)
    ends = np.minimum(at - at[0], at[-1] - at)
    rooted *= smoothstep(_LENGTH * size, 0.6 * _LENGTH * size, outward)[:, None]
    rooted = rooted * smoothstep(0, 0.05 * size, ends)
    reach = 2 * max(round(0.025 * size / step), 1) + 1
    dark = np.minimum(4 * rooted * shadow[:, None], 1).astype(np.float32)
    near = cv2.dilate(dark, np.ones((reach, reach), np.uint8))
    around = np.asarray(cv2.GaussianBlur(near, (0, 0), 0.4 * reach), np.float32)
    rooted = (rooted * paint[:, None]).astype(np.float32)
    rooted[[0, -1]] = around[[0, -1]] = 0
    return Lashes(rooted, around, colour, float(at[0]), -float(outward[0]), step)
