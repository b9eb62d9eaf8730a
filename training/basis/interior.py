"""Where teeth and tongue are behind the lips."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.face import topology
from training.basis.makehuman import Mesh
from training.basis.transfer import Similarity

_Float = npt.NDArray[np.float64]


def measure(
    mesh: Mesh, jaw_open: _Float, to_canonical: Similarity, neutral: _Float
) -> dict[str, npt.NDArray[Any]]:
    """Measure MakeHuman's teeth and tongue in centimetres of the canonical face.

    Positions are relative to the point where the closed lips meet in the middle.

    Args:
        mesh: the head.
        jaw_open: the unit, (V, 3) decimetres.
        to_canonical: from the mesh to canonical space.
        neutral: landmarks (478, 3) of the mesh in canonical space.

    Returns:
        ``jaw_motion`` (3,): how far jawOpen = 1 moves the lower teeth. ``tongue_motion`` (3,):
        the same for the tongue. ``upper_arch`` and ``lower_arch`` (2,): half axes of the ellipse
        that the front of the row follows seen from above, sideways and to the front.
        ``upper_edge`` and ``lower_edge`` (3,): the middle of the row's cutting edge.
        ``tongue_tip`` (3,): the foremost point of the tongue.
    """
    pair = neutral[[topology.UPPER_LIP_CENTRE, topology.LOWER_LIP_CENTRE]]
    lips = pair.mean(axis=0)

    def part(group: str) -> tuple[_Float, _Float]:
        vertices = mesh.vertices_of(group)
        motion = to_canonical.vectors(jaw_open[vertices])
        largest = np.linalg.norm(motion, axis=1).argmax()
        return to_canonical.points(mesh.vertices[vertices]) - lips, motion[largest]

    upper, _ = part("helper-upper-teeth")
    lower, jaw_motion = part("helper-lower-teeth")
    tongue, tongue_motion = part("helper-tongue")
    arrays = {
        "jaw_motion": jaw_motion,
        "tongue_motion": tongue_motion,
        "upper_arch": _arch(upper),
        "lower_arch": _arch(lower),
        "upper_edge": _edge(upper, -1),
        "lower_edge": _edge(lower, 1),
        "tongue_tip": tongue[tongue[:, 2] > tongue[:, 2].max() - 0.05].mean(axis=0),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def _front(teeth: _Float) -> _Float:
    """The outer vertices of a row: the foremost ones at each distance from the middle."""
    out = np.abs(teeth[:, 0])
    bins = np.linspace(0, out.max() + 1e-9, 8)
    place = np.digitize(out, bins)
    return np.stack(
        [teeth[place == index][teeth[place == index][:, 2].argmax()] for index in np.unique(place)]
    )


def _arch(teeth: _Float) -> _Float:
    """Half axes of the ellipse (x/a)² + ((z − back)/b)² = 1 through the front of a row.

    ``back`` is the end of the row, so b is its depth and only a is fitted.
    """
    front = _front(teeth)
    back = teeth[:, 2].min()
    depth = front[:, 2].max() - back
    sideways = front[:, 0] ** 2
    share = 1 - ((front[:, 2] - back) / depth) ** 2
    return np.array([np.sqrt((sideways * share).sum() / (share**2).sum()), depth])


def _edge(teeth: _Float, direction: int) -> _Float:
    """The middle of the cutting edge: the lowest (-1) or highest (1) of the front vertices."""
    middle = teeth[np.abs(teeth[:, 0]) < 0.5]
    middle = middle[middle[:, 2] > middle[:, 2].max() - 0.6]
    return np.asarray(middle[(direction * middle[:, 1]).argmax()])
