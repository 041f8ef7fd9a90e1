# SPDX-License-Identifier: Apache-2.0
"""The float level's last passes: what an engine lacks, in terms of what it has.

With tables, chains of elementwise operators become one ``Elementwise`` each wherever that saves a layer. Without, or if
there would be more of them than tables, only those that have no other form: an activation with a slope below zero
becomes a sum. What remains of scaling and shifting becomes depthwise convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..elementwise import UNARY
from ..ir import Graph
from ..verify import verify
from .affine_to_conv import affine_to_conv
from .fold_affine import fold_affine
from .fold_affine_forward import fold_affine_forward
from .fuse_activation import fuse_activation
from .fuse_chain import fuse_chain
from .sink_reshapes import sink_reshapes
from .split_prelu import split_prelu
from .split_sub import split_sub

__all__ = ["legalise"]


def legalise(graph: Graph, *, tables: int) -> Graph:
    """A prepared network in the operators that quantisation takes, verified after each pass.

    Args:
        graph: after :func:`~systolith.compiler.passes.prepare.prepare_float`.
        tables: how many tables of function values the engine holds.
    """
    generous = _run(graph, _steps(tables=tables > 0))
    if not 0 < tables < _functions(generous):
        return generous
    return _run(graph, _steps(tables=False))


def _run(graph: Graph, steps: Mapping[str, Callable[[Graph], Graph]]) -> Graph:
    for name, step in steps.items():
        graph = step(graph)
        verify(graph, f"pass {name}")
    return graph


def _functions(graph: Graph) -> int:
    """How many tables a network needs at most."""
    return sum(node.op in UNARY or node.op == "Elementwise" for node in graph.nodes)


def _steps(*, tables: bool) -> dict[str, Callable[[Graph], Graph]]:
    chains: dict[str, Callable[[Graph], Graph]] = {"fuse_chain": partial(fuse_chain, everything=True)} if tables else {}
    return {
        "split_sub": split_sub,
        "split_prelu": partial(split_prelu, scalar=not tables),
        "fold_affine": fold_affine,
        "fold_affine_forward": fold_affine_forward,
        **chains,
        "sink_reshapes": sink_reshapes,
        "affine_to_conv": affine_to_conv,
        # What was two operators in a row may now be a layer and an operator.
        "fold_affine again": fold_affine,
        "fuse_activation": fuse_activation,
    }
