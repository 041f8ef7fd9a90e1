# SPDX-License-Identifier: Apache-2.0
"""The host's work at a network's borders: between the network's own inputs and outputs and the engine's integers.

A network takes and gives floats, or integers of its own type (int8, uint8, ...). The engine's integers are signed;
unsigned ones are the engine's plus ``2**(bits - 1)``. What the host does after an output (*host tail*) is a tuple of
steps in text, as reports show them: ``Softmax``, ``ArgMax(axis=1, keepdims=1, select_last_index=0)``,
``QuantizeLinear(scale=0.00390625, zero_point=-128, dtype=int8)``, ``DequantizeLinear(...)``. They start from the
dequantised output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import float_ops
from .fixed_np import Ints
from .ir import Graph, Node, QParams

__all__ = [
    "HOST_OPERATORS",
    "HostStep",
    "dequantise",
    "engine_inputs",
    "from_engine",
    "network_outputs",
    "network_type",
    "quantise",
    "run_host_tail",
    "to_engine",
]

Floats = NDArray[np.float32]
Array = NDArray[Any]

HOST_OPERATORS = ("ArgMax", "LogSoftmax", "Softmax")
"""Operators that the host computes, at the end of a network."""

_SOFTMAX = re.compile(r"((?:Log)?Softmax)(?:\(axis=(\d+)\))?")
_ARGMAX = re.compile(r"ArgMax\(axis=(\d+), keepdims=([01]), select_last_index=([01])\)")
_QUANTISER = re.compile(r"(QuantizeLinear|DequantizeLinear)\(scale=([^,]+), zero_point=(-?\d+), dtype=(u?)int(\d+)\)")


def network_type(qparams: QParams) -> np.dtype[Any]:
    """The network's own integer type for a tensor."""
    return np.dtype(f"{'u' * qparams.unsigned}int{qparams.bits}")


def quantise(values: Array, qparams: QParams) -> Ints:
    """Real numbers to the engine's integers as ONNX QuantizeLinear does it: float32 division, ties to even, saturated.

    Raises:
        ValueError: a value is NaN.
    """
    if np.isnan(values).any():
        raise ValueError(f"input values must be numbers, got {int(np.isnan(values).sum())} NaN")
    steps = np.rint(values.astype(np.float32) / np.float32(qparams.scale)).astype(np.float64)
    return np.asarray(np.clip(steps + qparams.zero_point, qparams.low, qparams.high), dtype=np.int64)


def dequantise(codes: Ints, qparams: QParams) -> Floats:
    """The engine's integers to real numbers as ONNX DequantizeLinear does it, float32."""
    return (codes - qparams.zero_point).astype(np.float32) * np.float32(qparams.scale)


def to_engine(values: Array, qparams: QParams, *, integer: bool) -> Ints:
    """A network's input as the engine's integers; ``integer`` if it is integers already.

    Raises:
        ValueError: NaN, or integers outside the network's type.
    """
    if not integer:
        return quantise(values, qparams)
    codes = np.asarray(values, dtype=np.int64) - qparams.offset
    if not np.issubdtype(values.dtype, np.integer) or (codes < qparams.low).any() or (codes > qparams.high).any():
        raise ValueError(f"input values must be {network_type(qparams)}, got {values.dtype} outside that range")
    return codes


def from_engine(codes: Ints, qparams: QParams, *, integer: bool) -> Array:
    """The engine's integers as a network's output: its own integer type, or float32."""
    if not integer:
        return dequantise(codes, qparams)
    return (codes + qparams.offset).astype(network_type(qparams))


@dataclass(frozen=True)
class HostStep:
    """One step of the host tail: Softmax, LogSoftmax, ArgMax, QuantizeLinear or DequantizeLinear."""

    op: str
    qparams: QParams | None = None
    """Where the step changes between real numbers and integers."""
    axis: int = 1
    """Where it runs over an axis; 0 is the batch."""
    keepdims: bool = True
    """ArgMax: the axis stays, with one element."""
    select_last_index: bool = False
    """ArgMax: of equal maxima the last."""

    @classmethod
    def of(cls, node: Node) -> HostStep:
        """One of :data:`HOST_OPERATORS`, normalised, as a step."""
        given = node.attributes
        flags = (bool(given.get("keepdims", True)), bool(given.get("select_last_index", False)))
        return cls(node.op, None, given["axis"], *flags)

    @property
    def text(self) -> str:
        """The step as reports show it; :meth:`parse` reads it back."""
        if self.qparams is not None:
            zero = self.qparams.zero_point + self.qparams.offset
            return f"{self.op}(scale={self.qparams.scale!r}, zero_point={zero}, dtype={network_type(self.qparams)})"
        if self.op == "ArgMax":
            flags = f"keepdims={self.keepdims:d}, select_last_index={self.select_last_index:d}"
            return f"ArgMax(axis={self.axis}, {flags})"
        return self.op if self.axis == 1 else f"{self.op}(axis={self.axis})"

    @classmethod
    def parse(cls, text: str) -> HostStep:
        """The step that ``text`` shows; raises ValueError for anything else."""
        if match := _SOFTMAX.fullmatch(text):
            return cls(match[1], axis=int(match[2] or 1))
        if match := _ARGMAX.fullmatch(text):
            return cls("ArgMax", axis=int(match[1]), keepdims=match[2] == "1", select_last_index=match[3] == "1")
        if match := _QUANTISER.fullmatch(text):
            kind = QParams(float(match[2]), 0, int(match[5]), bool(match[4]))
            return cls(match[1], replace(kind, zero_point=int(match[3]) - kind.offset))
        known = "Softmax, LogSoftmax, ArgMax(...), QuantizeLinear(...) or DequantizeLinear(...)"
        raise ValueError(f"host step must be {known}, got {text!r}")

    def run(self, values: Array) -> Array:
        """The step on real numbers or, for DequantizeLinear, on the network's integers; axis 0 is the batch."""
        if self.op in _OVER_AXIS:
            return _OVER_AXIS[self.op](values, self.axis).astype(np.float32)
        if self.op == "ArgMax":
            return self._argmax(values)
        if self.qparams is None:
            raise ValueError(f"host step {self.op} needs a scale and a zero point")
        if self.op == "QuantizeLinear":
            return from_engine(quantise(values, self.qparams), self.qparams, integer=True)
        return dequantise(to_engine(values, self.qparams, integer=True), self.qparams)

    def _argmax(self, values: Array) -> Array:
        """The index of the maximum, int64; of equal ones the first or the last."""
        last = self.select_last_index
        found = np.argmax(np.flip(values, self.axis) if last else values, axis=self.axis, keepdims=self.keepdims)
        return np.asarray(values.shape[self.axis] - 1 - found if last else found, dtype=np.int64)


_OVER_AXIS: Mapping[str, Callable[[Array, int], Array]] = {
    "LogSoftmax": float_ops.log_softmax,
    "Softmax": float_ops.softmax,
}


def run_host_tail(steps: Sequence[str], values: Array) -> Array:
    """The host tail on dequantised outputs, (N, ...) float32."""
    for text in steps:
        values = HostStep.parse(text).run(values)
    return values


def _tensor_qparams(graph: Graph, name: str) -> QParams:
    qparams = graph.tensors[name].qparams
    if qparams is None:
        raise ValueError(f"tensor {name!r} has no quantisation: not an integer-level graph")
    return qparams


def engine_inputs(graph: Graph, feeds: Mapping[str, Array]) -> dict[str, Ints]:
    """The network's inputs, any batch, as the engine's integers. Raises ValueError like :func:`to_engine`."""
    return {
        name: to_engine(values, _tensor_qparams(graph, name), integer=name in graph.integer_io)
        for name, values in feeds.items()
    }


def network_outputs(graph: Graph, results: Mapping[str, Ints]) -> dict[str, Array]:
    """The network's outputs, host tail included, from the engine's integers."""
    outputs: dict[str, Array] = {}
    for name in graph.outputs:
        steps = graph.host_tail.get(name, ())
        integer = name in graph.integer_io and not steps
        values = from_engine(results[name], _tensor_qparams(graph, name), integer=integer)
        outputs[name] = run_host_tail(steps, values)
    return outputs
