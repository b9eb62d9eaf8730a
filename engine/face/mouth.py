"""What is behind the lips: teeth, gums, tongue and the dark of the cavity.

Everything is placed in a millimetre frame fixed to the skull, with its origin where the closed
lips meet; the lower teeth and the tongue follow the jaw. Where the photo shows teeth its own
pixels are used for the upper row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.face.boxes import Box
from engine.face.curves import fill, smoothstep
from engine.face.fit import FaceFit
from engine.face.teeth import PIXELS_PER_MM, arch_texture, turned
from engine.face.tones import Tones, photo_opening

__all__ = ["Articulation", "HeadMotion", "MouthInterior"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_UPPER_EDGE: Final = 2.9  # mm below the lip line
_LOWER_EDGE: Final = 3.8
_BEHIND_LIPS: Final = 0.8  # cm: depth of the front teeth, for their parallax under head motion
_JAW_PATH: Final = np.array([0.0, -2.68, -2.0])  # cm of the lower incisors at jawOpen 1
_HIDDEN: Final = 1.8  # mm of the upper teeth behind a moustache
_SHADED: Final = 0.4  # of their light lost under it
_FRONT_LIGHT: Final = 0.84  # front teeth never get darker than this
_MARGIN: Final = 4  # px around the opening that may be touched
_OVERSAMPLING: Final = 2.0  # of the stored tooth textures


@dataclass(frozen=True)
class Articulation:
    """What the interior needs to know of the expression; strengths of the basis' units."""

    jaw: float
    sideways: float
    rounding: float  # funnel
    pucker: float
    tongue_up: float
    tongue_out: float


@dataclass(frozen=True)
class HeadMotion:
    """Rigid motion of the skull: x → turn @ (x - pivot) + pivot, in px."""

    turn: Doubles
    pivot: Doubles

    def move(self, point: Doubles) -> Doubles:
        """Where a point (3,) goes."""
        moved: Doubles = self.turn @ (point - self.pivot) + self.pivot
        return moved


class MouthInterior:
    """Draws the mouth interior of one person."""

    def __init__(self, image: Image, fit: FaceFit, tones: Tones) -> None:
        """Prepare textures and colours.

        Args:
            image: the frame, BGR.
            fit: the face in it.
            tones: its colours.
        """
        self._image = image
        self._fit = fit
        self._tones = tones
        self._mm = fit.similarity.scale * 0.1 * float(np.clip(fit.mouth_scale, 0.8, 1.0))
        lips = (topology.UPPER_LIP_CENTRE, topology.LOWER_LIP_CENTRE)
        meeting = (fit.points[list(lips)] + fit.closing[list(lips)]).mean(0)
        self._origin = meeting + np.array([0, 0, _BEHIND_LIPS * fit.similarity.scale])
        shown = 0.7 * fit.gap * fit.mouth_width / self._mm  # mm of teeth below the origin
        self._lower_edge = max(_LOWER_EDGE, shown - 1.5) if tones.shows_teeth else _LOWER_EDGE
        self._jaw_path = fit.jaw_scale * fit.similarity.vectors(_JAW_PATH)[:2]
        self._jaw_side = fit.similarity.vectors(np.array([0.9, 0, 0]))[:2]
        self._seed = round(1e3 * fit.mouth_width / fit.similarity.scale)
        self._rows = {upper: self._prefilter(upper) for upper in (True, False)}
        # light that has bounced off red tissue is red: blue fades first in the dark
        red = np.array([-0.42, -0.30, 0.15])
        self._dimming = (0.14 + tones.saturation * red).astype(np.float32)
        self._own_teeth = self._photo_teeth() if tones.shows_teeth else None

    def _prefilter(self, upper: bool) -> tuple[Floats, float]:
        """The tooth texture near the size it is drawn at, and its pixels per mm."""
        side, front = (
            float(self._fit.similarity.vectors(axis)[:2] @ self._fit.across)
            / self._fit.similarity.scale
            for axis in np.eye(3)[[0, 2]]
        )
        texture = turned(arch_texture(upper, self._seed), upper, side, front)
        scale = min(1.0, self._mm * _OVERSAMPLING / PIXELS_PER_MM)
        h, w = texture.shape[:2]
        size = (max(8, round(w * scale)), max(8, round(h * scale)))
        shrunk = cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(shrunk, (0, 0), 0.45 * _OVERSAMPLING)
        return np.asarray(small, np.float32), PIXELS_PER_MM * size[0] / w

    def _photo_teeth(self) -> Floats:
        """Soft mask (H, W) of the photo's own opening."""
        height, width = self._image.shape[:2]
        mask = fill([photo_opening(self._fit)], (0, 0, width, height))
        eroded = cv2.erode(mask, np.ones((3, 3), np.uint8))
        return np.asarray(cv2.GaussianBlur(eroded, (0, 0), 1.0), np.float32)

    def draw(
        self,
        canvas: Image,
        box: Box,
        upper: Doubles,
        lower: Doubles,
        articulation: Articulation,
        head: HeadMotion,
    ) -> None:
        """Fill the opening between two lip curves, in place.

        Args:
            canvas: BGR pixels of ``box``.
            box: the part of the frame the canvas shows.
            upper: (n, 2) inner upper lip in frame pixels.
            lower: (n, 2) inner lower lip, same length, nowhere above the upper one.
            articulation: jaw, rounding and tongue.
            head: rigid motion of the skull.
        """
        outline = np.concatenate([upper, lower[::-1]])
        low = np.floor(outline.min(0)).astype(int) - _MARGIN
        high = np.ceil(outline.max(0)).astype(int) + _MARGIN + 1
        x0, y0 = max(low[0], box[0]), max(low[1], box[1])
        x1, y1 = min(high[0], box[2]), min(high[1], box[3])
        if x1 <= x0 or y1 <= y0:
            return
        part = canvas[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]
        opening = fill([outline], (x0, y0, x1, y1))
        opening = _blur(opening, 0.55)
        height = float(np.linalg.norm(lower - upper, axis=1).max())
        interior = self._interior((x0, y0, x1, y1), opening, height, articulation, head)
        solid = np.rint(interior.clip(0, 255)).astype(np.uint8)
        part[:] = cv2.blendLinear(solid, np.ascontiguousarray(part), opening, 1 - opening)

    def _interior(
        self,
        box: Box,
        opening: Floats,
        height: float,
        articulation: Articulation,
        head: HeadMotion,
    ) -> Floats:
        """The pixels of a box as if there were no lips, float32 BGR."""
        tones, mm, a = self._tones, self._mm, articulation
        width = self._fit.mouth_width
        across = _planar(head.turn, self._fit.across)
        down = np.array([-across[1], across[0]])
        origin = head.move(self._origin)[:2]
        jaw = self._jaw_path * a.jaw + self._jaw_side * a.sideways
        jaw = _rotate(head.turn, jaw)

        light = self._light(opening, min(0.055 * width, 0.22 * height))
        picture = np.empty((*opening.shape, 3), np.float32)
        picture[:] = tones.cavity
        tooth = np.zeros_like(opening)
        reach = np.zeros_like(opening)

        tongue = max(a.tongue_up, 0.6 * a.tongue_out)
        centre = origin + jaw * (0.8 - 0.5 * tongue) + down * mm * (8.5 - 4 * tongue)
        self._paint_tongue(picture, box, centre, across, down, a)

        sink = 4.5 * a.rounding + 4.0 * a.pucker
        place = origin + jaw + down * mm * (self._lower_edge + sink)
        cover, depth = self._paint_row(
            picture, box, False, place, across, down, mm * 0.95, (0.90, 0.55)
        )
        tooth, reach = np.maximum(tooth, 0.7 * cover), np.maximum(reach, 0.8 * depth * cover)
        lift = 2.6 * a.rounding + 2.0 * a.pucker
        if self._own_teeth is None:
            place = origin + down * mm * (_UPPER_EDGE - lift - _HIDDEN * tones.moustache)
            bright = (1.0 - _SHADED * tones.moustache, 0.7)
            cover, depth = self._paint_row(picture, box, True, place, across, down, mm, bright)
            tooth = np.maximum(tooth, cover)
            reach = np.maximum(reach * (1 - cover), depth * cover)

        lit = np.clip(np.maximum(light, _FRONT_LIGHT * reach), 0, 1)
        lit = light * (1 - tooth) + lit * tooth
        lit *= 1 - 0.30 * min(a.rounding + 0.6 * a.pucker, 1)
        picture *= lit[..., None] * (1 + (1 - lit)[..., None] * self._dimming)
        if self._own_teeth is not None:
            self._paint_own_teeth(picture, box, light, head, 0.5 * lift * mm)
        if a.tongue_out > 0.05:  # the tip rests on the lower teeth and meets the upper ones
            tip = origin + down * mm * (_UPPER_EDGE + 1.8) + 0.3 * jaw
            self._paint_tip(picture, box, tip, across, down, a.tongue_out, light)

        # the wet inner side of the lips, in shadow
        inner = _blur(opening, max(min(0.018 * width, 0.10 * height), 0.6))
        rim = (0.55 * np.clip((0.93 - inner) / 0.43, 0, 1) * opening)[..., None]
        shadow = (tones.lip * 0.42).astype(np.float32)
        picture += (shadow - picture) * rim
        return picture

    def _light(self, opening: Floats, reach: float) -> Floats:
        """Light that gets inside: less within ``reach`` px of the lips, least under the upper."""
        near = _blur(opening, max(reach, 0.8))
        shift = np.array([[1, 0, 0], [0, 1, 0.8 * reach]])
        above = cv2.warpAffine(near, shift, opening.shape[::-1])
        light: Floats = np.clip(1.75 * np.minimum(near, above * 1.08) - 0.10, 0.16, 1)
        return light

    def _paint_tongue(
        self,
        picture: Floats,
        box: Box,
        centre: Doubles,
        across: Doubles,
        down: Doubles,
        a: Articulation,
    ) -> None:
        x, y = _local(box, centre, across, down, self._mm)
        radius = np.sqrt((x / 19) ** 2 + np.where(y < 0, y / (9 + 6 * a.jaw), y / 16) ** 2)
        groove = 1 - 0.22 * np.exp(-((x / 1.6) ** 2)) * smoothstep(-6, 0, y)
        shade = (0.50 + 0.45 * smoothstep(1.0, 0.35, radius)) * groove
        shade = shade * (1 - 0.40 * min(a.rounding + a.pucker, 1))  # drawn back from rounded lips
        shade = shade * (0.40 + 0.60 * smoothstep(-10, 0, y))  # its back lies in the dark
        _blend(picture, self._tones.tongue, shade, smoothstep(1.05, 0.82, radius))

    def _paint_tip(
        self,
        picture: Floats,
        box: Box,
        centre: Doubles,
        across: Doubles,
        down: Doubles,
        strength: float,
        light: Floats,
    ) -> None:
        x, y = _local(box, centre, across, down, self._mm)
        radius = np.sqrt((x / 13) ** 2 + np.where(y < 0, y / 3.2, y / 9) ** 2)
        shade = (0.78 + 0.22 * smoothstep(1.0, 0.3, radius)) * np.maximum(light, 0.7)
        cover = smoothstep(1.06, 0.86, radius) * float(smoothstep(0.05, 0.25, strength))
        _blend(picture, self._tones.tongue * 1.25, shade, cover)

    def _paint_row(
        self,
        picture: Floats,
        box: Box,
        upper: bool,
        place: Doubles,
        across: Doubles,
        down: Doubles,
        mm: float,
        brightness: tuple[float, float],
    ) -> tuple[Floats, Floats]:
        """Paint gums and teeth; returns the coverage of the teeth and their depth light."""
        texture, per_mm = self._rows[upper]
        k = mm / per_mm
        matrix = np.column_stack([across * k, down * k, (0.0, 0.0)])
        middle = np.array([texture.shape[1] - 1, texture.shape[0] - 1]) / 2
        matrix[:, 2] = place - box[:2] - matrix[:, :2] @ middle
        size = (box[2] - box[0], box[3] - box[1])
        seen = np.asarray(cv2.warpAffine(texture, matrix, size, flags=cv2.INTER_LINEAR), np.float32)
        shade, cover, gum, depth = (seen[..., i] for i in range(4))
        _blend(picture, self._tones.gum, brightness[1] * depth, gum)
        _blend(picture, self._tones.teeth, brightness[0] * shade, cover)
        return cover, depth

    def _paint_own_teeth(
        self, picture: Floats, box: Box, light: Floats, head: HeadMotion, lift: float
    ) -> None:
        """The photo's own teeth, moved with the skull and up behind rounded lips by some px."""
        assert self._own_teeth is not None
        turn = head.turn[:2, :2]
        angle = np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.array([[c, -s, 0], [s, c, 0.0]])
        place = head.move(self._origin)[:2] - lift * self._fit.down
        matrix[:, 2] = place - box[:2] - matrix[:, :2] @ self._origin[:2]
        size = (box[2] - box[0], box[3] - box[1])
        photo = cv2.warpAffine(self._image, matrix, size, flags=cv2.INTER_CUBIC)
        mask = cv2.warpAffine(self._own_teeth, matrix, size)[..., None]
        lit = np.clip(light * 1.25, 0.60, 1)[..., None]
        picture += (photo.astype(np.float32) * lit - picture) * mask


def _blur(mask: Floats, sigma: float) -> Floats:
    """Gaussian blur of a mask that is 0 beyond its edges."""
    border = cv2.BORDER_CONSTANT
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma, borderType=border), np.float32)


def _blend(picture: Floats, colour: npt.NDArray[np.float64], shade: Floats, cover: Floats) -> None:
    """Paint a shaded colour over a picture, in place."""
    tint = colour.astype(np.float32)
    picture += (tint * shade[..., None] - picture) * cover[..., None]


def _local(
    box: Box, centre: Doubles, across: Doubles, down: Doubles, mm: float
) -> tuple[Floats, Floats]:
    """Coordinates of a box's pixels in mm along ``across`` and ``down`` from a centre."""
    x = np.arange(box[0], box[2], dtype=np.float32) - np.float32(centre[0])
    y = np.arange(box[1], box[3], dtype=np.float32)[:, None] - np.float32(centre[1])
    a, d = (across / mm).astype(np.float32), (down / mm).astype(np.float32)
    return x * a[0] + y * a[1], x * d[0] + y * d[1]


def _planar(turn: Doubles, direction: Doubles) -> Doubles:
    """A direction of the face after the head's motion, unit length in the picture."""
    moved = _rotate(turn, direction)
    unit: Doubles = moved / np.linalg.norm(moved)
    return unit


def _rotate(turn: Doubles, vector: Doubles) -> Doubles:
    rotated: Doubles = turn[:2, :2] @ vector
    return rotated
