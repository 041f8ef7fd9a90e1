# SPDX-License-Identifier: Apache-2.0
"""The state of a QDQ import: what every tensor seen so far stands for, and the integer level built from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node, QParams, Tensor
from .qdq_bias import settled
from .qdq_constants import refuse
from .qdq_values import Activation, FloatInput, FloatNumbers, HostTail, Pending, Reals, Shape, Value, same_image

__all__ = ["Walk"]

_QUANTISE = "quantise the tensor before it (QuantizeLinear, DequantizeLinear)"


@dataclass
class Walk:
    """A walk through ``source``, with the nodes, tensors and constants of the integer level made on the way."""

    source: Graph
    weight_bits: int
    values: dict[str, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    _done: dict[tuple[str, QParams], str] = field(default_factory=dict)

    def value(self, node: Node, index: int) -> Value:
        """What input ``index`` of a node stands for."""
        name = node.inputs[index]
        if name in self.values:
            return self.values[name]
        return FloatNumbers(self.source.constant(name).astype(np.float64))

    def activation(self, node: Node, name: str) -> Activation:
        """Tensor ``name`` as integers that are already rounded; a Relu or maximum of integers is.

        Raises:
            UnsupportedModel: it is float, constant, or the result of a layer that is not quantised.
        """
        value = self.values.get(name)
        if isinstance(value, Activation):
            return value
        if isinstance(value, Pending) and (grid := value.exact_grid()) is not None:
            return replace(self.rounded(value, grid, name, name), real=True)
        what = {FloatInput: "a float input", Pending: "not quantised", HostTail: "computed by the host"}
        problem = f"tensor {name!r} is {what.get(type(value), 'constant')}"
        raise refuse(node, problem, "tensors that come from a DequantizeLinear", _QUANTISE)

    def real(self, node: Node, index: int = 0) -> Activation:
        """Input ``index`` as real numbers on integers; refuses arithmetic on the integers themselves."""
        name = node.inputs[index]
        activation = self.activation(node, name)
        if not activation.real:
            raise refuse(node, f"it computes on the integers of {name!r}", "real numbers", "dequantise them first")
        return activation

    def in_shape(self, node: Node, activation: Activation) -> Activation:
        """The same, if its axes are those it was computed with; refuses a pending flattening."""
        own = self.tensors[activation.tensor].shape
        if not same_image(own, activation.shape):
            problem = f"a tensor of shape {list(own)} is seen as {list(activation.shape)}"
            advice = "flatten only before a Gemm or MatMul"
            raise refuse(node, problem, "axes as they were computed, or one (1, K) vector before a product", advice)
        return activation

    def rounded(self, pending: Pending, qparams: QParams, source: str, output: str) -> Activation:
        """The integers of the pending result ``source``, named ``output`` unless it was rounded alike before."""
        name = self._done.setdefault((source, qparams), output)
        if name not in self.tensors:
            self.tensors[name] = Tensor(name, pending.natural, qparams)
            pending = settled(self._with_parts(pending, qparams, name), qparams, self.weight_bits)
            taken = any(node.name == pending.name for node in self.nodes)
            unique = replace(pending, name=f"{pending.name}:{name}") if taken else pending
            self.nodes.append(unique.node(name, qparams))
            self.constants |= pending.node_constants(name, qparams)
        return Activation(name, pending.shape, qparams, real=False)

    def fresh(self, name: str) -> str:
        """A name like this one that no tensor of the network has, nor one of the integer level so far."""
        while name in self.source.tensors or name in self.tensors:
            name += "'"
        return name

    def _with_parts(self, pending: Pending, qparams: QParams, name: str) -> Pending:
        """The result over its parts, once these are rounded; what only moves is limited before it does."""
        if not pending.parts:
            return pending
        moves, inputs = pending.op == "QMove", []
        for index, part in enumerate(pending.parts):
            limited = replace(part, low=pending.low, high=pending.high) if moves else part
            own = self.fresh(f"{name}:{index}")
            inputs.append(self.rounded(limited, qparams, own, own).tensor)
        whole = replace(pending, inputs=tuple(inputs), scales=np.full(len(inputs), qparams.scale))
        return replace(whole, low=-math.inf, high=math.inf) if moves else whole

    def qparams(self, tensor: str) -> QParams:
        """The quantisation of a tensor of the integer level."""
        qparams = self.tensors[tensor].qparams
        if qparams is None:
            raise KeyError(tensor)
        return qparams

    def layer(
        self,
        op: str,
        node: Node,
        operands: tuple[Activation, ...],
        scales: Reals,
        attributes: dict[str, Any],
        constants: dict[str, NDArray[Any]] | None = None,
    ) -> Pending:
        """The pending result of integer-level operator ``op`` that stands for ``node``."""
        shape = self.source.tensors[node.outputs[0]].shape
        tensors = tuple(operand.tensor for operand in operands)
        return Pending(op, node.name, tensors, scales, shape, shape, (node.op,), attributes, constants or {})

    def rescaled(self, node: Node, activation: Activation, origin: tuple[str, ...]) -> Pending:
        """An activation that waits for another quantisation, or for bounds."""
        natural: Shape = self.tensors[activation.tensor].shape
        scale, grid = np.array(activation.qparams.scale), activation.qparams
        inputs = (activation.tensor,)
        return Pending("QRequant", node.name, inputs, scale, natural, activation.shape, origin, grid=grid)
