# SPDX-License-Identifier: Apache-2.0
"""Random integer-level graphs: the same seed and limits always give the same graph.

All functions return graphs of batch 1; :func:`random_feeds` makes inputs of any batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.ir import Graph
from tests.support.graph_builder import GraphBuilder, Limits

__all__ = [
    "random_add_graph",
    "random_conv_graph",
    "random_depthwise_graph",
    "random_feeds",
    "random_graph",
    "random_matmul_graph",
    "random_move_graph",
    "random_network",
    "random_packed_graph",
    "random_pool_graph",
    "random_requant_graph",
    "random_table_graph",
]


def _start(seed: int, limits: Limits | None) -> tuple[GraphBuilder, str]:
    """A builder with one random input."""
    rng = np.random.default_rng(seed)
    limits = limits or Limits()
    builder = GraphBuilder(rng=rng, limits=limits)
    high = [limits.channels, limits.size, limits.size]
    channels, height, width = (int(value) for value in rng.integers(1, np.array(high) + 1))
    return builder, builder.input(channels, height, width)


def random_conv_graph(seed: int, limits: Limits | None = None, *, residual: bool | None = None) -> Graph:
    """One convolution; with ``residual`` (drawn if None) a second input is added in."""
    builder, x = _start(seed, limits)
    channels, height, width = builder.map_size(x)
    divisors = [value for value in range(1, channels + 1) if channels % value == 0]
    group = int(builder.rng.choice(divisors)) if builder.limits.grouped else 1
    if residual is None:
        residual = bool(builder.rng.integers(0, 2))
    if not residual:
        return builder.graph(f"conv{seed}", builder.conv(x, group=group))
    outputs = group * int(builder.rng.integers(1, max(1, builder.limits.channels // group) + 1))
    other = builder.input(outputs, height, width)
    return builder.graph(f"conv{seed}", builder.conv(x, residual=other, group=group))


def random_depthwise_graph(seed: int, limits: Limits | None = None, *, residual: bool | None = None) -> Graph:
    """One depthwise convolution, of a fifth of the seeds on a line; ``residual`` as in :func:`random_conv_graph`."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder(rng=rng, limits=limits or Limits())
    high = [max(2, builder.limits.channels), builder.limits.size, builder.limits.size if seed % 5 else 1]
    shape = [int(rng.integers(low, most + 1)) for low, most in zip((2, 1, 1), high, strict=True)]
    x = builder.input(*shape)
    if rng.integers(0, 2) if residual is None else residual:
        return builder.graph(f"depthwise{seed}", builder.depthwise(x, residual=builder.input(*shape)))
    return builder.graph(f"depthwise{seed}", builder.depthwise(x))


def random_pool_graph(seed: int, limits: Limits | None = None, *, mode: str | None = None) -> Graph:
    """One max or average pooling."""
    builder, x = _start(seed, limits)
    return builder.graph(f"pool{seed}", builder.pool(x, mode))


def random_add_graph(seed: int, limits: Limits | None = None) -> Graph:
    """One stand-alone add or product of two inputs."""
    builder, x = _start(seed, limits)
    return builder.graph(f"add{seed}", builder.combine(x, builder.input(*builder.map_size(x))))


def random_requant_graph(seed: int, limits: Limits | None = None) -> Graph:
    """One change of quantisation."""
    builder, x = _start(seed, limits)
    return builder.graph(f"requant{seed}", builder.requant(x))


def random_table_graph(seed: int, limits: Limits | None = None) -> Graph:
    """A table on a graph input."""
    builder, x = _start(seed, limits)
    return builder.graph(f"table{seed}", builder.table(x))


def random_move_graph(seed: int, limits: Limits | None = None) -> Graph:
    """Data movement out of one to three tensors, between layers that make and read them."""
    limits = limits or Limits()
    small = replace(limits, size=min(limits.size, 6), channels=min(limits.channels, 24))
    builder, x = _start(seed, small)
    made = [x, *(builder.input(*builder.map_size(x)) for _ in range(int(builder.rng.integers(0, 3))))]
    made = [builder.requant(name) if builder.rng.integers(0, 2) else name for name in made]
    y = builder.move(*made)
    return builder.graph(f"move{seed}", builder.conv(y) if builder.rng.integers(0, 2) else y)


def random_matmul_graph(seed: int, limits: Limits | None = None) -> Graph:
    """A product of two computed tensors, or of one with itself, between convolutions, tables and transpositions."""
    limits = limits or Limits()
    builder, x = _start(seed, replace(limits, size=min(limits.size, 6)))
    rng = builder.rng
    high, wide = (int(value) for value in rng.integers(1, 6, 2))
    transposed, terms = bool(rng.integers(0, 2)), high * wide
    if rng.integers(0, 4) == 0:
        left = right = builder.centred(builder.input(terms, high, wide))
    else:
        x = builder.conv(x, terms) if rng.integers(0, 2) else builder.input(terms, *builder.map_size(x)[1:])
        other = int(rng.integers(1, limits.channels + 1))
        left = builder.centred(x)
        right = builder.centred(builder.input(*((terms, 1, other) if transposed else (other, high, wide))))
    y = builder.matmul(left, right, transposed=transposed)
    if limits.tables and rng.integers(0, 2):
        y = builder.table(y)
    if rng.integers(0, 3) == 0:
        y = builder.exchange(y)
    return builder.graph(f"matmul{seed}", builder.conv(y) if rng.integers(0, 2) else y)


def random_network(seed: int, limits: Limits | None = None, *, depth: int = 4) -> Graph:
    """Convolutions, adds fused and alone, products, pools, requantisations, tables (by the limits); then a Gemm."""
    builder, x = _start(seed, limits)
    for _ in range(depth):
        kind = int(builder.rng.integers(0, 6))
        if kind == 0:
            x = builder.depthwise(x, residual=x if builder.rng.integers(0, 2) else None)
            x = builder.conv(x, single=(0, 1))
        elif kind <= 2:
            x = builder.conv(x)
        elif kind == 3:
            fused = builder.rng.integers(0, 2) == 1
            branch = builder.conv(x, builder.map_size(x)[0], same=True, residual=x if fused else None)
            x = builder.combine(branch, x)
        elif kind == 4:
            x = builder.pool(x)
        else:
            x = builder.requant(x)
        if builder.limits.tables and builder.rng.integers(0, 2):
            x = builder.table(x)
    return builder.graph(f"network{seed}", builder.conv(x, flat=True))


def random_packed_graph(seed: int, limits: Limits | None = None) -> Graph:
    """Few channels on maps of any shape, in layers of every kind: what the compiler packs into shared vectors."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder(rng=rng, limits=limits or Limits())
    size = 2 * builder.limits.size + 1
    few = max(1, builder.limits.channels // 2)
    x = builder.input(*(int(value) for value in rng.integers(1, (5, size, size))))
    x = builder.conv(x, int(rng.integers(1, few + 1)))
    for _ in range(int(rng.integers(0, 4))):
        kind = int(rng.integers(0, 6))
        if kind == 0:
            x = builder.conv(x, residual=x)
        elif kind == 1:
            x = builder.combine(builder.conv(x, builder.map_size(x)[0], same=True), x)
        elif kind == 2:
            x = builder.pool(x)
        elif kind == 3 and builder.limits.grouped:
            x = builder.conv(x, group=builder.map_size(x)[0])
        else:
            x = builder.conv(x, int(rng.integers(1, few + 1)))
    outputs = {x} if rng.integers(0, 2) else {x, builder.conv(x, flat=True)}
    return builder.graph(f"packed{seed}", *sorted(outputs))


def random_graph(seed: int, limits: Limits | None = None) -> Graph:
    """Any of the above, by seed."""
    makers: tuple[Callable[[int, Limits | None], Graph], ...] = (
        random_conv_graph,
        random_depthwise_graph,
        random_packed_graph,
        random_pool_graph,
        random_add_graph,
        random_requant_graph,
        random_network,
        random_move_graph,
    )
    return makers[seed % len(makers)](seed, limits)


def random_feeds(graph: Graph, seed: int, *, batch: int = 1) -> dict[str, NDArray[np.int64]]:
    """Uniform integers over the whole range of every input, ``batch`` of them."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        if tensor.qparams is None:
            raise ValueError(f"input {name!r} has no quantisation")
        shape = (batch, *tensor.shape[1:])
        feeds[name] = rng.integers(tensor.qparams.low, tensor.qparams.high + 1, shape)
    return feeds
