# SPDX-License-Identifier: Apache-2.0
"""What tiling produces: descriptors whose weights and parameters are still tables, not addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith.spec.arch import Arch
from systolith.spec.isa import Descriptor

from .ir import Graph, Node, QParams
from .layout import Layout

__all__ = ["Context", "Ints", "LaneTable", "LayerPlan", "Step"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Context:
    """Everything a node's tiling may look at."""

    graph: Graph
    arch: Arch
    layouts: Mapping[str, Layout]
    bases: Mapping[str, int]

    def qparams(self, tensor: str) -> QParams:
        """A tensor's quantisation; integer-level graphs always have it."""
        qparams = self.graph.tensors[tensor].qparams
        if qparams is None:
            raise ValueError(f"tensor {tensor!r} has no quantisation; lower takes integer-level graphs")
        return qparams

    def result(self, node: Node) -> QParams:
        """What a node's factors and bounds refer to: the quantisation in front of its table, or its output's."""
        if node.op == "QTable":
            return self.qparams(node.inputs[0])
        inner: QParams | None = node.attributes.get("inner")
        return inner or self.qparams(node.outputs[0])


@dataclass(frozen=True)
class LaneTable:
    """Requantisation parameters by output channel, each (channels,); whole parameter lines."""

    bias: Ints
    multiplier: Ints
    shift: Ints


@dataclass(frozen=True)
class Step:
    """One descriptor. ``weights_next`` and ``param_base`` are filled in when the memories are laid out."""

    descriptor: Descriptor
    weights: int = 0
    """Which of the layer's weight blocks it consumes (MATRIX)."""
    params: int = 0
    """Which of the layer's lane tables it uses."""
    param_line: int = 0
    """Its first line within that table."""
    target: int = 0
    """Which of the layer's weight blocks its results are stored into, if it says ``to_weights``."""


@dataclass(frozen=True)
class LayerPlan:
    """One node's descriptors and tables.

    A weight block is (passes, rows, cols) in consumption order; tiles of the layer share it.
    """

    node: Node
    steps: tuple[Step, ...]
    tables: tuple[LaneTable, ...]
    weights: tuple[Ints, ...] = ()
    macs: int = 0

    @property
    def dynamic(self) -> bool:
        """Its weights are results, zeros in the program's image."""
        return any(step.descriptor.to_weights for step in self.steps)
