"""Draw a MakeHuman head well enough for a face landmark network to recognise it."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from training.basis.makehuman import Mesh, eye_height
from training.basis.raster import Coverage, rasterise

_Float = npt.NDArray[np.float64]

# BGR
SKIN = np.array([140.0, 170.0, 215.0])
LIP = np.array([90.0, 80.0, 180.0])
TOOTH = np.array([225.0, 235.0, 240.0])
TONGUE = np.array([90.0, 90.0, 190.0])
SCLERA, IRIS, PUPIL = (np.array(c) for c in ([235.0, 235, 235], [90.0, 60, 40], [10.0, 10, 10]))
BACKGROUND = np.array([150.0, 120.0, 90.0])


@dataclass(frozen=True)
class Camera:
    """An orthographic camera in front of the head.

    Attributes:
        height: what is in the middle of the picture, decimetres.
        size: of the square picture, pixels.
        width: of what is seen, decimetres.
        yaw: degrees the head is turned; positive turns the nose to the left of the picture.
        light: direction the light comes from, need not be a unit vector.
    """

    height: float
    size: int = 768
    width: float = 3.0
    yaw: float = 0.0
    light: tuple[float, float, float] = field(default=(0.25, 0.35, 0.9))

    @property
    def pixels(self) -> float:
        """Pixels per decimetre."""
        return self.size / self.width

    def turn(self, vertices: _Float) -> _Float:
        """Turn the head about the vertical axis."""
        angle = -np.radians(self.yaw)
        cosine, sine = np.cos(angle), np.sin(angle)
        return np.asarray(vertices @ [[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])

    def project(self, vertices: _Float) -> _Float:
        """Pixels (V, 2) of vertices that were turned already."""
        x = self.size / 2 + vertices[:, 0] * self.pixels
        y = self.size / 2 - (vertices[:, 1] - self.height) * self.pixels
        return np.stack([x, y], axis=1)


def portrait_camera(mesh: Mesh, **options: float | int | tuple[float, float, float]) -> Camera:
    """A camera that shows head and shoulders."""
    return Camera(height=eye_height(mesh) - 0.25, **options)  # type: ignore[arg-type]


def cover(mesh: Mesh, vertices: _Float, camera: Camera) -> Coverage:
    """What of the mesh each pixel shows."""
    turned = camera.turn(vertices)
    return rasterise(camera.project(turned), turned[:, 2], mesh.triangles, camera.size)


def render(mesh: Mesh, vertices: _Float, camera: Camera) -> npt.NDArray[np.uint8]:
    """Draw the head.

    Args:
        mesh: its topology and neutral shape.
        vertices: (V, 3) where the vertices are now.
        camera: from where.

    Returns:
        BGR uint8 (size, size, 3).
    """
    coverage = cover(mesh, vertices, camera)
    shown = coverage.triangle >= 0
    triangle, weights = coverage.triangle[shown], coverage.weights[shown]
    normal = _interpolate(_normals(mesh, camera.turn(vertices)), mesh.triangles[triangle], weights)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    shade = 0.25 + 0.75 * np.clip(normal @ np.array(camera.light), 0, 1)
    image = np.broadcast_to(BACKGROUND, (camera.size, camera.size, 3)).copy()
    image[shown] = _colours(mesh, triangle, weights) * shade[:, None]
    smooth = cv2.GaussianBlur(image, (0, 0), 0.8)
    return np.asarray(np.clip(smooth, 0, 255), np.uint8)


def _interpolate(values: _Float, corners: npt.NDArray[np.int64], weights: _Float) -> _Float:
    return np.asarray((values[corners] * weights[:, :, None]).sum(axis=1))


def _normals(mesh: Mesh, vertices: _Float) -> _Float:
    a, b, c = (vertices[mesh.triangles[:, corner]] for corner in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, mesh.triangles[:, corner], face_normals)
    return normals


def _colours(mesh: Mesh, triangle: npt.NDArray[np.int64], weights: _Float) -> _Float:
    """Colour (N, 3) of points on the surface, without light."""
    groups = mesh.groups[triangle]
    uv = _interpolate(mesh.uv, mesh.uv_triangles[triangle], weights)
    rows, columns = mesh.lips.shape
    row = np.clip(((1 - uv[:, 1]) * rows).astype(int), 0, rows - 1)
    column = np.clip((uv[:, 0] * columns).astype(int), 0, columns - 1)
    lip = (mesh.lips[row, column] / 255 * (groups == "body"))[:, None]
    colours = np.asarray(SKIN * (1 - lip) + LIP * lip)
    colours[np.char.endswith(groups, "teeth")] = TOOTH
    colours[groups == "helper-tongue"] = TONGUE
    rest = _interpolate(mesh.vertices, mesh.triangles[triangle], weights)
    for eye in ("helper-l-eye", "helper-r-eye"):
        ball = mesh.vertices[mesh.vertices_of(eye)]
        radius = np.ptp(ball[:, 0]) / 2
        out = np.hypot(*(rest - ball.mean(axis=0))[:, :2].T)
        here = groups == eye
        colours[here] = SCLERA
        colours[here & (out < 0.42 * radius)] = IRIS
        colours[here & (out < 0.2 * radius)] = PUPIL
    return colours
