# SPDX-License-Identifier: Apache-2.0
"""Remove what no output depends on.

Before: any graph. After: every node leads to an output, every tensor and constant is mentioned; inputs stay.
"""

from __future__ import annotations

from ..ir import Graph
from .rewrite import prune

__all__ = ["remove_dead_code"]


def remove_dead_code(graph: Graph) -> Graph:
    """The graph without dead nodes, tensors and constants."""
    return prune(graph)
