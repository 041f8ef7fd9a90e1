# SPDX-License-Identifier: Apache-2.0
"""The integer-level graph while quantisation builds it: tensors get their scales, nodes and constants collect."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibrate import Calibration
from .errors import UnsupportedModel
from .ir import Graph, Node, QParams, Tensor
from .passes.fuse_activation import activation_bounds
from .quantise_config import QuantiseConfig
from .verify_integer import ADD_LIMIT, FACTOR_LIMIT, product_limit

__all__ = ["Builder"]

_MARGIN = 0.99
"""Share of a factor's limit that is used: a multiplier of few bits may round up to the limit itself."""


class Builder:
    """Collects the integer level of ``graph``.

    A tensor that is only another view of a map (the operand of a Gemm behind a Flatten) does not exist at the integer
    level; :meth:`source` gives the tensor that does.
    """

    def __init__(self, graph: Graph, calibration: Calibration, config: QuantiseConfig) -> None:
        """Start with the graph's inputs."""
        self.graph = graph
        self.config = config
        self._calibration = calibration
        self._nodes: list[Node] = []
        self._tensors: dict[str, Tensor] = {}
        self._constants: dict[str, NDArray[Any]] = {}
        self._sources: dict[str, str] = {}
        for name in graph.inputs:
            self.define(name)

    def refuse(self, node: Node, problem: str, accepted: str, advice: str = "") -> UnsupportedModel:
        """The refusal of a node, under the operator it had in the model."""
        op = node.origin[0] if node.origin else node.op
        return UnsupportedModel(node=node.name, op=op, problem=problem, accepted=accepted, advice=advice)

    # ------------------------------------------------------------------ tensors

    def source(self, name: str) -> Tensor:
        """The integer-level tensor behind a name."""
        return self._tensors[self._sources.get(name, name)]

    def params(self, name: str) -> QParams:
        """The quantisation of a tensor."""
        params = self.source(name).qparams
        if params is None:
            raise KeyError(name)
        return params

    def means(self, node: Node) -> NDArray[np.float64]:
        """The mean input of a layer with weights."""
        return self._calibration.means[node.name]

    def covariance(self, node: Node) -> NDArray[np.float64] | None:
        """The covariance of what a layer's kernel meets; None where its weights are rounded to nearest."""
        return self._calibration.covariances.get(node.name) if self.config.reconstructs(node.name) else None

    def weight_width(self, node: Node) -> dict[str, int]:
        """The attribute ``weight_bits`` of a layer whose weights are narrower than the engine's, else nothing."""
        bits = self.config.bits_of(node.name)
        return {} if bits == self.config.weight_bits else {"weight_bits": bits}

    def has(self, name: str) -> bool:
        """Whether the integer level has a tensor."""
        return name in self._tensors

    def alias(self, name: str, source: Tensor) -> None:
        """Let ``name`` stand for ``source``, elements in NCHW order."""
        self._sources[name] = source.name

    def define(self, name: str, least_scale: float = 0.0) -> QParams:
        """A tensor whose integers cover its calibrated range; its scale is at least ``least_scale``."""
        low, high = self._calibration.ranges[name]
        bits = self.config.act_bits
        if self.config.symmetric:
            return self._define_symmetric(name, max(-low, high), least_scale)
        levels = (1 << bits) - 1
        scale = max((high - low) / levels, least_scale) or 1.0
        smallest = -(1 << (bits - 1))
        zero_point = min(max(round(smallest - low / scale), smallest), smallest + levels)
        return self.define_like(name, QParams(scale, zero_point, bits))

    def _define_symmetric(self, name: str, peak: float, least_scale: float) -> QParams:
        bits = self.config.act_bits
        scale = max(peak / ((1 << (bits - 1)) - 1), least_scale) or 1.0
        return self.define_like(name, QParams(scale, 0, bits))

    def inner(self, node: Node, role: str, shape: tuple[int, ...], params: QParams) -> str:
        """A tensor within the integer form of ``node`` that the float network does not have; its name."""
        name = f"{node.name}:{role}"
        self._tensors[name] = Tensor(name, shape, params)
        return name

    def define_like(self, name: str, params: QParams) -> QParams:
        """A tensor with a given quantisation."""
        self._tensors[name] = Tensor(name, self.graph.tensors[name].shape, params)
        return params

    @staticmethod
    def factor_scale(scale: float) -> float:
        """The least output scale at which values of ``scale`` can still be requantised."""
        return scale / (_MARGIN * FACTOR_LIMIT)

    @staticmethod
    def add_scale(scale: float) -> float:
        """The least scale of a sum one of whose operands has ``scale``."""
        return scale / (_MARGIN * ADD_LIMIT)

    @staticmethod
    def product_scale(unit: float, first: QParams) -> float:
        """The least scale of a product whose first factor has ``first``, ``unit`` being that of 1 and 2**bits."""
        return unit / (_MARGIN * product_limit(first))

    # ------------------------------------------------------------------ nodes

    def bounds(self, node: Node, params: QParams) -> tuple[int, int]:
        """The saturation and the activation of a node's result, relative to its zero point."""
        lower, upper = activation_bounds(node)
        low, high = params.low - params.zero_point, params.high - params.zero_point
        at_least = low if lower == -math.inf else min(max(low, round(lower / params.scale)), high)
        at_most = high if upper == math.inf else max(min(high, round(upper / params.scale)), at_least)
        return at_least, at_most

    def constant(self, node: Node, role: str, value: NDArray[Any]) -> str:
        """Store a constant of a node; its name."""
        name = f"{node.name}:q_{role}"
        self._constants[name] = value
        return name

    def emit(
        self, node: Node, op: str, inputs: tuple[str, ...], attributes: Mapping[str, Any], output: str | None = None
    ) -> None:
        """Add the integer-level form of ``node``, or of what makes its inner tensor ``output``, which is its name."""
        inner = output is not None and output not in node.outputs
        name, made = (output, (output,)) if output is not None and inner else (node.name, node.outputs)
        self._nodes.append(Node(op, name, inputs, made, dict(attributes), node.origin))

    def finish(self) -> Graph:
        """The graph."""
        return Graph(
            name=self.graph.name,
            inputs=self.graph.inputs,
            outputs=self.graph.outputs,
            nodes=tuple(self._nodes),
            tensors=self._tensors,
            constants=self._constants,
            host_tail=self.graph.host_tail,
        )
