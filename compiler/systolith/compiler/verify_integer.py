# SPDX-License-Identifier: Apache-2.0
"""The rules of the integer level (see :mod:`.ir`), node by node."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from systolith.spec.fixed import FINER, LaneWidths

from .errors import VerifyError
from .ir import AddAttributes, Graph, Move, Node, QParams, Run
from .stored_weights import weight_range

__all__ = [
    "ADD_LIMIT",
    "ATTRIBUTES",
    "FACTOR_LIMIT",
    "OPTIONAL",
    "check_integer_node",
    "check_integer_tensors",
    "image_shape",
    "product_limit",
]

_WIDTHS = LaneWidths(8, 32)

FACTOR_LIMIT = float(1 << (_WIDTHS.headroom - _WIDTHS.guard))
"""A requantisation factor is below this, whatever the widths."""

ADD_LIMIT = float(1 << (_WIDTHS.add_mult - _WIDTHS.add_post))
"""A factor of an add is below this, whatever the widths."""

WEIGHT_BITS = range(2, 17)
"""What a QConv's ``weight_bits`` may be: what an engine may take."""

_BOUNDS = frozenset({"lo", "hi"})
_WINDOW = frozenset({"kernel", "strides", "pads"})

ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "QConv": _BOUNDS | _WINDOW | {"weight", "bias", "factor", "dilations", "group"},
    "QPool": _BOUNDS | _WINDOW | {"mode", "count_include_pad", "factor"},
    "QAdd": frozenset({"add"}),
    "QMul": _BOUNDS | {"factor"},
    "QMatMul": _BOUNDS | {"factor"},
    "QMove": _BOUNDS | {"moves", "factors", "fill"},
    "QRequant": _BOUNDS | {"factor"},
    "QTable": frozenset({"table"}),
    "QTranspose": frozenset(),
    "View": frozenset(),
}
"""Each operator and the attributes it must have."""

_TABLE = frozenset({"table", "inner"})

OPTIONAL: Mapping[str, frozenset[str]] = {
    "QConv": _TABLE | {"add", "weight_bits"},
    "QPool": _TABLE | {"dilations"},
    "QAdd": _TABLE,
    "QMul": _TABLE,
    "QMatMul": _TABLE | {"transposed"},
    "QRequant": _TABLE,
}
"""What an operator may have besides: ``add`` with a residual, ``table`` and ``inner`` together."""


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width of an activation; raises VerifyError for a rank outside 2..4."""
    if not 2 <= len(shape) <= 4:
        raise VerifyError(f"shape {shape} is of rank {len(shape)}, expected (N, C), (N, C, L) or (N, C, H, W)")
    height, width = (1, 1, *shape[2:])[-2:]
    return shape[1], height, width


def check_integer_tensors(graph: Graph) -> None:
    """Every tensor is an image or a vector with usable quantisation parameters."""
    for tensor in graph.tensors.values():
        image_shape(tensor.shape)
        params = tensor.qparams
        if params is None or not math.isfinite(params.scale) or params.scale <= 0:
            raise VerifyError(f"tensor {tensor.name!r}: expected a positive finite scale, got {params}")
        if not params.low <= params.zero_point <= params.high:
            raise VerifyError(f"tensor {tensor.name!r}: zero point {params.zero_point} is not of {params.bits} bits")


def check_integer_node(graph: Graph, node: Node) -> None:
    """Check one node; raises VerifyError."""
    try:
        if node.op != "QTable" and _TABLE.intersection(node.attributes):
            _check_inner(graph, node)
        _RULES[node.op](graph, node)
    except VerifyError as error:
        raise VerifyError(f"node {node.name!r} ({node.op}): {error}") from error


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise VerifyError(message)


def _qparams(graph: Graph, name: str) -> QParams:
    params = graph.tensors[name].qparams
    if params is None:
        raise VerifyError(f"tensor {name!r} is not quantised")
    return params


def _own(graph: Graph, node: Node) -> QParams:
    """What a node's factors and bounds refer to: its output's quantisation, or ``inner`` in front of a table."""
    inner = node.attributes.get("inner")
    return inner if isinstance(inner, QParams) else _qparams(graph, node.outputs[0])


def _check_inner(graph: Graph, node: Node) -> None:
    inner = node.attributes.get("inner")
    if not isinstance(inner, QParams) or "table" not in node.attributes:
        raise VerifyError("it has only one of table and inner")
    _expect(math.isfinite(inner.scale) and inner.scale > 0, f"inner has scale {inner.scale}")
    _expect(inner.low <= inner.zero_point <= inner.high, f"inner's zero point is not of {inner.bits} bits")
    _check_entries(graph, node, inner)


def _check_entries(graph: Graph, node: Node, source: QParams) -> None:
    """One entry for each integer of ``source``, all of them integers of the output."""
    table, result = graph.constant(node.attributes["table"]), _qparams(graph, node.outputs[0])
    expected = (1 << source.bits,)
    _expect(table.dtype == np.int64 and table.shape == expected, f"table must be int64 of shape {expected}")
    inside = result.low <= table.min() <= table.max() <= result.high
    _expect(inside, f"table entries {table.min()}..{table.max()} are not inside {result.low}..{result.high}")


def _check_bounds(lo: int, hi: int, params: QParams) -> None:
    low, high = params.low - params.zero_point, params.high - params.zero_point
    _expect(low <= lo <= hi <= high, f"bounds {lo}..{hi} are not inside {low}..{high}")


def _check_factor(factor: float, limit: float) -> None:
    _expect(math.isfinite(factor) and 0 < factor < limit, f"factor {factor!r} is not in (0, {limit:g})")


def _window_outputs(graph: Graph, node: Node, dilations: tuple[int, int]) -> tuple[int, int]:
    _, height, width = image_shape(graph.tensors[node.inputs[0]].shape)
    (kh, kw), (sy, sx), (top, left, bottom, right) = (node.attributes[key] for key in ("kernel", "strides", "pads"))
    rows = (height + top + bottom - (kh - 1) * dilations[0] - 1) // sy + 1
    return rows, (width + left + right - (kw - 1) * dilations[1] - 1) // sx + 1


def _check_result(graph: Graph, node: Node, expected: tuple[int, int, int]) -> None:
    got = image_shape(graph.tensors[node.outputs[0]].shape)
    _expect(got == expected, f"output has (C, H, W) {got}, its operands make {expected}")


def _check_conv(graph: Graph, node: Node) -> None:
    given = node.attributes
    weight, bias, factor = (graph.constant(given[key]) for key in ("weight", "bias", "factor"))
    channels = image_shape(graph.tensors[node.inputs[0]].shape)[0]
    outputs, group = weight.shape[0], given["group"]
    shape = (outputs, channels // group, *given["kernel"])
    _expect(channels % group == 0 and outputs % group == 0, f"group {group} does not divide {channels} and {outputs}")
    _expect(weight.shape == shape, f"weight has shape {weight.shape}, expected {shape}")
    _expect(weight.dtype == np.int64 and bias.dtype == np.int64, "weight and bias must be int64")
    _expect(bias.shape == factor.shape == (outputs,), f"bias and factor must have {outputs} elements")
    _check_weight_bits(weight, given.get("weight_bits"))
    for value in factor:
        _check_factor(float(value), FACTOR_LIMIT)
    _check_result(graph, node, (outputs, *_window_outputs(graph, node, given["dilations"])))
    _check_conv_bounds(graph, node)


def _check_weight_bits(weight: NDArray[np.int64], bits: int | None) -> None:
    """The integers keep what ``weight_bits`` promises; absent, it promises nothing."""
    if bits is None:
        return
    _expect(bits in WEIGHT_BITS, f"weight_bits {bits!r} is not in {WEIGHT_BITS[0]}..{WEIGHT_BITS[-1]}")
    low, high = weight_range(bits)
    reach = f"{weight.min(initial=0)}..{weight.max(initial=0)}"
    _expect(low <= weight.min(initial=0) and weight.max(initial=0) <= high, f"weights {reach} are not of {bits} bits")


def _check_conv_bounds(graph: Graph, node: Node) -> None:
    """With a residual ``lo`` and ``hi`` belong to the convolution's own scale, whose zero point is not recorded."""
    lo, hi = node.attributes["lo"], node.attributes["hi"]
    params = _own(graph, node)
    if len(node.inputs) == 1:
        _expect("add" not in node.attributes, "it has an add but no second operand")
        _check_bounds(lo, hi, params)
        return
    span = params.high - params.low
    _expect(-span <= lo <= hi <= span and hi - lo <= span, f"bounds {lo}..{hi} are wider than {params.bits} bits")
    _check_add(graph, node, node.inputs[1:])


def _check_operand(graph: Graph, node: Node, name: str) -> None:
    """Pixel by pixel of the result's shape; the second one of two may be a single pixel."""
    expected, got = (image_shape(graph.tensors[item].shape) for item in (node.outputs[0], name))
    single = node.op in ("QAdd", "QMul") and name == node.inputs[1] and got == (expected[0], 1, 1)
    _expect(expected == got or single, f"operand {name!r} has (C, H, W) {got}, the result {expected}")


def _check_add(graph: Graph, node: Node, operands: tuple[str, ...]) -> None:
    add = node.attributes.get("add")
    if not isinstance(add, AddAttributes):
        raise VerifyError("it has a second operand but no add")
    for name in operands:
        _check_operand(graph, node, name)
    _check_factor(add.m_own, ADD_LIMIT)
    _check_factor(add.m_res, ADD_LIMIT)
    _check_bounds(add.lo, add.hi, _own(graph, node))


def _check_pool(graph: Graph, node: Node) -> None:
    given = node.attributes
    _expect(given["mode"] in ("max", "average"), f"mode {given['mode']!r} is neither max nor average")
    channels = image_shape(graph.tensors[node.inputs[0]].shape)[0]
    _check_factor(given["factor"], FACTOR_LIMIT)
    _check_bounds(given["lo"], given["hi"], _own(graph, node))
    _check_result(graph, node, (channels, *_window_outputs(graph, node, given.get("dilations", (1, 1)))))


def _check_sum(graph: Graph, node: Node) -> None:
    _expect(len(node.inputs) == 2, f"it has {len(node.inputs)} operands, expected 2")
    _check_add(graph, node, node.inputs)


def _check_product(graph: Graph, node: Node) -> None:
    _expect(len(node.inputs) == 2, f"it has {len(node.inputs)} operands, expected 2")
    for name in node.inputs:
        _check_operand(graph, node, name)
    params = _qparams(graph, node.inputs[0])
    _check_factor(node.attributes["factor"], product_limit(params))
    _check_bounds(node.attributes["lo"], node.attributes["hi"], _own(graph, node))


def product_limit(params: QParams) -> float:
    """A QMul's factor is below this, so that its first operand, of ``params``, fits the lanes when it is scaled."""
    reach = max(params.zero_point - params.low, params.high - params.zero_point)
    return ((1 << (params.bits + FINER)) - 0.5) / reach


def _check_matmul(graph: Graph, node: Node) -> None:
    _expect(len(node.inputs) == 2, f"it has {len(node.inputs)} operands, expected 2")
    left, right = (image_shape(graph.tensors[name].shape) for name in node.inputs)
    terms, outputs = right[1] * right[2], right[0]
    if node.attributes.get("transposed", False):
        terms, outputs = outputs, terms
    _expect(terms == left[0], f"operands have (C, H, W) {left} and {right}: sums of {left[0]} and {terms} products")
    zeros = [_qparams(graph, name).zero_point for name in node.inputs]
    _expect(zeros == [0, 0], f"operands have zero points {zeros}, expected 0")
    _check_factor(node.attributes["factor"], FACTOR_LIMIT)
    _check_bounds(node.attributes["lo"], node.attributes["hi"], _own(graph, node))
    _check_result(graph, node, (outputs, *left[1:]))


def _check_requant(graph: Graph, node: Node) -> None:
    _check_factor(node.attributes["factor"], FACTOR_LIMIT)
    _check_bounds(node.attributes["lo"], node.attributes["hi"], _own(graph, node))
    _check_result(graph, node, image_shape(graph.tensors[node.inputs[0]].shape))


def _check_table(graph: Graph, node: Node) -> None:
    _check_entries(graph, node, _qparams(graph, node.inputs[0]))
    _check_result(graph, node, image_shape(graph.tensors[node.inputs[0]].shape))


def _check_move(graph: Graph, node: Node) -> None:
    given, params = node.attributes, _qparams(graph, node.outputs[0])
    _expect(len(given["factors"]) == len(node.inputs) > 0, f"it has {len(given['factors'])} factors")
    for factor in given["factors"]:
        _check_factor(factor, FACTOR_LIMIT)
    _check_bounds(given["lo"], given["hi"], params)
    _expect(given["lo"] <= 0 <= given["hi"], f"bounds {given['lo']}..{given['hi']} leave out the zero point")
    _check_bounds(given["fill"], given["fill"], params)
    written = np.zeros(image_shape(graph.tensors[node.outputs[0]].shape), dtype=np.int64)
    for move in given["moves"]:
        _check_box(graph, node, move, written.shape)
        written[np.ix_(*(_targets(run) for run in (move.channels, move.rows, move.columns)))] += 1
    _expect(int(written.max()) == 1, "its moves overlap" if written.any() else "it moves nothing")


def _targets(run: Run) -> range:
    return range(run.target, run.target + run.count * run.target_step, run.target_step)


def _check_box(graph: Graph, node: Node, move: Move, target: tuple[int, ...]) -> None:
    """A move reads inside its input and writes inside the output."""
    _expect(0 <= move.input < len(node.inputs), f"it moves from input {move.input} of {len(node.inputs)}")
    channels, height, width = image_shape(graph.tensors[node.inputs[move.input]].shape)
    source = (channels, width, height) if move.transposed else (channels, height, width)
    _expect(move.channels.source_step == move.channels.target_step == 1, "channels have steps")
    for run, there, here in zip((move.channels, move.rows, move.columns), source, target, strict=True):
        last = run.source + (run.count - 1) * run.source_step
        _expect(run.count > 0 and run.target_step > 0, f"{run} is empty or runs backwards")
        _expect(min(run.source, last) >= 0 and max(run.source, last) < there, f"{run} leaves a source of {there}")
        _expect(run.target >= 0 and _targets(run)[-1] < here, f"{run} leaves a target of {here}")


def _check_transpose(graph: Graph, node: Node) -> None:
    source, result = (image_shape(graph.tensors[name].shape) for name in (node.inputs[0], node.outputs[0]))
    _expect(_qparams(graph, node.inputs[0]) == _qparams(graph, node.outputs[0]), "it changes the integers' meaning")
    exchanged = (source[1] * source[2], source[0]) == (result[0], result[1] * result[2])
    _expect(exchanged, f"it turns (C, H, W) {source} into {result}")


def _check_view(graph: Graph, node: Node) -> None:
    source, result = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    params = [_qparams(graph, name) for name in (*node.inputs, *node.outputs)]
    _expect(len({(part.zero_point, part.bits) for part in params}) == 1, "it changes the integers")
    before, after = image_shape(source.shape), image_shape(result.shape)
    _expect(math.prod(before) == math.prod(after), f"it turns {source.shape} into {result.shape}")
    _expect(before[0] == after[0] or _is_line(before) and _is_line(after), "it changes the NHWC order")


def _is_line(shape: tuple[int, int, int]) -> bool:
    """Whether NCHW and NHWC are the same order: a single channel or a single pixel."""
    return shape[0] == 1 or shape[1:] == (1, 1)


_RULES: Mapping[str, Callable[[Graph, Node], None]] = {
    "QAdd": _check_sum,
    "QConv": _check_conv,
    "QMul": _check_product,
    "QMatMul": _check_matmul,
    "QMove": _check_move,
    "QPool": _check_pool,
    "QRequant": _check_requant,
    "QTable": _check_table,
    "QTranspose": _check_transpose,
    "View": _check_view,
}
