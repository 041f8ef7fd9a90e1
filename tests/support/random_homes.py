# SPDX-License-Identifier: Apache-2.0
"""Random integer networks whose data movement changes no integers, so that tensors can live in each other's memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from systolith.compiler.ir import Graph, QParams
from systolith.compiler.verify import verify
from tests.support.graph_builder import GraphBuilder, Limits

__all__ = ["exact", "home_builder", "random_home_graph"]

_Q = QParams(0.5, 0)


def _clipped(value: int) -> int:
    return min(max(value, -128), 127)


def exact(graph: Graph) -> Graph:
    """The graph with one scale for all tensors, so that what moves keeps its integers."""
    nodes = []
    for node in graph.nodes:
        own = dict(node.attributes)
        if "lo" in own:
            own |= {"lo": _clipped(own["lo"]), "hi": _clipped(own["hi"])}
        if "add" in own:
            own["add"] = replace(own["add"], lo=_clipped(own["add"].lo), hi=_clipped(own["add"].hi))
        if node.op == "QMove":
            own |= {"factors": (1.0,) * len(node.inputs), "lo": -128, "hi": 127, "fill": _clipped(own["fill"])}
        nodes.append(replace(node, attributes=own))
    tensors = {name: replace(tensor, qparams=_Q) for name, tensor in graph.tensors.items()}
    made = graph.with_(nodes=tuple(nodes), tensors=tensors)
    verify(made)
    return made


def home_builder(seed: int = 0) -> GraphBuilder:
    """A builder of small maps."""
    return GraphBuilder(rng=np.random.default_rng(seed), limits=Limits(size=6, channels=8, kernel=3))


def random_home_graph(seed: int, cols: int) -> Graph:
    """Branches that movement joins and takes apart, and readers of them; half of them in vectors of ``cols``."""
    b = home_builder(seed)
    channels = int(b.rng.integers(1, 3)) * cols if seed % 2 else int(b.rng.integers(1, 2 * cols))
    x = b.input(channels, *b.rng.integers(1, 7, 2).tolist())
    parts = [b.conv(x, channels, same=True), b.requant(x), b.add(x, x)][: int(b.rng.integers(1, 4))]
    y = b.move(*parts)
    z = b.move(b.requant(y), y)
    ends = [b.conv(y), b.conv(z), b.pool(parts[0]), b.requant(b.move(z))]
    taken = [end for end in ends if b.rng.integers(0, 2)] or ends[1:2]
    return exact(b.graph(f"homes{seed}", *taken))
