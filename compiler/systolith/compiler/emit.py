# SPDX-License-Identifier: Apache-2.0
"""From tiled layers to a Program: weights in consumption order, parameter lines, encoded descriptors, reports."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from systolith.spec import link
from systolith.spec.arch import NARROWABLE_BITS, PRESETS, Arch
from systolith.spec.encoding import encode
from systolith.spec.image import LayerInfo, Program, TensorMap
from systolith.spec.isa import LINE_WORDS, Descriptor, IsaError, Op, descriptor_words
from systolith.spec.link import Space

from .allocate import Placement
from .errors import CapacityError
from .nest import extremes
from .overlap import overlap
from .plan import Context, LaneTable, LayerPlan
from .runtime import Words, pack_fields
from .stored_weights import narrowing, pack_weights
from .tables import TableMemory, place_tables

__all__ = ["emit"]


@dataclass(frozen=True)
class _Memory:
    """A memory's lines as link words, and where each layer's tables begin."""

    words: Words
    starts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class _WeightMemory(_Memory):
    """Also how often the bits of each layer's weights are halved."""

    narrow: tuple[int, ...]


def _stack(parts: Sequence[Sequence[Words]], width: int) -> _Memory:
    """Concatenate the layers' tables, noting first lines."""
    starts, line = [], 0
    for layer in parts:
        first = []
        for part in layer:
            first.append(line)
            line += len(part)
        starts.append(tuple(first))
    flat = [part for layer in parts for part in layer]
    return _Memory(np.concatenate([np.zeros((0, width), dtype=np.uint32), *flat]), tuple(starts))


def _pack_weights(plans: Sequence[LayerPlan], arch: Arch) -> _WeightMemory:
    narrow = tuple(0 if plan.dynamic else narrowing(plan.weights, arch) for plan in plans)
    parts = [
        [pack_weights(block, less, arch) for block in plan.weights] for plan, less in zip(plans, narrow, strict=True)
    ]
    memory = _stack(parts, link.line_words(Space.WEIGHTS, arch))
    return _WeightMemory(memory.words, memory.starts, narrow)


def _pack_table(table: LaneTable, arch: Arch) -> Words:
    slots = link.param_slots(arch)
    return pack_fields([(getattr(table, name).reshape(-1, arch.lanes), bits) for name, (_, bits) in slots.items()])


def _pack_params(plans: Sequence[LayerPlan], arch: Arch) -> _Memory:
    parts = [[_pack_table(table, arch) for table in plan.tables] for plan in plans]
    return _stack(parts, link.line_words(Space.PARAMS, arch))


def _addressed(
    plans: Sequence[LayerPlan], weights: _WeightMemory, params: _Memory, looked_up: TableMemory, arch: Arch
) -> list[Descriptor]:
    """All descriptors with their parameter lines and tables, the weights that follow, and how early they may begin."""
    made: list[Descriptor] = []
    following: list[tuple[int, int]] = []
    memories = zip(plans, weights.starts, weights.narrow, params.starts, looked_up.slots, strict=True)
    for plan, blocks, narrow, tables, slot in memories:
        for step in plan.steps:
            one = replace(step.descriptor, param_base=tables[step.params] + step.param_line, table=slot)
            made.append(_placed(plan, one, step.target, blocks[step.target], arch) if one.to_weights else one)
            if step.descriptor.op == Op.MATRIX:
                following.append((blocks[step.weights], narrow))
    return overlap(_chained(made, following), arch)


def _placed(plan: LayerPlan, descriptor: Descriptor, target: int, line: int, arch: Arch) -> Descriptor:
    """A descriptor that stores the weights numbered ``target``, those of its row 0 at the beginning of ``line``."""
    first, limit = line * arch.weight_rows, 1 << arch.act_addr_bits
    last = first + len(plan.weights[target]) * arch.rows - 1
    if last >= limit:
        raise CapacityError(
            f"node {plan.node.name!r} ({plan.node.op}): its weights end in row {last} of the weight memory, results of "
            f"arch {arch.name!r} reach row {limit - 1}; what helps: a larger act_lines"
        )
    return replace(descriptor, out=replace(descriptor.out, base=first + descriptor.out.base))


def _chained(made: Sequence[Descriptor], weights: Sequence[tuple[int, int]]) -> list[Descriptor]:
    """Tell each descriptor of the weights that come next; ``weights`` are line and narrowing of each MATRIX's."""
    chained: list[Descriptor] = []
    # behind the last ones the fetching begins anew
    line, narrow = weights[0] if weights else (0, 0)
    left = list(weights)
    for one in reversed(made):
        if one.op == Op.MATRIX:
            one = replace(one, weights_next=line, narrow_next=narrow)
            line, narrow = left.pop()
        chained.append(replace(one, narrow=narrow))
    return chained[::-1]


_HELP = {
    Space.PROGRAM: "fewer tiles (a larger acc_depth)",
    Space.PARAMS: "fewer output channels",
}
"""What helps, besides a larger memory, when one is too small."""

_SIZE_NAMES = {Space.PROGRAM: "program_words", Space.WEIGHTS: "weight_lines", Space.PARAMS: "param_lines"}


def _help(space: Space, arch: Arch) -> str:
    if space != Space.WEIGHTS:
        return _HELP[space]
    if arch.narrow_weights:
        return "4-bit or 2-bit weights in some layers"
    if arch.weight_bits == NARROWABLE_BITS:
        return "narrow_weights=true and 4-bit weights in some layers"
    return "weights of fewer bits"


def _check_size(space: Space, needed: int, arch: Arch, shares: Mapping[str, int]) -> None:
    """Refuse a program that one memory cannot hold; ``shares`` are the layers' lines."""
    limit = link.space_lines(space, arch)
    if needed <= limit:
        return
    largest = max(shares, key=lambda name: shares[name])
    name = _SIZE_NAMES[space]
    raise CapacityError(
        f"{space.name.lower()} memory: {needed} lines are needed, arch {arch.name!r} has {limit}, {needed - limit} too "
        f"many; the largest share, {shares[largest]}, is node {largest!r}'s; what helps: {name}={needed}, "
        f"{_help(space, arch)}, or {_larger(space, needed, arch)}"
    )


def _larger(space: Space, needed: int, arch: Arch) -> str:
    """The smallest preset whose memory holds as much, by name if there is one."""
    words = needed * link.line_words(space, arch)
    sizes = {one.name: link.space_lines(space, one) * link.line_words(space, one) for one in PRESETS.values()}
    fitting = [name for name in sizes if sizes[name] >= words and PRESETS[name].act_bits == arch.act_bits]
    return f"a larger arch such as {min(fitting, key=lambda name: sizes[name])!r}" if fitting else "a larger arch"


def _check_sizes(plans: Sequence[LayerPlan], arch: Arch, weights: _WeightMemory, params: _Memory) -> None:
    per_descriptor = descriptor_words(arch)
    shares = {
        Space.PROGRAM: {plan.node.name: len(plan.steps) * per_descriptor for plan in plans},
        Space.WEIGHTS: {
            plan.node.name: _weight_lines(plan, less, arch) for plan, less in zip(plans, weights.narrow, strict=True)
        },
        Space.PARAMS: {plan.node.name: sum(len(table.bias) for table in plan.tables) // arch.lanes for plan in plans},
    }
    _check_size(Space.WEIGHTS, len(weights.words), arch, shares[Space.WEIGHTS])
    _check_size(Space.PARAMS, len(params.words), arch, shares[Space.PARAMS])
    _check_size(Space.PROGRAM, sum(shares[Space.PROGRAM].values()) + LINE_WORDS, arch, shares[Space.PROGRAM])


def _weight_lines(plan: LayerPlan, narrow: int, arch: Arch) -> int:
    return sum(-(-len(block) * arch.pass_lines >> narrow) for block in plan.weights)


def _check_windows(plan: LayerPlan, descriptor: Descriptor, arch: Arch) -> None:
    """Refuse windows that start off the granule, and coordinates that leave their field."""
    steps = [descriptor.base + descriptor.row_start + descriptor.col_start]
    steps += [part for loop in descriptor.loops for part in (loop.row_step, loop.col_step)]
    where = f"node {plan.node.name!r} ({plan.node.op})"
    if any(step % arch.act_granule for step in steps):
        raise CapacityError(
            f"{where}: its windows start off the multiples of {arch.act_granule} elements that arch {arch.name!r} "
            "reads; what helps: rows and cols of at least act_granule"
        )
    limit = 1 << (arch.coord_bits - 1)
    (row_low, row_high), (col_low, col_high) = extremes(descriptor)
    if min(row_low, col_low) < -limit or max(row_high, col_high + arch.window) > limit:
        raise CapacityError(
            f"{where}: coordinates reach {min(row_low, col_low)}..{max(row_high, col_high + arch.window) - 1}, arch "
            f"{arch.name!r} counts {-limit}..{limit - 1}; what helps: a larger act_lines"
        )


def _encode(plan: LayerPlan, descriptor: Descriptor, arch: Arch) -> list[int]:
    _check_windows(plan, descriptor, arch)
    try:
        return encode(descriptor, arch)
    except IsaError as error:
        raise CapacityError(
            f"node {plan.node.name!r} ({plan.node.op}): {error}; arch {arch.name!r} is too small"
        ) from error


def _program_words(plans: Sequence[LayerPlan], descriptors: Sequence[Descriptor], arch: Arch) -> array[int]:
    owners = [plan for plan in plans for _ in plan.steps]
    words = array("I")
    for plan, descriptor in zip(owners, descriptors, strict=True):
        words.extend(_encode(plan, descriptor, arch))
    words.extend(encode(Descriptor(op=Op.END), arch))
    return words


def _map(name: str, ctx: Context) -> TensorMap:
    layout, tensor, qparams = ctx.layouts[name], ctx.graph.tensors[name], ctx.qparams(name)
    return TensorMap(
        name=name,
        base=ctx.bases[name],
        height=layout.height,
        width=layout.width,
        channels=layout.channels,
        channel_pitch=layout.channel_pitch,
        row_pitch=layout.row_pitch,
        block=layout.block,
        shape=tuple(tensor.shape),
        scale=qparams.scale,
        zero_point=qparams.zero_point,
        unsigned=qparams.unsigned,
        float_io=name not in ctx.graph.integer_io,
    )


def _layers(plans: Sequence[LayerPlan], narrow: Sequence[int], ctx: Context) -> tuple[LayerInfo, ...]:
    layers, first = [], 0
    for plan, less in zip(plans, narrow, strict=True):
        layers.append(
            LayerInfo(
                name=plan.node.name,
                kind="+".join(plan.node.origin) or plan.node.op,
                first=first,
                count=len(plan.steps),
                macs=plan.macs,
                output=_map(plan.node.outputs[0], ctx),
                weight_bytes=_weight_lines(plan, less, ctx.arch) * ctx.arch.weight_line_bits // 8,
                weight_bits=ctx.arch.weight_bits >> less if plan.weights else 0,
            )
        )
        first += len(plan.steps)
    return tuple(layers)


def _notes(
    ctx: Context, placement: Placement, segments: Mapping[Space, array[int]], plans: Sequence[LayerPlan]
) -> dict[str, Any]:
    arch = ctx.arch
    used = {space.name.lower(): len(words) // link.line_words(space, arch) for space, words in segments.items()}
    memory = {
        space: {"lines": lines, "of": link.space_lines(Space[space.upper()], arch)} for space, lines in used.items()
    }
    activations = {
        "elements": placement.peak,
        "of": arch.act_depth,
        "lower_bound": placement.bound,
        "top": placement.top,
    }
    return {"memory": {**memory, "activations": activations}, "tensors": _tensors(ctx, placement, plans)}


def _tensors(ctx: Context, placement: Placement, plans: Sequence[LayerPlan]) -> list[dict[str, Any]]:
    """Where each stored tensor lies, and the layers from that which makes it (-1: the host) to that which last reads
    it (one past the last layer: the host).
    """
    planned = {plan.node.name for plan in plans}
    stored = [node.name in planned for node in ctx.graph.nodes]
    layers = [sum(stored[: index + 1]) - 1 for index in range(len(stored))]
    index = {-1: -1, **dict(enumerate(layers)), len(stored): sum(stored)}
    return [
        {
            "name": name,
            "base": ctx.bases[name],
            "elements": ctx.layouts[name].elements,
            "first_layer": index[first],
            "last_layer": index[last],
        }
        for name, (first, last) in placement.lifetimes.items()
    ]


def emit(ctx: Context, plans: Sequence[LayerPlan], placement: Placement) -> Program:
    """The program of tiled layers, in order.

    Raises:
        CapacityError: a memory or a field is too small; the message says by how much, where, and what helps.
    """
    graph, arch = ctx.graph, ctx.arch
    weights, params = _pack_weights(plans, arch), _pack_params(plans, arch)
    tables = place_tables([plan.node for plan in plans], graph, arch)
    _check_sizes(plans, arch, weights, params)
    descriptors = _addressed(plans, weights, params, tables, arch)
    segments = {
        Space.PROGRAM: _program_words(plans, descriptors, arch),
        Space.WEIGHTS: array("I", weights.words.tobytes()),
        Space.PARAMS: array("I", params.words.tobytes()),
    }
    if arch.tables:
        segments[Space.TABLES] = array("I", tables.words.tobytes())
    return Program(
        name=graph.name,
        arch=arch,
        segments=segments,
        inputs=tuple(_map(name, ctx) for name in graph.inputs),
        outputs=tuple(_map(name, ctx) for name in graph.outputs),
        layers=_layers(plans, weights.narrow, ctx),
        host_tail=graph.host_tail,
        notes=_notes(ctx, placement, segments, plans),
    )
