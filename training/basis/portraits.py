"""Draw the faces that the tests look at: tests/data/*.webp.

    python -m training.basis.portraits [--out DIRECTORY]

They show nobody: the MakeHuman base head, CC0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from training.basis.makehuman import load_mesh, load_units
from training.basis.render import portrait_camera, render

TARGET = Path(__file__).resolve().parents[2] / "tests" / "data"
SIZE = 640

# file: (yaw in degrees, strength of face units)
PORTRAITS: dict[str, tuple[float, dict[str, float]]] = {
    "face_front": (0, {}),
    "face_smile": (
        0,
        {
            "jawOpen": 0.12,
            **dict.fromkeys(("mouthSmileLeft", "mouthSmileRight"), 0.5),
            **dict.fromkeys(("mouthUpperUpLeft", "mouthUpperUpRight"), 0.7),
            **dict.fromkeys(("mouthLowerDownLeft", "mouthLowerDownRight"), 0.5),
        },
    ),
    "face_turned_20": (20, {}),
    "face_turned_50": (-50, {}),
}


def main() -> None:
    """Draw every portrait."""
    parser = argparse.ArgumentParser(prog="python -m training.basis.portraits")
    parser.add_argument("--out", type=Path, default=TARGET)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    mesh = load_mesh()
    units = load_units(len(mesh.vertices))
    for name, (yaw, strengths) in PORTRAITS.items():
        moves = [strength * units[unit] for unit, strength in strengths.items()]
        vertices = mesh.vertices + np.sum(moves, axis=0) if moves else mesh.vertices
        camera = portrait_camera(mesh, size=2 * SIZE, yaw=yaw)
        image = cv2.resize(
            render(mesh, vertices, camera), (SIZE, SIZE), interpolation=cv2.INTER_AREA
        )
        file = out / f"{name}.webp"
        cv2.imwrite(str(file), image, [cv2.IMWRITE_WEBP_QUALITY, 92])
        print(f"{file.name}  {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
