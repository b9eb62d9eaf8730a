"""From coefficients to one shape of the mouth bank, without flicker."""

from __future__ import annotations

import functools
from collections.abc import Sequence

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
_TOGETHER = 0.06  # jaw and lips open by less than this in all do not part
_STICKINESS = 0.2  # of the distance between two shapes, on top of the half way
_CLOSURE = INDEX["lipClosure"]
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


class ShapeBook:
    """What selectors of one avatar share: its codebook as it looks to the eye.

    Args:
        codebook: float32 (S, 16), row 0 all zero (rest); rows whose ``lipClosure`` is at least
            one half are sealed mouths.
    """

    def __init__(self, codebook: NDArray[np.float32]) -> None:
        self.metric = visual_metric()
        self.shapes = np.asarray(codebook, np.float64) @ self.metric
        self.lengths = np.einsum("ij,ij->i", self.shapes, self.shapes)
        # From every shape to every other; how far the mouth has to be beyond the half way.
        between = self.shapes[:, None] - self.shapes
        self.stickiness = _STICKINESS * np.sqrt(np.einsum("ijk,ijk->ij", between, between))
        sealed = np.asarray(codebook)[:, INDEX["lipClosure"]] >= _CLOSE
        rest = np.arange(len(sealed)) == REST
        # Added to squared distances. Row 0: the lips are apart, 1: they have to be together,
        # 2: they happen to be, and a sealed shape shows them as well as an open one.
        never = np.zeros_like(sealed)
        self.forbidden = np.where([sealed & ~rest, ~sealed & ~rest, never], np.inf, 0.0)


class ShapeSelector:
    """Nearest codebook shape with hysteresis; one per session.

    Args:
        book: shared with the other sessions of the avatar.
    """

    def __init__(self, book: ShapeBook) -> None:
        self.book = book
        self.reset()

    def reset(self) -> None:
        """Back to rest."""
        self.current = REST
        self.closed = False

    def select(self, coefficients: NDArray[np.floating]) -> int | None:
        """The shape to show for one frame.

        Args:
            coefficients: (16,) in [0, 1].

        Returns:
            A row of the codebook from 1 up, or None for rest: the base frame as it is.
        """
        return select_batch([self], [coefficients])[0]


def select_batch(
    selectors: Sequence[ShapeSelector], coefficients: Sequence[NDArray[np.floating]]
) -> list[int | None]:
    """``ShapeSelector.select`` of several that share a book, in a few calls for all of them."""
    book = selectors[0].book
    mouths = np.array(coefficients, np.float64)
    moving = mouths.max(axis=1) > _SILENT
    if not moving.any():
        for selector in selectors:
            selector.reset()
        return [None] * len(selectors)
    before = np.array([selector.current for selector in selectors])
    closure = mouths[:, _CLOSURE]
    closed = closure >= np.where([selector.closed for selector in selectors], _REOPEN, _CLOSE)
    # Lips that have just parted, or are about to meet, are half open: a frame in between takes
    # the pop out of "pa" at 25 frames per second.
    parting = np.where(closed, 0.0, np.maximum(closure - _PARTED, 0.0))
    mouths[:, _OPENING] *= (1 - parting / (2 * (_CLOSE - _PARTED)))[:, None]
    # einsum: the same sums for one mouth as for many, and no threads of the BLAS.
    wanted = np.einsum("ni,ij->nj", mouths, book.metric)
    away = np.einsum("ni,si->ns", wanted, book.shapes)
    away *= -2
    away += book.lengths
    away += np.einsum("ni,ni->n", wanted, wanted)[:, None]
    together = mouths[:, _OPENING].sum(axis=1) < _TOGETHER
    away += book.forbidden[np.where(closed, 1, np.where(together, 2, 0))]
    np.sqrt(np.maximum(away, 0.0, out=away), out=away)
    each = np.arange(len(selectors))
    best = away.argmin(axis=1)
    # Stay until the input is clearly beyond the half way between the two shapes.
    near = away[each, before] - away[each, best] < book.stickiness[before, best]
    shown = np.where(moving, np.where(near, before, best), REST)
    closed &= moving
    for selector, current, is_closed in zip(
        selectors, shown.tolist(), closed.tolist(), strict=True
    ):
        selector.current, selector.closed = current, is_closed
    return [shape or None for shape in shown.tolist()]
