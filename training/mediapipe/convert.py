"""Rewrite a TFLite graph as ONNX, operator by operator.

TFLite keeps pictures channels last, ONNX convolutions want them channels first. Every 4-D value
is therefore written in the layout its operator produces, and transposed only where a reader
needs the other one. Weights that TFLite stores in 16 bits stay in 16 bits, with a Cast that the
runtime folds when it loads the model: half the size, the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import tflite
from onnx import TensorProto, helper, numpy_helper

from training.mediapipe.tflite_model import Model, Operator

__all__ = ["convert"]

OPSET = 17
IR_VERSION = 8

_Array = npt.NDArray[Any]
_Handler = Callable[["_Graph", Operator], None]
_HANDLERS: dict[str, _Handler] = {}


def convert(model: Model, name: str, outputs: list[str]) -> onnx.ModelProto:
    """Rewrite a model.

    Args:
        model: the TFLite graph; it has one input, which becomes ``input``.
        name: of the ONNX graph.
        outputs: names to give to the outputs, in order.

    Raises:
        KeyError: an operator is not supported.
    """
    graph = _Graph(model)
    (source,) = model.inputs
    graph.write(source, "input", channels_first=False)
    for operator in model.operators:
        _HANDLERS[operator.kind](graph, operator)
    for tensor, output in zip(model.outputs, outputs, strict=True):
        graph.nodes.append(helper.make_node("Identity", [graph.read(tensor)], [output]))
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [_value_info("input", model.tensors[source].shape)],
            [
                _value_info(output, model.tensors[tensor].shape)
                for tensor, output in zip(model.outputs, outputs, strict=True)
            ],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="training.mediapipe",
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _value_info(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


class _Graph:
    """The ONNX graph while it grows, and where each TFLite tensor is found in it."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names: dict[tuple[int, bool], str] = {}  # (tensor, channels first) -> ONNX name
        self._constants = {
            index: tensor.constant
            for index, tensor in enumerate(model.tensors)
            if tensor.constant is not None
        }
        self._count = 0

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self.model.tensors[tensor].shape

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output; returns the name of the output."""
        output = self._fresh(kind)
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def weights(self, array: _Array) -> str:
        """Append a constant; returns its name as float32 when it holds floats."""
        name = self._fresh("weights")
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return self.node("Cast", name, to=TensorProto.FLOAT) if array.dtype == np.float16 else name

    def constant(self, tensor: int) -> _Array:
        """The value of a constant tensor, in the precision it is stored in."""
        return self._constants[tensor]

    def is_constant(self, tensor: int) -> bool:
        return tensor in self._constants

    def set_constant(self, tensor: int, value: _Array) -> None:
        self._constants[tensor] = value

    def write(self, tensor: int, name: str, *, channels_first: bool) -> None:
        """Say which ONNX value holds a tensor; the layout counts for 4-D ones only."""
        self._names[tensor, channels_first and len(self.shape(tensor)) == 4] = name

    def read(self, tensor: int, *, channels_first: bool = False) -> str:
        """Name of the ONNX value of a tensor in the wanted layout."""
        if not self.is_constant(tensor) and len(self.shape(tensor)) != 4:
            channels_first = False
        key = (tensor, channels_first)
        if key not in self._names:
            if self.is_constant(tensor):
                value = self.constant(tensor)
                self._names[key] = self.weights(_first(value) if channels_first else value)
            else:
                order = [0, 3, 1, 2] if channels_first else [0, 2, 3, 1]
                other = self._names[tensor, not channels_first]
                self._names[key] = self.node("Transpose", other, perm=order)
        return self._names[key]

    def prefers_channels_first(self, operator: Operator) -> bool:
        """Whether an elementwise operator can work on the layout its inputs come in."""
        computed = [tensor for tensor in operator.inputs if not self.is_constant(tensor)]
        return all(len(self.shape(tensor)) == 4 for tensor in computed) and any(
            (tensor, True) in self._names for tensor in computed
        )

    def activate(self, name: str, options: Any) -> str:
        """Append the activation that is fused into a TFLite operator."""
        match options.FusedActivationFunction() if options else 0:
            case tflite.ActivationFunctionType.NONE:
                return name
            case tflite.ActivationFunctionType.RELU:
                return self.node("Relu", name)
            case other:
                raise KeyError(f"activation {other}")

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"{kind.lower()}_{self._count}"


def _first(constant: _Array) -> _Array:
    """Channels-first form of a constant that broadcasts against a 4-D value."""
    match constant.ndim:
        case 4:
            return constant.transpose(0, 3, 1, 2)
        case 3:
            return constant.transpose(2, 0, 1)
        case 1 if constant.size > 1:
            return constant.reshape(-1, 1, 1)
        case _:
            return constant


def _handles(*kinds: str) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        _HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


@_handles("DEQUANTIZE")
def _dequantize(graph: _Graph, operator: Operator) -> None:
    # 16-bit weights; ``_Graph.weights`` adds the Cast where they are used.
    graph.set_constant(operator.outputs[0], graph.constant(operator.inputs[0]))


@_handles("CONV_2D", "DEPTHWISE_CONV_2D")
def _convolution(graph: _Graph, operator: Operator) -> None:
    source, kernel_tensor, bias_tensor = operator.inputs
    kernel, bias = graph.constant(kernel_tensor), graph.constant(bias_tensor)
    options = operator.options
    strides = [options.StrideH(), options.StrideW()]
    size = kernel.shape[1:3]
    depthwise = operator.kind == "DEPTHWISE_CONV_2D"
    pointwise = not depthwise and size == (1, 1) and strides == [1, 1]
    if pointwise and not graph.prefers_channels_first(operator):
        product = graph.node("MatMul", graph.read(source), graph.weights(kernel[:, 0, 0].T))
        result = graph.node("Add", product, graph.weights(bias))
    else:
        # output, height, width, input -> ONNX: output, input, height, width;
        # depthwise has 1, height, width, channels
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
        dilations = [options.DilationHFactor(), options.DilationWFactor()]
        result = graph.node(
            "Conv",
            graph.read(source, channels_first=True),
            graph.weights(kernel.transpose(order)),
            graph.weights(bias),
            kernel_shape=size,
            strides=strides,
            dilations=dilations,
            group=graph.shape(source)[3] if depthwise else 1,
            pads=_padding(options, graph.shape(source), size, strides, dilations),
        )
        pointwise = False
    result = graph.activate(result, options)
    graph.write(operator.outputs[0], result, channels_first=not pointwise)


@_handles("MAX_POOL_2D")
def _max_pool(graph: _Graph, operator: Operator) -> None:
    (source,) = operator.inputs
    options = operator.options
    size = (options.FilterHeight(), options.FilterWidth())
    strides = [options.StrideH(), options.StrideW()]
    result = graph.node(
        "MaxPool",
        graph.read(source, channels_first=True),
        kernel_shape=size,
        strides=strides,
        pads=_padding(options, graph.shape(source), size, strides, [1, 1]),
    )
    graph.write(operator.outputs[0], graph.activate(result, options), channels_first=True)


@_handles("AVERAGE_POOL_2D")
def _average_pool(graph: _Graph, operator: Operator) -> None:
    (source,) = operator.inputs
    options = operator.options
    # Padded cells count in ONNX and not in TFLite, so there must be none.
    if options.Padding() != tflite.Padding.VALID:
        raise KeyError("padded average")
    result = graph.node(
        "AveragePool",
        graph.read(source, channels_first=True),
        kernel_shape=(options.FilterHeight(), options.FilterWidth()),
        strides=[options.StrideH(), options.StrideW()],
    )
    graph.write(operator.outputs[0], graph.activate(result, options), channels_first=True)


@_handles("RESIZE_BILINEAR")
def _resize(graph: _Graph, operator: Operator) -> None:
    source, _ = operator.inputs
    if operator.options.AlignCorners() or not operator.options.HalfPixelCenters():
        raise KeyError("resize without half-pixel centres")
    _, height, width, channels = graph.shape(operator.outputs[0])
    size = graph.weights(np.array([1, channels, height, width], np.int64))
    result = graph.node(
        "Resize",
        graph.read(source, channels_first=True),
        "",
        "",
        size,
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    graph.write(operator.outputs[0], result, channels_first=True)


@_handles("Convolution2DTransposeBias")
def _transposed_convolution(graph: _Graph, operator: Operator) -> None:
    # MediaPipe's own operator: TFLite's TRANSPOSE_CONV and a bias; padding, width, height of steps
    source, kernel_tensor, bias_tensor = operator.inputs
    padding, *strides = operator.options
    kernel = graph.constant(kernel_tensor)  # output, height, width, input
    if list(kernel.shape[1:3]) != strides[::-1] or padding not in (1, 2):
        raise KeyError("transposed convolution whose kernels overlap")
    result = graph.node(
        "ConvTranspose",
        graph.read(source, channels_first=True),
        graph.weights(kernel.transpose(3, 0, 1, 2)),
        graph.weights(graph.constant(bias_tensor)),
        kernel_shape=kernel.shape[1:3],
        strides=strides[::-1],
    )
    graph.write(operator.outputs[0], result, channels_first=True)


def _padding(
    options: Any,
    shape: tuple[int, ...],
    size: tuple[int, int],
    strides: list[int],
    dilations: list[int],
) -> list[int]:
    """ONNX pads (top, left, bottom, right) of TFLite's VALID or SAME.

    SAME keeps ceil(side / stride) pixels and puts the odd pixel of padding at the end.
    """
    if options.Padding() == tflite.Padding.VALID:
        return [0, 0, 0, 0]
    before, after = [], []
    for side, kernel, stride, dilation in zip(shape[1:3], size, strides, dilations, strict=True):
        reach = (-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1
        total = max(reach - side, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before + after


@_handles("PAD")
def _pad(graph: _Graph, operator: Operator) -> None:
    source, amounts = operator.inputs
    per_axis = graph.constant(amounts)[[0, 3, 1, 2]]
    pads = graph.weights(per_axis.T.reshape(-1).astype(np.int64))
    result = graph.node("Pad", graph.read(source, channels_first=True), pads)
    graph.write(operator.outputs[0], result, channels_first=True)


@_handles("PRELU")
def _prelu(graph: _Graph, operator: Operator) -> None:
    source, slope = (graph.read(tensor, channels_first=True) for tensor in operator.inputs)
    graph.write(operator.outputs[0], graph.node("PRelu", source, slope), channels_first=True)


_UNARY = {
    "RELU": "Relu",
    "HARD_SWISH": "HardSwish",
    "LOGISTIC": "Sigmoid",
    "NEG": "Neg",
    "SQRT": "Sqrt",
}


@_handles(*_UNARY)
def _unary(graph: _Graph, operator: Operator) -> None:
    kind = _UNARY[operator.kind]
    first = graph.prefers_channels_first(operator)
    result = graph.node(kind, graph.read(operator.inputs[0], channels_first=first))
    graph.write(operator.outputs[0], result, channels_first=first)


@_handles("RSQRT")
def _rsqrt(graph: _Graph, operator: Operator) -> None:
    result = graph.node("Reciprocal", graph.node("Sqrt", graph.read(operator.inputs[0])))
    graph.write(operator.outputs[0], result, channels_first=False)


@_handles("ADD", "SUB", "MUL", "DIV")
def _binary(graph: _Graph, operator: Operator) -> None:
    first = graph.prefers_channels_first(operator)
    left, right = (graph.read(tensor, channels_first=first) for tensor in operator.inputs)
    result = graph.activate(graph.node(operator.kind.title(), left, right), operator.options)
    graph.write(operator.outputs[0], result, channels_first=first)


@_handles("SQUARED_DIFFERENCE")
def _squared_difference(graph: _Graph, operator: Operator) -> None:
    first = graph.prefers_channels_first(operator)
    left, right = (graph.read(tensor, channels_first=first) for tensor in operator.inputs)
    difference = graph.node("Sub", left, right)
    result = graph.node("Mul", difference, difference)
    graph.write(operator.outputs[0], result, channels_first=first)


@_handles("MEAN")
def _mean(graph: _Graph, operator: Operator) -> None:
    source, axes = operator.inputs
    result = graph.node(
        "ReduceMean",
        graph.read(source),
        axes=graph.constant(axes).reshape(-1).tolist(),
        keepdims=int(operator.options.KeepDims()),
    )
    graph.write(operator.outputs[0], result, channels_first=False)


@_handles("SUM")
def _sum(graph: _Graph, operator: Operator) -> None:
    source, axes = operator.inputs
    result = graph.node(
        "ReduceSum",
        graph.read(source),
        graph.weights(graph.constant(axes).reshape(-1).astype(np.int64)),
        keepdims=int(operator.options.KeepDims()),
    )
    graph.write(operator.outputs[0], result, channels_first=False)


@_handles("TRANSPOSE")
def _transpose(graph: _Graph, operator: Operator) -> None:
    source, order = operator.inputs
    result = graph.node("Transpose", graph.read(source), perm=graph.constant(order).tolist())
    graph.write(operator.outputs[0], result, channels_first=False)


@_handles("RESHAPE")
def _reshape(graph: _Graph, operator: Operator) -> None:
    result = _reshaped(graph, graph.read(operator.inputs[0]), operator)
    graph.write(operator.outputs[0], result, channels_first=False)


def _reshaped(graph: _Graph, name: str, operator: Operator) -> str:
    shape = np.array(graph.shape(operator.outputs[0]), np.int64)
    return graph.node("Reshape", name, graph.weights(shape))


@_handles("CONCATENATION")
def _concatenation(graph: _Graph, operator: Operator) -> None:
    names = [graph.read(tensor) for tensor in operator.inputs]
    result = graph.node("Concat", *names, axis=operator.options.Axis())
    graph.write(operator.outputs[0], result, channels_first=False)


@_handles("STRIDED_SLICE")
def _strided_slice(graph: _Graph, operator: Operator) -> None:
    source, *bounds = operator.inputs
    begin, end, step = (graph.constant(bound).astype(np.int64) for bound in bounds)
    options = operator.options
    for axis in range(len(begin)):
        if options.BeginMask() >> axis & 1:
            begin[axis] = 0
        if options.EndMask() >> axis & 1:
            end[axis] = np.iinfo(np.int64).max
        if options.ShrinkAxisMask() >> axis & 1:
            end[axis] = begin[axis] + 1
    axes = np.arange(len(begin), dtype=np.int64)
    inputs = (graph.weights(values) for values in (begin, end, axes, step))
    sliced = graph.node("Slice", graph.read(source), *inputs)
    # drops the axes of the shrink mask
    result = _reshaped(graph, sliced, operator)
    graph.write(operator.outputs[0], result, channels_first=False)
