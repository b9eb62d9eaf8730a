"""Blinks and glances.

Everything happens in the photo's own pixels: a displacement from where a pixel is to where its
colour comes from, and paint on top (skin of the lid, line of the lashes). The head's motion is
applied to both afterwards, so that a frame is still sampled from the photo once.

The lids of a basis transfer badly to photos. Here the upper lid's edge travels down along the
eye's own vertical. As on people, it unrolls from under its fold: the skin above hardly follows,
what comes out below is painted, and the lashes tip over. The eye behind does not move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.face.boxes import Box
from engine.face.curves import catmull_rom, fill, smoothstep
from engine.face.fit import FaceFit
from engine.face.lids import Lashes, cut_lashes, spread_skin
from engine.face.warp import remap, resample, shifted

__all__ = ["Eye", "EyeState", "build_eyes"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_UPPER_SHARE: Final = 0.90  # of the closing is done by the upper lid
_REACH: Final = 1.07  # the white of the eye goes on a little beyond the corner landmarks
_MAX_GAZE: Final = 12.0  # degrees
_SAG: Final = 0.28  # of the lid's travel, made by the skin above
_TIP: Final = 1.65  # lashes turn over within the blink: 1 is their length upright
_ABOVE, _BELOW = 0.24, 0.18  # of the eye's width: how far from the open eye anything is painted
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
        planes: (h, w, 4) the share of the ball's shift that a pixel of it makes; where the ball
            shows, 0 to 1; how far down the face the colour of the skin around it comes from, px;
            and nothing, since OpenCV looks up four planes faster than three.
        shift: (x, y) px, relative: where colours of the ball come from.
        paint: (h, w, 4) premultiplied BGR and its coverage; None where no lid moves.
    """

    planes: Floats
    shift: tuple[float, float]
    paint: Floats | None = None

    @property
    def opening(self) -> Floats:
        """(h, w) where the ball shows."""
        return self.planes[..., 1]


@dataclass(frozen=True)
class _Lid:
    """The part of the box in which a lid is painted, and what is known of its pixels (h, w)."""

    place: tuple[slice, slice]
    level: Floats
    top: Floats
    missed: Floats
    bulge: Floats
    line: Floats
    moves: Floats
    painted: Floats
    skin: Floats  # (h, w, 3)
    columns: Floats  # of the lashes


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
        left, top = low.tolist()
        right, bottom = np.minimum(high, (width, height)).tolist()
        self.box: Box = (left, top, right, bottom)
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
        sides: Floats = np.clip(1 - beyond / np.float32(0.15 * size), 0, 1)
        middle = (self._left + self._right) / 2
        self._offset = np.abs(along - middle) / ((self._right - self._left) / 2)
        ends = smoothstep(1.22, 1.05, self._offset)
        # at the corners the lid stays where it is, and its lashes with it
        moves = smoothstep(0.0, 0.5 * float(self._open.max()), self._open)
        # what the landmarks missed of the white under the lower lid
        missed = smoothstep(0.07 * size, 0.03 * size, self._level - self._bottom)

        border = np.zeros(along.shape, np.float32)
        border[2:-2, 2:-2] = 1
        self._border = np.asarray(cv2.blur(border, (5, 5)), np.float32)
        self._pull = self._border * sides

        self._rest = self._slit(self._top, self._bottom)

        iris = points[list(shape.iris)] - centre
        radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
        reach_left = max(float(iris[0] @ across) - self._left, 1.0)
        reach_right = max(self._right - float(iris[0] @ across), 1.0)
        away = along - np.float32(iris[0] @ across)
        share = np.abs(away) / np.where(away < 0, reach_left, reach_right)
        hold = min(1.05 * radius / min(reach_left, reach_right), 0.8)
        self._follow = (1 - smoothstep(hold, 1.0, share)) * self._border
        """Share of the iris' travel that a pixel of the eye makes: none in the corners."""

        beyond_lids = np.maximum(self._top - self._level, self._level - self._bottom)
        near = smoothstep(0.10 * size, 0.05 * size, beyond_lids)
        hole = near * smoothstep(0.12 * size, 0.06 * size, beyond)
        reference, dark = self._colours(image, fit, shape)
        skin = spread_skin(image, self.box, hole, reference, size, self._down)
        edge = catmull_rom(points[list(shape.upper)]) - centre
        axes = (centre, np.array([across, down]))
        self._lashes: Lashes = cut_lashes(image, skin, self.box, edge, axes, dark, size)
        above, below = self._top - self._level, self._level - self._bottom
        near = (above < _ABOVE * size) & (below < _BELOW * size) & (ends > 0) & (self._border > 0)
        x, y, w, h = cv2.boundingRect(near.view(np.uint8))
        place = np.s_[y : y + h, x : x + w]
        self._lid = _Lid(
            place=place,
            level=self._level[place],
            top=self._top[place],
            missed=missed[place],
            bulge=np.clip(1 - self._offset[place] ** 2, 0, 1),
            line=0.75 * np.clip(1 - self._offset[place] ** 8, 0, 1),
            moves=moves[place],
            painted=(self._border * ends)[place],
            skin=np.ascontiguousarray(skin[place]),
            columns=self._lashes.columns(along[place]),
        )

    def _colours(self, image: Image, fit: FaceFit, shape: _Shape) -> tuple[Floats, Floats]:
        """Skin close to the eye, and the darkest of the lashes."""
        height, width = image.shape[:2]
        points = np.rint(fit.points[list(shape.under), :2]).astype(int)
        x, y = points[:, 0].clip(2, width - 3), points[:, 1].clip(2, height - 3)
        around = [
            image[j - 2 : j + 3, i - 2 : i + 3].reshape(-1, 3) for i, j in zip(x, y, strict=True)
        ]
        skin = np.median(np.concatenate(around).astype(np.float32), 0)
        x0, y0, x1, y1 = self.box
        slit = [fit.points[list(shape.upper), :2], fit.points[list(shape.lower), :2][::-1]]
        mask = fill([np.concatenate(slit)], self.box)
        edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0.5
        dark = image[y0:y1, x0:x1][edge].astype(np.float32)
        dark = dark[np.argsort(dark.sum(1))[: max(len(dark) // 5, 1)]].mean(0)
        return skin.astype(np.float32), (0.7 * dark + 0.08 * skin).astype(np.float32)

    def state(self, blink: float, gaze: tuple[float, float]) -> EyeState:
        """Displacements and paint for a lid closure in [0, 1] and a gaze in degrees."""
        blink = float(np.clip(blink, 0, 1))
        level = self._level
        right, up = np.clip(gaze, -_MAX_GAZE, _MAX_GAZE)
        travel = _EYE_WIDTHS_PER_RADIAN * self._size * np.radians([right, -up])
        x, y = (-(travel[0] * self._across + travel[1] * self._down)).tolist()
        planes = np.zeros((*level.shape, 4), np.float32)
        planes[..., 0] = self._follow
        if blink == 0:
            planes[..., 1] = self._rest
            return EyeState(planes, (x, y))

        fall, rise = _UPPER_SHARE * blink * self._open, (1 - _UPPER_SHARE) * blink * self._open
        top, bottom = self._top + fall, self._bottom - rise
        sag = _SAG * fall
        share = np.clip((level - self._brow) / np.maximum(self._top + sag - self._brow, 1), 0, 1)
        above = np.minimum(level - sag * share * share, self._top)
        share = np.clip((self._cheek - level) / np.maximum(self._cheek - bottom, 1), 0, 1)
        below = np.maximum(level + rise * share * share, self._bottom)
        source = np.where(level - top < bottom - level, above, below)
        source = np.where((level < self._brow) | (level > self._cheek), level, source)
        opening = self._slit(top, bottom)
        planes[..., 1] = opening
        planes[..., 2] = (source - level) * self._pull
        place = self._lid.place
        paint = np.zeros((*level.shape, 4), np.float32)
        paint[place] = self._lid_paint(top[place], source[place], opening[place], blink)
        return EyeState(planes, (x, y), paint)

    def _lid_paint(self, top: Floats, source: Floats, opening: Floats, blink: float) -> Floats:
        """What a lowered lid shows anew: (h, w, 4) premultiplied colour and coverage."""
        size, lashes, lid = self._size, self._lashes, self._lid
        edge = lid.level - top  # px below the edge
        old = lid.top - source  # px above it in the photo
        begun = np.float32(min(8 * blink, 1))
        plate = _step(1 - old * np.float32(1 / (0.20 * size)))
        plate = np.maximum(plate, lid.moves * lashes.around(lid.columns, old))
        plate *= np.clip(0.5 - edge, 0, 1)
        if blink > 0.6:
            meeting = float(smoothstep(0.6, 0.95, blink))
            plate = np.maximum(plate, meeting * lid.missed * (edge > 0))
        plate *= begun

        height = np.clip((lid.level - lid.top) / np.maximum(top - lid.top, 1), -0.5, 1.5)
        ball = np.exp(-6.25 * (height - 0.45) ** 2) * lid.bulge
        shade = 1 + blink * (0.07 * ball - 0.10 * _step(2 * height - 1.1) - 0.02)

        turn = 1 - np.float32(_TIP * blink) * lid.moves
        turn = np.where(turn > 0, np.maximum(turn, 0.15), np.minimum(turn, -0.15))
        bare = 1 - lashes.cover(lid.columns, -edge / turn)
        bare *= 1 - lid.line * np.exp(-((edge * np.float32(1 / (0.026 * size))) ** 2))
        shadow = np.exp(edge * np.float32(-1 / (0.07 * size))) * (edge > 0)
        bare *= 1 - 0.25 * shadow * opening
        hair = begun * (1 - bare)

        skin = plate * shade * (1 - hair) * lid.painted
        hairs = hair * lid.painted
        colours = cv2.multiply(lid.skin, cv2.merge((skin, skin, skin)))
        colours = cv2.add(colours, cv2.merge([hairs * c for c in lashes.colour]))
        cover = lid.painted * (1 - (1 - plate) * (1 - hair))
        return np.asarray(cv2.merge((*cv2.split(colours), cover)), np.float32)

    def _slit(self, top: Floats, bottom: Floats) -> Floats:
        """Where the ball shows between two lid edges (h, w)."""
        opening = np.clip(np.minimum(self._level - top, bottom - self._level) + 0.5, 0, 1)
        opening *= _step((bottom - top) * np.float32(1 / 1.2)) * (self._offset < 1)
        slit: Floats = opening * self._border
        return slit

    def paint(
        self,
        frame: Image,
        source: Floats,
        photo: Image,
        state: EyeState,
        cubic: bool,
    ) -> None:
        """Draw the eye over a window of the frame, in place.

        Args:
            frame: (h, w, 3) BGR pixels of the window, already taken from there.
            source: (h, w, 2) where in the photo the head's motion takes each of them from.
            photo: (H, W, 4), BGR and any fourth plane.
            state: from ``state``.
            cubic: bicubic instead of bilinear sampling.
        """
        # a zero border: outside its box an eye changes nothing
        local, border = shifted(source, self.box[0], self.box[1]), cv2.BORDER_CONSTANT
        seen = remap(state.planes, local, border)
        follow, shown, lid = (np.ascontiguousarray(seen[..., i]) for i in range(3))
        ball = resample(photo, _along(source, follow, state.shift), cubic)
        if state.paint is None:
            out = cv2.cvtColor(ball, cv2.COLOR_BGRA2BGR)
            frame[:] = cv2.blendLinear(out, np.ascontiguousarray(frame), shown, 1 - shown)
            return
        skin = resample(photo, _along(source, lid, (self._down[0], self._down[1])), cubic)
        out = cv2.blendLinear(ball, skin, shown, 1 - shown)
        paint = remap(state.paint, local, border)
        left = 1 - paint[..., 3]
        kept = cv2.multiply(out, cv2.merge((left, left, left, left)), dtype=cv2.CV_32F)
        frame[:] = cv2.convertScaleAbs(cv2.add(kept, paint))[..., :3]


def build_eyes(image: Image, fit: FaceFit) -> tuple[Eye, Eye]:
    """The subject's left and right eye."""
    return Eye(image, fit, _LEFT), Eye(image, fit, _RIGHT)


def _along(source: Floats, lengths: Floats, direction: tuple[float, float]) -> Floats:
    """A source map (h, w, 2) that looks further by lengths (h, w) in one direction."""
    x, y = np.float32(direction[0]), np.float32(direction[1])
    moved: Floats = np.add(source, cv2.merge((lengths * x, lengths * y)))
    return moved


def _step(x: Floats) -> Floats:
    """Hermite step from 0 at 0 to 1 at 1."""
    t = np.clip(x, 0, 1)
    step: Floats = t * t * (3 - 2 * t)
    return step
