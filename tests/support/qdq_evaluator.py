# SPDX-License-Identifier: Apache-2.0
"""A second opinion on QDQ networks: the ONNX file evaluated node by node in double precision.

It knows nothing of this project's importer: operators come from the onnx package's reference implementation, fed with
float64, and QuantizeLinear and DequantizeLinear are written out below from the operator's definition. The integers of
each QuantizeLinear can be replaced by given ones, so that every node is judged on the same inputs as ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

__all__ = ["Judgement", "evaluate"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Judgement:
    """A QuantizeLinear's output: what double precision gives, and what was given in its place."""

    tensor: str
    expected: Array
    given: Array

    @property
    def distance(self) -> int:
        """Largest difference, in LSB."""
        return int(np.abs(self.expected.astype(np.int64) - self.given.astype(np.int64)).max())

    @property
    def differing(self) -> float:
        """The share of elements that differ."""
        return float((self.expected != self.given).mean())


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, Array], given: Mapping[str, Array]) -> Iterator[Judgement]:
    """Walk through the network; wherever ``given`` has a quantised tensor, judge it and go on with it."""
    values: dict[str, Array] = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    values |= feeds
    for node in model.graph.node:
        operands = [values[name] if name else None for name in node.input]
        result = _apply(model, node, operands)
        name = node.output[0]
        if node.op_type == "QuantizeLinear" and name in given:
            ours = given[name].reshape(result.shape)
            yield Judgement(name, result, ours)
            result = ours
        values[name] = result


def _apply(model: onnx.ModelProto, node: onnx.NodeProto, operands: list[Array | None]) -> Array:
    if node.op_type == "QuantizeLinear":
        return _quantise(node, operands)
    if node.op_type == "DequantizeLinear":
        return _dequantise(node, operands)
    return _reference(model, node, operands)


def _quantiser(node: onnx.NodeProto, operands: list[Array | None], default: type) -> tuple[Array, Array, Array]:
    """The tensor, its scale in float64 and its zero point, the latter two broadcastable."""
    x, scale, *rest = operands
    assert x is not None
    assert scale is not None
    zero = rest[0] if rest and rest[0] is not None else np.zeros(scale.shape, dtype=default)
    axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
    if scale.size == 1:
        return x, scale.astype(np.float64).reshape(()), zero.reshape(())
    shape = [-1 if index == axis % x.ndim else 1 for index in range(x.ndim)]
    return x, scale.astype(np.float64).reshape(shape), zero.reshape(shape)


def _quantise(node: onnx.NodeProto, operands: list[Array | None]) -> Array:
    declared = next((entry.i for entry in node.attribute if entry.name == "output_dtype"), onnx.TensorProto.UINT8)
    x, scale, zero = _quantiser(node, operands, helper.tensor_dtype_to_np_dtype(declared).type)
    limits = np.iinfo(zero.dtype)
    rounded = np.rint(x.astype(np.float64) / scale) + zero.astype(np.float64)
    return np.asarray(np.clip(rounded, limits.min, limits.max).astype(zero.dtype))


def _dequantise(node: onnx.NodeProto, operands: list[Array | None]) -> Array:
    x, scale, zero = _quantiser(node, operands, np.int32)
    return np.asarray((x.astype(np.float64) - zero.astype(np.float64)) * scale)


def _reference(model: onnx.ModelProto, node: onnx.NodeProto, operands: list[Array | None]) -> Array:
    """One operator in double precision; maxima and limits of integers are integers again."""
    exact = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice", "Pad", "Transpose", "Concat", "Resize"}
    present = [
        (name, value if node.op_type in exact else value.astype(np.float64))
        for name, value in zip(node.input, operands, strict=True)
        if value is not None
    ]
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, value.shape) for name, value in present]
    outputs = [helper.make_empty_tensor_value_info(node.output[0])]
    graph = helper.make_graph([node], "one", infos, outputs)
    single = helper.make_model(graph, opset_imports=model.opset_import)
    (result,) = ReferenceEvaluator(single).run(None, dict(present))
    first = operands[0]
    if node.op_type in ("MaxPool", "Clip") and first is not None:
        return np.asarray(result).astype(first.dtype)
    return np.asarray(result)
