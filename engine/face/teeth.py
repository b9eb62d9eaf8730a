"""A row of teeth as a flat texture in millimetres, shaded as the arch it unrolls from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.curves import smoothstep
from engine.face.warp import remap

__all__ = ["PIXELS_PER_MM", "Arch", "arch_texture", "turned"]

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


def arch_texture(upper: bool, seed: int = 0) -> Floats:
    """The texture of a row.

    Args:
        upper: or lower.
        seed: whose teeth: no two stand, or shine, quite alike.

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

    own = np.random.default_rng([seed, upper]).normal(0, 1, (3, 2, len(arch.widths)))
    tone, stand, lean = own.clip(-2, 2)[:, (xx > 0).astype(int), tooth]
    v = v - 0.16 * stand - 0.10 * lean * u

    corner = 0.65 * np.abs(u) ** 6 * np.where(u > 0, 1.25, 0.85)
    corner += 0.35 * u**2 * np.where(tooth == 2, 2.6, 0.5)  # the canine has a point
    from_edge = v - corner
    from_gum = height * (1 - 0.22 * np.abs(u) ** 2.5) - v
    from_side = (1 - np.abs(u)) * half

    row = (out < borders[-1]).astype(np.float32)
    coverage = smoothstep(-0.12, 0.22, from_edge) * smoothstep(-0.3, 0.3, from_gum)
    # a crown bulges: full light on its middle third, less at the neck, the sides and the edge,
    # where enamel without dentine lets the dark of the mouth through
    shade = (1 - 0.20 * np.abs(u) ** 2.5) * (0.86 + 0.14 * smoothstep(0, 2.2, from_edge))
    shade = 0.97 * shade * (1 - 0.14 * smoothstep(4, 9, v)) * (1 + 0.025 * tone)
    gloss = np.exp(-(((u + 0.25) / 0.30) ** 2) - ((v - 0.42 * height) / (0.22 * height)) ** 2)
    shade = np.minimum(shade + 0.07 * gloss, 1)
    # neighbours touch in the upper half of their crowns and part towards the edge
    groove = (0.26 if upper else 0.16) * smoothstep(7.5, 0.5, v) + 0.05
    shade = shade * (1 - groove * smoothstep(0.42, 0.02, from_side))
    reach = np.interp(out, x, z) / arch.depth
    light = 0.26 + 0.74 * np.clip(reach, 0, 1) ** 1.7
    gum = smoothstep(-0.3, 0.3, -from_gum) * smoothstep(-2, 0, from_edge) * (v < height + 5)
    texture = np.dstack([shade * light, coverage * row, gum * row * (1 - coverage), light])
    texture = cv2.GaussianBlur(texture.astype(np.float32), (0, 0), 0.10 * PIXELS_PER_MM)
    return np.asarray(texture, np.float32)


def turned(texture: Floats, upper: bool, across: float, ahead: float) -> Floats:
    """The texture of a row as a turned head shows it: more of the near side, less of the far one.

    Args:
        texture: from ``arch_texture``.
        upper: as there.
        across: how far a millimetre to the side goes across the picture, 1 as seen from in front.
        ahead: how far a millimetre towards the lips does, 0 as seen from in front.

    Returns:
        The same shape; the middle of the first incisors stays where it is.
    """
    arch = UPPER if upper else LOWER
    x = arch.half_width * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 801))
    behind = arch.depth * (1 - np.sqrt(np.maximum(1 - (x / arch.half_width) ** 2, 0)))
    seen = x * across - behind * ahead
    visible = np.ones(len(x), bool)  # from the middle outwards until the row turns away
    middle = len(x) // 2
    visible[middle:] = seen[middle:] >= np.maximum.accumulate(seen[middle:])
    visible[:middle] = seen[:middle] <= np.minimum.accumulate(seen[middle - 1 :: -1])[::-1]
    columns = (np.arange(texture.shape[1]) + 0.5) / PIXELS_PER_MM - _WIDTH_MM / 2
    source = np.interp(columns, seen[visible], x[visible], left=-_WIDTH_MM, right=_WIDTH_MM)
    at = ((source + _WIDTH_MM / 2) * PIXELS_PER_MM - 0.5).astype(np.float32)
    maps = np.broadcast_to(at, texture.shape[:2]), np.mgrid[: texture.shape[0], : len(at)][0]
    places = np.dstack(maps).astype(np.float32)
    return remap(texture, places, cv2.BORDER_CONSTANT)
