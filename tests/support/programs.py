# SPDX-License-Identifier: Apache-2.0
"""Random compiled programs with samples that carry the integer reference's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.lower import lower
from systolith.spec.arch import Arch
from systolith.spec.image import Program
from systolith.testbench.verify import Sample
from tests.support.graph_builder import Limits
from tests.support.random_graphs import random_feeds, random_graph

__all__ = ["limits_for", "make_samples", "random_case"]

Ints = NDArray[np.int64]


def limits_for(arch: Arch, *, size: int = 6, channels: int = 6, kernel: int = 4) -> Limits:
    """What random graphs for ``arch`` may contain, small enough for slow simulators."""
    return Limits(
        act_bits=arch.act_bits,
        weight_bits=arch.weight_bits,
        size=size,
        channels=channels,
        kernel=kernel,
        padded_average=False,
        narrow=arch.narrow_weights,
    )


def make_samples(graph: Graph, arch: Arch, seed: int, count: int) -> list[Sample]:
    """Random inputs, and every tensor of the graph as the integer reference computes it."""
    samples = []
    widths = {"acc_bits": arch.acc_bits, "act_bits": arch.act_bits, "precision": arch.precision}
    for index in range(count):
        feeds = random_feeds(graph, seed * 1000 + index)
        values = run_integer(graph, feeds, **widths, keep=list(graph.tensors))
        expected = {name: values[name] for name in graph.outputs}
        samples.append(Sample(name=f"random {index}", inputs=feeds, expected=expected, layers=values))
    return samples


def random_case(
    seed: int,
    arch: Arch,
    *,
    count: int = 2,
    limits: Limits | None = None,
    make: Callable[[int, Limits], Graph] = random_graph,
) -> tuple[Program, Sequence[Sample]]:
    """A random graph compiled for ``arch``, and samples; the same for the same seed."""
    graph = make(seed, limits or limits_for(arch))
    return lower(graph, arch), make_samples(graph, arch, seed, count)
