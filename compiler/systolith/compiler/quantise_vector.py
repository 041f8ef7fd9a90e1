# SPDX-License-Identifier: Apache-2.0
"""Quantise the nodes that go to the vector unit or nowhere: pools, lone activations, reshapes."""

from __future__ import annotations

from typing import Any

from .errors import QuantisationError
from .ir import Node, QParams, Tensor
from .quantise_builder import Builder
from .verify_integer import image_shape

__all__ = ["average_pool", "existing", "max_pool", "requantisation", "reshape"]


def max_pool(builder: Builder, node: Node) -> None:
    """``MaxPool`` to a ``QPool`` of factor 1: exact."""
    params = builder.define_like(node.outputs[0], builder.params(node.inputs[0]))
    _pool(builder, node, params, {"mode": "max", "factor": 1.0, "count_include_pad": False})


def average_pool(builder: Builder, node: Node) -> None:
    """``AveragePool`` to a ``QPool`` with its own scale: averages spread less than what they are made of."""
    source = builder.params(node.inputs[0])
    _check_sum(builder, node, source)
    params = builder.define(node.outputs[0], builder.factor_scale(source.scale))
    counted = node.attributes["count_include_pad"]
    extra = {"mode": "average", "factor": source.scale / params.scale, "count_include_pad": counted}
    _pool(builder, node, params, extra)


def _pool(builder: Builder, node: Node, params: QParams, extra: dict[str, Any]) -> None:
    given = node.attributes
    lo, hi = builder.bounds(node, params)
    window = {"kernel": given["kernel_shape"], **{key: given[key] for key in ("strides", "pads", "dilations")}}
    builder.emit(node, "QPool", (builder.source(node.inputs[0]).name,), {**window, **extra, "lo": lo, "hi": hi})


def _check_sum(builder: Builder, node: Node, source: QParams) -> None:
    kh, kw = node.attributes["kernel_shape"]
    needed = (kh * kw * (source.high - source.low)).bit_length() + 1
    if needed > builder.config.acc_bits:
        raise QuantisationError(
            f"node {node.name!r} ({node.origin[0]}): sums of {kh} x {kw} elements need {needed} accumulator bits; "
            f"accepted: {builder.config.acc_bits}; use an arch with a wider acc_bits or two smaller pools"
        )


def requantisation(builder: Builder, node: Node) -> None:
    """A ``Relu`` or ``Clip`` that stands alone to ``QRequant``."""
    source = existing(builder, node, node.inputs[0])
    scale = builder.params(node.inputs[0]).scale
    params = builder.define(node.outputs[0], builder.factor_scale(scale))
    lo, hi = builder.bounds(node, params)
    builder.emit(node, "QRequant", (source,), {"factor": scale / params.scale, "lo": lo, "hi": hi})


def existing(builder: Builder, node: Node, name: str) -> str:
    """An operand that exists at the integer level in the shape the node sees."""
    source = builder.source(name)
    if source.shape != builder.graph.tensors[name].shape:
        raise builder.refuse(node, f"it reads {name!r}, a flattened map", "a Gemm behind a Flatten of a map")
    return source.name


def reshape(builder: Builder, node: Node) -> None:
    """``Reshape`` to ``View`` where nothing moves; nothing at all in front of a Gemm."""
    source, shape = builder.source(node.inputs[0]), builder.graph.tensors[node.outputs[0]].shape
    if len(shape) in (2, 3, 4) and _keeps_channels(builder, node, source, shape):
        builder.define_like(node.outputs[0], builder.params(node.inputs[0]))
        builder.emit(node, "View", (source.name,), {})
        return
    _check_readers(builder, node, source)
    builder.alias(node.outputs[0], source)


def _keeps_channels(builder: Builder, node: Node, source: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether pixels stay what they are, in their order; in front of a Gemm the map's own shape is the better one."""
    before, after = image_shape(source.shape), image_shape(shape)
    gemms = {reader.op for reader in builder.graph.consumers(node.outputs[0])} == {"Gemm"}
    return before == after or before[0] == after[0] and not gemms


def _check_readers(builder: Builder, node: Node, source: Tensor) -> None:
    readers = builder.graph.consumers(node.outputs[0])
    other = next((reader for reader in readers if reader.op not in ("Gemm", "Reshape")), None)
    if other is None and readers and node.outputs[0] not in builder.graph.outputs:
        return
    reader = "a network output" if other is None else f"read by {other.name!r} ({other.op})"
    raise builder.refuse(
        node,
        f"it turns {list(source.shape)} into {list(builder.graph.tensors[node.outputs[0]].shape)}, which is {reader}",
        "reshapes between (N, C) and (N, C, 1, 1), and any that flattens in front of a Gemm or MatMul",
        "give the network's input the shape its first layer needs",
    )
