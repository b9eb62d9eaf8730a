"""The ONNX networks give what the TFLite originals give."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from engine import models

pytestmark = pytest.mark.models

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is missing")

# Per output: the largest difference allowed, at the scale of the numbers (landmarks and boxes
# are pixels up to 256, scores and presence are logits, blendshapes lie in [0, 1]).
CASES = {
    "face_detector": ("face_detector", (-1, 1), (1e-3, 1e-3)),
    "face_landmarks": ("face_landmarks_detector", (0, 1), (5e-3, 1e-3, 1e-4)),
    "face_blendshapes": ("face_blendshapes", (0, 256), (1e-5,)),
}


@pytest.fixture(scope="module")
def bundle() -> dict[str, bytes]:
    from training.mediapipe import source

    try:
        return source.bundle()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the package with the originals cannot be downloaded: {error}")


def inputs(shape: tuple[int, ...], low: float, high: float) -> list[np.ndarray]:
    """Noise, and pictures smooth enough to drive the deeper layers."""
    rng = np.random.default_rng(0)
    noise = [rng.uniform(low, high, shape).astype(np.float32) for _ in range(3)]
    if len(shape) != 4:
        return noise
    side = shape[1]
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [0.5 + 0.5 * np.sin(2 * np.pi * (a * x + b * y)) for a, b in ((1, 2), (3, 1), (2, 2))]
    blob = np.exp(-(((x - 0.5) / 0.25) ** 2) - ((y - 0.5) / 0.35) ** 2)
    pictures = [np.stack(waves, axis=-1), np.stack([blob, blob * 0.8, blob * 0.6], axis=-1)]
    return noise + [(low + (high - low) * p[None]).astype(np.float32) for p in pictures]


@pytest.mark.parametrize("name", CASES)
def test_same_numbers_as_tflite(name: str, bundle: dict[str, bytes]) -> None:
    source, (low, high), tolerances = CASES[name]
    original = interpreter.Interpreter(model_content=bundle[f"{source}.tflite"], num_threads=1)
    original.allocate_tensors()
    (entry,) = original.get_input_details()
    session = models.session(f"{name}.onnx")
    for array in inputs(tuple(entry["shape"]), low, high):
        original.set_tensor(entry["index"], array)
        original.invoke()
        expected = [original.get_tensor(out["index"]) for out in original.get_output_details()]
        actual = session.run(None, {"input": array})
        for got, want, tolerance in zip(actual, expected, tolerances, strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=tolerance)


def test_conversion_reproduces_the_committed_files(bundle: dict[str, bytes]) -> None:
    pytest.importorskip("tflite")
    onnx = pytest.importorskip("onnx")
    from training.mediapipe.__main__ import NETWORKS
    from training.mediapipe.convert import convert
    from training.mediapipe.tflite_model import load

    for name, (source, outputs) in NETWORKS.items():
        model = convert(load(bundle[f"{source}.tflite"]), name, outputs)
        assert model == onnx.load(models.path(f"{name}.onnx"))
