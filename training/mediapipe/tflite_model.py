"""A TFLite file as plain Python objects."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

_DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT64: np.int64,
}
_OPERATOR_NAMES = {
    number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)
}
_OPTIONS = {
    "CONV_2D": tflite.Conv2DOptions,
    "DEPTHWISE_CONV_2D": tflite.DepthwiseConv2DOptions,
    "MAX_POOL_2D": tflite.Pool2DOptions,
    "AVERAGE_POOL_2D": tflite.Pool2DOptions,
    "RESIZE_BILINEAR": tflite.ResizeBilinearOptions,
    "ADD": tflite.AddOptions,
    "SUB": tflite.SubOptions,
    "MUL": tflite.MulOptions,
    "DIV": tflite.DivOptions,
    "MEAN": tflite.ReducerOptions,
    "SUM": tflite.ReducerOptions,
    "CONCATENATION": tflite.ConcatenationOptions,
    "STRIDED_SLICE": tflite.StridedSliceOptions,
}


@dataclass(frozen=True)
class Tensor:
    """A value in the graph; ``constant`` is None when it is computed."""

    shape: tuple[int, ...]
    constant: npt.NDArray[Any] | None


@dataclass(frozen=True)
class Operator:
    """A step of the graph; inputs and outputs are indices of tensors.

    ``kind`` is the name of the operator; of an operator that TFLite does not know, its own.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True)
class Model:
    """The only subgraph of the file, in the order of execution."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def load(data: bytes) -> Model:
    """Read a TFLite file with one subgraph."""
    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    return Model(
        tensors=tuple(
            _tensor(model, graph.Tensors(index)) for index in range(graph.TensorsLength())
        ),
        operators=tuple(
            _operator(model, graph.Operators(index)) for index in range(graph.OperatorsLength())
        ),
        inputs=_indices(graph.InputsAsNumpy()),
        outputs=_indices(graph.OutputsAsNumpy()),
    )


def _indices(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _tensor(model: Any, tensor: Any) -> Tensor:
    shape = _indices(tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
    buffer = model.Buffers(tensor.Buffer())
    if not buffer.DataLength():
        return Tensor(shape, None)
    values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPES[tensor.Type()])
    return Tensor(shape, values.reshape(shape))


def _operator(model: Any, operator: Any) -> Operator:
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Files written before there were more than 127 operators use the deprecated field.
    kind = _OPERATOR_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
    if kind == "CUSTOM":
        return Operator(
            code.CustomCode().decode(),
            _indices(operator.InputsAsNumpy()),
            _indices(operator.OutputsAsNumpy()),
            struct.unpack("<3i", operator.CustomOptionsAsNumpy().tobytes()),
        )
    options = None
    if kind in _OPTIONS and (table := operator.BuiltinOptions()) is not None:
        options = _OPTIONS[kind]()
        options.Init(table.Bytes, table.Pos)
    return Operator(
        kind, _indices(operator.InputsAsNumpy()), _indices(operator.OutputsAsNumpy()), options
    )
