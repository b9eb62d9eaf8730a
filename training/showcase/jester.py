"""The modern court jester: a freckled face under a two-horned hood with bells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from training.showcase import clothes, kit
from training.showcase.character import Head, Look, build, hair_material, macro, smoothstep

Array = NDArray[np.float64]

TEAL, BURGUNDY, GOLD, INK = "#0f5a60", "#7a1530", "#d9a441", "#17181f"
HAIR = "#7a3216"

BACKDROP = ("#5d5470", "#1d1a2b")

LOOK = Look(
    targets={
        **macro(0.6, {"caucasian": 0.7, "african": 0.3}),
        "lr:eyes/eye-scale-incr": 1.0,
        "lr:eyes/eye-height2-incr": 0.35,
        "head/head-oval": 0.3,
        "chin/chin-triangle": 0.35,
        "nose/nose-point-up": 0.4,
        "nose/nose-scale-horiz-decr": 0.2,
        "mouth/mouth-angles-up": 0.65,
        "mouth/mouth-upperlip-volume-incr": 0.3,
        "mouth/mouth-lowerlip-volume-incr": 0.25,
        "lr:cheek/cheek-bones-incr": 0.4,
        "lr:cheek/cheek-volume-incr": 0.2,
    },
    skin="#dba27e",
    blush="#cf5a48",
    lips="#a83a48",
    iris="#2f8a8f",
    iris_inner="#c9a24a",
    brows="#4a2412",
    brow_width=0.9,
    freckles=0.5,
    diamond="#0b7f88",
)

VOXEL = 0.032


def scene(package: Path) -> None:
    """Build the jester, the light and the camera."""
    head = build(package, LOOK)
    hood = _hood(head)
    _piping(head, hood)
    _fringe(head)
    _clothes(head)
    z = head.eye_height
    kit.area_light("key", (4.5, -8, z + 3.5), (0, -1, z - 0.2), 900, 3.0, (1.0, 0.92, 0.84))
    kit.area_light("fill", (-7, -7, z - 0.5), (0, -1, z - 0.3), 260, 6.0, (0.80, 0.90, 1.0))
    kit.area_light("rim left", (5, 5, z + 3), (0, 0, z), 900, 2.5, (0.75, 0.92, 1.0))
    kit.area_light("rim right", (-5, 5, z + 3), (0, 0, z), 1100, 2.5, (1.0, 0.78, 0.62))
    kit.ambient((0.55, 0.58, 0.65), 0.30)
    kit.camera((0, -18, z - 0.22), (0, 0, z - 0.35), 3.74)


def _fringe(head: Head) -> None:
    """Curtain bangs: locks from a parting under the hood to the temples."""
    rng = np.random.default_rng(11)
    eye = head.eye_height
    steps = np.linspace(0, 1, 16)
    curves: list[Array] = []
    radii: list[Array] = []
    for side in (1.0, -1.0):
        for _ in range(34):
            u = rng.uniform(0, 1)
            drop = rng.normal(0, 0.035)
            lock_lift = rng.uniform(0.015, 0.06)
            for _ in range(26):
                w = u + rng.normal(0, 0.035)
                start = np.array([-0.10 + side * (0.01 + 0.36 * w), 0.78])
                bend = np.array([-0.10 + side * (0.08 + 0.40 * w), 0.44 + 0.16 * w + drop])
                tip = np.array(
                    [side * (0.80 + 0.02 * w), 0.10 + 0.40 * w + 1.2 * drop + rng.normal(0, 0.012)]
                )
                t = steps[:, None]
                flat = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * tip
                strand = []
                for i, (x, z) in enumerate(flat):
                    hit = kit.cast(head.tree, (np.clip(x, -0.70, 0.70), -8.0, eye + z), (0, 1, 0))
                    if hit is None:
                        break
                    rise = lock_lift * np.sin(np.pi * (0.15 + 0.8 * steps[i])) + 0.012
                    strand.append(hit[0] + hit[1] * rise)
                if len(strand) == len(flat):
                    curves.append(
                        ndimage.gaussian_filter1d(np.array(strand), 1.5, axis=0, mode="nearest")
                    )
                    radii.append(0.0024 * (1 - 0.6 * steps))
    kit.strands("fringe", curves, radii, hair_material("fringe", HAIR))


def _opening(z: Array) -> Array:
    """Half width of the hood's face opening at a height relative to the eyes (0 above it)."""
    top = 0.70
    upper = 0.735 * np.clip(1 - np.clip((z + 0.15) / (top + 0.15), 0, 1) ** 2.6, 0, 1) ** (1 / 2.2)
    lower = 0.735 - 0.10 * smoothstep(0.5, 1.5, -z)
    return np.where(z > -0.15, upper, lower)


def _hood_surface(head: Head) -> tuple[Array, NDArray[np.int64]]:
    """The hood as an implicit surface: head closing, two horns, minus the face opening."""
    eye = head.eye_height
    skin = kit.positions(head.skin)
    low, high = np.array([-2.1, -1.75, eye - 2.1]), np.array([2.1, 1.6, eye + 1.75])
    axes = [np.arange(a, b, VOXEL) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    tree = cKDTree(skin[::7])  # every seventh of 300 000 points is dense enough
    near = np.abs(grid[..., 0]) < 1.35
    distance = np.full(grid.shape[:3], 9.0)
    distance[near] = tree.query(grid[near], distance_upper_bound=1.0)[0].clip(0, 9)
    reach, thickness = 0.42, 0.085
    outside = distance > reach
    region, _ = ndimage.label(outside)
    outside = region == region[0, 0, -1]
    # Morphological closing: grow by `reach`, shrink back to `thickness`; ears and jaw blend in.
    body = reach - thickness - ndimage.distance_transform_edt(~outside) * VOXEL
    body += np.where(outside, ndimage.distance_transform_edt(outside) * VOXEL, 0.0)
    body = ndimage.gaussian_filter(body, 1.6)

    for side in (1.0, -1.0):
        field = np.full(grid.shape[:3], 9.0)
        for place, radius in _horn(side, eye):
            field = np.minimum(field, np.linalg.norm(grid - place, axis=-1) - radius)
        body = _union(ndimage.gaussian_filter(field, 1.0), body, 0.16)

    z = grid[..., 2] - eye
    down = smoothstep(0.1, 1.8, -z)
    wide, deep = 0.90 + 0.16 * down, 0.80 + 0.1 * down
    cowl = np.hypot(grid[..., 0] / wide, (grid[..., 1] + 0.02) / deep) - 1.0
    body = _union(np.maximum(0.85 * cowl, z - 0.1), body, 0.25)
    depth = -0.20 + 0.30 * smoothstep(0.7, 1.3, -z)
    opening = np.maximum(np.abs(grid[..., 0]) - _opening(z), grid[..., 1] - depth)
    opening = np.where(z > 0.75, 9.0, opening)
    body = -_union(opening, -body, 0.05)
    body = np.maximum(body, (eye - 1.78) - grid[..., 2])
    vertices, faces, _, _ = marching_cubes(body, 0.0, spacing=(VOXEL,) * 3)
    return vertices + low, faces[:, ::-1]


def _union(first: Array, second: Array, blend: float) -> Array:
    """Smooth union of two signed distances (Quilez's polynomial smooth minimum)."""
    h = np.clip(0.5 + 0.5 * (first - second) / blend, 0, 1)
    return first * (1 - h) + second * h - blend * h * (1 - h)


def _hood(head: Head) -> Any:
    vertices, faces = _hood_surface(head)
    item = kit.mesh("hood", vertices, faces.tolist(), _cloth_material())
    smooth = item.modifiers.new("smooth", "SMOOTH")
    smooth.iterations = 6
    kit.subdivide(item, 1)
    return item


def _horn(side: float, eye: float) -> list[tuple[tuple[float, float, float], float]]:
    """Spheres along one horn, from the crown up, out and down to the bell."""
    knots = np.array(
        [
            [0.36, -0.22, 0.76],
            [0.72, -0.28, 0.99],
            [1.12, -0.36, 1.00],
            [1.41, -0.46, 0.68],
            [1.49, -0.54, 0.22],
        ]
    )
    t = np.linspace(0, 1, len(knots))
    steps = np.linspace(0, 1, 90)
    path = np.stack([np.polyval(np.polyfit(t, knots[:, i], 4), steps) for i in range(3)], 1)
    radius = 0.43 * (1 - steps) ** 0.8 + 0.075
    radius *= 1 + 0.035 * np.sin(steps * 34 + side) * np.sin(np.pi * steps)
    return [((side * x, y, eye + z), float(r)) for (x, y, z), r in zip(path, radius, strict=True)]


def _cloth_material() -> Any:
    """Felt in two halves, teal on the subject's left and burgundy on the right."""
    nodes = kit.Nodes("hood cloth")
    place = nodes.add("ShaderNodeTexCoord").outputs["Object"]
    split = nodes.add("ShaderNodeSeparateXYZ", Vector=place)
    side = nodes.add("ShaderNodeMath", Value=split.outputs["X"])
    side.operation = "GREATER_THAN"
    side.inputs[1].default_value = 0.0
    mix = nodes.add("ShaderNodeMixRGB")
    nodes.set(mix, "Fac", side.outputs[0])
    nodes.set(mix, "Color1", kit.srgb(BURGUNDY))
    nodes.set(mix, "Color2", kit.srgb(TEAL))
    return clothes.felt(nodes, mix.outputs[0])


def _gold(name: str = "gold", roughness: float = 0.24) -> Any:
    return kit.principled(name, kit.srgb(GOLD), Metallic=1.0, Roughness=roughness)


def _piping(head: Head, hood: Any) -> None:
    """Gold cord around the opening and over the crown, and a bell at each horn's tip."""
    eye = head.eye_height
    tree = kit.bvh(hood)
    gold = _gold("cord", 0.35)
    heights = np.concatenate(
        [np.linspace(-1.66, 0.5, 90), 0.5 + 0.199 * np.sin(np.linspace(0, np.pi / 2, 60))[1:]]
    )
    half = [(_opening(np.array([h]))[0], h) for h in heights]
    outline = [(x, h) for x, h in half] + [(-x, h) for x, h in half[::-1]]
    path = []
    for x, h in outline:
        hit = kit.cast(tree, (x * 1.045, -8, eye + h + (0.04 if h > 0.4 else 0.0)), (0, 1, 0))
        if hit is not None:
            path.append(hit[0] + hit[1] * 0.012)
    smooth = ndimage.gaussian_filter1d(np.array(path), 2.0, axis=0, mode="nearest")
    kit.tube("cord", smooth, 0.030, gold)
    over = []
    centre = np.array([0.0, -0.15, eye + 0.25])
    for angle in np.linspace(np.deg2rad(22), np.deg2rad(150), 90):
        way = np.array([0.0, -np.cos(angle), np.sin(angle)])
        hit = kit.cast(tree, centre + way * 6, -way)
        if hit is not None and hit[0][2] > eye + 0.72:
            over.append(hit[0] + hit[1] * 0.008)
    kit.tube(
        "seam", ndimage.gaussian_filter1d(np.array(over), 2.0, axis=0, mode="nearest"), 0.022, gold
    )
    for side in (1.0, -1.0):
        (x, y, z), _ = _horn(side, eye)[-1]
        _bell(np.array([x, y, z - 0.15]), 0.135)


def _bell(place: Array, radius: float) -> None:
    """A jingle bell: a sphere with a waist band, a crown ring and a dark cross slit."""
    gold = _gold()
    angle = np.linspace(0, np.pi, 48)
    profile = np.stack([np.sin(angle), np.cos(angle) * 0.96], 1)
    profile[[0, -1], 0] = 0.0
    vertices, faces = kit.revolve(profile, 64)
    kit.mesh("bell", place + vertices * radius, faces, gold)
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)
    kit.tube("band", place + ring * radius * 1.0, radius * 0.085, gold, closed=True)
    loop = np.stack([np.cos(turn), 0 * turn, np.sin(turn)], 1) * radius * 0.26
    kit.tube(
        "loop", place + np.array([0.0, 0.0, radius * 1.12]) + loop, radius * 0.07, gold, closed=True
    )
    dark = kit.principled("slit", (0.01, 0.007, 0.004), Roughness=0.9)
    arc = np.deg2rad(np.linspace(-75, 75, 40))
    for axis in ((1.0, 0.0), (0.0, 1.0)):
        slit = np.stack([np.sin(arc) * axis[0], np.sin(arc) * axis[1], -np.cos(arc) * 0.96], 1)
        kit.tube("slit", place + slit * radius, radius * 0.06, dark, sides=8)


def _clothes(head: Head) -> None:
    """Turtleneck, dark harlequin top and a petal collar with gold edging."""
    eye = head.eye_height
    top = clothes.top(head, _harlequin_material(eye))
    middle = clothes.neck_axis(head)
    clothes.turtleneck(head, clothes.plain("knit", INK), (-1.95, -1.42))
    _collar(kit.bvh(top), middle, eye)


def _collar(body: Any, middle: Array, eye: float) -> None:
    """Ten petals lying on the shoulders, edged with gold cord, a bell on each front point."""
    petals, count, rows = 10, 500, 26
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    phase = (turn + np.pi / 2) / (2 * np.pi) * petals + 0.5
    wave = np.abs(phase % 1.0 - 0.5) * 2
    ahead = np.clip(-np.sin(turn), 0, 1) ** 1.5
    edge = (1.10 + 0.26 * (1 - wave) ** 1.1) * (1 - 0.30 * ahead)
    grid = np.zeros((rows, count, 3))
    for j, a in enumerate(turn):
        for i, s in enumerate(np.linspace(0, 1, rows)):
            r = 0.58 + (edge[j] - 0.58) * s
            x, y = middle[0] + r * np.cos(a), middle[1] + r * np.sin(a)
            hit = kit.cast(body, (x, y, eye), (0, 0, -1))
            grid[i, j] = (x, y, eye - 2.6 if hit is None else float(hit[0][2]))
    grid[..., 2] = ndimage.gaussian_filter(grid[..., 2], (2, 5), mode=("nearest", "wrap"))
    along = np.linspace(0, 1, rows)[:, None]
    grid[..., 2] += 0.20 - 0.11 * along + 0.03 * along * (1 - wave)[None]
    faces = [face[::-1] for face in kit.grid_faces(rows, count)]
    collar = kit.mesh("collar", grid.reshape(-1, 3), faces, clothes.plain("petal teal", TEAL))
    collar.data.materials.append(clothes.plain("petal burgundy", BURGUNDY))
    odd = (np.floor(phase).astype(int) % 2).tolist()
    collar.data.polygons.foreach_set("material_index", odd * (rows - 1))
    solid = collar.modifiers.new("solid", "SOLIDIFY")
    solid.thickness = 0.035
    kit.tube("collar cord", grid[-1], 0.022, _gold("collar cord", 0.35), closed=True)
    for k in range(petals):
        tip = grid[-1, round(count * (k / petals - 0.25)) % count]
        if tip[1] < middle[1] - 0.55:
            _bell(tip + np.array([0.0, -0.06, -0.05]), 0.085)


def _harlequin_material(eye: float) -> Any:
    """Diamonds in the two colours with thin gold lines between them."""
    nodes = kit.Nodes("harlequin")
    place = nodes.add("ShaderNodeTexCoord").outputs["Object"]
    split = nodes.add("ShaderNodeSeparateXYZ", Vector=place)

    maths = nodes.maths
    u = maths("DIVIDE", split.outputs["X"], 0.44)
    v = maths("DIVIDE", maths("SUBTRACT", split.outputs["Z"], eye), 0.72)
    p, q = maths("ADD", u, v), maths("SUBTRACT", u, v)
    cell = maths("ADD", maths("FLOOR", p), maths("FLOOR", q))
    odd = maths("GREATER_THAN", maths("FLOORED_MODULO", cell, 2.0), 0.5)
    mix = nodes.add("ShaderNodeMixRGB")
    nodes.set(mix, "Fac", odd)
    nodes.set(mix, "Color1", kit.srgb("#2a1522"))
    nodes.set(mix, "Color2", kit.srgb("#10252c"))
    edge = maths(
        "MINIMUM",
        maths("ABSOLUTE", maths("SUBTRACT", maths("FRACT", maths("ADD", p, 0.5)), 0.5)),
        maths("ABSOLUTE", maths("SUBTRACT", maths("FRACT", maths("ADD", q, 0.5)), 0.5)),
    )
    line = maths("LESS_THAN", edge, 0.028)
    lined = nodes.add("ShaderNodeMixRGB")
    nodes.set(lined, "Fac", line)
    nodes.set(lined, "Color1", mix.outputs[0])
    nodes.set(lined, "Color2", kit.srgb("#b8862f"))
    return clothes.felt(nodes, lined.outputs[0])
