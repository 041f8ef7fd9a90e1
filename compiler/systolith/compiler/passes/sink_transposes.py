# SPDX-License-Identifier: Apache-2.0
"""Move transposes towards the outputs, through operators that work on every element or along single axes.

Before: ``Transpose -> operator``; several operands must all be transposed alike, or be constant.
After: the operator with its axes renamed, ``operator -> Transpose``. The constants are transposed.
A Reshape that only adds or drops axes of one element is such an operator too. Does not apply to operators whose axes
have fixed meanings (Conv, pools, MatMul, ...), nor to what the host does at the network's end if a Transpose were left
behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from ..borders import HOST_OPERATORS
from ..elementwise import BINARY, UNARY
from ..ir import Graph, Node, Tensor
from .rewrite import is_constant, rebuild
from .transposes import QUANTISERS, before, constant_before, fresh, renumbered, source_of, transpose_node

__all__ = ["sink_transposes"]

Perm = tuple[int, ...]
Attributes = dict[str, Any]


@dataclass(frozen=True)
class _Sunk:
    """An operator's attributes on the transposed tensor, and the permutation that its result still needs."""

    attributes: Attributes
    perm: Perm


def sink_transposes(graph: Graph) -> Graph:
    """The graph with every Transpose as late as it can be."""
    while True:
        changed = next((new for node in graph.nodes if (new := _sunk(graph, node)) is not None), None)
        if changed is None:
            return graph
        graph = changed


def _common_perm(graph: Graph, node: Node) -> Perm | None:
    """How all operands that are not constant are transposed; None if they are not, or not alike."""
    found = [source_of(graph, name) for name in node.inputs if not is_constant(graph, name)]
    perms = {None if one is None else one[1] for one in found}
    return next(iter(perms)) if len(perms) == 1 else None


def _sunk(graph: Graph, node: Node) -> Graph | None:
    """The graph with one operator in front of its operands' Transpose."""
    perm = _common_perm(graph, node)
    if perm is None or len(perm) < _rank(graph, node):
        return None
    if node.op in HOST_OPERATORS and _is_stranded(graph, node, perm):
        return None
    new, result = _renamed(graph, node, perm), node.outputs[0]
    if new is None:
        return None
    inner, constants = fresh(graph, f"{result}:before"), dict[str, NDArray[Any]]()
    inputs = tuple(_operand(graph, name, perm, constants) for name in node.inputs)
    if node.op in QUANTISERS:
        inputs = (inputs[0], *node.inputs[1:])
    shape = before(graph.tensors[result].shape, new.perm)
    tensors = {**graph.tensors, inner: Tensor(inner, shape)}
    early = replace(node, inputs=inputs, outputs=(inner,), attributes=new.attributes)
    late = transpose_node(fresh(graph, f"{node.name}:transpose"), inner, result, new.perm, ("Transpose",))
    nodes = [part for other in graph.nodes for part in ((early, late) if other is node else (other,))]
    return rebuild(graph.with_(tensors=tensors), nodes, constants)


def _is_stranded(graph: Graph, node: Node, perm: Perm) -> bool:
    """Whether a Transpose would come out at the network's end, with nothing but the host's operators before it."""
    new, result = _renamed(graph, node, perm), node.outputs[0]
    if new is None or node.op not in (*HOST_OPERATORS, *QUANTISERS) or new.perm == tuple(range(len(new.perm))):
        return False
    readers = graph.consumers(result)
    return result in graph.outputs or all(_is_stranded(graph, reader, new.perm) for reader in readers)


def _renamed(graph: Graph, node: Node, perm: Perm) -> _Sunk | None:
    """What becomes of an operator; None where it has to stay."""
    if node.op == "Reshape":
        return _reshape(graph, node, perm)
    rule = _RULES.get(node.op)
    return None if rule is None else rule(node, perm)


def _reshape(graph: Graph, node: Node, perm: Perm) -> _Sunk | None:
    """Axes of one element go behind the batch, whatever their place in the result."""
    shape = tuple(node.attributes["shape"])
    places = renumbered(graph.tensors[node.inputs[0]].shape, shape)
    if places is None or perm[0] != 0:
        return None
    keys = [(0 if axis is None else perm[axis]) if number else -1 for number, axis in enumerate(places)]
    order = sorted(range(len(keys)), key=lambda number: keys[number])
    late = tuple(order.index(number) for number in range(len(keys)))
    return _Sunk({"shape": before(shape, late)}, late)


def _rank(graph: Graph, node: Node) -> int:
    """The largest rank of the operands: a constant of more axes gives the result axes that the operand lacks."""
    shapes = (graph.constant(x).shape if is_constant(graph, x) else graph.tensors[x].shape for x in node.inputs)
    return max(map(len, shapes))


def _operand(graph: Graph, name: str, perm: Perm, constants: dict[str, NDArray[Any]]) -> str:
    found = source_of(graph, name)
    if found is not None:
        return found[0]
    value = graph.constant(name)
    if value.size == 1:
        return name
    label = fresh(graph, f"{name}:{''.join(map(str, perm))}")
    constants[label] = constant_before(value, len(perm), perm)
    return label


# ---------------------------------------------------------------------- what becomes of each operator


def _elementwise(node: Node, perm: Perm) -> _Sunk:
    return _Sunk(dict(node.attributes), perm)


def _along_axis(node: Node, perm: Perm) -> _Sunk:
    return _Sunk({**node.attributes, "axis": perm[node.attributes["axis"]]}, perm)


def _pad(node: Node, perm: Perm) -> _Sunk:
    pads, rank = node.attributes["pads"], len(perm)
    moved = (*before(pads[:rank], perm), *before(pads[rank:], perm))
    return _Sunk({**node.attributes, "pads": moved}, perm)


def _slice(node: Node, perm: Perm) -> _Sunk:
    return _Sunk({key: before(node.attributes[key], perm) for key in ("starts", "steps")}, perm)


def _resize(node: Node, perm: Perm) -> _Sunk:
    roi, rank = node.attributes["roi"], len(perm)
    moved = (*before(roi[:rank], perm), *before(roi[rank:], perm)) if roi else ()
    return _Sunk({**node.attributes, "scales": before(node.attributes["scales"], perm), "roi": moved}, perm)


def _without(perm: Perm, gone: set[int]) -> Perm:
    """A permutation of the axes that stay, by the operand's numbers of those that go."""
    left = [axis for axis in perm if axis not in gone]
    return tuple(sorted(left).index(axis) for axis in left)


def _reduce(node: Node, perm: Perm) -> _Sunk:
    axes = tuple(sorted(perm[axis] for axis in node.attributes["axes"]))
    late = perm if node.attributes["keepdims"] else _without(perm, set(axes))
    return _Sunk({**node.attributes, "axes": axes}, late)


def _argmax(node: Node, perm: Perm) -> _Sunk:
    axis = perm[node.attributes["axis"]]
    late = perm if node.attributes["keepdims"] else _without(perm, {axis})
    return _Sunk({**node.attributes, "axis": axis}, late)


_RULES: Mapping[str, Callable[[Node, Perm], _Sunk]] = {
    **dict.fromkeys((*UNARY, *BINARY, "Clip", "Identity", "Relu"), _elementwise),
    "ArgMax": _argmax,
    "Concat": _along_axis,
    **dict.fromkeys(QUANTISERS, _along_axis),
    "Pad": _pad,
    "ReduceMean": _reduce,
    "Resize": _resize,
    "Slice": _slice,
    **dict.fromkeys(("LogSoftmax", "Softmax"), _along_axis),
}
"""What becomes of each operator behind a Transpose."""
