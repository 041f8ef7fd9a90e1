# SPDX-License-Identifier: Apache-2.0
"""Give a network input the order of axes that its readers want.

Before: an input in NHWC that only Transposes of one permutation read, as networks from Keras and TFLite have it.
After: the input itself has the Transpose's shape (NCHW), and the Transpose is gone. The log says so, since whoever runs
the network sees the shape; calibration data and inputs are taken in either order.
Does not apply to an input that is an output too, or that something else reads, nor where the shape stays the same: then
nobody could tell in which order data are.
"""

from __future__ import annotations

import logging

from ..ir import Graph, Tensor
from .rewrite import rebuild, renamed
from .transposes import permuted

__all__ = ["absorb_transposes"]

_log = logging.getLogger(__name__)


def absorb_transposes(graph: Graph) -> Graph:
    """The graph with its inputs transposed where they only ever are."""
    for name in graph.inputs:
        readers = graph.consumers(name)
        perms = {tuple(node.attributes.get("perm", ())) for node in readers}
        made = {node.outputs[0] for node in readers}
        free = name not in graph.outputs and made.isdisjoint(graph.outputs)
        if not free or len(perms) != 1 or {node.op for node in readers} != {"Transpose"}:
            continue
        perm, shape = perms.pop(), graph.tensors[name].shape
        if permuted(shape, perm) != shape:
            graph = _absorbed(graph, name, perm)
    return graph


def _absorbed(graph: Graph, name: str, perm: tuple[int, ...]) -> Graph:
    old = graph.tensors[name].shape
    new = permuted(old, perm)
    _log.warning("input %r: shape %s becomes %s, as its Transpose has it", name, list(old), list(new))
    gone = graph.consumers(name)
    names = dict.fromkeys((node.outputs[0] for node in gone), name)
    tensors = {**graph.tensors, name: Tensor(name, new)}
    rest = [renamed(node, names) for node in graph.nodes if not any(node is other for other in gone)]
    return rebuild(graph.with_(tensors=tensors), rest)
