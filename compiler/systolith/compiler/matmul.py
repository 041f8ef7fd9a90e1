# SPDX-License-Identifier: Apache-2.0
"""QMatMul: the second operand is copied into the weight memory, a pixel a row, and a 1 x 1 convolution then meets it.

The weights of a block of C output channels are the C-vectors of as many channels of ``w``, one of each pixel: what the
vector unit reads pixel by pixel is what the weight memory holds row by row. A transposed ``w`` is exchanged on its way,
by the array (:mod:`.exchange`). Rows behind the last pixel, up to whole passes, are zeros of the program's image, so
that what windows find behind the last channel of ``x`` does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from systolith.spec.arch import PRESETS
from systolith.spec.isa import Descriptor, Op

from .errors import CapacityError, UnsupportedModel
from .exchange import check_exchange, exchanged, selection
from .ir import Node
from .matrix import plan_matrix
from .nest import Stride, make_loops, make_walk
from .plan import Context, LayerPlan, Step
from .scaling import check_accumulator, lane_table

__all__ = ["plan_matmul"]


def _check_arch(node: Node, ctx: Context) -> None:
    arch = ctx.arch
    if arch.dynamic_weights and arch.pool:
        return
    able = ", ".join(one.name for one in PRESETS.values() if one.dynamic_weights and one.pool)
    raise UnsupportedModel(
        node=node.name,
        op=node.origin[0] if node.origin else node.op,
        problem=f"it multiplies two computed tensors, for which arch {arch.name!r} was not built",
        accepted="an arch with dynamic_weights=true and pool=true",
        advice=f"presets with both: {able}",
    )


def _as_convolution(node: Node, ctx: Context) -> LayerPlan:
    """The 1 x 1 convolution of ``x``, its weights zeros."""
    outputs, inputs = (ctx.layouts[name].channels for name in (node.outputs[0], node.inputs[0]))
    names = {part: f"{node.name}:{part}" for part in ("weight", "bias", "factor")}
    constants = {
        names["weight"]: np.zeros((outputs, inputs, 1, 1), dtype=np.int64),
        names["bias"]: np.zeros(outputs, dtype=np.int64),
        names["factor"]: np.full(outputs, node.attributes["factor"]),
    }
    window = {"kernel": (1, 1), "strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1), "group": 1}
    conv = replace(node, op="QConv", inputs=node.inputs[:1], attributes={**node.attributes, **window, **names})
    graph = ctx.graph.with_(constants={**ctx.graph.constants, **constants})
    return plan_matrix(conv, replace(ctx, graph=graph))


def _check_sums(node: Node, ctx: Context) -> None:
    """No product of two tensors overflows an accumulator, whatever is in them."""
    terms, half = ctx.layouts[node.inputs[0]].channels, 1 << (ctx.arch.act_bits - 1)
    high, low = (np.array([terms * half * edge]) for edge in (half, 1 - half))
    check_accumulator(node, ctx, low, high, np.zeros(1, dtype=np.int64))


def _copied(node: Node, ctx: Context, passes: int) -> Iterator[Descriptor]:
    """``w`` to rows of weights, those of its first pixel in row 0; ``passes`` make a block of output channels."""
    arch, name = ctx.arch, node.inputs[1]
    source, half = ctx.layouts[name], 1 << (arch.act_bits - 1)
    blocks = -(-source.channels // arch.cols)
    columns, rows = Stride(source.width, col=source.channel_pitch), Stride(source.height, row=source.row_pitch)
    yield Descriptor(
        op=Op.VECTOR,
        loops=make_loops([Stride(), Stride(), Stride(), columns, rows, Stride(blocks, col=arch.cols)]),
        base=ctx.bases[name],
        plane=source.elements,
        row_len=source.row_len,
        out=make_walk(0, (source.width, 1), (source.height, source.width), (blocks, passes * arch.rows)),
        lo=-half,
        hi=half - 1,
    )


def _turned(node: Node, ctx: Context, passes: int) -> Iterator[Descriptor]:
    """The same of a ``w`` whose channels are the rows."""
    check_exchange(node, ctx, node.inputs[1])
    distance = passes * ctx.arch.rows
    return exchanged(
        node.inputs[1],
        ctx,
        lambda channels, blocks: make_walk(channels.start, (channels.count, 1), (1, 0), (blocks, distance)),
    )


def _check_loops(node: Node, ctx: Context, outputs: int, sets: int) -> None:
    arch, right = ctx.arch, ctx.layouts[node.inputs[1]]
    blocks = -(-outputs // arch.cols)
    if max(right.width, right.height, blocks) > 1 << arch.dim_bits or sets > 1:
        raise CapacityError(
            f"node {node.name!r} ({node.op}): its second operand has {right.height} x {right.width} rows of {blocks} "
            f"vectors, a loop of arch {arch.name!r} counts to {1 << arch.dim_bits}; what helps: a larger dim_bits"
        )


def plan_matmul(node: Node, ctx: Context) -> LayerPlan:
    """A QMatMul as descriptors that store weights, on the vector unit or the array, and MATRIX descriptors.

    Raises:
        UnsupportedModel: the architecture cannot store results into its weight memory.
        CapacityError: an operand has more pixels or channels than a hardware loop counts.
        QuantisationError: a factor or a sum does not fit the architecture's widths.
    """
    _check_arch(node, ctx)
    _check_sums(node, ctx)
    made, arch, outputs = _as_convolution(node, ctx), ctx.arch, ctx.layouts[node.outputs[0]].channels
    _check_loops(node, ctx, outputs, len(made.weights))
    turned = node.attributes.get("transposed", False)
    # what the array stores with comes first, as in the run
    weights = (selection(outputs, arch), *made.weights) if turned else made.weights
    last = len(weights) - 1
    passes = len(made.weights[0]) // -(-outputs // arch.cols)
    stores = (_turned if turned else _copied)(node, ctx, passes)
    copied = lane_table(node, ctx, np.zeros(outputs, dtype=np.int64), np.ones(outputs), arch.cols)
    steps = [Step(replace(one, to_weights=True), params=len(made.tables), target=last) for one in stores]
    steps += [replace(step, descriptor=replace(step.descriptor, fresh=True), weights=last) for step in made.steps]
    return replace(made, node=node, steps=tuple(steps), tables=(*made.tables, copied), weights=weights)
