"""One person's face: the basis in the pixels of the photo, and the rules its lips obey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.face.align import Similarity, fit_similarity
from engine.face.basis import Basis

__all__ = ["LIPS", "FaceFit", "fit_face"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_UI = list(topology.UPPER_INNER)
_LI = list(topology.LOWER_INNER)
_UO = list(topology.UPPER_OUTER)
_LO = list(topology.LOWER_OUTER)

# The lip points without corners: upper inner, upper outer, lower inner, lower outer, nine each.
LIPS: Final = tuple(_UI[1:-1] + _UO[1:-1] + _LI[1:-1] + _LO[1:-1])
_UPPER_IN, _UPPER_OUT = slice(0, 9), slice(9, 18)
_LOWER_IN, _LOWER_OUT = slice(18, 27), slice(27, 36)

_OVERLAP: Final = 0.011  # of the mouth width: closed lips press together by this much
_PARTED: Final = 0.05  # inner gap over mouth width from which a photo counts as showing teeth
_UNSMILE: Final = 0.35
_STAYS_WIDE: Final = 0.6  # share of a smile's width that rounding leaves
_RELAX: Final = 0.42  # of a smile with teeth is gone when the mouth is closed
_NARROWER: Final = {"mouthFunnel": 0.35, "mouthPucker": 0.08}  # than in the basis
_BROWS: Final = 1.3  # the basis' head has a heavy forehead: on others its brows hardly move
_BEHIND_GLASSES: Final = ("eyeLook", "eyeWide")
_BASIS_MOUTH: Final = 5.6  # cm, mouth width of the head the basis was made from
_JAWS: Final = (0.8, 1.35)  # how much less or more than that head's they may move
_OPEN: Final = {"jawOpen": 0.25, "mouthLowerDown": 0.25, "mouthUpperUp": 0.1}  # an open *a*
_OPENING: Final = 0.19  # of the mouth's width: an *a* parts the lips by this at least
_THINNEST: Final = 0.62  # lips never get thinner than this share of the photo's
_THICKEST: Final = 1.7
_ROUND: Final = (0.35, 0.56)  # of the width is pressed shut by full funnel, and pucker
_POUT: Final = 0.16  # thicker by this: rounded lips turn outwards

# How closing the photo's mouth fades over the chin and the upper lip: point -> share.
_CHIN_FOLLOWS: Final = {
    18: 0.75, 83: 0.7, 313: 0.7, 200: 0.6, 201: 0.55, 421: 0.55, 199: 0.5, 208: 0.5, 428: 0.5,
    175: 0.5, 171: 0.45, 396: 0.45, 152: 0.5, 148: 0.42, 377: 0.42, 176: 0.35, 400: 0.35,
    149: 0.25, 378: 0.25, 182: 0.5, 406: 0.5, 194: 0.4, 418: 0.4, 204: 0.3, 424: 0.3, 32: 0.35,
    262: 0.35, 211: 0.25, 431: 0.25, 140: 0.3, 369: 0.3, 106: 0.45, 335: 0.45,
}  # fmt: skip
_LIP_FOLLOWS: Final = {164: 0.5, 167: 0.45, 393: 0.45, 2: 0.1}


@dataclass(frozen=True)
class FaceFit:
    """The basis fitted to one photo; all lengths in pixels of the frame.

    Attributes:
        points: (478, 3) landmarks; where the photo shows teeth the inner lip line is moved a
            little into the lip, so that no tooth sticks to it.
        units: (52, 478, 3) displacement per unit strength.
        closing: (478, 3) displacement that closes the photo's own mouth.
        similarity: canonical face to photo.
        mouth_width: distance of the mouth corners.
        mouth_scale: the mouth's width relative to the basis, 0.72 to 1.1.
        jaw_scale: how much further than the basis this jaw opens, 0.8 to 1.35.
        gap: inner lip gap of the photo over mouth width.
        relaxed: share of the photo's smile that closing the mouth takes back.
        across, down: unit vectors of the face, to the image right and towards the chin.
    """

    points: Doubles
    units: Floats
    closing: Doubles
    similarity: Similarity
    mouth_width: float
    mouth_scale: float
    jaw_scale: float
    gap: float
    relaxed: float
    across: Doubles
    down: Doubles
    _lip_units: Floats
    _lip_normals: Doubles
    _lip_thickness: Doubles
    _rounding: tuple[int, int]

    def lips(self, strengths: Floats, close: float, seal: float) -> tuple[Doubles, Doubles]:
        """Where the lips go, with their rules applied.

        Args:
            strengths: (52,) unit strengths.
            close: share of the photo's own opening that is closed, 1 = fully.
            seal: 1 forces the lips together whatever the units say.

        Returns:
            Displacement (36, 2) of the points ``LIPS``, and the part of it (36, 2) that the rules
            added to the plain sum of units: a lip keeps its thickness, the lower lip never
            crosses the upper one, rounded lips leave a round hole, a seal leaves none.
        """
        lips = list(LIPS)
        plain = np.tensordot(strengths, self._lip_units, 1) + close * self.closing[lips, :2]
        moved = plain.astype(np.float64)
        funnel, pucker = (float(strengths[i]) for i in self._rounding)
        rounded = min(1.0, max(0.0, funnel + 0.8 * pucker)) * (1.0 - seal)
        for inner, outer, row in ((_UPPER_IN, _UPPER_OUT, 0), (_LOWER_IN, _LOWER_OUT, 1)):
            normal, thickness = self._lip_normals[row], self._lip_thickness[row]
            now = thickness + ((moved[outer] - moved[inner]) * normal).sum(1)
            push = np.maximum(_THINNEST * thickness - now, 0)
            push += np.minimum(_THICKEST * thickness + 1 - now, 0)
            push += _POUT * rounded * thickness
            push = np.convolve(np.r_[push[0], push, push[-1]], (0.25, 0.5, 0.25), "valid")
            moved[outer] += normal * (0.8 * push)[:, None]
            moved[inner] -= normal * (0.2 * push)[:, None]
        rest = self.points[lips, :2]
        gap = (rest + moved)[_LOWER_IN] - (rest + moved)[_UPPER_IN]
        along = gap @ self.down
        excess = along + _OVERLAP * self.mouth_width
        fix = np.where(excess < 0, excess, seal * np.maximum(along, 0))[:, None] * self.down
        sideways = seal * (gap - along[:, None] * self.down)
        fix = fix + sideways
        moved[_UPPER_IN] += 0.4 * fix
        moved[_UPPER_OUT] += 0.3 * fix
        moved[_LOWER_IN] -= 0.6 * fix
        moved[_LOWER_OUT] -= 0.5 * fix
        if rounded > 0:
            shut = min(_ROUND[1], _ROUND[0] * funnel + _ROUND[1] * pucker)
            widen = rounded * self._to_round(rest + moved, strengths, close, shut)
            moved[_UPPER_IN] -= 0.4 * widen
            moved[_UPPER_OUT] -= 0.2 * widen
            moved[_LOWER_IN] += 0.6 * widen
            moved[_LOWER_OUT] += 0.4 * widen
        return moved, moved - plain

    def _to_round(self, lips: Doubles, strengths: Floats, close: float, shut: float) -> Doubles:
        """How much further apart (9, 2) the inner lips are where they leave an elliptic hole."""
        gap = np.maximum((lips[_LOWER_IN] - lips[_UPPER_IN]) @ self.down, 0)
        ends = self.points[[_UI[0], _UI[-1]], :2] + self.corners(strengths, close)
        middle, half = ends.mean(0), np.linalg.norm(ends[1] - ends[0]) / 2
        centres = (lips[_LOWER_IN] + lips[_UPPER_IN]) / 2
        out = (centres - middle) @ self.across / (half * (1 - shut))
        ellipse = gap.max() * np.sqrt(np.maximum(1 - out**2, 0))
        widened: Doubles = (ellipse - gap)[:, None] * self.down
        return widened

    def corners(self, strengths: Floats, close: float) -> Doubles:
        """Displacement (2, 2) of the inner mouth corners, subject's right and left."""
        corners = [_UI[0], _UI[-1]]
        moved = np.tensordot(strengths, self.units[:, corners, :2], 1)
        return moved.astype(np.float64) + close * self.closing[corners, :2]

    def displaced(self, strengths: Floats, close: float, seal: float) -> Doubles:
        """All points after expression, before pose: (478, 2)."""
        moved = self.points[:, :2] + close * self.closing[:, :2]
        moved = moved + np.tensordot(strengths, self.units[..., :2], 1)
        lips = list(LIPS)
        moved[lips] = self.points[lips, :2] + self.lips(strengths, close, seal)[0]
        return moved


def fit_face(
    basis: Basis,
    landmarks: npt.NDArray[np.floating],
    smiles: tuple[float, float] = (0.0, 0.0),
    held: Floats | None = None,
) -> FaceFit:
    """Fit the basis to the landmarks of one photo.

    Args:
        basis: the expression basis.
        landmarks: (478, 3) in px.
        smiles: how much the subject's left and right corner of the mouth smile in the photo, 0
            to 1. Where it shows teeth, closing the mouth takes a share of them back.
        held: (478,) how much each point is held by a frame of glasses; only the lids move behind.
    """
    points: Doubles = np.array(landmarks, np.float64)
    similarity = fit_similarity(basis.neutral, points)
    width = float(np.linalg.norm(points[61] - points[291]))
    mouth_scale = float(np.clip(width / (similarity.scale * _BASIS_MOUTH), 0.72, 1.1))
    units = similarity.vectors(basis.deltas)
    # The same jaw opens a wide mouth, or one closed from a smile, to a flatter shape.
    relative = width / (similarity.scale * _BASIS_MOUTH)
    jaw_scale = float(np.clip((relative / 0.97) ** 1.5, *_JAWS))
    for row, name in enumerate(basis.names):
        if name.startswith("mouth") and name != "mouthClose":
            units[row] *= mouth_scale

    across = _unit(
        _unit(points[291, :2] - points[61, :2]) + _unit(points[263, :2] - points[33, :2])
    )
    down = np.array([-across[1], across[0]])
    needed = _needed_jaw(basis, units, float(np.linalg.norm((points[61] - points[291])[:2])), down)
    jaw_scale = float(np.clip(needed, jaw_scale, _JAWS[1]))
    for name in ("jawOpen", "mouthClose"):  # one undoes the other
        units[basis.index(name)] *= jaw_scale

    for name, share in _NARROWER.items():
        unit = units[basis.index(name)]
        unit[:, :2] += share * (unit[:, :2] @ across)[:, None] * across
    for row, name in enumerate(basis.names):
        if name.startswith("brow"):
            units[row] *= _BROWS
    if held is not None:
        for row, name in enumerate(basis.names):
            if not name.startswith(_BEHIND_GLASSES):
                units[row] *= 1 - held[:, None]
    # A smile widens the mouth; rounding the lips takes that back.
    smile = float(np.clip((relative - 0.95) / 0.25, 0, 1))
    grin = units[basis.index("mouthSmileLeft")] + units[basis.index("mouthSmileRight")]
    grin[:, :2] -= _STAYS_WIDE * (grin[:, :2] @ across)[:, None] * across
    units[basis.index("mouthFunnel")] -= _UNSMILE * smile * grin
    units[basis.index("mouthPucker")] -= _UNSMILE * smile * grin

    gap = float(np.linalg.norm((points[14] - points[13])[:2])) / width
    if gap > _PARTED:
        for inner, outer in ((_UI, _UO), (_LI, _LO)):
            into = (points[outer] - points[inner])[1:-1]
            step = 1.2 * np.linalg.norm(into, axis=1, keepdims=True) ** -1
            points[inner[1:-1]] += into * step
    closing = _closing(points, gap, min(0.7 * gap, _OVERLAP) * width * down)
    relaxed = _RELAX if gap > _PARTED else 0.0
    for name, smile in zip(("mouthSmileLeft", "mouthSmileRight"), smiles, strict=True):
        closing -= relaxed * smile * units[basis.index(name)]
    lips = list(LIPS)
    normals, thickness = [], []
    for near, far in ((_UPPER_IN, _UPPER_OUT), (_LOWER_IN, _LOWER_OUT)):
        v = points[lips, :2][far] - points[lips, :2][near]
        length = np.maximum(np.linalg.norm(v, axis=1), 1e-3)
        normals.append(v / length[:, None])
        thickness.append(length)
    return FaceFit(
        points=points,
        units=units.astype(np.float32),
        closing=closing,
        similarity=similarity,
        mouth_width=width,
        mouth_scale=mouth_scale,
        jaw_scale=jaw_scale,
        gap=gap,
        relaxed=relaxed,
        across=across,
        down=down,
        _lip_units=np.ascontiguousarray(units[:, lips, :2], np.float32),
        _lip_normals=np.array(normals),
        _lip_thickness=np.array(thickness),
        _rounding=(basis.index("mouthFunnel"), basis.index("mouthPucker")),
    )


def _needed_jaw(basis: Basis, units: Doubles, width: float, down: Doubles) -> float:
    """The scale of the jaw at which an open *a* parts the lips as far as it should."""

    def apart(name: str) -> float:
        sides = (name,) if name in basis.names else (f"{name}Left", f"{name}Right")
        moves = sum(units[basis.index(side)] for side in sides)
        return _OPEN[name] * float(((moves[_LI] - moves[_UI])[5, :2]) @ down)

    lips = sum(apart(name) for name in _OPEN if name != "jawOpen")
    return ((_OPENING + _OVERLAP) * width - lips) / max(apart("jawOpen"), 1e-6)


def _closing(points: Doubles, gap: float, overlap: Doubles) -> Doubles:
    """Displacement (478, 3) that brings the inner lip pairs together, fading to nose and chin.

    Lips that touch in a photo keep a dark line between them, which reads as a small gap: pairs
    meet with an overlap of (2,) px.
    """
    upper = 0.30 if gap > _PARTED else 0.5  # a smile is closed mostly by the jaw
    lower = 1 - upper
    pairs = (points[_LI] - points[_UI])[:, :2]
    pairs[1:-1] += overlap
    out = np.zeros_like(points)
    out[_UI, :2] += upper * pairs
    out[_LI, :2] -= lower * pairs
    inner_pairs = pairs[1:-1]
    for rings, share in ((topology.UPPER_LIP, upper), (topology.LOWER_LIP, -lower)):
        for ring, fade in zip(rings[1:], (1, 0.97, 0.9), strict=True):
            out[list(ring[1:-1]), :2] += share * fade * inner_pairs
    middle = pairs[5]
    for point, fade in _CHIN_FOLLOWS.items():
        out[point, :2] -= middle * lower * fade
    for point, fade in _LIP_FOLLOWS.items():
        out[point, :2] += middle * upper * fade
    return out


def _unit(v: Doubles) -> Doubles:
    return v / float(np.linalg.norm(v))
