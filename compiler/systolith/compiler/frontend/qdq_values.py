# SPDX-License-Identifier: Apache-2.0
"""What an ONNX tensor of a QDQ network stands for while it is imported.

A QuantizeLinear gives *codes* (:class:`Activation`, ``real`` False), a DequantizeLinear the same codes seen as real
numbers (``real`` True). An operator on these gives a :class:`Pending` result: real, exact, and not yet rounded; the
next QuantizeLinear decides its integers and turns it into a node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..borders import HostStep
from ..errors import UnsupportedModel
from ..fixed_np import Ints
from ..ir import AddAttributes, Node, QParams
from ..verify_integer import FACTOR_LIMIT, image_shape

__all__ = [
    "Activation",
    "ConstantCodes",
    "FloatInput",
    "FloatNumbers",
    "HostTail",
    "Pending",
    "Reals",
    "Shape",
    "Value",
    "Weights",
    "same_image",
]

Reals = NDArray[np.float64]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class FloatInput:
    """A float input of the network, not yet quantised."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class FloatNumbers:
    """A constant in floating point."""

    numbers: Reals


@dataclass(frozen=True)
class ConstantCodes:
    """A float constant after its QuantizeLinear, in the network's own integers."""

    codes: NDArray[Any]


@dataclass(frozen=True)
class Weights:
    """A constant in integers: real = ``scale * codes``, the zero point already taken off."""

    codes: Ints
    scale: Reals
    """One number (shape ()) or one for each index of ``axis``."""
    axis: int


@dataclass(frozen=True)
class Activation:
    """The elements of integer-level tensor ``tensor`` in row-major order of (N, C, H, W), seen in another shape."""

    tensor: str
    shape: Shape
    qparams: QParams
    real: bool
    """Seen through a DequantizeLinear."""


@dataclass(frozen=True)
class HostTail:
    """What the host computes from ``logits`` after the engine is done."""

    logits: Activation
    steps: tuple[HostStep, ...]
    real: bool


@dataclass(frozen=True)
class Pending:
    """A real-valued result of one integer-level node that waits for its quantisation."""

    op: str
    name: str
    inputs: tuple[str, ...]
    scales: Reals
    """Real value of one unit: of the accumulator by channel (QConv), of each operand (QAdd,
    QMove), of the product of 1 and 2**bits (QMul), of the input (others)."""
    natural: Shape
    """The shape the node's output tensor has."""
    shape: Shape
    """The shape ONNX sees at this place."""
    origin: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    low: float = -math.inf
    high: float = math.inf
    limit: float = FACTOR_LIMIT
    """Scales are less than so many times that of the output."""
    grid: QParams | None = None
    """Quantisation in which the result is exact before any bounds (a maximum, a Relu); None if there is none."""
    parts: tuple[Pending, ...] = ()
    """Results that are rounded to the same integers first, and are the node's inputs then."""

    def shaped(self, shape: Shape, suffix: str) -> Pending:
        """A part of the result, of another shape, under a name of its own."""
        return replace(self, natural=shape, shape=shape, name=self.name + suffix)

    def bounded(self, low: float, high: float, op: str) -> Pending:
        """The result limited to ``[low, high]`` by an activation function."""
        new_low, new_high = (min(max(bound, low), high) for bound in (self.low, self.high))
        return replace(self, low=new_low, high=new_high, origin=(*self.origin, op))

    def times(self, factor: float) -> Pending:
        """The result times a positive number; what it rounds to is still open."""
        known, numbers = self.attributes, self.constants
        filled = {"fill": known["fill"] * factor} if "fill" in known else {}
        curve = {"curve": numbers["curve"] * factor} if "curve" in numbers else {}
        return replace(
            self,
            scales=self.scales * factor,
            attributes={**known, **filled},
            constants={**numbers, **curve},
            low=self.low * factor,
            high=self.high * factor,
            grid=None,
            parts=tuple(part.times(factor) for part in self.parts),
        )

    def exact_grid(self) -> QParams | None:
        """The quantisation that holds the bounded result exactly, if there is one."""
        if self.grid is None or not all(_on_grid(bound, self.grid) for bound in (self.low, self.high)):
            return None
        return self.grid

    def node(self, output: str, qparams: QParams) -> Node:
        """The integer-level node with ``qparams`` at its output.

        Raises:
            UnsupportedModel: the output's scale is too fine for the lanes.
        """
        if self.op == "QTable":
            return Node(self.op, self.name, self.inputs, (output,), {"table": f"{output}.table"}, self.origin)
        low, high = (_relative(bound, qparams) for bound in (self.low, self.high))
        factors = self.scales / qparams.scale
        self._check_factors(factors)
        attributes = dict(self.attributes)
        if self.op == "QAdd":
            attributes["add"] = AddAttributes(float(factors[0]), float(factors[1]), low, high)
        elif self.op == "QMove":
            attributes |= self._move(factors, low, high, qparams)
        else:
            attributes |= {"lo": low, "hi": high}
            attributes["factor"] = f"{output}.factor" if self.op == "QConv" else float(factors)
        attributes |= {key: f"{output}.{key}" for key in self.constants}
        return Node(self.op, self.name, self.inputs, (output,), attributes, self.origin)

    def _move(self, factors: Reals, low: int, high: int, qparams: QParams) -> dict[str, Any]:
        """Factors, bounds and filling of data movement."""
        if not low <= 0 <= high:
            problem = f"its result is limited to {self.low:g}..{self.high:g}"
            raise self._refusal(problem, "limits around zero after data movement")
        fill = min(max(_relative(self.attributes["fill"], qparams), low), high)
        return {"factors": tuple(float(factor) for factor in factors), "lo": low, "hi": high, "fill": fill}

    def _check_factors(self, factors: Reals) -> None:
        if factors.max() >= self.limit:
            problem = f"input to output, a scale ratio of {factors.max():g}"
            raise self._refusal(problem, f"less than {self.limit:g}", "quantise the output more coarsely")

    def _refusal(self, problem: str, accepted: str, advice: str = "") -> UnsupportedModel:
        op = self.origin[0] if self.origin else self.op
        return UnsupportedModel(node=self.name, op=op, problem=problem, accepted=accepted, advice=advice)

    def node_constants(self, output: str, qparams: QParams) -> dict[str, NDArray[Any]]:
        """The constants that :meth:`node` names."""
        if self.op == "QTable":
            return {f"{output}.table": self._table(qparams)}
        constants = {f"{output}.{key}": value for key, value in self.constants.items()}
        if self.op == "QConv":
            constants[f"{output}.factor"] = self.scales / qparams.scale
        return constants

    def _table(self, qparams: QParams) -> Ints:
        """The integer of each value of a curve: limited, rounded to nearest (ties to even), saturated."""
        values = np.clip(self.constants["curve"], self.low, self.high)
        codes = np.rint(values / qparams.scale) + qparams.zero_point
        return np.asarray(np.clip(codes, qparams.low, qparams.high), dtype=np.int64)


Value = FloatInput | FloatNumbers | ConstantCodes | Weights | Activation | HostTail | Pending


def same_image(left: Shape, right: Shape) -> bool:
    """Whether two shapes have the same axes: (N, C) counts as (N, C, 1, 1), (N, C, L) as (N, C, 1, L)."""
    if not all(2 <= len(shape) <= 4 for shape in (left, right)):
        return left == right
    return image_shape(left) == image_shape(right)


def _relative(bound: float, qparams: QParams) -> int:
    """A real bound as an integer relative to the zero point.

    Quantisation is monotonic, so that quantising a limited value equals limiting the quantised one.
    """
    lowest, highest = qparams.low - qparams.zero_point, qparams.high - qparams.zero_point
    return round(min(max(bound / qparams.scale, lowest), highest))


def _on_grid(bound: float, qparams: QParams) -> bool:
    """Whether limiting to ``bound`` leaves values of the quantisation on it."""
    steps = bound / qparams.scale
    if not qparams.low - qparams.zero_point < steps < qparams.high - qparams.zero_point:
        return True
    return math.isclose(steps, round(steps), rel_tol=1e-6, abs_tol=1e-9)
