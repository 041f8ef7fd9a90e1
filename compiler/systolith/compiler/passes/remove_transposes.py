# SPDX-License-Identifier: Apache-2.0
"""Remove the transposes that a network in NHWC brings along.

Before: what exporters from Keras and TFLite write: transposed inputs, transposes around layers, in front of dense
layers and around single operators.
After: none where inverse ones meet, where a dense layer's weights can be reordered, or where an input can be given in
the other order; the rest is as late as possible.
"""

from __future__ import annotations

from ..ir import Graph
from .absorb_transposes import absorb_transposes
from .cancel_transposes import cancel_transposes
from .drop_identities import drop_identities
from .fold_transposes import fold_transposes
from .hoist_transposes import hoist_transposes
from .sink_transposes import sink_transposes
from .spell_transposes import spell_transposes

__all__ = ["remove_transposes"]

_STEPS = (
    spell_transposes,
    hoist_transposes,
    absorb_transposes,
    cancel_transposes,
    drop_identities,
    sink_transposes,
    fold_transposes,
)


def remove_transposes(graph: Graph) -> Graph:
    """The graph with as few transposes as these passes can do with; they run until nothing changes."""
    while True:
        before = graph.nodes
        for step in _STEPS:
            graph = step(graph)
        if graph.nodes == before:
            return graph
