"""Write engine/models/face_basis.npz.

python -m training.basis [--out FILE]
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.face import topology
from training.basis.interior import measure
from training.basis.makehuman import load_mesh, load_units
from training.basis.render import portrait_camera
from training.basis.transfer import (
    attach,
    fit_similarity,
    locate,
    mirror_indices,
    mirror_name,
)
from training.mediapipe.geometry import parse
from training.mediapipe.source import bundle
from training.packages import sha256

TARGET = Path(__file__).resolve().parents[2] / "engine" / "models" / "face_basis.npz"
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"


def make() -> dict[str, npt.NDArray[Any]]:
    """The arrays of the basis; engine/models/MODELS.md describes them."""
    face = parse(bundle()[GEOMETRY])
    canonical = face.vertices.astype(np.float64)
    mirror = mirror_indices(canonical)
    mesh = load_mesh()
    units = load_units(len(mesh.vertices))
    camera = portrait_camera(mesh)

    weights = attach(mesh, camera, locate(mesh, camera, mirror), units["jawOpen"])
    neutral = weights @ mesh.vertices
    neutral = (neutral + neutral[mirror] * [-1, 1, 1]) / 2
    moved = {name: weights @ unit for name, unit in units.items()}
    deltas = np.stack(
        [(moved[name] + moved[mirror_name(name)][mirror] * [-1, 1, 1]) / 2 for name in units]
    )

    to_canonical = fit_similarity(neutral[: topology.MESH_POINTS], canonical)
    neutral = to_canonical.points(neutral)
    rest = _with_irises(canonical, neutral)
    print(
        f"rms distance of the heads {_rms(neutral - rest):.2f} cm, scale {to_canonical.scale:.3f}"
    )
    return {
        "names": np.array(list(units)),
        "B": to_canonical.vectors(deltas).astype(np.float16),
        "neutral": rest.astype(np.float32),
        "neutral_makehuman": neutral.astype(np.float32),
        "mirror": mirror.astype(np.int16),
        "triangles": face.triangles,
        "uv": face.uv,
        **measure(mesh, units["jawOpen"], to_canonical, neutral),
    }


def _with_irises(
    canonical: npt.NDArray[np.float64], neutral: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Complete the canonical face, which has no irises, by MakeHuman's, put between its lids."""
    rest = np.concatenate([canonical, neutral[topology.MESH_POINTS :]])
    for iris, upper, lower in (
        (topology.RIGHT_IRIS, topology.RIGHT_EYE_UPPER, topology.RIGHT_EYE_LOWER),
        (topology.LEFT_IRIS, topology.LEFT_EYE_UPPER, topology.LEFT_EYE_LOWER),
    ):
        lids = [*upper, *lower]
        rest[list(iris)] += (canonical[lids] - neutral[lids]).mean(axis=0)
    return rest


def _rms(vectors: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt((vectors**2).sum(axis=-1).mean()))


def write_npz(file: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Like ``np.savez_compressed``, but the same arrays give the same bytes on any day."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue())


def main() -> None:
    """Derive the basis and print its digest."""
    parser = argparse.ArgumentParser(prog="python -m training.basis")
    parser.add_argument("--out", type=Path, default=TARGET)
    out: Path = parser.parse_args().out
    write_npz(out, make())
    print(f"{sha256(out)}  {out.name}  {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
