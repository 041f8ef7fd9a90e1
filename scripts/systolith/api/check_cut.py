# SPDX-License-Identifier: Apache-2.0
"""Cut refused nodes out of a model, so that the rest can be examined as if they were not there.

What a cut node computed becomes an input of the model, what only it read becomes an output. In a quantised network the
nodes around it up to the next QuantizeLinear and DequantizeLinear go with it: without it they have no meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

import onnx
from onnx import helper

from systolith.compiler.frontend.operators import node_name

from .check_places import owner

__all__ = ["cut", "find"]

_ONE = onnx.TensorShapeProto.Dimension(dim_value=1)

_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")


def find(model: onnx.ModelProto, name: str) -> int | None:
    """The index of the node that a refusal calls ``name``; None if there is none."""
    names = [node_name(node) for node in model.graph.node]
    known = owner(name, names)
    if known is not None:
        return names.index(known)
    outputs = [index for index, node in enumerate(model.graph.node) if name in node.output]
    return outputs[0] if outputs else None


def cut(model: onnx.ModelProto, nodes: Set[int]) -> tuple[onnx.ModelProto, list[str]]:
    """The model without some nodes, and the names of those that cannot be examined without them.

    Args:
        model: with the shapes of its tensors in ``value_info``.
        nodes: indices of the nodes to cut.
    """
    gone = _surroundings(model.graph, set(nodes)) if _is_quantised(model.graph) else set(nodes)
    known = _known(model.graph)
    gone |= _behind_unknown(model.graph, gone, known)
    names = [node_name(model.graph.node[index]) for index in sorted(gone - nodes)]
    return _without(model, gone, known), names


def _is_quantised(graph: onnx.GraphProto) -> bool:
    return any(node.op_type in _QUANTISERS for node in graph.node)


def _known(graph: onnx.GraphProto) -> dict[str, onnx.ValueInfoProto]:
    """Tensors that can be inputs of a network: their shape is known, and it begins with a batch of 1."""
    values = (*graph.value_info, *graph.output)
    return {value.name: value for value in values if [*value.type.tensor_type.shape.dim][:1] == [_ONE]}


def _surroundings(graph: onnx.GraphProto, gone: set[int]) -> set[int]:
    """The nodes to cut with ``gone`` from a quantised network: to the next Q after it, and to the DQ before it."""
    gone = set(gone)
    for index, node in enumerate(graph.node):
        lost = {name for other in gone for name in graph.node[other].output}
        if index not in gone and lost.intersection(node.input) and not _starts_anew(graph, node, gone):
            gone.add(index)
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        readers = [at for at, other in enumerate(graph.node) if set(node.output).intersection(other.input)]
        needed = any(output.name in node.output for output in graph.output)
        if readers and not needed and node.op_type not in _QUANTISERS and gone.issuperset(readers):
            gone.add(index)
    return gone


def _starts_anew(graph: onnx.GraphProto, node: onnx.NodeProto, gone: set[int]) -> bool:
    """Whether a node that reads what was cut gives integers by itself: a Q whose own operand is float then."""
    producer = next((at for at in gone if node.input[0] in graph.node[at].output), None)
    return node.op_type == "QuantizeLinear" and (producer is None or graph.node[producer].op_type not in _QUANTISERS)


def _behind_unknown(graph: onnx.GraphProto, gone: Set[int], known: dict[str, onnx.ValueInfoProto]) -> set[int]:
    """Nodes that read a tensor whose shape nobody knows without the nodes that are gone."""
    lost = {name for index in gone for name in graph.node[index].output if name not in known}
    behind: set[int] = set()
    for index, node in enumerate(graph.node):
        if index not in gone and lost.intersection(node.input):
            behind.add(index)
            lost.update(node.output)
    return behind


def _without(model: onnx.ModelProto, gone: Set[int], known: dict[str, onnx.ValueInfoProto]) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    kept = [node for index, node in enumerate(model.graph.node) if index not in gone]
    del result.graph.node[:], result.graph.output[:]
    result.graph.node.extend(kept)
    made = {name for node in kept for name in node.output if name}
    read = {name for node in kept for name in node.input}
    lost = {name for index in gone for name in model.graph.node[index].output if name}
    result.graph.input.extend(_value(name, known) for name in sorted(lost & read))
    used = {name for node in kept if node.op_type != "Shape" for name in node.input}
    result.graph.output.extend(_value(name, known) for name in _ends(model.graph, gone, made, used))
    return result


def _ends(graph: onnx.GraphProto, gone: Set[int], made: Set[str], used: Set[str]) -> Iterator[str]:
    """The outputs of what is left: the network's, and what only cut nodes use."""
    own = [value.name for value in graph.output if value.name in made]
    cut_off = {name for index in gone for name in graph.node[index].input if name in made and name not in used}
    yield from own
    yield from sorted(cut_off.difference(own) & _activations(graph))


def _activations(graph: onnx.GraphProto) -> set[str]:
    """Tensors that depend on the elements of an input: shapes do not."""
    constants = {tensor.name for tensor in graph.initializer}
    known = {value.name for value in graph.input} - constants
    for node in graph.node:
        if node.op_type != "Shape" and known.intersection(node.input):
            known.update(node.output)
    return known


def _value(name: str, known: dict[str, onnx.ValueInfoProto]) -> onnx.ValueInfoProto:
    return known.get(name) or helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
