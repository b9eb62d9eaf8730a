"""Blinks and glances.

Everything happens in the photo's own pixels: a displacement from where a pixel is to where its
colour comes from, and paint on top (skin of the lid, line of the lashes). The head's motion is
applied to both afterwards, so that a frame is still sampled from the photo once.

The lids of a basis transfer badly to photos. Here the upper lid's edge travels down along the
eye's own vertical, the skin between brow and edge stretches after it, and the eye behind does not
move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.face.curves import Box, catmull_rom, fill, smoothstep
from engine.face.fit import FaceFit
from engine.face.tones import LUMA
from engine.face.warp import remap, resample

__all__ = ["Eye", "EyeState", "build_eyes"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_UPPER_SHARE: Final = 0.90  # of the closing is done by the upper lid
_REACH: Final = 1.07  # the white of the eye goes on a little beyond the corner landmarks
_MAX_GAZE: Final = 12.0  # degrees
_EYE_WIDTHS_PER_RADIAN: Final = 0.40  # how far the iris travels: a 12 mm ball in a 30 mm slit


@dataclass(frozen=True)
class _Shape:
    upper: tuple[int, ...]
    lower: tuple[int, ...]
    brow: tuple[int, ...]
    under: tuple[int, ...]
    iris: tuple[int, ...]


_LEFT = _Shape(
    topology.LEFT_EYE_UPPER,
    topology.LEFT_EYE_LOWER,
    topology.LEFT_UNDER_BROW,
    topology.LEFT_UNDER_EYE,
    topology.LEFT_IRIS,
)
_RIGHT = _Shape(
    topology.RIGHT_EYE_UPPER,
    topology.RIGHT_EYE_LOWER,
    topology.RIGHT_UNDER_BROW,
    topology.RIGHT_UNDER_EYE,
    topology.RIGHT_IRIS,
)


@dataclass(frozen=True)
class EyeState:
    """One eye at one closure and gaze, on the pixels of its box.

    Attributes:
        shift: (h, w, 4) where colours come from, relative: x, y for the lids, x, y for the ball.
        paint: (h, w, 4) premultiplied BGR and its coverage; None for an open eye.
        opening: (h, w) where the ball shows.
    """

    shift: Floats
    paint: Floats | None
    opening: Floats


class Eye:
    """One eye of the photo, ready to blink and look."""

    def __init__(self, image: Image, fit: FaceFit, shape: _Shape) -> None:
        points = fit.points[:, :2]
        across, down = fit.across, fit.down
        height, width = image.shape[:2]
        first, last = points[shape.upper[0]], points[shape.upper[-1]]
        centre = (first + last) / 2
        size = float(np.linalg.norm(last - first))
        low = np.maximum(np.floor(centre - np.array([0.8, 0.75]) * size).astype(int), 0)
        high = np.ceil(centre + np.array([0.8, 0.75]) * size).astype(int)
        self.box: Box = (low[0], low[1], min(high[0], width), min(high[1], height))
        """Pixels of the photo this eye may change."""
        self._size = size
        self._across, self._down = across, down

        x0, y0, x1, y1 = self.box
        xs = np.arange(x0, x1, dtype=np.float32) - np.float32(centre[0])
        ys = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(centre[1])
        along = (xs * across[0] + ys * across[1]).astype(np.float32)
        self._level = (xs * down[0] + ys * down[1]).astype(np.float32)

        def curve(ring: tuple[int, ...]) -> tuple[Floats, float, float]:
            c = catmull_rom(points[list(ring)]) - centre
            x, y = _REACH * (c @ across), c @ down
            order = np.argsort(x)
            level = np.interp(along, x[order], y[order]).astype(np.float32)
            return level, float(x.min()), float(x.max())

        self._top, self._left, self._right = curve(shape.upper)
        self._bottom = np.maximum(curve(shape.lower)[0], self._top)
        self._brow = np.minimum(curve(shape.brow)[0], self._top - np.float32(0.10 * size))
        self._cheek = self._bottom + np.float32(0.42 * size)
        self._open = self._bottom - self._top
        beyond = np.maximum(np.maximum(self._left - along, along - self._right), 0)
        self._sides: Floats = np.clip(1 - beyond / np.float32(0.15 * size), 0, 1)
        middle = (self._left + self._right) / 2
        self._offset = np.abs(along - middle) / ((self._right - self._left) / 2)
        self._within = np.clip(1 - self._offset**6, 0, 1).astype(np.float32)

        border = np.zeros(along.shape, np.float32)
        border[2:-2, 2:-2] = 1
        self._border = np.asarray(cv2.blur(border, (5, 5)), np.float32)

        self._rest = self._slit(self._top, self._bottom)

        iris = points[list(shape.iris)] - centre
        radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
        reach_left = max(float(iris[0] @ across) - self._left, 1.0)
        reach_right = max(self._right - float(iris[0] @ across), 1.0)
        away = along - np.float32(iris[0] @ across)
        share = np.abs(away) / np.where(away < 0, reach_left, reach_right)
        hold = min(1.05 * radius / min(reach_left, reach_right), 0.8)
        self._follow = 1 - smoothstep(hold, 1.0, share)
        """Share of the iris' travel that a pixel of the eye makes: none in the corners."""

        self._lid, self._lash, self._plate = self._lid_paint(image, fit, shape)

    def _lid_paint(self, image: Image, fit: FaceFit, shape: _Shape) -> tuple[Floats, Floats, float]:
        """Colour of the closed lid, of the lashes, and how much the lid needs painting."""
        height, width = image.shape[:2]
        smooth = cv2.GaussianBlur(image, (0, 0), 1.2).astype(np.float32)
        points = fit.points[:, :2]

        def at(places: Doubles) -> Floats:
            x = np.clip(np.rint(places[:, 0]).astype(int), 0, width - 1)
            y = np.clip(np.rint(places[:, 1]).astype(int), 0, height - 1)
            found: Floats = smooth[y, x]
            return found

        above = np.median(at(points[list(shape.brow[2:5])]), 0)
        below = np.median(at(points[list(shape.under)]), 0)
        if float(above @ LUMA) < 0.72 * float(below @ LUMA):
            above = 0.85 * below  # a frame, a fringe or a deep shadow, not skin
        skin = 0.5 * above + 0.5 * below
        x0, y0, x1, y1 = self.box
        slit = np.concatenate([points[list(shape.upper)], points[list(shape.lower)][::-1]])
        edge = cv2.morphologyEx(fill([slit], self.box), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0.5
        dark = image[y0:y1, x0:x1][edge].astype(np.float32)
        dark = dark[np.argsort(dark.sum(1))[: max(len(dark) // 5, 1)]].mean(0)
        lash = 0.55 * dark + 0.12 * skin
        rows = [
            at(points[list(shape.upper[2:7])] - self._down * (share * self._size)) @ LUMA
            for share in (0.06, 0.10, 0.14)
        ]
        light = np.concatenate(rows) / max(float(skin @ LUMA), 1)
        # lashes and shadow darken the stretched lid, reflections on glasses lighten it
        off = max((1.0 - float(np.percentile(light, 25))) / 0.35, (float(light.max()) - 1.1) / 0.2)
        plate = float(np.clip(off, 0.35, 0.85))
        return skin.astype(np.float32), lash.astype(np.float32), plate

    def state(self, blink: float, gaze: tuple[float, float]) -> EyeState:
        """Displacements and paint for a lid closure in [0, 1] and a gaze in degrees."""
        blink = float(np.clip(blink, 0, 1))
        size, level, edge = self._size, self._level, self._border
        right, up = np.clip(gaze, -_MAX_GAZE, _MAX_GAZE)
        travel = _EYE_WIDTHS_PER_RADIAN * size * np.radians([right, -up])
        shift = -(travel[0] * self._across + travel[1] * self._down)
        ball = (self._follow * edge)[..., None] * shift.astype(np.float32)
        if blink == 0:
            return EyeState(np.dstack([np.zeros_like(ball), ball]), None, self._rest)

        top = self._top + _UPPER_SHARE * blink * self._open
        bottom = self._bottom - (1 - _UPPER_SHARE) * blink * self._open
        source = np.where(level - top < bottom - level, self._top, self._bottom)
        source = np.where(level <= top, _stretch(level, self._brow, top, self._top), source)
        source = np.where(
            level >= bottom, _stretch(level, self._cheek, bottom, self._bottom), source
        )
        source = np.where((level < self._brow) | (level > self._cheek), level, source)
        lid = ((source - level) * self._sides * edge)[..., None] * self._down.astype(np.float32)

        height = (level - self._brow) / np.maximum(top - self._brow, 1e-3)
        grown = np.clip((top - self._top) / np.maximum(self._top - self._brow, 0.001), 0, 1.2) / 1.2
        plate = smoothstep(0.15, 0.45, height) * (height <= 1) * grown * self._within
        plate = plate * float(smoothstep(0, 0.5, blink)) * self._plate
        shade = 1 - 0.16 * smoothstep(0.45, 1.0, height)
        shade = shade - 0.10 * np.exp(-(((height - 0.30) / 0.10) ** 2))
        line = np.exp(-(((level - top) / (0.028 * size)) ** 2))
        line = line * np.clip(1 - self._offset**8, 0, 1) * min(2 * blink, 1) * 0.7

        ground = (plate * shade)[..., None] * self._lid
        paint = np.dstack(
            [
                ground * (1 - line[..., None]) + line[..., None] * self._lash,
                1 - (1 - plate) * (1 - line),
            ]
        )
        return EyeState(
            np.dstack([lid, ball]),
            (paint * edge[..., None]).astype(np.float32),
            self._slit(top, bottom),
        )

    def _slit(self, top: Floats, bottom: Floats) -> Floats:
        """Where the ball shows between two lid edges (h, w)."""
        opening = np.clip(np.minimum(self._level - top, bottom - self._level) + 0.5, 0, 1)
        opening = opening * smoothstep(0.0, 1.2, bottom - top) * (self._offset < 1)
        slit: Floats = (opening * self._border).astype(np.float32)
        return slit

    def paint(
        self,
        frame: Image,
        source: Floats,
        image: Image,
        state: EyeState,
        cubic: bool,
    ) -> None:
        """Draw the eye over a window of the frame, in place.

        Args:
            frame: (h, w, 3) BGR pixels of the window.
            source: (h, w, 2) where in the photo the head's motion takes each of them from.
            image: the photo.
            state: from ``state``.
            cubic: bicubic instead of bilinear sampling.
        """
        local = source - np.array(self.box[:2], np.float32)

        def seen(plane: Floats) -> Floats:
            # a zero border: outside its box an eye changes nothing
            return remap(plane, local, cv2.BORDER_CONSTANT)

        shift, opening = seen(state.shift), seen(state.opening)
        lids = resample(image, source + shift[..., :2], cubic).astype(np.float32)
        ball = resample(image, source + shift[..., 2:], cubic).astype(np.float32)
        out = lids + (ball - lids) * opening[..., None]
        if state.paint is not None:
            paint = seen(state.paint)
            out = out * (1 - paint[..., 3:]) + paint[..., :3]
        frame[:] = np.clip(np.rint(out), 0, 255).astype(np.uint8)


def build_eyes(image: Image, fit: FaceFit) -> tuple[Eye, Eye]:
    """The subject's left and right eye."""
    return Eye(image, fit, _LEFT), Eye(image, fit, _RIGHT)


def _stretch(level: Floats, far: Floats, new: Floats, old: Floats) -> Floats:
    """Where on the photo's lid a level of the moved lid comes from.

    The skin between ``far``, which stays, and the lid's edge, which went from ``old`` to ``new``,
    stretches most near the edge where the lid is thin.
    """
    span = np.maximum(np.abs(new - far), 1e-3)
    ratio = np.clip(np.abs(old - far) / span, 0.12, 1.6)
    t = np.clip(np.abs(level - far) / span, 0, 1.2)
    inside = np.clip(t, 0, 1)
    smooth = 3 * inside**2 - 2 * inside**3
    # the smooth profile folds over where the stretch is too strong: fade to the even one
    need = np.where(ratio < 1, 0.90 / np.maximum(1 - ratio, 1e-3), 9)
    even = np.clip((1.5 - need) / 0.5, 0, 1)
    moved: Floats = far + np.sign(new - far) * span * (
        t + (ratio - 1) * ((1 - even) * smooth + even * inside)
    )
    return moved
