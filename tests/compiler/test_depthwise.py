# SPDX-License-Identifier: Apache-2.0
"""Depthwise layers on the feed: bit for bit what the graph says, in as many cycles as the rasters have pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from systolith.compiler.allocate import allocate
from systolith.compiler.depthwise import plan_depthwise
from systolith.compiler.errors import QuantisationError
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.layout import plan_layouts
from systolith.compiler.lower import lower
from systolith.compiler.model import predict
from systolith.compiler.plan import Context, LayerPlan
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode_program
from systolith.spec.isa import Op
from systolith.spec.link import Counter, Space
from systolith.testbench.isa_model import IsaModel
from tests.support.graph_builder import Limits
from tests.support.networks import NetworkBuilder
from tests.support.random_graphs import random_depthwise_graph, random_feeds

ROOM: dict[str, Any] = {"weight_lines": 1 << 16, "param_lines": 1024, "program_words": 1 << 15, "act_lines": 8192}
ARCHS = [
    PRESETS["tiny"].with_(**ROOM),
    PRESETS["4x4"].with_(**ROOM),
    PRESETS["8x8"].with_(**ROOM),
    PRESETS["16x16"].with_(**ROOM),
    PRESETS["up5k"].with_(**ROOM),
    PRESETS["8x8"].with_(name="narrow line buffers", line_depth=5, acc_depth=7, **ROOM),
    PRESETS["16x16"].with_(name="drained", lane_cycles=4, acc_depth=9, line_depth=8, **ROOM),
    Arch(name="8x2", rows=8, cols=2, acc_depth=33, act_granule=2, weight_rows=4, **ROOM),
    Arch(name="4x16", rows=4, cols=16, acc_depth=20, **ROOM),
    Arch(name="16x4", rows=16, cols=4, lane_cycles=2, acc_depth=40, **ROOM),
]


def _is_depthwise(graph: Graph, arch: Arch) -> list[bool]:
    """Which of a program's descriptors use the feed."""
    made = decode_program(lower(graph, arch).segments[Space.PROGRAM], arch)
    return [one.depthwise for one in made]


def _check(graph: Graph, arch: Arch, seed: int) -> None:
    feeds = random_feeds(graph, seed)
    expected = run_integer(graph, feeds, acc_bits=arch.acc_bits)
    results = IsaModel(lower(graph, arch)).run(feeds)
    for name in graph.outputs:
        np.testing.assert_array_equal(results[name], expected[name], f"{graph.name} on {arch.name}")


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_random_layers(arch: Arch) -> None:
    used = 0
    for seed in range(60):
        limits = Limits(channels=40 if seed % 7 == 0 else 9, size=14, kernel=7 if seed % 3 else 15)
        graph = random_depthwise_graph(seed, limits, residual=arch.residual and seed % 3 == 0)
        _check(graph, arch, seed)
        used += all(_is_depthwise(graph, arch))
    # the others have too few pixels, or a single column
    assert used >= 40


def _layer(channels: int, size: tuple[int, int], kernel: tuple[int, int], **options: Any) -> Graph:
    net = NetworkBuilder(rng=np.random.default_rng(0))
    return net.graph("layer", net.layer(net.input(channels, *size), channels, kernel, group=channels, **options))


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
@pytest.mark.parametrize(
    ("size", "kernel", "pad"),
    [
        ((49, 1), (3, 1), (1, 0, 1, 0)),
        ((49, 1), (5, 1), (0, 0, 0, 0)),
        ((30, 1), (10, 1), (4, 0, 5, 0)),
        ((30, 1), (15, 1), (7, 0, 7, 0)),
        ((1, 30), (1, 15), (0, 7, 0, 7)),
        ((3, 30), (1, 15), (0, 14, 0, 0)),
        ((9, 7), (10, 1), (9, 0, 3, 0)),
        ((20, 20), (5, 5), (4, 0, 0, 4)),
    ],
)
def test_known_kernels(arch: Arch, size: tuple[int, int], kernel: tuple[int, int], pad: tuple[int, ...]) -> None:
    graph = _layer(5, size, kernel, pad=pad)
    assert all(_is_depthwise(graph, arch))
    _check(graph, arch, 3)


def test_images_wider_than_the_line_buffers_take_a_pass_a_tap_row() -> None:
    graph = _layer(8, (4, 40), (3, 3), pad=(1, 1, 1, 1))
    narrow = PRESETS["16x16"].with_(line_depth=16)
    active = [predict(lower(graph, arch)).total[Counter.ACTIVE] for arch in (PRESETS["16x16"], narrow)]
    assert active == [160 + 40 + 1, 3 * 160 + 1]
    _check(graph, narrow, 0)


@pytest.mark.parametrize(
    ("name", "passes", "lag"), [("16x16", 1, 20 + 1), ("8x8", 2, 1), ("4x4", 3, 1)], ids=["16x16", "8x8", "4x4"]
)
@pytest.mark.parametrize("channels", [16, 40])
def test_a_same_convolution_reads_every_pixel_once_a_pass(name: str, passes: int, lag: int, channels: int) -> None:
    """3 x 3 on 12 x 20: a block takes the pixels of its passes; the lag comes once."""
    program = lower(_layer(channels, (12, 20), (3, 3), pad=(1, 1, 1, 1)), PRESETS[name])
    total, blocks = predict(program).total, -(-channels // program.arch.cols)
    assert total[Counter.ACTIVE] == blocks * passes * 12 * 20 + lag
    assert total[Counter.WORK] == 12 * 20 * channels * 9


def _plan(graph: Graph, arch: Arch) -> LayerPlan | None:
    layouts = plan_layouts(graph, arch)
    return plan_depthwise(graph.nodes[0], Context(graph, arch, layouts, allocate(graph, layouts, arch).bases))


def test_what_is_not_for_the_feed_is_left_to_the_array() -> None:
    arch = PRESETS["16x16"]
    same = _layer(4, (8, 8), (3, 3), pad=(1, 1, 1, 1))
    assert _plan(same, arch) is not None
    assert _plan(same, arch.with_(depthwise=False)) is None
    net = NetworkBuilder(rng=np.random.default_rng(0))
    multiplied = net.graph("multiplier", net.layer(net.input(4, 8, 8), 8, (3, 3), group=4))
    assert _plan(multiplied, arch) is None
    dilated = replace(same.nodes[0], attributes={**same.nodes[0].attributes, "dilations": (2, 1)})
    assert _plan(same.with_(nodes=(dilated,)), arch) is None
    assert _plan(_layer(4, (3, 1), (3, 1)), arch) is None
    assert _plan(_layer(4, (40, 40), (3, 3), stride=9), arch) is None


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_without_the_feed_the_array_computes_the_same(arch: Arch) -> None:
    without = arch.with_(depthwise=False)
    for seed in range(6):
        graph = random_depthwise_graph(seed, Limits(channels=9, size=9), residual=False)
        assert not any(_is_depthwise(graph, without))
        _check(graph, without, seed)


def test_tiles_hold_at_most_what_is_accumulated_and_cover_all_pixels() -> None:
    arch = PRESETS["8x8"].with_(acc_depth=20)
    plan = _plan(_layer(8, (9, 9), (3, 3), pad=(1, 1, 1, 1)), arch)
    assert plan is not None
    made = [step.descriptor for step in plan.steps]
    sizes = [(one.last_x + 1) * (one.last_y + 1) for one in made]
    assert (sum(sizes), max(sizes) <= 20) == (81, True)
    assert [step.weights for step in plan.steps] == list(range(len(plan.weights)))
    assert {one.op for one in made} == {Op.MATRIX}
    assert sum(one.work * size for one, size in zip(made, sizes, strict=True)) == plan.macs == 81 * 8 * 9


def test_one_pass_needs_no_accumulators() -> None:
    plan = _plan(_layer(8, (30, 30), (3, 3), pad=(1, 1, 1, 1)), PRESETS["16x16"].with_(acc_depth=20))
    assert plan is not None
    assert len(plan.steps) == 1


def test_weights_lie_where_the_taps_are() -> None:
    """3 x 3 on 6 x 6 in one pass: row ``3 * ky + kx`` of the array has tap (ky, kx) of each column's channel."""
    graph = _layer(5, (6, 6), (3, 3), pad=(1, 1, 1, 1))
    plan = _plan(graph, PRESETS["16x16"])
    assert plan is not None
    (placed,) = plan.weights[0]
    assert placed[:9, :5].T.tolist() == graph.constant("t1.weight").reshape(5, 9).tolist()
    assert not placed[9:].any()
    assert not placed[:, 5:].any()


def test_wide_weights_are_refused() -> None:
    with pytest.raises(QuantisationError, match=r"node 'conv0' \(QConv\): weights reach .* holds -8..7; quantise to 4"):
        _plan(
            _layer(8, (6, 6), (3, 3)), PRESETS["8x8"].with_(weight_bits=4, narrow_weights=False, dynamic_weights=False)
        )
