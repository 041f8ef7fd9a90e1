# SPDX-License-Identifier: Apache-2.0
"""Quantise ConvTranspose: a convolution of stride 1 for each phase of the output, then one QMove.

Output pixels whose coordinates leave the same rest modulo the stride meet the same taps of the kernel, so each such
phase is an ordinary convolution of the input, and interleaving the phases gives the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ir import Node, Tensor
from .moves import interleave_move
from .quantise_builder import Builder
from .quantise_movement import emit_move, operand
from .quantise_weights import QuantisedWeights, quantise_weights
from .verify_integer import image_shape

__all__ = ["Phase", "conv_transpose", "phases"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Phase:
    """Along one axis the outputs ``first``, ``first + stride``, ...: a convolution of stride 1.

    Tap ``t`` of it meets the input ``t - before`` further on, and is tap ``taps[t]`` of the kernel (None: zero).
    """

    first: int
    count: int
    taps: tuple[int | None, ...]
    before: int
    after: int


def phases(node: Node, axis: int, size: int, outputs: int) -> list[Phase]:
    """The phases of a ConvTranspose along an axis (0: y, 1: x) of ``size`` inputs."""
    keys = ("kernel_shape", "strides", "pads", "dilations")
    kernel, stride, pad, dilation = (node.attributes[key][axis] for key in keys)
    found = []
    for first in range(min(stride, outputs)):
        places: dict[int, int | None] = {first + pad - tap * dilation: tap for tap in range(kernel)}
        met = {place // stride: tap for place, tap in places.items() if place % stride == 0} or {0: None}
        count = -(-(outputs - first) // stride)
        # taps of zero where the padding would be negative
        low, high = min(0, *met), max(size - count, *met)
        taps = tuple(met.get(offset) for offset in range(low, high + 1))
        found.append(Phase(first, count, taps, -low, count - 1 + high - (size - 1)))
    return found


def conv_transpose(builder: Builder, node: Node) -> None:
    """``ConvTranspose`` to a ``QConv`` a phase, all with the result's scale, and a ``QMove`` that interleaves them."""
    if any(name not in builder.graph.constants for name in node.inputs[1:]):
        raise builder.refuse(node, "its weights or bias are computed by the network", "constant weights and bias")
    source = operand(builder, node, node.inputs[0])
    _, height, width = image_shape(source.shape)
    _, high, wide = image_shape(builder.graph.tensors[node.outputs[0]].shape)
    pairs = list(product(phases(node, 0, height, high), phases(node, 1, width, wide)))
    layers = [_phase_layer(builder, node, down, across) for down, across in pairs]
    unit = builder.params(source.name).scale
    largest = max(float(layer.scale.max()) for layer in layers)
    builder.define(node.outputs[0], builder.factor_scale(unit * largest))
    alone = len(pairs) == 1
    names = [
        _phase_conv(builder, node, source, pair, layer, alone=alone) for pair, layer in zip(pairs, layers, strict=True)
    ]
    if alone:
        return
    parts = [builder.source(name) for name in names]
    strides = node.attributes["strides"]
    moves = [
        interleave_move(index, image_shape(part.shape), (down.first, across.first), strides)
        for index, (part, (down, across)) in enumerate(zip(parts, pairs, strict=True))
    ]
    emit_move(builder, node, parts, moves)


def _by_output(node: Node, weight: Floats) -> Floats:
    """The weights (I, O/group, kh, kw) as a convolution has them, (O, I/group, kh, kw)."""
    group = node.attributes["group"]
    grouped = weight.reshape(group, -1, *weight.shape[1:]).swapaxes(1, 2)
    return grouped.reshape(-1, *grouped.shape[2:])


def _phase_layer(builder: Builder, node: Node, down: Phase, across: Phase) -> QuantisedWeights:
    """The integers of one phase's convolution."""
    weight = _by_output(node, builder.graph.constant(node.inputs[1]).astype(np.float64))
    part = np.zeros((*weight.shape[:2], len(down.taps), len(across.taps)))
    for (row, ky), (column, kx) in product(enumerate(down.taps), enumerate(across.taps)):
        if ky is not None and kx is not None:
            part[:, :, row, column] = weight[:, :, ky, kx]
    group = node.attributes["group"]
    bias = builder.graph.constant(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(len(weight))
    means = np.repeat(builder.means(node).reshape(group, -1, 1, 1), len(weight) // group, axis=0)
    params = builder.params(node.inputs[0])
    peak = float(np.abs(weight).max()) / ((1 << (builder.config.bits_of(node.name) - 1)) - 1)
    bias = bias.astype(np.float64).reshape(-1)
    # A phase that no tap meets is a bias alone; its scale must not be coarser than that of the others.
    return quantise_weights(node.name, part, bias, means, params, builder.config, spare=peak or 1.0)


def _phase_conv(
    builder: Builder, node: Node, source: Tensor, phase: tuple[Phase, Phase], layer: QuantisedWeights, *, alone: bool
) -> str:
    """The convolution of one phase; the name of its result: the node's own where the phase is ``alone``."""
    down, across = phase
    result = builder.params(node.outputs[0])
    role = f"phase {down.first} {across.first}"
    shape = (1, len(layer.weight), down.count, across.count)
    name = node.outputs[0] if alone else builder.inner(node, role, shape, result)
    factor = builder.params(source.name).scale * layer.scale / result.scale
    constants = {"weight": layer.weight, "bias": layer.bias, "factor": factor}
    names = {key: builder.constant(node, f"{role} {key}", value) for key, value in constants.items()}
    lo, hi = builder.bounds(node, result)
    geometry: dict[str, Any] = {
        "kernel": layer.weight.shape[2:],
        "strides": (1, 1),
        "pads": (down.before, across.before, down.after, across.after),
        "dilations": (1, 1),
        "group": node.attributes["group"],
        **builder.weight_width(node),
    }
    builder.emit(node, "QConv", (source.name,), {**names, **geometry, "lo": lo, "hi": hi}, name)
    return name
