"""Write engine/models/face_{detector,landmarks,blendshapes}.onnx and person_segmentation.onnx.

python -m training.mediapipe [--out DIRECTORY]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training.mediapipe.convert import convert
from training.mediapipe.source import originals
from training.mediapipe.tflite_model import load
from training.packages import sha256

# name in engine/models: name of the original, names for the outputs
NETWORKS = {
    "face_detector": ("face_detector", ["boxes", "scores"]),
    "face_landmarks": ("face_landmarks_detector", ["landmarks", "presence", "tongue_out"]),
    "face_blendshapes": ("face_blendshapes", ["scores"]),
    "person_segmentation": ("selfie_segmentation", ["person"]),
}
MODELS = Path(__file__).resolve().parents[2] / "engine" / "models"


def main() -> None:
    """Convert the networks and print their digests."""
    parser = argparse.ArgumentParser(prog="python -m training.mediapipe")
    parser.add_argument("--out", type=Path, default=MODELS)
    out: Path = parser.parse_args().out
    files = originals()
    for name, (source, outputs) in NETWORKS.items():
        model = convert(load(files[f"{source}.tflite"]), name, outputs)
        target = out / f"{name}.onnx"
        target.write_bytes(model.SerializeToString(deterministic=True))
        print(f"{sha256(target)}  {target.name}  {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
