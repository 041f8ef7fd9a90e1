# SPDX-License-Identifier: Apache-2.0
"""Execute a float-level graph in numpy, any number of samples at once: the float reference and the calibrator's eye."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import elementwise, float_ops
from .errors import ShapeError, VerifyError
from .interp_movement import SHAPED_RULES
from .ir import Graph, Node

__all__ = ["run_float"]

Arrays = dict[str, NDArray[Any]]


def run_float(
    graph: Graph,
    feeds: Mapping[str, NDArray[Any]],
    keep: Collection[str] | None = None,
    dtype: DTypeLike = np.float32,
) -> Arrays:
    """Run a float-level graph on a batch.

    Args:
        graph: any float-level graph, before or after passes; QuantizeLinear and DequantizeLinear are executed too.
        feeds: for each graph input an array (B, ...), B free, the other axes as in the graph.
        keep: the tensors to return; the graph's outputs if None.
        dtype: float32 or float64, the arithmetic of the whole run.

    Returns:
        The kept tensors by name, each with batch B.

    Raises:
        ShapeError: an input is missing or its shape does not fit.
    """
    values: Arrays = {name: _feed(graph, name, feeds, dtype) for name in graph.inputs}
    wanted = set(graph.outputs if keep is None else keep)
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    for index, node in enumerate(graph.nodes):
        values[node.outputs[0]] = _execute(graph, node, values, dtype)
        for name in {*node.inputs, *node.outputs} - wanted:
            if last.get(name, index) <= index:
                values.pop(name, None)
    return {name: value for name, value in values.items() if name in wanted}


def _feed(graph: Graph, name: str, feeds: Mapping[str, NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
    expected = graph.tensors[name].shape
    if name not in feeds:
        raise ShapeError(f"input {name!r} is missing; expected an array of shape [batch, {_list(expected[1:])}]")
    array = np.asarray(feeds[name])
    if array.shape[1:] != expected[1:] or array.ndim != len(expected):
        raise ShapeError(f"input {name!r}: expected shape [batch, {_list(expected[1:])}], got [{_list(array.shape)}]")
    return array.astype(dtype)


def _list(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _execute(graph: Graph, node: Node, values: Arrays, dtype: DTypeLike) -> NDArray[Any]:
    operands = [_operand(graph, name, values, dtype) for name in node.inputs]
    if node.op in SHAPED_RULES:
        result = SHAPED_RULES[node.op](graph, node, operands)
    elif node.op in _RULES:
        result = _RULES[node.op](node, operands)
    else:
        raise VerifyError(f"node {node.name!r}: operator {node.op} is not of the float level")
    lower, upper = node.attributes.get("lower", -math.inf), node.attributes.get("upper", math.inf)
    return result if lower == -math.inf and upper == math.inf else np.clip(result, lower, upper)


def _operand(graph: Graph, name: str, values: Arrays, dtype: DTypeLike) -> NDArray[Any]:
    if name in values:
        return values[name]
    value = graph.constant(name)
    return value.astype(dtype) if value.dtype.kind == "f" else value


Rule = Callable[[Node, list[NDArray[Any]]], NDArray[Any]]


def _conv(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    bias = operands[2] if len(operands) > 2 else None
    given = {key: node.attributes[key] for key in ("strides", "pads", "dilations", "group")}
    return float_ops.conv(operands[0], operands[1], bias, **given)


def _conv_transpose(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    bias = operands[2] if len(operands) > 2 else None
    given = {key: node.attributes[key] for key in ("strides", "pads", "dilations", "group", "output_padding")}
    return float_ops.conv_transpose(operands[0], operands[1], bias, **given)


def _gemm(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    given = node.attributes
    return float_ops.gemm(
        operands[0],
        operands[1],
        operands[2] if len(operands) > 2 else None,
        alpha=given["alpha"],
        beta=given["beta"],
        trans_a=given["transA"],
        trans_b=given["transB"],
    )


def _matmul(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    """``transA`` exchanges the last two axes of the first operand."""
    left = operands[0].swapaxes(-1, -2) if node.attributes.get("transA", False) else operands[0]
    return np.asarray(left @ operands[1])


def _window(node: Node) -> dict[str, Any]:
    given = {key: node.attributes[key] for key in ("strides", "pads", "dilations")}
    return {**given, "kernel": node.attributes["kernel_shape"]}


def _max_pool(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    return float_ops.max_pool(operands[0], **_window(node))


def _average_pool(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    counted = node.attributes["count_include_pad"]
    return float_ops.average_pool(operands[0], **_window(node), count_include_pad=counted)


def _batch_norm(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    x, scale, bias, mean, variance = operands
    return float_ops.batch_norm(x, scale, bias, mean, variance, node.attributes["epsilon"])


def _reshape(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    """More elements than the shape says are more samples."""
    x, shape = operands[0], node.attributes["shape"]
    return x.reshape(shape) if x.size == math.prod(shape) else x.reshape(-1, *shape[1:])


def _quantize(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    """Without a zero point the integers are those of ``dtype``, or of 8 bits and unsigned."""
    given = node.attributes
    zero_point = operands[2] if len(operands) > 2 else np.zeros((), given.get("dtype", "uint8"))
    block, ties = given.get("block_size", 0), given.get("ties_with_zero", False)
    return float_ops.quantize(operands[0], operands[1], zero_point, given["axis"], block, ties_with_zero=ties)


def _dequantize(node: Node, operands: list[NDArray[Any]]) -> NDArray[Any]:
    given = node.attributes
    zero_point = operands[2] if len(operands) > 2 else np.zeros((), np.uint8)
    return float_ops.dequantize(operands[0], operands[1], zero_point, given["axis"], given.get("block_size", 0))


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(elementwise.ELEMENTWISE_ATTRIBUTES, elementwise.evaluate),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": lambda node, operands: np.clip(operands[0], node.attributes["min"], node.attributes["max"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DequantizeLinear": _dequantize,
    "Gemm": _gemm,
    "Identity": lambda node, operands: operands[0],
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "QuantizeLinear": _quantize,
    "Relu": lambda node, operands: np.maximum(operands[0], 0),
    "Reshape": _reshape,
    "LogSoftmax": lambda node, operands: float_ops.log_softmax(operands[0], node.attributes["axis"]),
    "Softmax": lambda node, operands: float_ops.softmax(operands[0], node.attributes["axis"]),
}
