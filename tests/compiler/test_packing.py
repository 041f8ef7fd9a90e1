# SPDX-License-Identifier: Apache-2.0
"""Every legal layout computes what the network says, whether or not it pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.layout import Layout, plan_layouts
from systolith.compiler.lower import lower_as
from systolith.compiler.nest import Span
from systolith.compiler.packing import Packing, pack, unrolled
from systolith.compiler.plan import Context, LaneTable
from systolith.compiler.variants import input_variants, output_variants
from systolith.spec.arch import PRESETS, Arch
from systolith.testbench.isa_model import IsaModel
from tests.support.graph_builder import GraphBuilder, Limits
from tests.support.random_graphs import random_feeds

ARCHS = [
    PRESETS["4x4"],
    PRESETS["8x8"],
    PRESETS["16x16"],
    Arch(name="4x16", rows=4, cols=16, lane_cycles=4, act_granule=2, acc_depth=16, param_lines=512),
]


@dataclass(kw_only=True)
class Builder(GraphBuilder):
    """The random builder with one given window for all convolutions that do not keep the size."""

    window: dict[str, Any] = field(default_factory=dict)

    def _window(self, name: str, *, same: bool) -> dict[str, Any]:
        return super()._window(name, same=True) if same else dict(self.window)


def _window(
    kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int, int, int], dilations: tuple[int, int]
) -> dict[str, Any]:
    return {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations}


WINDOWS = {
    "3x3": _window((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    "stride 2": _window((3, 3), (2, 2), (0, 0, 1, 1), (1, 1)),
    "tall": _window((7, 2), (2, 3), (3, 1, 4, 0), (1, 1)),
    "strides 4 and 2": _window((5, 4), (4, 2), (2, 3, 0, 1), (1, 1)),
    "dilated": _window((2, 3), (2, 1), (1, 2, 1, 0), (3, 2)),
    "1x1": _window((1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
    "pads of more than a block": _window((6, 6), (2, 2), (5, 4, 3, 5), (1, 1)),
}
SIZES = [(1, 11, 13, 3), (3, 9, 8, 5), (2, 6, 11, 12)]
"""Channels, height, width, output channels."""


def _conv(window: dict[str, Any], size: tuple[int, int, int, int], seed: int = 0) -> tuple[Builder, str]:
    builder = Builder(rng=np.random.default_rng(seed), limits=Limits(kernel=3, stride=2), window=window)
    return builder, builder.conv(builder.input(*size[:3]), size[3])


def _choices(graph: Graph, arch: Arch) -> list[dict[str, Layout]]:
    """All layouts of the first convolution's input and of its output and what else is named ``tied``."""
    plain, node = dict(plan_layouts(graph, arch)), graph.nodes[0]
    x, y = node.inputs[0], node.outputs[0]
    return [
        {**plain, y: target, x: source}
        for target in (plain[y], *output_variants(plain[y], arch))
        for source in (plain[x], *input_variants(plain[x], node, unrolled(target, arch), arch))
    ]


def _check(graph: Graph, arch: Arch, layouts: dict[str, Layout]) -> None:
    feeds = random_feeds(graph, 1)
    results, expected = IsaModel(lower_as(graph, arch, layouts)).run(feeds), run_integer(graph, feeds)
    for name in graph.outputs:
        np.testing.assert_array_equal(results[name], expected[name], f"{arch.name} {layouts}")


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_layout_of_a_convolution_is_exact(name: str, size: tuple[int, int, int, int]) -> None:
    for seed in range(2):
        arch = ARCHS[(len(name) + seed + 2 * size[0]) % len(ARCHS)]
        builder, y = _conv(WINDOWS[name], size, seed)
        graph = builder.graph(name, y)
        choices = _choices(graph, arch)
        assert len(choices) > 1
        for layouts in choices:
            _check(graph, arch, layouts)


CONSUMERS: dict[str, Callable[[Builder, str], str]] = {
    "conv": lambda builder, y: builder.conv(y, 20),
    "depthwise": lambda builder, y: builder.conv(y, group=builder.map_size(y)[0]),
    "flat": lambda builder, y: builder.conv(y, 4, flat=True),
    "maximum": lambda builder, y: builder.pool(y, "max"),
    "average": lambda builder, y: builder.pool(y, "average"),
    "add": lambda builder, y: builder.add(y, builder.conv(y, builder.map_size(y)[0], same=True)),
    "requant": lambda builder, y: builder.requant(y),
}


@pytest.mark.parametrize("name", CONSUMERS)
def test_every_reader_understands_shared_vectors(name: str) -> None:
    for seed, arch in enumerate(ARCHS):
        for size in SIZES:
            builder, y = _conv(WINDOWS["3x3"], size, seed)
            graph = builder.graph(name, CONSUMERS[name](builder, y), y)
            for target in output_variants(plan_layouts(graph, arch)[y], arch):
                _check(graph, arch, {**plan_layouts(graph, arch), y: target})


def test_a_sum_and_its_operand_share_vectors_alike() -> None:
    for seed, arch in enumerate(ARCHS):
        builder, y = _conv(WINDOWS["3x3"], (3, 7, 9, 3), seed)
        total = builder.conv(y, residual=y)
        graph = builder.graph("residual", builder.conv(total, 6), total)
        for target in output_variants(plan_layouts(graph, arch)[y], arch):
            _check(graph, arch, {**plan_layouts(graph, arch), y: target, total: target})


def _packing(
    window: dict[str, Any], size: tuple[int, int, int, int], arch: Arch, **layouts: Layout
) -> tuple[Packing, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    builder, y = _conv(window, size)
    graph = builder.graph("g", y)
    places = {**plan_layouts(graph, arch), **layouts}
    return pack(graph.nodes[0], Context(graph, arch, places, {})), graph.constant("t1.weight")


def test_unrolled_weights_are_shifted_from_pixel_to_pixel() -> None:
    window = _window((1, 3), (1, 2), (0, 1, 0, 1), (1, 1))
    packing, weight = _packing(window, (1, 1, 8, 2), PRESETS["4x4"], t1=Layout(1, 4, 2, 2))
    assert (packing.unroll, packing.outputs, packing.geometry.strides) == (2, 4, (1, 4))
    assert (packing.geometry.kernel, packing.geometry.pads) == ((1, 5), (0, 1, 0, 0))
    first, second = ([*line, 0, 0] for line in weight[:, 0, 0].tolist())
    shifted = [[0, 0, *line] for line in weight[:, 0, 0].tolist()]
    assert packing.weight(weight)[:, 0, 0].tolist() == [first, second, *shifted]


def test_kernels_are_cut_along_the_blocks() -> None:
    window = _window((3, 1), (2, 1), (1, 0, 1, 0), (1, 1))
    blocked = Layout(6, 4, 1, 2, block=(2, 1))
    packing, weight = _packing(window, (1, 6, 4, 1), PRESETS["4x4"], x0=blocked)
    a, b, c = weight[0, 0, :, 0].tolist()
    assert (packing.geometry.kernel, packing.geometry.strides, packing.geometry.pads[0]) == ((2, 1), (1, 1), 1)
    assert packing.weight(weight)[0, :, :, 0].tolist() == [[0, b], [a, c]]


def test_columns_exchange_the_axes() -> None:
    window = _window((3, 2), (1, 2), (2, 1, 0, 0), (2, 1))
    packing, weight = _packing(window, (1, 6, 4, 1), PRESETS["4x4"], x0=Layout(6, 4, 1, 6, 1))
    geometry = packing.geometry
    assert (geometry.source, geometry.kernel, geometry.strides) == (Layout(4, 6, 1, 1), (2, 3), (2, 1))
    assert (geometry.dilations, geometry.pads[:2]) == ((1, 2), (1, 2))
    assert np.array_equal(packing.weight(weight), weight.transpose(0, 1, 3, 2))


def test_tables_repeat_with_the_pixels_and_work_counts_what_is_there() -> None:
    packing, _ = _packing(WINDOWS["1x1"], (2, 3, 5, 3), PRESETS["8x8"], t1=Layout(3, 5, 3, 4, 24))
    numbers = np.array([1, 2, 3])
    table = packing.table(LaneTable(numbers, numbers + 3, numbers + 6), 8)
    assert table.multiplier.tolist() == [4, 5, 6, 0] * 2
    (whole, rest) = packing.areas(packing.stored(Layout(3, 5, 3, 4, 24)))
    assert (whole, rest) == ((Span(0, 3), Span(0, 2)), (Span(0, 3), Span(2, 3)))
    assert [packing.work(Span(0, 8), *area) for area in (whole, rest)] == [2 * 6, 2 * 3]
