"""Clothes that fit any MakeHuman body: a close top, a turtleneck, woollen cloth."""

from __future__ import annotations

from typing import Any

import bmesh
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.showcase import kit
from training.showcase.character import Head

Array = NDArray[np.float64]


def felt(nodes: kit.Nodes, colour: Any) -> Any:
    """A woollen surface of the colour of a socket: soft folds, fine fibres, a little sheen."""
    normal = nodes.bump(nodes.noise(2.6, 2.0), 0.35, 0.10)
    normal = nodes.bump(nodes.noise(60.0, 4.0), 0.35, 0.012, normal)
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        Base_Color=colour,
        Roughness=0.85,
        Sheen_Weight=0.18,
        Sheen_Roughness=0.45,
        Specular_IOR_Level=0.15,
        Normal=normal,
    )
    return nodes.surface(shader.outputs[0])


def plain(name: str, colour: str) -> Any:
    """Woollen cloth of one colour (``#rrggbb``)."""
    nodes = kit.Nodes(name)
    rgb = nodes.add("ShaderNodeRGB")
    rgb.outputs[0].default_value = (*kit.srgb(colour), 1.0)
    return felt(nodes, rgb.outputs[0])


def neck_axis(head: Head) -> Array:
    """Where the neck stands: (x, y)."""
    joint = head.points[head.shape.group_vertices("joint-neck")].mean(0)
    return np.array([0.0, float(joint[1])])


def top(head: Head, material: Any, rise: float = -1.8) -> Any:
    """A close garment over the shoulders and the chest.

    Args:
        head: Whom it is for.
        material: Its cloth.
        rise: Height relative to the eyes up to which it also covers the base of the neck.
    """
    eye, points, shape = head.eye_height, head.points, head.shape
    chosen = []
    for i, (face, group) in enumerate(zip(shape.faces, shape.groups, strict=True)):
        corner = points[face]
        low = corner[:, 2].max() < eye + rise
        beside = corner[:, 2].max() < eye - 1.3 and np.abs(corner[:, 0]).min() > 0.75
        inside = corner[:, 2].min() > eye - 4.5 and np.abs(corner[:, 0]).max() < 3.2
        if group == "body" and inside and (low or beside):
            chosen.append(i)
    used = sorted({v for i in chosen for v in shape.faces[i]})
    index = {v: i for i, v in enumerate(used)}
    faces = [[index[v] for v in shape.faces[i]] for i in chosen]
    item = kit.mesh("top", points[used], faces, material)
    kit.subdivide(item, 2)
    places = kit.positions(item) + kit.normals(item) * 0.05
    item.data.vertices.foreach_set("co", places.ravel())
    item.data.update()
    return item


def crew_neck(head: Head, garment: Any, material: Any, height: float) -> None:
    """Cut a garment along a plane that falls towards the chest and hem the edge.

    Args:
        head: Who wears it.
        garment: A mesh object that covers the base of the neck; changed in place.
        material: Of the hem.
        height: Of the cut on the axis of the neck, relative to the eyes.
    """
    middle = neck_axis(head)
    work = bmesh.new()
    work.from_mesh(garment.data)
    cut = bmesh.ops.bisect_plane(
        work,
        geom=[*work.verts, *work.edges, *work.faces],
        plane_co=(0.0, middle[1], head.eye_height + height),
        plane_no=(0.0, -0.35, 1.0),
        clear_outer=True,
    )
    edge = np.array([v.co for v in cut["geom_cut"] if isinstance(v, bmesh.types.BMVert)])
    work.to_mesh(garment.data)
    work.free()
    angle = np.arctan2(edge[:, 1] - middle[1], edge[:, 0] - middle[0])
    order = np.argsort(angle)
    even = np.linspace(-np.pi, np.pi, 160, endpoint=False)
    ring = [np.interp(even, angle[order], edge[order, i], period=2 * np.pi) for i in range(3)]
    path = ndimage.gaussian_filter1d(np.stack(ring, 1), 3.0, axis=0, mode="wrap")
    kit.tube("hem", path, 0.062, material, closed=True)


def turtleneck(head: Head, material: Any, span: tuple[float, float], gap: float = 0.075) -> Any:
    """A knitted tube around the neck with a rolled edge.

    Args:
        head: Whom it is for.
        material: Its cloth.
        span: Heights of its lower and upper end relative to the eyes.
        gap: Distance of its outside from the neck, in decimetres.
    """
    eye = head.eye_height
    middle = neck_axis(head)
    heights = np.linspace(*span, 24)
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    reach = np.empty((len(heights), len(turn)))
    for i, height in enumerate(heights):
        for k, angle in enumerate(turn):
            way = (np.cos(angle), np.sin(angle), 0.0)
            hit = kit.cast(head.tree, (*middle, eye + height), way)
            reach[i, k] = 0.62 if hit is None else min(0.72, np.hypot(*(hit[0][:2] - middle)))
    reach = ndimage.gaussian_filter(reach, 3.0, mode=("nearest", "wrap"))
    profile = [(reach[i] + gap, height) for i, height in enumerate(heights)]
    for angle in np.linspace(0, np.pi, 9)[1:]:
        roll = gap / 2 * (1 + np.cos(angle))
        profile.append((reach[-1] + roll, heights[-1] + 0.05 * np.sin(angle)))
    profile += [(reach[-i], heights[-i]) for i in range(2, 9)]
    rings = [
        np.stack(
            [
                middle[0] + radius * np.cos(turn),
                middle[1] + radius * np.sin(turn),
                np.full(len(turn), eye + height),
            ],
            axis=1,
        )
        for radius, height in profile
    ]
    return kit.mesh("turtleneck", np.concatenate(rings), kit.grid_faces(len(rings), 120), material)
