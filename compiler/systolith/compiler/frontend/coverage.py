# SPDX-License-Identifier: Apache-2.0
"""What is accepted of each operator and where it runs; ``docs/operators.md`` is written from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from .onnx_file import OLDEST_OPSET
from .operators import COMPUTED, DIALECTS, ELEMENTWISE, FOLDED, QUANTISERS

__all__ = ["Coverage", "coverage"]


@dataclass(frozen=True)
class Coverage:
    """A row: an operator of a domain ("" is the standard one)."""

    op: str
    domain: str
    accepted: str
    """Attributes and shapes."""
    runs: str
    """engine, table, folded (computed at import or part of a layer), host tail."""
    since: int
    """The first operator set in which it is read; 0 where the domain has none of its own."""


_WINDOW = "rank 4, and rank 3 as one row; any strides, pads, auto_pad"

_LAST = "last operator before an output, or before an ArgMax there; any axis but the batch"

_LAYERS: Mapping[str, tuple[str, str]] = {
    "ArgMax": ("last operator before an output; any axis but the batch", "host tail"),
    "AveragePool": (f"{_WINDOW}, dilations, ceil_mode, count_include_pad", "engine"),
    "BatchNormalization": ("inference", "folded, or engine (depthwise) where no layer is before it"),
    "Clip": ("constant bounds", "folded, or engine where no layer is before it"),
    "Concat": ("any axis but the batch", "engine, or nothing where tensors can lie in one another"),
    "Conv": (f"{_WINDOW}, dilations, group; constant weights", "engine"),
    "ConvTranspose": (f"{_WINDOW}, dilations, group, output_padding, output_shape", "engine"),
    "Dropout": ("inference", "folded"),
    "Flatten": ("in front of a Gemm or MatMul, or of a single pixel", "folded"),
    "Gemm": ("constant weights, transB; in float networks alpha, beta", "engine"),
    "GlobalAveragePool": ("rank 4 and 3", "engine"),
    "GlobalMaxPool": ("rank 4 and 3", "engine"),
    "Identity": ("", "folded"),
    "LogSoftmax": (_LAST, "host tail"),
    "MatMul": (
        "constant right operand; in float networks also a constant left one; two computed matrices, (1, M, K) times "
        "(1, K, N), in quantised networks with zero points of 0, on an engine with dynamic_weights",
        "engine",
    ),
    "MaxPool": (f"{_WINDOW}, dilations, ceil_mode; only the first output", "engine"),
    "Pad": ("constant, edge, reflect, wrap; not over the batch", "engine"),
    "ReduceMean": ("height, width, length, in float networks also channels", "engine"),
    "Relu": ("", "folded, or engine where no layer is before it"),
    "Reshape": (
        "in front of a Gemm or MatMul, between (N, C) and (N, C, 1, 1), in float networks any that keeps the channels",
        "folded",
    ),
    "Resize": (
        "nearest; linear and cubic by whole factors, in quantised networks where weights are small fractions "
        "(linear by 2 to 7)",
        "engine",
    ),
    "Slice": ("constant starts, ends, steps; not over the batch", "engine, or nothing where a view will do"),
    "Softmax": (_LAST, "host tail"),
    "Split": ("as Slice", "engine, or nothing where a view will do"),
    "Squeeze": ("as Reshape", "folded"),
    "Transpose": (
        "height and width exchanged, or channels and one row or column of pixels; of weights any",
        "engine",
    ),
    "Unsqueeze": ("as Reshape", "folded"),
    "Upsample": ("as Resize", "engine"),
}

_TWO = "two tensors of one shape, or one a single pixel (in float networks also a single channel)"

_ARITHMETIC: Mapping[str, tuple[str, str]] = {
    "Add": (f"{_TWO}; constants, one or by channel", "engine (often within a convolution), or folded"),
    "Div": ("constants, one or by channel; functions of one tensor", "folded, engine (depthwise) or table"),
    "LeakyRelu": ("", "table, or engine without tables in float networks"),
    "Mul": (f"{_TWO}; constants, one or by channel; functions of one tensor", "engine, folded or table"),
    "Neg": ("", "folded, or table"),
    "PRelu": ("one slope, or one by channel", "table; by channel, or in float networks without tables, engine"),
    "Sub": (f"constants, one or by channel; in float networks {_TWO}", "folded, or engine"),
    "Sum": ("as Add", "engine, or folded"),
}

_FUNCTION = ("of one tensor, or of several that are functions of one; bounds of a layer need none", "table")

_HOST = "folded; at inputs and outputs the host"

_QUANTISER = ("one scale per tensor; by axis for weights; int8, uint8, int16, uint16", _HOST)

_DIALECT_NOTES: Mapping[str, str] = {
    "BipolarQuant": "constant weights",
    "IntQuant": "as Quant",
    "Quant": "1 to 8 bits, for biases up to 32; signed, narrow; rounding to nearest; scales by axis for weights; odd "
    "zero points of activations only where no value lies halfway between two integers",
    "Trunc": "nothing, as it rounds down",
}


def coverage() -> list[Coverage]:
    """All rows: the standard operators by name, then those of the other domains."""
    standard = [_standard(op) for op in sorted({*COMPUTED, *QUANTISERS, *FOLDED})]
    return standard + [_dialect(op, domain) for domain, ops in DIALECTS.items() for op in ops]


def _standard(op: str) -> Coverage:
    if op in FOLDED:
        return Coverage(op, "", "of constants, and Shape of a static tensor", "folded", _since(op))
    if op in QUANTISERS:
        return Coverage(op, "", *_QUANTISER, _since(op))
    row = _LAYERS.get(op) or _ARITHMETIC.get(op) or (_FUNCTION if op in ELEMENTWISE else None)
    if row is None:
        raise KeyError(op)
    return Coverage(op, "", *row, _since(op))


def _dialect(op: str, domain: str) -> Coverage:
    if op in _DIALECT_NOTES:
        return Coverage(op, domain, _DIALECT_NOTES[op], "refused" if op == "Trunc" else _HOST, 13)
    if op in QUANTISERS:
        return Coverage(op, domain, "as the standard one", _HOST, 0)
    plain = op.removeprefix("QLinear").removeprefix("Q")
    where = {"Softmax": "host tail", "LeakyRelu": "table", "Sigmoid": "table"}.get(plain, "as that")
    accepted = f"as {plain} between DequantizeLinear and QuantizeLinear"
    return Coverage(op, domain, accepted, where, 0 if domain else _since(op))


def _since(op: str) -> int:
    """The first operator set that has the operator and is read."""
    history = onnx.defs.get_all_schemas_with_history()
    first = min(schema.since_version for schema in history if schema.name == op and not schema.domain)
    return max(first, OLDEST_OPSET)
