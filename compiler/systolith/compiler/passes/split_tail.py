# SPDX-License-Identifier: Apache-2.0
"""Leave what ends a network to the host: Softmax, LogSoftmax and ArgMax.

Before: such nodes between a layer and outputs of the network, not over the batch.
After: the output is what they read; ``host_tail`` says by output what the host still has to do. Where one layer has
several outputs behind it, copies (``Reshape`` to the same shape) tell them apart, under the outputs' own names.
Refused: either anywhere else.
"""

from __future__ import annotations

from ..borders import HOST_OPERATORS, HostStep
from ..errors import UnsupportedModel
from ..ir import Graph, Node, Tensor
from .rewrite import prune

__all__ = ["split_tail"]


def split_tail(graph: Graph) -> Graph:
    """The graph up to the final nodes that the host computes; raises UnsupportedModel for one that is not final."""
    if not any(node.op in HOST_OPERATORS for node in graph.nodes):
        return graph
    tails = {name: _tail(graph, name) for name in graph.outputs}
    _check(graph, {node.name for tail in tails.values() for node in tail})
    for name, tail in tails.items():
        if tail:
            graph = _cut(graph, name, tail)
    return prune(graph.with_(integer_io=graph.integer_io & {*graph.inputs, *graph.outputs}))


def _tail(graph: Graph, output: str) -> list[Node]:
    """The nodes of the host before an output, in order."""
    tail: list[Node] = []
    while (node := graph.producer(output)) is not None and node.op in HOST_OPERATORS:
        tail.insert(0, node)
        output = node.inputs[0]
    return tail


def _cut(graph: Graph, output: str, tail: list[Node]) -> Graph:
    """The graph whose output is what the tail reads."""
    source = tail[0].inputs[0]
    others = [name for name in graph.outputs if name != output]
    nodes, name = graph.nodes, source
    if source in others:
        # the tail's nodes go, so that its output's name is free for the copy
        kept = [node for node in nodes if node.outputs != (output,)]
        shape = graph.tensors[source].shape
        nodes = (*kept, Node("Reshape", f"{output}:copy", (source,), (output,), {"shape": shape}, ("Identity",)))
        graph, name = graph.with_(tensors={**graph.tensors, output: Tensor(output, shape)}), output
    outputs = tuple(name if own == output else own for own in graph.outputs)
    steps = (*(HostStep.of(node).text for node in tail), *graph.host_tail.get(output, ()))
    rest = {own: known for own, known in graph.host_tail.items() if own != output}
    return graph.with_(nodes=nodes, outputs=outputs, host_tail={**rest, name: steps})


def _check(graph: Graph, final: set[str]) -> None:
    for node in graph.nodes:
        if node.op not in HOST_OPERATORS:
            continue
        readers = [reader.name for reader in graph.consumers(node.outputs[0])]
        if node.name not in final or not final.issuperset(readers):
            problem = "it is not one of the network's last operators"
        elif graph.producer(node.inputs[0]) is None:
            problem = "there is nothing before it"
        else:
            continue
        raise UnsupportedModel(
            node=node.name,
            op=node.op,
            problem=problem,
            accepted=f"a final {node.op} over any axis but the batch, which the host computes",
            advice="cut the network before it",
        )
