"""From coefficients to one shape of the mouth bank, without flicker."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import COEFFICIENTS, INDEX
from engine.face import topology
from engine.face.basis import load_basis, speech_units

REST = 0
"""Row of the codebook that is the closed mouth of the base frames: nothing is drawn over it."""

_SILENT = 0.01  # coefficients below this are exact rest
_CLOSE, _REOPEN = 0.5, 0.45  # lipClosure at which the lips must be together, and may part again
_PARTED = 0.25  # lipClosure below which the lips are free; between, they are on their way
_STICKINESS = 0.2  # of the distance between two shapes, on top of the half way
_OPENING = [INDEX[name] for name in ("jawOpen", "mouthLowerDown", "mouthUpperUp")]
# Effects that move no mesh point, as if they moved the lips by so many centimetres.
_UNSEEN = {"tongueOut": 0.3, "tongueUp": 0.12, "lipClosure": 0.1}


@functools.cache
def visual_metric() -> NDArray[np.float64]:
    """Matrix (16, 16) that turns coefficients into a space where distance is visible difference.

    ``|(a - b) @ visual_metric()|`` is the root mean square distance, in centimetres on the
    canonical face, between the lip points of two mouths; the opening between the lips, which the
    eye reads first, counts once more.
    """
    rings = sorted({i for ring in (*topology.UPPER_LIP, *topology.LOWER_LIP) for i in ring})
    deltas = load_basis().deltas[..., :2]
    lips = deltas[:, rings] / np.sqrt(len(rings))
    gap = deltas[:, topology.LOWER_INNER] - deltas[:, topology.UPPER_INNER]
    seen = np.concatenate([lips, gap / np.sqrt(len(topology.UPPER_INNER))], axis=1)
    units = np.stack([speech_units(row)[0] for row in np.eye(len(COEFFICIENTS), dtype=np.float32)])
    moves = units @ seen.reshape(len(seen), -1)
    gram = (moves @ moves.T).astype(np.float64)
    for name, size in _UNSEEN.items():
        gram[INDEX[name], INDEX[name]] += size**2
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), np.float64)


class ShapeSelector:
    """Nearest codebook shape with hysteresis; one per session.

    Args:
        codebook: float32 (S, 16), row 0 all zero (rest); rows whose ``lipClosure`` is at least
            one half are sealed mouths.
    """

    def __init__(self, codebook: NDArray[np.float32]) -> None:
        self._metric = visual_metric()
        self._shapes = np.asarray(codebook, np.float64) @ self._metric
        sealed = np.asarray(codebook)[:, INDEX["lipClosure"]] >= _CLOSE
        sealed[REST] = True
        self._sealed = np.flatnonzero(sealed)
        self._parted = np.flatnonzero(~sealed | (np.arange(len(sealed)) == REST))
        self.reset()

    def reset(self) -> None:
        """Back to rest."""
        self._current = REST
        self._closed = False

    def select(self, coefficients: NDArray[np.floating]) -> int | None:
        """The shape to show for one frame.

        Args:
            coefficients: (16,) in [0, 1].

        Returns:
            A row of the codebook from 1 up, or None for rest: the base frame as it is.
        """
        if float(coefficients.max()) <= _SILENT:
            self.reset()
            return None
        closure = float(coefficients[INDEX["lipClosure"]])
        self._closed = closure >= (_REOPEN if self._closed else _CLOSE)
        allowed = self._sealed if self._closed else self._parted
        mouth = np.array(coefficients, np.float64)
        if not self._closed and closure > _PARTED:
            # Lips that have just parted, or are about to meet, are half open: a frame in between
            # takes the pop out of "pa" at 25 frames per second.
            mouth[_OPENING] *= 1 - (closure - _PARTED) / (2 * (_CLOSE - _PARTED))
        wanted = mouth @ self._metric
        away = self._shapes[allowed] - wanted
        distances = np.sqrt(np.einsum("ij,ij->i", away, away))
        best = int(allowed[np.argmin(distances)])
        if best != self._current and self._current in allowed:
            # Stay until the input is clearly beyond the half way between the two shapes.
            stay = float(np.linalg.norm(self._shapes[self._current] - wanted))
            apart = float(np.linalg.norm(self._shapes[self._current] - self._shapes[best]))
            if stay - float(distances.min()) < _STICKINESS * apart:
                best = self._current
        self._current = best
        return None if best == REST else best
