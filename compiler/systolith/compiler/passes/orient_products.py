# SPDX-License-Identifier: Apache-2.0
"""Which way round products of two tensors are computed: such that few transposes are left.

The engine multiplies ``A (M x K)`` as M channels of K pixels, or transposed, with ``B (K x N)`` as K channels of N
pixels; a transposed ``A`` costs it little, any other Transpose is a layer of its own.

Before: ``MatMul(A, B)`` with Transposes in front and behind.
After: ``Transpose(MatMul(Transpose(B), Transpose(A)))`` where ``A`` is a Transpose, and ``B`` too or the result is
wanted transposed; the other way round where a Transpose of the result would stay; a Transpose in front of the first
operand as the node's ``transA``; rows that a Reshape makes of channels stay channels where columns become some.
"""

from __future__ import annotations

from dataclasses import replace

from ..elementwise import BINARY, UNARY
from ..ir import Graph, Node, Tensor
from .remove_transposes import remove_transposes
from .rewrite import fusable_producer, is_constant, rebuild
from .spell_products import EXCHANGE
from .transposes import fresh, source_of, transpose_node

__all__ = ["orient_products"]

_THROUGH = frozenset({*UNARY, *BINARY, "Clip", "Identity", "Relu"})


def orient_products(graph: Graph) -> Graph:
    """The graph with its products the way round that needs fewer transposes."""
    products = [node.name for node in graph.nodes if _is_product(graph, node)]
    for name in products:
        node = next(node for node in graph.nodes if node.name == name)
        if _turns(graph, node):
            graph = remove_transposes(_turned(graph, node))
    for name in products:
        node = next(node for node in graph.nodes if node.name == name)
        graph = _absorbed(_settled(graph, node), name)
    for node in graph.nodes:
        graph = _as_channels(graph, node) if node.op == "Transpose" else graph
    return graph


def _is_product(graph: Graph, node: Node) -> bool:
    return node.op == "MatMul" and not any(is_constant(graph, name) for name in node.inputs)


def _exchanged(graph: Graph, name: str) -> str | None:
    """What a tensor is the exchange of two axes of; None if it is none."""
    found = source_of(graph, name)
    return found[0] if found is not None and found[1] == EXCHANGE else None


def _turns(graph: Graph, node: Node) -> bool:
    left, right = (_exchanged(graph, name) is not None for name in node.inputs)
    return left and (right or _is_wanted_turned(graph, node.outputs[0]))


def _is_wanted_turned(graph: Graph, name: str) -> bool:
    """Whether a Transpose of a tensor would meet another one, behind operators on every element."""
    for reader in graph.consumers(name):
        if reader.op == "Transpose":
            return True
        if reader.op == "MatMul" and reader.inputs[0] == name and _exchanged(graph, reader.inputs[1]) is not None:
            return True
        if reader.op in _THROUGH and _is_wanted_turned(graph, reader.outputs[0]):
            return True
    return False


def _operand(graph: Graph, node: Node, name: str) -> tuple[str, list[Node], dict[str, Tensor]]:
    """An operand transposed, with the node for it where it has to be made."""
    source = _exchanged(graph, name)
    if source is not None:
        return source, [], {}
    label = fresh(graph, f"{name}:{node.name}")
    shape = graph.tensors[name].shape
    made = transpose_node(fresh(graph, f"{label}:node"), name, label, EXCHANGE, ("Transpose",))
    return label, [made], {label: Tensor(label, (shape[0], shape[2], shape[1]))}


def _turned(graph: Graph, node: Node) -> Graph:
    """The product of the transposed operands, in the other order, and its Transpose."""
    (first, before, one), (second, after, other) = (_operand(graph, node, name) for name in node.inputs[::-1])
    shape, inner = graph.tensors[node.outputs[0]].shape, fresh(graph, f"{node.outputs[0]}:before")
    early = replace(node, inputs=(first, second), outputs=(inner,))
    late = transpose_node(fresh(graph, f"{node.name}:transpose"), inner, node.outputs[0], EXCHANGE, ("Transpose",))
    tensors = {**graph.tensors, **one, **other, inner: Tensor(inner, (shape[0], shape[2], shape[1]))}
    new = [*before, *after, early, late]
    nodes = [part for each in graph.nodes for part in (new if each is node else (each,))]
    return rebuild(graph.with_(tensors=tensors), nodes)


def _settled(graph: Graph, node: Node) -> Graph:
    """The product without a Transpose behind it, if no more is needed in front."""
    readers, (left, right) = graph.consumers(node.outputs[0]), node.inputs
    alone = len(readers) == 1 and node.outputs[0] not in graph.outputs and _exchanged(graph, readers[0].outputs[0])
    if not alone or (_exchanged(graph, left) is None and _exchanged(graph, right) is None):
        return graph
    (first, before, one), (second, after, other) = (_operand(graph, node, name) for name in (right, left))
    new = [*before, *after, replace(node, inputs=(first, second), outputs=readers[0].outputs)]
    rest = [each for each in graph.nodes if each is not readers[0]]
    nodes = [part for each in rest for part in (new if each is node else (each,))]
    return rebuild(graph.with_(tensors={**graph.tensors, **one, **other}), nodes)


def _as_channels(graph: Graph, node: Node) -> Graph:
    """An exchange of rows and columns of a single channel that makes columns channels, with rows that are channels."""
    shape, perm = graph.tensors[node.inputs[0]].shape, node.attributes["perm"]
    single = len(shape) == 4 and shape[1] == 1 and perm[:2] == (0, 3) and 1 not in shape[2:]
    made = fusable_producer(graph, node.inputs[0], ("Reshape",))
    if not single or made is None or graph.tensors[made.inputs[0]].shape[1:2] != shape[2:3]:
        return graph
    # axis 2 is of one element now, axis 1 what it was
    order = tuple({1: 2, 2: 1}.get(axis, axis) for axis in perm)
    label, size = fresh(graph, f"{node.inputs[0]}:{node.name}"), (shape[0], shape[2], 1, shape[3])
    early = Node("Reshape", fresh(graph, f"{label}:node"), node.inputs, (label,), {"shape": size}, node.origin)
    late = replace(node, inputs=(label,), attributes={"perm": order})
    nodes = [part for each in graph.nodes for part in ((early, late) if each is node else (each,))]
    return rebuild(graph.with_(tensors={**graph.tensors, label: Tensor(label, size)}), nodes)


def _absorbed(graph: Graph, name: str) -> Graph:
    """A Transpose in front of the first operand as an attribute."""
    node = next(node for node in graph.nodes if node.name == name)
    source = _exchanged(graph, node.inputs[0])
    inputs = node.inputs if source is None else (source, node.inputs[1])
    new = replace(node, inputs=inputs, attributes={**node.attributes, "transA": source is not None})
    return rebuild(graph, [new if each is node else each for each in graph.nodes])
