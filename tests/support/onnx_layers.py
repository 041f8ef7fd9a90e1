# SPDX-License-Identifier: Apache-2.0
"""The layers of a float ONNX network as plain data, so that two networks can be compared without their weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper, shape_inference

__all__ = ["Layer", "layers_of", "macs_of"]

_DEFAULTS: dict[str, dict[str, Any]] = {
    "Conv": {"strides": [1, 1], "dilations": [1, 1], "pads": [0] * 4, "group": 1},
    "AveragePool": {"strides": [1, 1], "pads": [0] * 4},
}


@dataclass(frozen=True)
class Layer:
    """A node: its operator, the sizes of its output and its weights, its window, and its MACs."""

    op: str
    output: tuple[int, ...]
    weights: tuple[int, ...]
    """Without a dense layer's order of axes: outputs first."""
    window: dict[str, Any]
    macs: int


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)


def _layer(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]], weights: tuple[int, ...]) -> Layer:
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Gemm":
        weights = weights if given.get("transB") else weights[::-1]
    output = shapes[node.output[0]]
    window = {name: given.get(name, default) for name, default in _DEFAULTS.get(node.op_type, {}).items()}
    macs = math.prod(output) * math.prod(weights[1:]) if weights else 0
    return Layer(node.op_type, output, weights, window | {"kernel": given.get("kernel_shape")}, macs)


def layers_of(model: onnx.ModelProto) -> list[Layer]:
    """All nodes in order."""
    graph = shape_inference.infer_shapes(model).graph
    shapes = {value.name: _shape(value) for value in (*graph.value_info, *graph.output)}
    constants = {constant.name: tuple(constant.dims) for constant in graph.initializer}
    return [
        _layer(node, shapes, next((constants[name] for name in node.input if name in constants), ()))
        for node in graph.node
    ]


def macs_of(model: onnx.ModelProto) -> int:
    """Multiplications with weights."""
    return sum(layer.macs for layer in layers_of(model))
