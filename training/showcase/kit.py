"""Small helpers over Blender's Python API: meshes, strands, materials, lights, camera, render.

Everything is in decimetres with z up and the viewer on the -y side (see :func:`from_makehuman`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

Array = NDArray[np.float64]
Colour = tuple[float, float, float]


def from_makehuman(points: Array) -> Array:
    """MakeHuman axes (y up, z to the viewer) to Blender axes (z up, viewer on the -y side)."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def srgb(code: str) -> Colour:
    """Linear RGB of a ``#rrggbb`` colour."""
    values = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return (float(linear[0]), float(linear[1]), float(linear[2]))


def new_scene() -> bpy.types.Scene:
    """An empty scene set up for Cycles on the CPU."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    return scene


def mesh(name: str, vertices: Array, faces: Sequence[Sequence[int]], material: Any) -> Any:
    """A smooth-shaded mesh object in the scene."""
    data = bpy.data.meshes.new(name)
    data.from_pydata(vertices.tolist(), [], [list(map(int, face)) for face in faces])
    data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    data.update()
    if material is not None:
        data.materials.append(material)
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    return item


def subdivide(item: Any, levels: int) -> None:
    """Apply Catmull-Clark subdivision to a mesh object in place."""
    modifier = item.modifiers.new("subdivision", "SUBSURF")
    modifier.levels = modifier.render_levels = levels
    graph = bpy.context.evaluated_depsgraph_get()
    data = bpy.data.meshes.new_from_object(item.evaluated_get(graph))
    item.modifiers.clear()
    item.data = data


def positions(item: Any) -> Array:
    """Vertex positions ``(N, 3)`` of a mesh object."""
    flat = np.empty(len(item.data.vertices) * 3)
    item.data.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def normals(item: Any) -> Array:
    """Vertex normals ``(N, 3)`` of a mesh object."""
    flat = np.empty(len(item.data.vertices) * 3)
    item.data.vertices.foreach_get("normal", flat)
    return flat.reshape(-1, 3)


def paint(item: Any, name: str, values: Array) -> None:
    """Store linear RGB per vertex ``(N, 3)`` as a colour attribute."""
    attribute = item.data.attributes.new(name, "FLOAT_COLOR", "POINT")
    rgba = np.concatenate([values, np.ones((len(values), 1))], axis=1)
    attribute.data.foreach_set("color", rgba.astype(np.float32).ravel())


def bvh(item: Any) -> BVHTree:
    """A ray-casting tree of a mesh object."""
    return BVHTree.FromObject(item, bpy.context.evaluated_depsgraph_get())


def cast(
    tree: BVHTree, origin: Sequence[float], direction: Sequence[float]
) -> tuple[Array, Array] | None:
    """First hit of a ray: its position and normal, or None."""
    place, normal, _, _ = tree.ray_cast(Vector(origin), Vector(direction))
    return None if place is None else (np.array(place), np.array(normal))


def strands(name: str, curves: Sequence[Array], radii: Sequence[Array], material: Any) -> Any:
    """Hair curves: each ``(n, 3)`` with one radius per point."""
    data = bpy.data.hair_curves.new(name)
    data.add_curves([len(curve) for curve in curves])
    points = np.concatenate(list(curves)).astype(np.float32)
    data.attributes["position"].data.foreach_set("vector", points.ravel())
    radius = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", np.concatenate(list(radii)).astype(np.float32))
    data.materials.append(material)
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    return item


def tube(
    name: str,
    path: Array,
    radius: float | Array,
    material: Any,
    *,
    closed: bool = False,
    sides: int = 16,
) -> Any:
    """A round tube along a path ``(n, 3)``, with parallel-transported cross-sections."""
    count = len(path)
    radius = np.broadcast_to(radius, (count,))
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead[0], [0.3, 1.0, 0.2])
    rings = []
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    for i in range(count):
        side = side - ahead[i] * (side @ ahead[i])
        side /= np.linalg.norm(side)
        other = np.cross(ahead[i], side)
        rings.append(
            path[i] + radius[i] * (np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * other)
        )
    faces: list[list[int]] = []
    for i in range(count if closed else count - 1):
        j = (i + 1) % count
        for k in range(sides):
            m = (k + 1) % sides
            faces.append([i * sides + k, i * sides + m, j * sides + m, j * sides + k])
    if not closed:
        faces += [list(range(sides))[::-1], [(count - 1) * sides + k for k in range(sides)]]
    return mesh(name, np.concatenate(rings), faces, material)


def grid_faces(rows: int, columns: int) -> list[list[int]]:
    """Quads of a grid of vertices whose rows are closed rings."""
    return [
        [i * columns + k, i * columns + m, (i + 1) * columns + m, (i + 1) * columns + k]
        for i in range(rows - 1)
        for k, m in ((k, (k + 1) % columns) for k in range(columns))
    ]


def revolve(profile: Array, segments: int) -> tuple[Array, list[list[int]]]:
    """Revolve a profile of (radius, height) pairs about +z, first and last point on the axis."""
    angles = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    inner = profile[1:-1]
    rings = [
        np.stack([r * np.cos(angles), r * np.sin(angles), np.full(segments, h)], 1)
        for r, h in inner
    ]
    vertices = np.concatenate([[[0.0, 0.0, profile[0, 1]]], *rings, [[0.0, 0.0, profile[-1, 1]]]])
    last = len(vertices) - 1
    faces: list[list[int]] = []
    for k in range(segments):
        m = (k + 1) % segments
        faces.append([0, 1 + k, 1 + m])
        for i in range(len(inner) - 1):
            a, b = 1 + i * segments, 1 + (i + 1) * segments
            faces.append([a + k, b + k, b + m, a + m])
        a = 1 + (len(inner) - 1) * segments
        faces.append([a + k, last, a + m])
    return vertices, faces


class Nodes:
    """A material's node tree with short names for what the portraits use."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()
        self.output = self.tree.nodes.new("ShaderNodeOutputMaterial")

    def add(self, kind: str, **inputs: Any) -> Any:
        """A node of a kind; keywords set its inputs (underscores for spaces) or link them."""
        node = self.tree.nodes.new(kind)
        for key, value in inputs.items():
            self.set(node, key.replace("_", " "), value)
        return node

    def set(self, node: Any, key: str | int, value: Any) -> None:
        """Set an input to a value or link it to a socket."""
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, node.inputs[key])
        elif isinstance(value, tuple) and len(value) == 3 and node.inputs[key].type == "RGBA":
            node.inputs[key].default_value = (*value, 1.0)
        else:
            node.inputs[key].default_value = value

    def maths(self, operation: str, a: Any, b: Any = 0.0) -> Any:
        """The socket of a math node."""
        node = self.add("ShaderNodeMath")
        node.operation = operation
        self.set(node, 0, a)
        self.set(node, 1, b)
        return node.outputs[0]

    def surface(self, socket: Any) -> Any:
        """Use a shader as the material's surface and return the material."""
        self.tree.links.new(socket, self.output.inputs["Surface"])
        return self.material

    def bump(self, height: Any, strength: float, distance: float, normal: Any = None) -> Any:
        """The normal socket of a bump node."""
        node = self.add("ShaderNodeBump", Height=height, Strength=strength, Distance=distance)
        if normal is not None:
            self.set(node, "Normal", normal)
        return node.outputs["Normal"]

    def noise(self, scale: float, detail: float = 2.0, vector: Any = None) -> Any:
        """The scalar socket of a noise texture in object space."""
        node = self.add("ShaderNodeTexNoise", Scale=scale, Detail=detail)
        place = vector if vector is not None else self.add("ShaderNodeTexCoord").outputs["Object"]
        self.set(node, "Vector", place)
        return node.outputs[0]


def principled(name: str, colour: Colour, **inputs: Any) -> Any:
    """A plain Principled material."""
    nodes = Nodes(name)
    return nodes.surface(
        nodes.add("ShaderNodeBsdfPrincipled", Base_Color=colour, **inputs).outputs[0]
    )


def area_light(
    name: str,
    place: Sequence[float],
    aim: Sequence[float],
    energy: float,
    size: float,
    colour: Colour,
) -> None:
    """A square area light aimed at a point."""
    data = bpy.data.lights.new(name, "AREA")
    data.energy, data.size, data.color = energy, size, colour
    item = bpy.data.objects.new(name, data)
    item.location = Vector(place)
    item.rotation_euler = (Vector(aim) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(item)


def camera(place: Sequence[float], aim: Sequence[float], width: float) -> None:
    """A camera that sees ``width`` decimetres at its aim."""
    data = bpy.data.cameras.new("camera")
    item = bpy.data.objects.new("camera", data)
    item.location = Vector(place)
    item.rotation_euler = (Vector(aim) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
    data.sensor_width = 36.0
    data.lens = 36.0 * (Vector(aim) - Vector(place)).length / width
    data.clip_end = 1000.0
    bpy.context.scene.collection.objects.link(item)
    bpy.context.scene.camera = item


def ambient(colour: Colour, strength: float) -> None:
    """A uniform environment light."""
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    node = world.node_tree.nodes["Background"]
    node.inputs["Color"].default_value = (*colour, 1.0)
    node.inputs["Strength"].default_value = strength
    bpy.context.scene.world = world


def render(path: Path, size: int, samples: int, threads: int, seed: int = 1) -> None:
    """Render the scene to an RGBA PNG with a transparent background, denoised."""
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.film_transparent = True
    scene.render.threads_mode = "FIXED"
    scene.render.threads = threads
    scene.cycles.samples = samples
    scene.cycles.seed = seed
    scene.cycles.use_adaptive_sampling = True
    scene.cycles.adaptive_threshold = 0.03
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.max_bounces = 4
    scene.cycles.transparent_max_bounces = 24
    scene.cycles.sample_clamp_indirect = 4.0
    scene.cycles_curves.shape = "THICK"
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "16"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
