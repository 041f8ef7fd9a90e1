# SPDX-License-Identifier: Apache-2.0
"""The numbers of the lanes: multipliers and shifts, bounds, zero-point corrections, and the check that sums fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from systolith.spec.fixed import UnrepresentableScale, make_add_multiplier, make_scaler

from .errors import QuantisationError
from .ir import AddAttributes, Node
from .layout import residual_of, round_up
from .plan import Context, Ints, LaneTable

__all__ = ["check_accumulator", "lane_fields", "lane_table"]


def lane_table(node: Node, ctx: Context, bias: Ints, factors: Iterable[float], multiple: int) -> LaneTable:
    """The table of a layer, padded with zeros to a multiple of ``multiple`` channels.

    Raises:
        QuantisationError: a factor is not representable; the message names the channel.
    """
    widths = ctx.arch.lane_widths
    pairs = []
    for channel, factor in enumerate(factors):
        try:
            scaler = make_scaler(float(factor), widths)
        except UnrepresentableScale as error:
            raise QuantisationError(f"node {node.name!r} ({node.op}), output channel {channel}: {error}") from error
        pairs.append((scaler.multiplier, scaler.shift))
    padding = round_up(len(bias), multiple) - len(bias)
    multiplier, shift = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return LaneTable(*(np.pad(part, (0, padding)) for part in (bias, multiplier, shift)))


def check_accumulator(node: Node, ctx: Context, low: Ints, high: Ints, bias: Ints) -> None:
    """Refuse unless the sums in ``[low, high]``, with and without the bias, fit an accumulator; all (channels,).

    Raises:
        QuantisationError: naming the worst channel, the bits needed and the bits there are.
    """
    zero = np.zeros_like(bias)
    reach = np.max([-(part + add) - 1 for part in (low,) for add in (zero, bias)], axis=0)
    reach = np.maximum(reach, np.max([part + add for part in (high,) for add in (zero, bias)], axis=0))
    reach = np.maximum(reach, np.maximum(-bias - 1, bias))
    worst = int(reach.argmax())
    bits = int(reach[worst]).bit_length() + 1
    if bits > ctx.arch.acc_bits:
        raise QuantisationError(
            f"node {node.name!r} ({node.op}), output channel {worst}: the sum can need {bits} bits, the accumulator "
            f"of arch {ctx.arch.name!r} has {ctx.arch.acc_bits}; what helps: acc_bits={bits}"
        )


def _add_fields(node: Node, ctx: Context, add: AddAttributes, residual: str) -> dict[str, Any]:
    widths = ctx.arch.lane_widths
    try:
        factors = {name: make_add_multiplier(getattr(add, name), widths) for name in ("m_own", "m_res")}
    except UnrepresentableScale as error:
        raise QuantisationError(f"node {node.name!r} ({node.op}): {error}") from error
    zero = ctx.qparams(residual).zero_point
    return {"residual": True, "res_zero": zero, "lo_sum": add.lo, "hi_sum": add.hi, **factors}


def _operand_fields(node: Node, ctx: Context, residual: str) -> dict[str, Any]:
    if node.op != "QMul":
        return _add_fields(node, ctx, node.attributes["add"], residual)
    bounds = {"lo_sum": node.attributes["lo"], "hi_sum": node.attributes["hi"]}
    return {"residual": True, "product": True, "res_zero": ctx.qparams(residual).zero_point, **bounds}


def lane_fields(node: Node, ctx: Context, lo: int, hi: int) -> dict[str, Any]:
    """The descriptor fields that configure the lanes, with the second tensor where the node has one.

    A table is looked up, but which one is known when all of the program's are.
    """
    fields: dict[str, Any] = {"out_zero": ctx.result(node).zero_point, "lo": lo, "hi": hi}
    if "table" in node.attributes:
        fields["lookup"] = True
    residual = residual_of(node)
    if residual is not None:
        fields |= _operand_fields(node, ctx, residual)
    return fields
