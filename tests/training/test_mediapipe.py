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
    "person_segmentation": ("selfie_segmentation", (0, 1), (1e-4,)),
}


@pytest.fixture(scope="module")
def originals() -> dict[str, bytes]:
    from training.mediapipe import source

    try:
        return source.originals()
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


def builtin_only(content: bytes) -> bytes:
    """The same model without MediaPipe's own operator, which only MediaPipe can run.

    Its ``Convolution2DTransposeBias`` is what TFLite calls ``TRANSPOSE_CONV``, with the inputs in
    another order and the size of the result as an input.
    """
    flatbuffers = pytest.importorskip("flatbuffers")
    from ai_edge_litert import schema_py_generated as tflite

    model = tflite.ModelT.InitFromPackedBuf(content, 0)
    kind = tflite.BuiltinOperator.TRANSPOSE_CONV
    codes = [i for i, c in enumerate(model.operatorCodes) if c.customCode]
    if not codes:
        return content
    (code,) = codes
    assert bytes(model.operatorCodes[code].customCode) == b"Convolution2DTransposeBias"
    model.operatorCodes[code].customCode = None
    model.operatorCodes[code].builtinCode = model.operatorCodes[code].deprecatedBuiltinCode = kind
    model.operatorCodes[code].version = 3  # takes a bias
    (graph,) = model.subgraphs
    for operator in graph.operators:
        if operator.opcodeIndex != code:
            continue
        data, kernel, bias = operator.inputs
        shape = graph.tensors[operator.outputs[0]].shape
        size = tflite.BufferT()
        size.data = np.frombuffer(np.array(shape, np.int32).tobytes(), np.uint8)
        model.buffers.append(size)
        tensor = tflite.TensorT()
        tensor.shape, tensor.type = [4], tflite.TensorType.INT32
        tensor.buffer, tensor.name = len(model.buffers) - 1, b"size"
        graph.tensors.append(tensor)
        operator.inputs = [len(graph.tensors) - 1, kernel, data, bias]
        operator.customOptions = None
        operator.builtinOptionsType = tflite.BuiltinOptions.TransposeConvOptions
        operator.builtinOptions = tflite.TransposeConvOptionsT()
        operator.builtinOptions.padding = tflite.Padding.VALID
        operator.builtinOptions.strideH = operator.builtinOptions.strideW = 2
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("name", CASES)
def test_same_numbers_as_tflite(name: str, originals: dict[str, bytes]) -> None:
    source, (low, high), tolerances = CASES[name]
    content = builtin_only(originals[f"{source}.tflite"])
    original = interpreter.Interpreter(model_content=content, num_threads=1)
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


def test_conversion_reproduces_the_committed_files(originals: dict[str, bytes]) -> None:
    pytest.importorskip("tflite")
    onnx = pytest.importorskip("onnx")
    from training.mediapipe.__main__ import NETWORKS
    from training.mediapipe.convert import convert
    from training.mediapipe.tflite_model import load

    for name, (source, outputs) in NETWORKS.items():
        model = convert(load(originals[f"{source}.tflite"]), name, outputs)
        assert model == onnx.load(models.path(f"{name}.onnx"))
