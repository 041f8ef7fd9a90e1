# SPDX-License-Identifier: Apache-2.0
"""What a legal graph is, at the float and at the integer level; called after every pass.

A graph that breaks a rule here is the fault of the pass that made it. What a user's network may not contain is refused
earlier, with a message for the user.
"""

from __future__ import annotations

from collections.abc import Mapping

from .elementwise import ELEMENTWISE_ATTRIBUTES
from .errors import VerifyError
from .ir import Graph, Node
from .verify_integer import ATTRIBUTES as INTEGER_ATTRIBUTES
from .verify_integer import OPTIONAL as INTEGER_OPTIONAL
from .verify_integer import check_integer_node, check_integer_tensors

__all__ = ["is_integer_level", "verify"]

_WINDOW = frozenset({"kernel_shape", "strides", "pads", "dilations"})

_FLOAT_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    **ELEMENTWISE_ATTRIBUTES,
    "ArgMax": frozenset({"axis", "keepdims", "select_last_index"}),
    "AveragePool": _WINDOW | {"count_include_pad"},
    "BatchNormalization": frozenset({"epsilon"}),
    "Clip": frozenset({"min", "max"}),
    "Concat": frozenset({"axis"}),
    "Conv": _WINDOW | {"group"},
    "ConvTranspose": _WINDOW | {"group", "output_padding"},
    "DequantizeLinear": frozenset({"axis"}),
    "Gemm": frozenset({"alpha", "beta", "transA", "transB"}),
    "Identity": frozenset(),
    "MatMul": frozenset(),
    "MaxPool": _WINDOW,
    "Pad": frozenset({"pads", "value", "mode"}),
    "QuantizeLinear": frozenset({"axis"}),
    "ReduceMean": frozenset({"axes", "keepdims"}),
    "Relu": frozenset(),
    "Reshape": frozenset({"shape"}),
    "Resize": frozenset(
        {"mode", "coordinate", "nearest", "scales", "roi", "cubic_coeff_a", "exclude_outside", "antialias"}
    )
    | {"extrapolation_value"},
    "Slice": frozenset({"starts", "steps"}),
    "LogSoftmax": frozenset({"axis"}),
    "Softmax": frozenset({"axis"}),
    "Transpose": frozenset({"perm"}),
}
"""The float level: each operator and the attributes it must have."""

_QUANTISER = frozenset({"dtype", "block_size", "ties_with_zero"})

_FLOAT_OPTIONAL: Mapping[str, frozenset[str]] = {
    "DequantizeLinear": _QUANTISER,
    "MatMul": frozenset({"transA"}),
    "QuantizeLinear": _QUANTISER,
}
"""Attributes that an operator of the float level has only where they say something."""

_BOUNDS = frozenset({"lower", "upper"})
"""What a fused activation leaves behind, on any operator of the float level."""


def is_integer_level(graph: Graph) -> bool:
    """Whether the graph is quantised: its inputs carry quantisation parameters."""
    return any(graph.tensors[name].qparams is not None for name in graph.inputs if name in graph.tensors)


def verify(graph: Graph, stage: str = "import", *, batch: int | None = 1) -> None:
    """Check a graph against the rules of its level.

    Args:
        graph: float or integer level; the level follows from its inputs.
        stage: what made the graph, for the message.
        batch: the size of axis 0 of every activation; None where axis 0 has no meaning of its own.

    Raises:
        VerifyError: naming the stage, the node and the rule.
    """
    try:
        _check_structure(graph)
        if batch is not None:
            _check_batch(graph, batch)
        integer = is_integer_level(graph)
        for node in graph.nodes:
            _check_attributes(node, INTEGER_ATTRIBUTES if integer else _FLOAT_ATTRIBUTES, integer=integer)
        if integer:
            check_integer_tensors(graph)
            for node in graph.nodes:
                check_integer_node(graph, node)
    except VerifyError as error:
        raise VerifyError(f"{stage}, graph {graph.name!r}: {error}") from error


def _check_structure(graph: Graph) -> None:
    """Names are unique, defined before use, and have a shape."""
    defined = {*graph.inputs, *graph.constants}
    names: set[str] = set()
    for node in graph.nodes:
        _check_node(graph, node, defined, names)
        defined.update(node.outputs)
        names.add(node.name)
    for name in (*graph.inputs, *graph.outputs):
        if name not in defined or name not in graph.tensors:
            raise VerifyError(f"input or output {name!r} is not a tensor of the graph")


def _check_batch(graph: Graph, batch: int) -> None:
    for tensor in graph.tensors.values():
        if tensor.shape[:1] != (batch,) and not is_parameter(graph, tensor.name):
            raise VerifyError(f"tensor {tensor.name!r} has shape {tensor.shape}, expected batch {batch}")


def is_parameter(graph: Graph, name: str) -> bool:
    """Whether a tensor is computed from constants alone, as a dequantised weight is: it has no batch."""
    producer = graph.producer(name)
    return producer is not None and all(
        source in graph.constants or is_parameter(graph, source) for source in producer.inputs
    )


def _check_node(graph: Graph, node: Node, defined: set[str], names: set[str]) -> None:
    if node.name in names:
        raise VerifyError(f"two nodes are named {node.name!r}")
    for name in node.inputs:
        if name not in defined:
            raise VerifyError(f"node {node.name!r} ({node.op}) reads {name!r} before it is computed")
    if len(node.outputs) != 1:
        raise VerifyError(f"node {node.name!r} ({node.op}) has {len(node.outputs)} outputs, expected 1")
    if node.outputs[0] in defined or node.outputs[0] not in graph.tensors:
        raise VerifyError(f"node {node.name!r} ({node.op}): output {node.outputs[0]!r} exists twice or has no shape")


def _check_attributes(node: Node, table: Mapping[str, frozenset[str]], *, integer: bool) -> None:
    expected = table.get(node.op)
    if expected is None:
        raise VerifyError(f"node {node.name!r}: {node.op} is not of the {'integer' if integer else 'float'} level")
    extra = (INTEGER_OPTIONAL if integer else _FLOAT_OPTIONAL).get(node.op, frozenset())
    optional = extra if integer else extra | _BOUNDS
    given = frozenset(node.attributes)
    if not expected <= given or given - expected - optional:
        raise VerifyError(f"node {node.name!r} ({node.op}) has attributes {sorted(given)}, expected {sorted(expected)}")
