"""A row of teeth as a flat texture in millimetres, shaded as the arch it unrolls from."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.curves import smoothstep

__all__ = ["PIXELS_PER_MM", "Arch", "arch_texture"]

Floats = npt.NDArray[np.float32]

PIXELS_PER_MM: Final = 10
_WIDTH_MM, _HEIGHT_MM = 64, 26


@dataclass(frozen=True)
class Arch:
    """Measures of one dental arch in mm, from the middle outwards, after Ash & Nelson.

    Attributes:
        widths: crown widths.
        heights: crown heights.
        edges: how far each cutting edge stands back from that of the first incisor.
        half_width, depth: axes of the ellipse the row follows, seen from above.
        upper: gums above the edge rather than below.
    """

    widths: tuple[float, ...]
    heights: tuple[float, ...]
    edges: tuple[float, ...]
    half_width: float
    depth: float
    upper: bool


UPPER: Final = Arch(
    (8.6, 6.7, 7.6, 7, 6.8, 9.5),
    (10.2, 8.8, 9.8, 8.4, 7.8, 7),
    (0, 0.7, 0.1, 0.9, 1.3, 1.8),
    27,
    38,
    upper=True,
)
LOWER: Final = Arch(
    (5.3, 5.9, 6.8, 7, 7, 10),
    (8.8, 8.8, 9.6, 8.5, 8, 7),
    (0, 0, -0.2, 0.5, 0.9, 1.2),
    25,
    34,
    upper=False,
)


@functools.cache
def arch_texture(upper: bool) -> Floats:
    """The texture of a row.

    Returns:
        (260, 640, 4) float32: shade of the tooth, coverage of the tooth, coverage of the gum,
        and how much light reaches that place of the arch, all in [0, 1]. Ten pixels per mm, the
        middle of the cutting edge of the first incisors at the centre.
    """
    arch = UPPER if upper else LOWER
    angle = np.linspace(0, np.pi / 2, 2000)
    x, z = arch.half_width * np.sin(angle), arch.depth * np.cos(angle)
    length = np.r_[0, np.cumsum(np.hypot(np.diff(x), np.diff(z)))]
    borders = np.asarray(np.interp(np.r_[0, np.cumsum(arch.widths)], length, x))

    columns = (np.arange(_WIDTH_MM * PIXELS_PER_MM) + 0.5) / PIXELS_PER_MM - _WIDTH_MM / 2
    rows = (np.arange(_HEIGHT_MM * PIXELS_PER_MM) + 0.5) / PIXELS_PER_MM - _HEIGHT_MM / 2
    xx, yy = np.meshgrid(columns, rows)
    out = np.abs(xx)
    tooth = np.searchsorted(borders, out, side="right").clip(1, len(arch.widths)) - 1
    left, right = borders[tooth], borders[tooth + 1]
    half = (right - left) / 2
    u = np.clip((out - (left + right) / 2) / half, -1, 1)  # across one tooth
    v = (-yy if upper else yy) - np.asarray(arch.edges)[tooth]  # mm from the edge to the gum
    height = np.asarray(arch.heights)[tooth]

    corner = 0.65 * np.abs(u) ** 6 * np.where(u > 0, 1.25, 0.85)
    corner += 0.35 * u**2 * np.where(tooth == 2, 2.6, 0.5)  # the canine has a point
    from_edge = v - corner
    from_gum = height * (1 - 0.22 * np.abs(u) ** 2.5) - v
    from_side = (1 - np.abs(u)) * half

    row = (out < borders[-1]).astype(np.float32)
    coverage = smoothstep(-0.12, 0.22, from_edge) * smoothstep(-0.3, 0.3, from_gum)
    shade = (1 - 0.16 * np.abs(u) ** 3) * (0.90 + 0.10 * smoothstep(0, 3, from_edge))
    shade = shade * (1 - 0.10 * smoothstep(4, 9, v))
    groove = 0.30 if upper else 0.15  # the line between two teeth; the lower ones sit in soft light
    shade = shade * (1 - groove + groove * smoothstep(0, 0.45, from_side + 0.05))
    reach = np.interp(out, x, z) / arch.depth
    light = 0.30 + 0.70 * np.clip(reach, 0, 1) ** 1.5
    gum = smoothstep(-0.3, 0.3, -from_gum) * smoothstep(-2, 0, from_edge) * (v < height + 5)
    texture = np.dstack([shade * light, coverage * row, gum * row * (1 - coverage), light])
    texture = cv2.GaussianBlur(texture.astype(np.float32), (0, 0), 0.10 * PIXELS_PER_MM)
    texture.flags.writeable = False
    return np.asarray(texture, np.float32)
