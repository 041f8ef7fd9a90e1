# SPDX-License-Identifier: Apache-2.0
"""Quantise the layers that go to the array: convolutions and matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ir import Node
from .quantise_builder import Builder
from .quantise_weights import quantise_weights
from .verify_integer import image_shape

__all__ = ["convolution", "matrix_product"]

Floats = NDArray[np.float64]


def convolution(builder: Builder, node: Node) -> None:
    """``Conv`` to ``QConv``."""
    given = node.attributes
    keys = ("strides", "pads", "dilations", "group")
    _check_constant(builder, node)
    weight = builder.graph.constant(node.inputs[1]).astype(np.float64)
    _emit(builder, node, weight, {"kernel": given["kernel_shape"], **{key: given[key] for key in keys}})


def matrix_product(builder: Builder, node: Node) -> None:
    """``Gemm`` to a ``QConv`` whose kernel covers its input."""
    channels, height, width = image_shape(builder.source(node.inputs[0]).shape)
    weight = builder.graph.constant(node.inputs[1]).astype(np.float64).reshape(-1, channels, height, width)
    geometry = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    _emit(builder, node, weight, {"kernel": (height, width), **geometry})


def _check_constant(builder: Builder, node: Node) -> None:
    for name in node.inputs[1:]:
        if name not in builder.graph.constants:
            raise builder.refuse(node, f"operand {name!r} is computed by the network", "constant weights and bias")


def _bias(builder: Builder, node: Node, outputs: int) -> Floats:
    if len(node.inputs) < 3:
        return np.zeros(outputs)
    return builder.graph.constant(node.inputs[2]).astype(np.float64).reshape(outputs)


def _mean_input(means: Floats, weight: Floats, group: int) -> Floats:
    """The mean of what each weight meets, of the weights' shape: each group reads its own channels."""
    by_group = means.reshape(group, *weight.shape[1:])
    return np.repeat(by_group, len(weight) // group, axis=0)


def _emit(builder: Builder, node: Node, weight: Floats, geometry: dict[str, Any]) -> None:
    source = builder.source(node.inputs[0])
    params = builder.params(node.inputs[0])
    bias = _bias(builder, node, len(weight))
    means = _mean_input(builder.means(node), weight, geometry["group"])
    layer = quantise_weights(node.name, weight, bias, means, params, builder.config, builder.covariance(node))
    products = params.scale * layer.scale
    result = builder.define(node.outputs[0], builder.factor_scale(float(products.max())))
    lo, hi = builder.bounds(node, result)
    constants = {"weight": layer.weight, "bias": layer.bias, "factor": products / result.scale}
    names = {role: builder.constant(node, role, value) for role, value in constants.items()}
    builder.emit(node, "QConv", (source.name,), {**names, **geometry, **builder.weight_width(node), "lo": lo, "hi": hi})
