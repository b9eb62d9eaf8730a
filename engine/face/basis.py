"""The expression basis: how every ARKit unit moves the 478 mesh points, and how speech uses it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engine import models
from engine.coefficients import COEFFICIENTS, INDEX
from engine.face import topology
from engine.face.curves import smoothstep

__all__ = ["Basis", "load_basis", "speech_units"]

Floats = npt.NDArray[np.float32]

# Speech coefficient -> (ARKit unit, gain). The gains make the shapes read right on a photo: the
# jaw of the source mesh opens a full yawn at 1, and its funnel rounds only half of what is asked.
_GAINS: Final[Mapping[str, tuple[tuple[str, float], ...]]] = {
    "jawOpen": (("jawOpen", 0.62),),
    "mouthClose": (("mouthClose", 0.62),),
    "mouthFunnel": (("mouthFunnel", 1.5),),
    "mouthPucker": (("mouthPucker", 1.25),),
    "mouthStretch": (("mouthStretchLeft", 1.0), ("mouthStretchRight", 1.0)),
    "mouthSmile": (("mouthSmileLeft", 0.7), ("mouthSmileRight", 0.7)),
    "mouthLowerDown": (("mouthLowerDownLeft", 1.0), ("mouthLowerDownRight", 1.0)),
    "mouthUpperUp": (("mouthUpperUpLeft", 1.0), ("mouthUpperUpRight", 1.0)),
    "mouthPress": (("mouthPressLeft", 0.7), ("mouthPressRight", 0.7)),
    "mouthRollLower": (("mouthRollLower", 1.0),),
    "mouthRollUpper": (("mouthRollUpper", 1.0),),
    "mouthDimple": (("mouthDimpleLeft", 1.0), ("mouthDimpleRight", 1.0)),
    "jawForward": (("jawForward", 1.0),),
}
_PARTING: Final = [INDEX[n] for n in ("mouthLowerDown", "mouthUpperUp", "mouthFunnel")]
_JAW_LIMIT: Final = 0.6  # of the basis' jawOpen: beyond this a photo tears


@dataclass(frozen=True)
class Basis:
    """ARKit units as point displacements.

    Attributes:
        names: the 52 unit names.
        deltas: (52, 478, 3) displacement at strength 1, in cm of the canonical MediaPipe space
            (x right in the picture, y up, z to the viewer).
        neutral: (478, 3) the canonical face in the same space.
    """

    names: tuple[str, ...]
    deltas: Floats
    neutral: Floats

    def index(self, name: str) -> int:
        """Row of a unit.

        Raises:
            KeyError: there is no such ARKit unit.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(f"{name} is not one of the 52 ARKit units") from None


@functools.cache
def load_basis() -> Basis:
    """The shipped basis, with the lip rings of every unit lightly smoothed along the ring."""
    with np.load(models.path("face_basis.npz"), allow_pickle=False) as file:
        names = tuple(str(name) for name in file["names"])
        deltas = file["B"].astype(np.float32)
        neutral = file["neutral"].astype(np.float32)
    for ring in (
        topology.UPPER_INNER,
        topology.LOWER_INNER,
        topology.UPPER_OUTER,
        topology.LOWER_OUTER,
    ):
        d = deltas[:, ring]
        smooth = d.copy()
        smooth[:, 1:-1] = 0.25 * d[:, :-2] + 0.5 * d[:, 1:-1] + 0.25 * d[:, 2:]
        deltas[:, ring] = smooth
    for side in ("Left", "Right"):  # the lids are moved by engine.face.eyes, never by the basis
        deltas[names.index(f"eyeBlink{side}")] = 0
    deltas.flags.writeable = False
    return Basis(names, deltas, neutral)


@functools.cache
def _speech_matrix() -> Floats:
    basis = load_basis()
    matrix = np.zeros((len(COEFFICIENTS), len(basis.names)), np.float32)
    for coefficient, targets in _GAINS.items():
        for unit, gain in targets:
            matrix[INDEX[coefficient], basis.index(unit)] = gain
    return matrix


def speech_units(
    coefficients: Floats, extra: Mapping[str, float] | None = None
) -> tuple[Floats, float]:
    """Strengths of the 52 units for one coefficient vector.

    Args:
        coefficients: (16,) in the order of ``engine.coefficients.COEFFICIENTS``.
        extra: further ARKit units by name, added on top (brows, cheeks, one-sided smiles).

    Returns:
        (52,) float32, and how firmly the lips are sealed (0 to 1). Linear in the coefficients up
        to the limit of the jaw, except under a seal, which undoes whatever parts the lips.
        ``tongueOut`` and ``tongueUp`` move no mesh point.

    Raises:
        KeyError: a name in ``extra`` is not an ARKit unit.
    """
    basis = load_basis()
    mouth = np.array(coefficients, np.float32)
    seal = float(smoothstep(0.45, 0.85, mouth[INDEX["lipClosure"]]))
    if seal > 0:
        close, jaw_open = INDEX["mouthClose"], INDEX["jawOpen"]
        mouth[close] = max(mouth[close], seal * mouth[jaw_open])
        mouth[_PARTING] *= 1 - seal
    strengths: Floats = mouth @ _speech_matrix()
    for name, value in (extra or {}).items():
        strengths[basis.index(name)] += value
    jaw = basis.index("jawOpen")
    excess = strengths[jaw] - _JAW_LIMIT
    if excess > 0:
        strengths[jaw] -= excess
        strengths[basis.index("mouthClose")] -= excess * (mouth[INDEX["mouthClose"]] > 0)
    return strengths, seal
