# SPDX-License-Identifier: Apache-2.0
"""The QONNX dialect, as Brevitas exports it: ``Quant`` rounds real numbers to real numbers on a grid of a few bits.

``Quant(x, scale, zero, bits)`` means ``scale * (clip(round(x / scale + zero), lo, hi) - zero)``, where ``lo`` and
``hi`` follow from ``bits`` and the attributes ``signed`` and ``narrow`` (Pappalardo et al., *QONNX: Representing
Arbitrary-Precision Quantized Neural Networks*, 2022). On activations it becomes QuantizeLinear, Clip (where the grid is
narrower than the type) and DequantizeLinear; on constants the integers themselves and DequantizeLinear. QuantizeLinear
adds the zero point after rounding: for an odd one it gets an attribute of ours, ``ties_with_zero``, which says not to.
``BipolarQuant(x, scale)`` of a constant means ``scale`` where x >= 0, else ``-scale``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ..errors import UnsupportedModel
from .dialect import Rewriter, Rules, rewrite_dialect
from .operators import QONNX_DOMAINS

__all__ = ["RULES", "expand_qonnx"]

Array = NDArray[Any]

_OLDEST_OPSET = 13
"""The first in which QuantizeLinear has scales by axis and Clip takes integers of 8 bits."""

_ROUNDINGS = ("ROUND", "HALF_EVEN")
"""Two names of rounding to nearest, ties to even."""


def expand_qonnx(model: onnx.ModelProto, refused: list[UnsupportedModel] | None = None) -> onnx.ModelProto:
    """The model with QDQ patterns in place of ``Quant``; else UnsupportedModel, raised or put into ``refused``."""
    return rewrite_dialect(model, RULES, refused)


@dataclass(frozen=True)
class _Grid:
    """The integers of a Quant, and the type that holds them."""

    low: int
    high: int
    dtype: np.dtype[Any]
    zero: int

    @property
    def fills_type(self) -> bool:
        """Whether the type itself saturates where the grid ends."""
        limits = np.iinfo(self.dtype)
        return (self.low, self.high) == (limits.min, limits.max)


def _grid(rewriter: Rewriter, *, most: int) -> _Grid:
    given = rewriter.attributes()
    bits, zero = (_whole(rewriter, index, what) for index, what in ((3, "bit width"), (2, "zero point")))
    signed, narrow = bool(given.get("signed", 1)), bool(given.get("narrow", 0))
    if not 1 + narrow <= bits <= most:
        raise rewriter.refuse(f"bit width {bits}", f"1..{most} bits here (from 2 if narrow)")
    low = -(1 << (bits - 1)) + narrow if signed else 0
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1 - narrow
    dtype = np.dtype(f"{'' if signed else 'u'}int{8 if bits <= 8 else 32}")
    limits = np.iinfo(dtype)
    if not limits.min <= zero <= limits.max:
        raise rewriter.refuse(f"zero point {zero}", f"{limits.min}..{limits.max}")
    return _Grid(low, high, dtype, zero)


def _whole(rewriter: Rewriter, index: int, what: str) -> int:
    value = rewriter.constant(index).astype(np.float64).reshape(-1)
    if value.size != 1 or value[0] != np.rint(value[0]):
        raise rewriter.refuse(f"{what} {value[:4].tolist()}", "one whole number")
    return int(value[0])


def _scale(rewriter: Rewriter) -> tuple[Array, dict[str, int]]:
    """The scale as DequantizeLinear takes it: one number, or one for each index of an axis counted from the end."""
    scale = rewriter.constant(1).astype(np.float32)
    if scale.size == 1:
        return scale.reshape(()), {}
    axes = [axis - scale.ndim for axis, size in enumerate(scale.shape) if size > 1]
    if len(axes) > 1:
        raise rewriter.refuse(f"scales of shape {list(scale.shape)}", "one scale, or one for each index of an axis")
    return scale.reshape(-1), {"axis": axes[0]}


def _check(rewriter: Rewriter) -> None:
    rounding = str(rewriter.attributes().get("rounding_mode", b"ROUND").decode()).upper()
    if rounding not in _ROUNDINGS:
        advice = "train with rounding to nearest"
        raise rewriter.refuse(f"rounding_mode {rounding}", f"{_ROUNDINGS[0]} (to nearest, ties to even)", advice)
    if rewriter.opset < _OLDEST_OPSET:
        accepted = f"{_OLDEST_OPSET} and newer for networks of the QONNX dialect"
        raise rewriter.refuse(f"operator set {rewriter.opset}", accepted, "export it with another opset_version")


def _quant(rewriter: Rewriter) -> None:
    _check(rewriter)
    if rewriter.given(0) in rewriter.constants:
        _constant_quant(rewriter)
    else:
        _activation_quant(rewriter)


def _constant_quant(rewriter: Rewriter) -> None:
    """The integers of weights, or, of more than 8 bits, of a bias."""
    grid = _grid(rewriter, most=32)
    scale, axis = _scale(rewriter)
    numbers, steps = rewriter.constant(0), rewriter.constant(1).astype(np.float32)
    # the zero point before rounding, which for an odd one turns ties the other way
    rounded = np.rint((numbers.astype(np.float32) / steps).astype(np.float64) + grid.zero)
    _dequantised(rewriter, np.clip(rounded, grid.low, grid.high).astype(grid.dtype), scale, grid, axis)


def _dequantised(rewriter: Rewriter, codes: Array, scale: Array, grid: _Grid, axis: dict[str, int]) -> None:
    zero = np.full(scale.shape, grid.zero, grid.dtype)
    names = [rewriter.store("codes", codes), rewriter.store("scale", scale), rewriter.store("zero", zero)]
    positive = {key: value + codes.ndim for key, value in axis.items()}
    rewriter.add("", "DequantizeLinear", names, **positive)


def _activation_quant(rewriter: Rewriter) -> None:
    grid = _grid(rewriter, most=8)
    scale, axis = _scale(rewriter)
    zero = np.full(scale.shape, grid.zero, grid.dtype)
    parameters = [rewriter.store("scale", scale), rewriter.store("zero", zero)]
    odd = {"ties_with_zero": 1} if grid.zero % 2 else {}
    codes = rewriter.add("codes", "QuantizeLinear", [rewriter.given(0), *parameters], **axis, **odd)
    if not grid.fills_type:
        bounds = [rewriter.store(role, np.array(value, grid.dtype)) for role, value in _ends(grid)]
        codes = rewriter.add("limited", "Clip", [codes, *bounds])
    rewriter.add("", "DequantizeLinear", [codes, *parameters], **axis)


def _ends(grid: _Grid) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("low", grid.low), ("high", grid.high)


def _bipolar(rewriter: Rewriter) -> None:
    if rewriter.given(0) not in rewriter.constants:
        accepted = "BipolarQuant of constant weights"
        raise rewriter.refuse("it quantises an activation", accepted, "use Quant with 2 bits or more for activations")
    scale, axis = _scale(rewriter)
    codes = np.where(rewriter.constant(0) >= 0, 1, -1).astype(np.int8)
    _dequantised(rewriter, codes, scale, _Grid(-1, 1, codes.dtype, 0), axis)


def _trunc(rewriter: Rewriter) -> None:
    problem = "it drops low bits of an integer, rounding down"
    raise rewriter.refuse(problem, "Quant, which rounds to nearest", "quantise the average's result with Quant")


RULES: Rules = {
    (domain, op): rule
    for domain in QONNX_DOMAINS
    for op, rule in {"BipolarQuant": _bipolar, "IntQuant": _quant, "Quant": _quant, "Trunc": _trunc}.items()
}
"""By domain and operator."""
