"""Where the two layers of a face meet: at the lips, with the inside of the mouth between them."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.coefficients import INDEX
from engine.face import topology
from engine.face.basis import load_basis
from engine.face.boxes import Box
from engine.face.curves import catmull_rom, fill, smoothstep
from engine.face.field import rotation
from engine.face.fit import LIPS, FaceFit
from engine.face.mouth import Articulation, HeadMotion, MouthInterior
from engine.face.window import Expressed

__all__ = ["Seam"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_SEAM: Final = 0.6  # the lower layer begins this far down the opening: an edge there is hidden
_CLOSED_PX: Final = 0.6  # openings below this are not drawn
_LIP_EDGE: Final = 0.6  # px


class Seam:
    """Joins the layer that moves with the lower lip to the one that moves with the upper.

    Args:
        fit: the face.
        interior: of the mouth.
        pivot: around which the head turns, as in ``HeadMotion``.
        stage: the part of the frame outside of which the layers agree.
        size: width and height of the frame.
    """

    def __init__(
        self,
        fit: FaceFit,
        interior: MouthInterior,
        pivot: Doubles,
        stage: Box,
        size: tuple[int, int],
    ) -> None:
        self._fit = fit
        self._interior = interior
        self._pivot = pivot
        self._stage = stage
        self._longer = max(size)
        self._feathers: dict[Box, Floats] = {}

    def join(self, upper: Image, lower: Image, box: Box, face: Expressed, carried: Floats) -> Image:
        """A window, new BGR uint8 (h, w, 3).

        Args:
            upper: what is above the opening, BGR uint8 (h, w, 3).
            lower: what is below it.
            box: the window.
            face: the expression.
            carried: (22, 2) px by which the pose moves the inner lips, the upper first.
        """
        fit = self._fit
        lips = list(LIPS)
        moved = fit.points[:, :2].copy()
        corners = [topology.UPPER_INNER[0], topology.UPPER_INNER[-1]]
        moved[corners] += fit.corners(face.strengths, face.close)
        moved[lips] += face.lips
        rings = np.array([topology.UPPER_INNER, topology.LOWER_INNER])
        posed = moved[rings] + carried.reshape(2, -1, 2)
        turn = rotation(face.pose)
        across = turn[:2, :2] @ fit.across
        across /= np.linalg.norm(across)
        down = np.array([-across[1], across[0]])
        above, below = catmull_rom(posed[0]), catmull_rom(posed[1])
        below = below + np.maximum(-((below - above) @ down), 0)[:, None] * down

        mask = self._mask(box, above, below, across, down)
        frame = np.asarray(cv2.blendLinear(lower, upper, mask, 1 - mask), np.uint8)
        opening = (below - above) @ down
        if float(opening.max()) > _CLOSED_PX:
            # the outermost row of the photo's lips belongs to the other lip: draw over it
            spread = _LIP_EDGE * np.clip(opening / 4, 0, 1)[:, None] * down
            head = HeadMotion(turn, self._pivot)
            articulation = _articulation(face)
            self._interior.draw(frame, box, above - spread, below + spread, articulation, head)
        return frame

    def _mask(
        self, box: Box, above: Doubles, below: Doubles, across: Doubles, down: Doubles
    ) -> Floats:
        """Where the lower layer shows (h, w): from inside the opening down, in a wide wedge."""
        width = self._fit.mouth_width
        seam = above + (below - above) * _SEAM
        left, right = above[0], above[-1]
        far = 2.0 * self._longer
        wedge = np.concatenate(
            [
                [left - across * 0.5 * width + down * far],
                [left - across * 0.35 * width + down * 0.25 * width],
                [left - across * 0.02 * width],
                seam,
                [right + across * 0.02 * width],
                [right + across * 0.35 * width + down * 0.25 * width],
                [right + across * 0.5 * width + down * far],
            ]
        )
        sharp = fill([wedge], box, 2)
        x0, y0, x1, y1 = box
        size = (x1 - x0, y1 - y0)  # blurred on a quarter of the pixels: it is smooth anyway
        small = cv2.resize(sharp, (size[0] // 4, size[1] // 4), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), 0.016 * width)
        soft = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
        middle = (left + right) / 2
        x = np.arange(x0, x1, dtype=np.float32) - np.float32(middle[0])
        y = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(middle[1])
        out = np.abs(x * np.float32(across[0]) + y * np.float32(across[1]))
        span = float(np.linalg.norm(right - left))
        beside = smoothstep(0.40 * span, 0.75 * span, out)
        mask: Floats = sharp + (np.asarray(soft, np.float32) - sharp) * beside
        return mask * self._feather(box)

    def _feather(self, box: Box) -> Floats:
        """Fades the lower layer out at the border of the stage, where both layers agree."""
        if box in self._feathers:
            return self._feathers[box]
        sx0, sy0, sx1, sy1 = self._stage
        reach = 0.02 * self._longer
        x, y = np.arange(box[0], box[2]), np.arange(box[1], box[3])
        across = smoothstep(0, reach, np.minimum(x - sx0, sx1 - 1 - x))
        along = smoothstep(0, reach, np.minimum(y - sy0, sy1 - 1 - y))
        feather: Floats = np.outer(along, across)
        self._feathers[box] = feather
        return feather


def _articulation(face: Expressed) -> Articulation:
    basis, s, c = load_basis(), face.strengths, face.coefficients
    return Articulation(
        jaw=float(s[basis.index("jawOpen")]),
        sideways=float(s[basis.index("jawLeft")] - s[basis.index("jawRight")]),
        rounding=float(c[INDEX["mouthFunnel"]]),
        pucker=float(c[INDEX["mouthPucker"]]),
        tongue_up=float(c[INDEX["tongueUp"]]),
        tongue_out=float(c[INDEX["tongueOut"]]),
    )
