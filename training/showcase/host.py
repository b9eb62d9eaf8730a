"""The host: a man with close-cropped hair in a plain sweater."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.showcase import clothes, kit
from training.showcase.character import Head, Look, build, hair_material, macro, scalp

Array = NDArray[np.float64]

HAIR = "#0d0907"

BACKDROP = ("#8b9aa3", "#3a464f")

LOOK = Look(
    targets={
        **macro(0.0, {"african": 0.75, "caucasian": 0.25}),
        "lr:eyes/eye-scale-incr": 0.55,
        "lr:eyes/eye-height2-incr": 0.25,
        "head/head-oval": 0.15,
        "chin/chin-width-incr": 0.3,
        "head/head-square": 0.2,
        "head/head-fat-decr": 0.15,
        "mouth/mouth-angles-up": 0.5,
        "mouth/mouth-scale-vert-decr": 0.15,
        "expression/units/african/mouth-open": -0.05,  # the lips meet
        "nose/nose-scale-horiz-decr": 0.25,
        "lr:cheek/cheek-bones-incr": 0.3,
        "lr:ears/ear-wing-decr": 0.5,
    },
    skin="#83573c",
    blush="#8c4430",
    blush_amount=0.25,
    lips="#8a4a44",
    lip_tint=0.65,
    lid_tint="#4a2a1c",
    lid_amount=0.3,
    iris="#3d2212",
    iris_inner="#7a4a22",
    brows="#0d0907",
    brow_width=1.5,
    lash_length=0.7,
    roughness=0.56,
    scalp=HAIR,
    seed=23,
)


def scene(package: Path) -> None:
    """Build the host, his light and the camera."""
    head = build(package, LOOK)
    _hair(head)
    wool = "#2f5d62"
    sweater = clothes.top(head, clothes.plain("sweater", wool), rise=-1.2)
    clothes.crew_neck(head, sweater, clothes.plain("hem", wool), -1.60)
    z = head.eye_height
    kit.area_light("key", (4.5, -8, z + 3.2), (0, -1, z - 0.2), 1000, 4.0, (1.0, 0.94, 0.87))
    kit.area_light("fill", (-7, -7, z - 0.3), (0, -1, z - 0.3), 450, 6.0, (0.82, 0.90, 1.0))
    kit.area_light("rim left", (5, 5, z + 3), (0, 0, z), 700, 3.0, (1.0, 0.90, 0.78))
    kit.area_light("rim right", (-5, 5, z + 3), (0, 0, z), 800, 3.0, (0.78, 0.90, 1.0))
    kit.ambient((0.55, 0.60, 0.66), 0.35)
    kit.camera((0, -18, z - 0.14), (0, 0, z - 0.26), 3.7)


def _hair(head: Head) -> None:
    """Short strands on the scalp, standing off the skin and leaning with the growth."""
    rng = np.random.default_rng(LOOK.seed)
    places, normals = kit.positions(head.skin), kit.normals(head.skin)
    cover = scalp(places, head.eye_left) * (1 - head.ears)
    roots = rng.choice(len(places), 48_000, p=cover / cover.sum())
    steps = np.linspace(0, 1, 4)[:, None]
    curves: list[Array] = []
    radii: list[Array] = []
    height = places[:, 2] - head.eye_height
    for root in roots:
        top = float(np.clip((height[root] - 0.1) / 0.7, 0, 1))
        length = (0.022 + 0.045 * top) * rng.uniform(0.7, 1.1)
        lean = (
            normals[root] + rng.normal(0, 0.30, 3) + np.array([0.0, -0.25 * top, -0.35 * (1 - top)])
        )
        curl = rng.normal(0, 0.35, 3)
        start = places[root] + rng.normal(0, 0.006, 3) - 0.004 * normals[root]
        curves.append(start + length * (lean * steps + curl * steps**2))
        radii.append(0.0024 * (1 - 0.55 * steps[:, 0]))
    kit.strands("hair", curves, radii, hair_material("hair", HAIR))
