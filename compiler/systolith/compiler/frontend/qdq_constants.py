# SPDX-License-Identifier: Apache-2.0
"""The constants of a QDQ network: scales and zero points, quantised weights, biases in units of the accumulator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel
from ..fixed_np import Ints
from ..float_ops import integer_range
from ..ir import Graph, Node, QParams
from .qdq_values import ConstantCodes, FloatNumbers, Reals, Shape, Value, Weights

__all__ = [
    "QuantiserConstants",
    "accumulator_bias",
    "refuse",
    "reshaped_constant",
    "signed_qparams",
    "weights_by_output",
]

_SAME_SCALE = 1e-6
"""Relative difference of two scales that float32 arithmetic of an exporter explains."""

_ACTIVATION_TYPES = {"int8": (8, False), "uint8": (8, True), "int16": (16, False), "uint16": (16, True)}
"""Bits and unsignedness of the integers an activation may have."""

_BIAS_LIMIT = 2.0**52


def refuse(node: Node, problem: str, accepted: str, advice: str = "") -> UnsupportedModel:
    """The refusal of a node."""
    return UnsupportedModel(node=node.name, op=node.op, problem=problem, accepted=accepted, advice=advice)


@dataclass(frozen=True)
class QuantiserConstants:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear; ``zero`` is None where it is left out."""

    node: Node
    scale: Reals
    zero: NDArray[Any] | None

    @classmethod
    def of(cls, node: Node, graph: Graph) -> QuantiserConstants:
        """Read them; raises UnsupportedModel if they are computed, not positive, or of unequal shapes."""
        for name in node.inputs[1:]:
            if name not in graph.constants:
                raise refuse(node, f"{name!r} is computed by the network", "constant scale and zero point")
        scale = np.asarray(graph.constant(node.inputs[1]), dtype=np.float64)
        zero = graph.constant(node.inputs[2]) if len(node.inputs) > 2 else None
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise refuse(node, f"its scale is {scale.min():g}", "positive finite scales")
        if zero is not None and zero.size != scale.size:
            raise refuse(node, f"{scale.size} scales but {zero.size} zero points", "one zero point for each scale")
        single = scale.size == 1
        return cls(node, scale.reshape(()) if single else scale, zero)

    @property
    def per_axis(self) -> bool:
        """Whether there is a scale for each index of an axis."""
        return self.scale.ndim > 0

    def zeros(self) -> Ints:
        """The zero points, broadcastable like the scales; 0 where they are left out."""
        zero = np.zeros(self.scale.shape) if self.zero is None else self.zero
        return np.asarray(zero, dtype=np.int64).reshape(self.scale.shape)

    def dtype(self, default: str) -> str:
        """The type of the integers: the zero point's, or the declared one, or ``default`` where neither is given."""
        declared = str(self.node.attributes.get("dtype", default))
        return declared if self.zero is None else self.zero.dtype.name

    def along(self, values: NDArray[Any], parameters: NDArray[Any]) -> NDArray[Any]:
        """Parameters reshaped to broadcast against the constant ``values``; raises UnsupportedModel on a mismatch."""
        if not self.per_axis:
            return parameters
        axis = self.node.attributes["axis"]
        if axis >= values.ndim or values.shape[axis] != len(parameters):
            problem = f"{len(parameters)} scales on axis {axis} of a tensor of shape {list(values.shape)}"
            raise refuse(self.node, problem, "one scale for each index of the axis")
        return parameters.reshape([-1 if index == axis else 1 for index in range(values.ndim)])

    def dequantise(self, codes: NDArray[Any]) -> Weights:
        """A constant's integers with the zero point taken off, and their scale."""
        shifted = codes.astype(np.int64) - self.along(codes, self.zeros())
        return Weights(shifted, self.scale, self.node.attributes["axis"])

    def quantise(self, numbers: Reals) -> NDArray[Any]:
        """A float constant as ONNX quantises it: float32 division, ties to even, saturated; uint8 by default.

        With the attribute ``ties_with_zero`` the zero point is added before rounding.
        """
        dtype = np.dtype(self.dtype("uint8"))
        scale = self.along(numbers, self.scale).astype(np.float32)
        steps, zeros = (numbers.astype(np.float32) / scale).astype(np.float64), self.along(numbers, self.zeros())
        codes = np.rint(steps + zeros) if "ties_with_zero" in self.node.attributes else np.rint(steps) + zeros
        return np.asarray(np.clip(codes, *integer_range(dtype)).astype(dtype))


def signed_qparams(constants: QuantiserConstants, dtype: str) -> QParams:
    """The quantisation of an activation whose integers have ``dtype``, in the engine's signed integers.

    Raises:
        UnsupportedModel: a scale per channel, or a type an activation cannot have.
    """
    node = constants.node
    if constants.per_axis:
        problem = f"an activation with {constants.scale.size} scales"
        raise refuse(
            node, problem, "one scale per tensor", "quantise activations per tensor (weights may be per channel)"
        )
    if dtype not in _ACTIVATION_TYPES:
        advice = "quantise activations to 8 bits"
        raise refuse(node, f"an activation of type {dtype}", ", ".join(_ACTIVATION_TYPES), advice)
    bits, unsigned = _ACTIVATION_TYPES[dtype]
    kind = QParams(float(constants.scale), 0, bits, unsigned)
    return replace(kind, zero_point=int(constants.zeros()) - kind.offset)


def weights_by_output(node: Node, value: Value, *, axis: int, bits: int) -> tuple[Ints, Reals]:
    """Integer weights with the output channels moved to the front, and their scale for each output channel.

    Args:
        node: the layer, for refusals.
        value: its second operand.
        axis: which axis of the constant counts output channels.
        bits: bits of a signed weight.

    Raises:
        UnsupportedModel: not a quantised constant, scales on another axis, or values beyond ``bits`` bits.
    """
    if not isinstance(value, Weights):
        advice = "quantise weights to int8, per tensor or per output channel"
        raise refuse(node, "its weights are not quantised", "a DequantizeLinear of constant integers", advice)
    if value.scale.ndim and value.axis != axis:
        advice = "quantise weights per output channel or per tensor"
        raise refuse(node, f"weight scales on axis {value.axis}", f"on axis {axis} (output channels)", advice)
    limit = 1 << (bits - 1)
    if value.codes.size and not -limit <= value.codes.min() <= value.codes.max() < limit:
        problem = f"weights minus their zero point span {value.codes.min()}..{value.codes.max()}"
        advice = "use symmetric weights (zero point 0, or 128 for uint8)"
        raise refuse(node, problem, f"{-limit}..{limit - 1}", advice)
    outputs = value.codes.shape[axis]
    return np.moveaxis(value.codes, axis, 0), np.broadcast_to(value.scale, (outputs,)).astype(np.float64)


def reshaped_constant(node: Node, value: FloatNumbers | ConstantCodes | Weights, shape: Shape) -> Value:
    """A constant in another shape; raises UnsupportedModel where that would tear the scales of an axis apart."""
    if isinstance(value, FloatNumbers):
        return FloatNumbers(value.numbers.reshape(shape))
    if isinstance(value, ConstantCodes):
        return ConstantCodes(value.codes.reshape(shape))
    kept = value.axis + 1
    if value.scale.ndim and value.codes.shape[:kept] != shape[:kept]:
        problem = f"it turns {list(value.codes.shape)} with scales on axis {value.axis} into {list(shape)}"
        raise refuse(node, problem, "reshapes behind the axis of the scales", "reshape the weights before quantising")
    return replace(value, codes=value.codes.reshape(shape))


def accumulator_bias(node: Node, value: Value | None, unit: Reals) -> Reals:
    """A bias in units of the accumulator, ``unit`` = s_x * s_w by output channel; real numbers, yet to be rounded.

    Integers whose scale is ``unit`` (but for float32 rounding) are taken as they are.

    Raises:
        UnsupportedModel: computed by the network, not one number for each channel, or beyond 52 bits.
    """
    if value is None:
        return np.zeros(len(unit))
    if isinstance(value, Weights):
        codes, scale = _by_channel(node, value.codes, len(unit)), np.broadcast_to(value.scale, unit.shape)
        exact = np.allclose(scale, unit, rtol=_SAME_SCALE, atol=0)
        steps = codes.astype(np.float64) if exact else codes * scale / unit
    elif isinstance(value, FloatNumbers):
        steps = _by_channel(node, value.numbers, len(unit)) / unit
    else:
        raise refuse(node, "its bias is computed by the network", "a constant")
    if np.abs(steps).max(initial=0) >= _BIAS_LIMIT:
        raise refuse(node, f"bias {np.abs(steps).max():g} in units of the accumulator", "less than 2**52")
    return np.asarray(steps)


def _by_channel(node: Node, numbers: NDArray[Any], channels: int) -> NDArray[Any]:
    """A bias of shape (O,), (1, O), (1, O, 1, 1) or a single number as (O,)."""
    if numbers.size == 1:
        return np.broadcast_to(numbers.reshape(()), (channels,))
    if numbers.size != channels:
        raise refuse(node, f"a bias of shape {list(numbers.shape)}", f"one number for each of {channels} channels")
    return numbers.reshape(channels)
