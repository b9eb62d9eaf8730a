"""Attach the 478 landmarks to the MakeHuman head, and read off how it moves them.

The neutral head is drawn and landmarked like a photo. Each landmark then belongs to the point of
the surface under it: a triangle and three weights. Whatever moves the mesh moves the landmark.
Two places need more care. The outline of the face lies on the silhouette, where a pixel decides
between cheek and background, so it is pulled inwards a little. And the closed lips touch: there
the weights go to vertices of the right lip, told apart by whether the jaw takes them along.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.face.detect import detect_faces
from engine.face.landmarks import landmarks
from training.basis.makehuman import Mesh
from training.basis.raster import Coverage, rasterise
from training.basis.render import Camera, portrait_camera, render

_Float = npt.NDArray[np.float64]
_Int = npt.NDArray[np.int64]

_OUTLINE_SCALE = 0.955  # about the tip of the nose
# decimetres, as the mesh
_MOUTH_HALF_WIDTH, _MOUTH_HALF_HEIGHT = 0.36, 0.18
_INNER_REACH, _OUTER_REACH = 0.0625, 0.078  # how far from a landmark its lip vertices may be
_SOFTENING = 0.006  # keeps one near vertex from taking all the weight
_LIGHTS = ((0.25, 0.35, 0.9), (-0.25, 0.35, 0.9), (0.0, 0.5, 0.85), (0.0, 0.1, 1.0))

# Iris points are right, top, left and bottom in the picture; a mirror swaps right and left.
_IRIS_MIRROR = (473, 476, 475, 474, 477, 468, 471, 470, 469, 472)


def mirror_indices(canonical: _Float) -> _Int:
    """The landmark on the other side of the face, for each of the 478."""
    flipped = canonical * [-1, 1, 1]
    distance = np.linalg.norm(canonical[:, None] - flipped[None], axis=2)
    mesh = distance.argmin(axis=0)
    if (mesh[mesh] != np.arange(len(mesh))).any():
        raise ValueError("The canonical face is not symmetric.")
    return np.concatenate([mesh, _IRIS_MIRROR])


def mirror_name(unit: str) -> str:
    """The ARKit unit on the other side of the face."""
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if unit.endswith(side):
            return unit.removesuffix(side) + other
    return unit


def locate(mesh: Mesh, camera: Camera, mirror: _Int) -> _Float:
    """Landmarks (478, 2) of the neutral head in pixels, symmetric, mean over several lights."""
    found = []
    for light in _LIGHTS:
        lit = portrait_camera(mesh, size=camera.size, light=light)
        image = render(mesh, mesh.vertices, lit)
        (face,) = detect_faces(image)
        found.append(landmarks(image, face).points[:, :2])
    points = np.stack(found).astype(np.float64).mean(axis=0)
    other = points[mirror]
    other[:, 0] = camera.size - other[:, 0]
    return np.asarray((points + other) / 2)


def attach(mesh: Mesh, camera: Camera, points: _Float, jaw_open: _Float) -> _Float:
    """Weights (478, V) of mesh vertices for each landmark; rows sum to 1."""
    skin = mesh.triangles[mesh.groups == "body"]
    eyes = mesh.triangles[np.char.endswith(mesh.groups, "-eye")]
    flat, depth = camera.project(mesh.vertices), mesh.vertices[:, 2]
    coverage = rasterise(flat, depth, skin, camera.size)
    pulled = points.copy()
    outline = list(topology.FACE_OVAL)
    tip = points[topology.NOSE_TIP]
    pulled[outline] = tip + (points[outline] - tip) * _OUTLINE_SCALE
    weights = _on_surface(pulled, coverage, skin, len(mesh.vertices))
    eye_coverage = rasterise(flat, depth, eyes, camera.size)
    irises = slice(topology.MESH_POINTS, topology.POINTS)
    weights[irises] = _on_surface(pulled[irises], eye_coverage, eyes, len(mesh.vertices))
    _attach_lips(weights, mesh, camera, points, coverage, jaw_open)
    return weights


def _on_surface(points: _Float, coverage: Coverage, triangles: _Int, vertices: int) -> _Float:
    """Weights of the surface under each point, or of the nearest pixel that shows any."""
    rows, columns = np.nonzero(coverage.triangle >= 0)
    weights = np.zeros((len(points), vertices))
    for index, (x, y) in enumerate(points):
        nearest = ((columns - x) ** 2 + (rows - y) ** 2).argmin()
        row, column = rows[nearest], columns[nearest]
        corners = triangles[coverage.triangle[row, column]]
        weights[index, corners] = coverage.weights[row, column]
    return weights


@dataclass(frozen=True)
class _LipVertices:
    """Visible vertices around the mouth.

    Attributes:
        index: (N,) in the mesh.
        position: (N, 2) decimetres.
        jaw: (N,) how much of the jaw's movement each takes, 0 to 1.
    """

    index: _Int
    position: _Float
    jaw: _Float


def _lip_vertices(
    mesh: Mesh, camera: Camera, mouth: _Float, coverage: Coverage, jaw_open: _Float
) -> _LipVertices:
    body = mesh.vertices_of("body")
    x, y, z = mesh.vertices[body].T
    near = (np.abs(x) < _MOUTH_HALF_WIDTH) & (np.abs(y - mouth[1]) < _MOUTH_HALF_HEIGHT)
    body, z = body[near], z[near]
    column, row = camera.project(mesh.vertices[body]).round().astype(int).T
    seen = body[z > coverage.depth[row, column] - 0.05]
    jaw = np.linalg.norm(jaw_open[seen], axis=1)
    return _LipVertices(seen, mesh.vertices[seen, :2], jaw / jaw.max())


def _attach_lips(
    weights: _Float,
    mesh: Mesh,
    camera: Camera,
    points: _Float,
    coverage: Coverage,
    jaw_open: _Float,
) -> None:
    """Replace the weights of the lip landmarks by vertices of the right lip."""
    flat = np.stack(
        [
            (points[:, 0] - camera.size / 2) / camera.pixels,
            camera.height - (points[:, 1] - camera.size / 2) / camera.pixels,
        ],
        axis=1,
    )
    lips = _lip_vertices(mesh, camera, flat[topology.UPPER_LIP_CENTRE], coverage, jaw_open)
    # On the line between the lips both of a pair look for vertices around the same point.
    line = (flat[list(topology.UPPER_INNER)] + flat[list(topology.LOWER_INNER)]) / 2
    for ring, upper in ((topology.UPPER_INNER, True), (topology.LOWER_INNER, False)):
        for place, landmark in enumerate(ring):
            corner = place in (0, len(ring) - 1)
            side = None if corner else upper
            _attach_one(weights[landmark], lips, line[place], _INNER_REACH, side)
    for rings, upper in ((topology.UPPER_LIP[1:3], True), (topology.LOWER_LIP[1:3], False)):
        for landmark in (index for ring in rings for index in ring[1:-1]):
            _attach_one(weights[landmark], lips, flat[landmark], _OUTER_REACH, upper)


def _attach_one(
    row: _Float, lips: _LipVertices, point: _Float, reach: float, upper: bool | None
) -> None:
    """Give a landmark's weight to the three nearest vertices of one lip, or of both (None)."""
    distance = np.linalg.norm(lips.position - point, axis=1)
    chosen = distance < reach
    if upper is not None:
        jaw = lips.jaw[chosen]
        if reach == _OUTER_REACH and np.ptp(jaw) < 0.3:
            return  # all of one lip: the surface under the landmark is right
        below = lips.jaw >= (jaw.min() + jaw.max()) / 2
        chosen &= ~below if upper else below
    nearest = np.flatnonzero(chosen)
    nearest = nearest[distance[nearest].argsort(kind="stable")[:3]]
    share = 1 / (distance[nearest] + _SOFTENING) ** 2
    row[:] = 0
    row[lips.index[nearest]] = share / share.sum()


@dataclass(frozen=True)
class Similarity:
    """x -> scale · R x + offset."""

    scale: float
    rotation: _Float
    offset: _Float

    def points(self, points: _Float) -> _Float:
        """Carry points (…, 3) over."""
        return np.asarray(self.scale * points @ self.rotation.T + self.offset)

    def vectors(self, vectors: _Float) -> _Float:
        """Carry displacements (…, 3) over."""
        return np.asarray(self.scale * vectors @ self.rotation.T)


def fit_similarity(source: _Float, target: _Float) -> Similarity:
    """Least-squares similarity between corresponding points (Umeyama 1991)."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd(b.T @ a)
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    scale = float(singular.sum() / (a**2).sum())
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)
