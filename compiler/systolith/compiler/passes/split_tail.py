# SPDX-License-Identifier: Apache-2.0
"""Leave a final Softmax to the host.

Before: a ``Softmax`` over the channels of a (N, C) tensor that makes the network's only output.
After: the output is the Softmax's input; ``host_tail`` says what the host still has to do.
Refused: a Softmax anywhere else.
"""

from __future__ import annotations

from ..errors import UnsupportedModel
from ..ir import Graph, Node
from .rewrite import rebuild

__all__ = ["split_tail"]


def split_tail(graph: Graph) -> Graph:
    """The graph up to its final Softmax; raises UnsupportedModel for a Softmax that is not final."""
    softmax = next((node for node in graph.nodes if node.op == "Softmax"), None)
    if softmax is None:
        return graph
    _check(graph, softmax)
    rest = [node for node in graph.nodes if node is not softmax]
    tail = (softmax.op, *graph.host_tail)
    return split_tail(rebuild(graph.with_(outputs=softmax.inputs, host_tail=tail), rest))


def _check(graph: Graph, softmax: Node) -> None:
    shape = graph.tensors[softmax.inputs[0]].shape
    where = f"axis {softmax.attributes['axis']} of {list(shape)}"
    if graph.outputs != softmax.outputs or graph.consumers(softmax.outputs[0]):
        problem = "it is not the network's last operator and only output"
    elif len(shape) != 2 or softmax.attributes["axis"] != 1:
        problem = f"it runs over {where}"
    elif graph.producer(softmax.inputs[0]) is None:
        problem = "there is nothing before it"
    else:
        return
    raise UnsupportedModel(
        node=softmax.name,
        op=softmax.op,
        problem=problem,
        accepted="a final Softmax over axis 1 of a (batch, channels) tensor, which the host computes",
        advice="cut the network before it",
    )
