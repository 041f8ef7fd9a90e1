# SPDX-License-Identifier: Apache-2.0
"""Quantise functions of each element: a table of all of them, or, for a positive factor, nothing but another scale.

A table's entry is the function of a dequantised integer, computed in float64, clamped and quantised to the output's
calibrated range (ties to even). Where the function is not a number, the nearest integer with a value decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .elementwise import UNARY, evaluate, nearest_defined
from .errors import UnsupportedModel
from .ir import Node, QParams
from .passes.affine import affine_of, is_rescaling
from .passes.fuse_activation import activation_bounds
from .passes.rewrite import is_constant
from .quantise_builder import Builder
from .quantise_pairs import product
from .quantise_vector import existing

__all__ = ["ELEMENTWISE_RULES", "multiplication", "table"]

Floats = NDArray[np.float64]

_TABLES = "an arch with tables (systolith archs)"


def table(builder: Builder, node: Node) -> None:
    """A function of one tensor to ``QTable``."""
    if not builder.config.tables:
        raise builder.refuse(
            node,
            "it needs a table of function values, which the engine lacks",
            f"{_TABLES}, or activations that are bounds or slopes (Relu, Clip, HardSigmoid, LeakyRelu, PRelu)",
        )
    source, params = existing(builder, node, node.inputs[0]), builder.params(node.inputs[0])
    result = builder.define(node.outputs[0])
    entries = _entries(builder, node, params, result)
    builder.emit(node, "QTable", (source,), {"table": builder.constant(node, "table", entries)})


def _entries(builder: Builder, node: Node, params: QParams, result: QParams) -> NDArray[np.int64]:
    x = params.scale * (np.arange(params.low, params.high + 1, dtype=np.float64) - params.zero_point)
    numbers = [builder.graph.constant(name).astype(np.float64).reshape(()) for name in node.inputs[1:]]
    y = evaluate(node, [x, *numbers])
    if np.isnan(y).all():
        raise builder.refuse(node, "its result is not a number anywhere", "functions with real values")
    y = nearest_defined(y)
    codes = np.rint(np.clip(y, *activation_bounds(node)) / result.scale) + result.zero_point
    return np.asarray(np.clip(codes, result.low, result.high), dtype=np.int64)


def multiplication(builder: Builder, node: Node) -> None:
    """A product with one positive number is the same integers on another scale; with a computed tensor a ``QMul``."""
    affine = affine_of(builder.graph, node)
    if affine is not None and is_rescaling(builder.graph, node):
        source, params = existing(builder, node, affine.source), builder.params(affine.source)
        builder.define_like(node.outputs[0], replace(params, scale=params.scale * float(affine.factor[0])))
        builder.emit(node, "View", (source,), {})
    elif node.op == "Mul" and not any(is_constant(builder.graph, name) for name in node.inputs):
        product(builder, node)
    else:
        raise _refusal(builder, node)


def _refusal(builder: Builder, node: Node) -> UnsupportedModel:
    shapes = [builder.graph.tensors[name].shape for name in node.inputs if name in builder.graph.tensors]
    if len(shapes) == 2:
        problem = f"it combines two computed tensors, {list(shapes[0])} and {list(shapes[1])}"
    else:
        problem = "its constant is neither a single number nor one per channel"
    accepted = "constants per channel, sums and products of two computed tensors, and any function of one tensor"
    return builder.refuse(node, problem, accepted)


ELEMENTWISE_RULES: Mapping[str, Callable[[Builder, Node], None]] = {
    **dict.fromkeys((*UNARY, "Elementwise"), table),
    **dict.fromkeys(("Div", "Max", "Min", "Mul", "PRelu", "Pow", "Sub"), multiplication),
}
"""The rule of each operator; ``Add`` has one in :mod:`.quantise_pairs`."""
