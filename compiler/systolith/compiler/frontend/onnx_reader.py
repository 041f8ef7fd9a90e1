# SPDX-License-Identifier: Apache-2.0
"""An ONNX model as a float-level graph: every dialect starts here.

Constants are folded, dead nodes dropped, every node normalised (:mod:`.normalise`), every shape static.
QuantizeLinear and DequantizeLinear are ordinary nodes here: inputs ``(x, scale)`` or ``(x, scale, zero_point)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ..errors import ModelFileError, ShapeError, WeightError
from ..ir import Graph, Node, Tensor
from .fold import fold_constants, static_shapes, static_types
from .normalise import normalise
from .onnx_file import real_inputs
from .operators import node_name
from .opset import opset_version
from .raw import Expansion, RawNode

__all__ = ["read_graph"]

Arrays = dict[str, NDArray[Any]]


def read_graph(model: onnx.ModelProto, name: str, *, batched: bool = True) -> Graph:
    """The model as a graph of normalised nodes.

    ``batched`` says that axis 0 of every activation is the batch, which no operator may touch.

    Floating-point constants are float32 (half precision is widened); integers keep their type, which for the zero point
    of a QuantizeLinear is the network's integer type. ``Graph.integer_io`` names the inputs and outputs that are
    integers in the network's interface. Node names are unique.

    Raises:
        UnsupportedModel: an operator, attribute or operand that cannot be done exactly.
        ShapeError: a tensor without a static shape.
        WeightError: a constant with NaN or infinity.
    """
    model, constants = fold_constants(model)
    shapes = static_shapes(model)
    parameters = _parameters(model.graph, constants)
    raws = _live(model, shapes, constants)
    parts = [_normalise(replace(raw, batched=batched, parameters=parameters)) for raw in raws]
    nodes = _unique([node for part in parts for node in part.nodes])
    for part in parts:
        shapes |= part.shapes
        constants |= part.constants
    used = {name for node in nodes for name in node.inputs}
    inputs = tuple(value.name for value in real_inputs(model.graph) if value.name in used)
    outputs = tuple(value.name for value in model.graph.output)
    graph = Graph(
        name=name,
        inputs=inputs,
        outputs=outputs,
        nodes=tuple(nodes),
        tensors={tensor: Tensor(tensor, shapes[tensor]) for tensor in _activations(inputs, nodes)},
        constants=_checked(used, constants, nodes),
        integer_io=_integer_io(model.graph, {*inputs, *outputs}),
    )
    _check_io(graph)
    return graph


def _activations(inputs: Iterable[str], nodes: Iterable[Node]) -> Iterable[str]:
    return (*inputs, *(name for node in nodes for name in node.outputs))


def _parameters(graph: onnx.GraphProto, constants: Iterable[str]) -> set[str]:
    """What depends on no input: constants, and what nodes make of them alone."""
    known = {"", *constants}
    for node in graph.node:
        if known.issuperset(node.input):
            known.update(node.output)
    return known


def _live(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], constants: Arrays) -> list[RawNode]:
    """The nodes some output depends on, in order, with unused results renamed to the empty string."""
    needed = {value.name for value in model.graph.output}
    live: list[RawNode] = []
    types = static_types(model)
    for proto in reversed(model.graph.node):
        outputs = tuple(name if name in needed else "" for name in proto.output)
        if any(outputs):
            raw = _raw(proto, outputs, opset_version(model), shapes, constants)
            live.append(replace(raw, types=types))
            needed.update(name for name in proto.input if name)
    return live[::-1]


def _raw(
    proto: onnx.NodeProto,
    outputs: tuple[str, ...],
    opset: int,
    shapes: Mapping[str, tuple[int, ...]],
    constants: Arrays,
) -> RawNode:
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in proto.attribute}
    return RawNode(proto.op_type, node_name(proto), tuple(proto.input), outputs, attributes, opset, shapes, constants)


def _normalise(raw: RawNode) -> Expansion:
    for name in (*raw.inputs, *raw.outputs):
        if name and name not in raw.shapes:
            raise ShapeError(
                f"node {raw.name!r} ({raw.op}): the shape of tensor {name!r} is dynamic; accepted: shapes that follow "
                "from the input's; export with fixed shapes or simplify the model"
            )
    return normalise(raw)


def _unique(nodes: list[Node]) -> list[Node]:
    """ONNX allows two nodes of one name; refusals and reports do not."""
    seen: set[str] = set()
    result = []
    for node in nodes:
        name = node.name
        while name in seen:
            name = f"{name}:{node.outputs[0]}"
        seen.add(name)
        result.append(replace(node, name=name))
    return result


def _checked(used: set[str], constants: Arrays, nodes: list[Node]) -> Arrays:
    """The constants in use; raises WeightError for a NaN or an infinity."""
    result = {name: _widened(value) for name, value in constants.items() if name in used}
    for name, value in result.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            node = next(node for node in nodes if name in node.inputs)
            count = int(np.count_nonzero(~np.isfinite(value)))
            raise WeightError(
                f"node {node.name!r} ({node.op}): {count} of {value.size} elements of constant {name!r} are NaN or "
                "infinite; accepted: finite numbers; train or export the network again"
            )
    return result


def _widened(value: NDArray[Any]) -> NDArray[Any]:
    """Every floating-point type, half precision and bfloat16 included, as float32."""
    known = value.dtype.kind in "iub"
    return value if known or value.dtype.name.startswith(("int", "uint")) else value.astype(np.float32)


def _integer_io(graph: onnx.GraphProto, names: set[str]) -> frozenset[str]:
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)
    values = (value for value in (*graph.input, *graph.output) if value.name in names)
    return frozenset(value.name for value in values if value.type.tensor_type.elem_type not in floats)


def _check_io(graph: Graph) -> None:
    missing = next((name for name in graph.outputs if graph.producer(name) is None), None)
    if missing is not None:
        raise ModelFileError(f"graph {graph.name!r}: output {missing!r} is not computed by a node; accepted: a network")
    if not graph.inputs:
        raise ModelFileError(f"graph {graph.name!r}: no output depends on an input; accepted: a network with an input")
