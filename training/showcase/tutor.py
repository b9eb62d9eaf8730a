"""The tutor: a woman in her fifties, silver hair combed back, a plum cardigan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.showcase import clothes, kit
from training.showcase.character import Head, Look, build, hair_material, macro, scalp

Array = NDArray[np.float64]

HAIR = ("#8d8680", "#a69f98", "#6f6863")
ROOTS = "#8a8078"

BACKDROP = ("#b7a68f", "#57483c")

_AGE = 0.42  # between MakeHuman's young and old


def _aged(share: float) -> dict[str, float]:
    mix = {"caucasian": 0.7, "asian": 0.3}
    young, old = macro(1.0, mix), macro(1.0, mix, age="old")
    return {
        **{name: (1 - share) * weight for name, weight in young.items()},
        **{name: share * weight for name, weight in old.items()},
    }


LOOK = Look(
    targets={
        **_aged(_AGE),
        "lr:eyes/eye-scale-incr": 0.8,
        "lr:eyes/eye-height2-incr": 0.35,
        "head/head-oval": 0.25,
        "chin/chin-triangle": 0.15,
        "nose/nose-scale-horiz-decr": 0.2,
        "mouth/mouth-angles-up": 0.75,
        "mouth/mouth-upperlip-volume-incr": 0.25,
        "mouth/mouth-lowerlip-volume-incr": 0.25,
        "lr:cheek/cheek-bones-incr": 0.35,
        "lr:cheek/cheek-volume-incr": 0.25,
        "lr:ears/ear-wing-decr": 0.6,
    },
    skin="#d3a284",
    blush="#c4604f",
    blush_amount=0.35,
    lips="#a9525a",
    lip_tint=0.7,
    lid_tint="#8a5a4c",
    lid_amount=0.3,
    iris="#4f6d84",
    iris_inner="#9fb4b8",
    brows="#5d5048",
    brow_width=0.72,
    lash_length=0.8,
    roughness=0.54,
    scalp=ROOTS,
    seed=31,
)


def scene(package: Path) -> None:
    """Build the tutor, her light and the camera."""
    head = build(package, LOOK)
    _hair(head)
    wool = "#6a3550"
    cardigan = clothes.top(head, clothes.plain("cardigan", wool), rise=-1.2)
    clothes.crew_neck(head, cardigan, clothes.plain("hem", wool), -1.40)
    for side, ear in ((1.0, head.eye_left), (-1.0, head.eye_right)):
        _pearl(head, side, ear)
    z = head.eye_height
    kit.area_light("key", (4.5, -8, z + 3.2), (0, -1, z - 0.2), 760, 4.5, (1.0, 0.94, 0.87))
    kit.area_light("fill", (-7, -7, z - 0.3), (0, -1, z - 0.3), 330, 6.0, (0.88, 0.93, 1.0))
    kit.area_light("rim left", (5, 5, z + 3), (0, 0, z), 600, 3.0, (1.0, 0.90, 0.78))
    kit.area_light("rim right", (-5, 5, z + 3), (0, 0, z), 600, 3.0, (0.86, 0.92, 1.0))
    kit.ambient((0.60, 0.60, 0.60), 0.38)
    kit.camera((0, -18, z - 0.14), (0, 0, z - 0.22), 3.7)


def _hair(head: Head) -> None:
    """Locks that leave the hairline upwards, and lie back over the skull in waves."""
    rng = np.random.default_rng(LOOK.seed)
    places, normals = kit.positions(head.skin), kit.normals(head.skin)
    cover = scalp(places, head.eye_left) * (1 - head.ears)
    cover = cover * (places[:, 2] > head.eye_height - 0.75)
    centres = rng.choice(len(places), 420, p=cover / cover.sum())
    waves = rng.normal(0, 1, (len(centres), 4))
    roots = rng.choice(len(places), 26_000, p=cover / cover.sum())
    near = np.linalg.norm(places[roots][:, None] - places[centres][None], axis=2).argmin(1)
    count = 18
    steps = np.linspace(0, 1, count)
    groups: list[tuple[list[Array], list[Array]]] = [([], []) for _ in HAIR]
    for root, lock in zip(roots, near, strict=True):
        wave = waves[lock]
        height = places[root, 2] - head.eye_height
        crown = float(np.clip((height - 0.1) / 0.8, 0, 1))
        length = (0.45 + 0.75 * crown) * rng.uniform(0.85, 1.1)
        lift = (0.05 + 0.10 * crown) * (1 + 0.18 * wave[0]) * rng.uniform(0.75, 1.1)
        point = places[root]
        strand = [point - 0.01 * normals[root]]
        for t in steps[1:]:
            found = head.tree.find_nearest(tuple(point))
            normal = np.array(found[1])
            side = np.sign(point[0]) * min(abs(point[0]) * 2, 1)
            aim = np.array([0.30 * side + 0.14 * wave[1], 1.0, 0.55 * crown - 0.5 + 0.1 * wave[2]])
            aim += 0.10 * np.array([1, 0, 0]) * np.sin(6 * t + 2 * wave[3])
            aim -= normal * float(aim @ normal)
            aim /= max(float(np.linalg.norm(aim)), 1e-6)
            point = np.array(found[0]) + aim * (length / count)
            surface = head.tree.find_nearest(tuple(point))
            rise = lift * np.sin(np.pi * min(0.12 + 0.75 * t, 1.0)) + 0.004
            strand.append(np.array(surface[0]) + np.array(surface[1]) * rise)
        curve = np.array(strand)
        curve[1:] += rng.normal(0, 0.0035, (count - 1, 3))
        curves, radii = groups[int(rng.integers(len(HAIR)))]
        curves.append(curve)
        radii.append(0.0026 * (1 - 0.55 * steps))
    for number, (colour, (curves, radii)) in enumerate(zip(HAIR, groups, strict=True)):
        kit.strands(f"hair {number}", curves, radii, hair_material(f"hair {number}", colour))


def _pearl(head: Head, side: float, eye: Array) -> None:
    """A small pearl at the lobe of an ear."""
    places = kit.positions(head.skin)
    lobe = places[
        (head.ears > 0.5) & (places[:, 0] * side > 0) & (places[:, 2] < float(eye[2]) - 0.25)
    ]
    if not len(lobe):
        return
    at = lobe[lobe[:, 2] < lobe[:, 2].min() + 0.06].mean(0)
    angle = np.linspace(0, np.pi, 24)
    vertices, faces = kit.revolve(np.stack([np.sin(angle), np.cos(angle)], axis=1) * 0.045, 32)
    pearl = kit.principled("pearl", (0.86, 0.82, 0.76), Roughness=0.18, Specular_IOR_Level=0.6)
    kit.mesh("pearl", vertices + at + np.array([0.02 * side, -0.05, 0.02]), faces, pearl)
