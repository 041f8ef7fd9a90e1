# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.choose import choose_layouts
from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.layout import Layout, plan_layouts
from systolith.compiler.matrix import matrix_descriptors
from systolith.compiler.model import predict_descriptors
from systolith.compiler.plan import Context
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.link import Counter
from tests.support.networks import NetworkBuilder, resnet8

ARCH = PRESETS["16x16"]
SAME = (1, 1, 1, 1)


def _net() -> NetworkBuilder:
    return NetworkBuilder(rng=np.random.default_rng(0))


def _mobilenet_start() -> Graph:
    net = _net()
    x = net.layer(net.input(3, 96, 96), 8, stride=2, pad=(0, 0, 1, 1))
    return net.graph("mobilenet", net.layer(net.layer(x, 8, pad=SAME, group=8), 16, (1, 1)))


def _keywords_start() -> Graph:
    net = _net()
    return net.graph("ds_cnn", net.layer(net.input(1, 49, 10), 64, (10, 4), stride=2, pad=(4, 1, 5, 1)))


def _active(graph: Graph, arch: Arch) -> int:
    """Cycles in which the first convolution feeds the array."""
    ctx = Context(graph, arch, choose_layouts(graph, arch), dict.fromkeys(graph.tensors, 0))
    return sum(part[Counter.ACTIVE] for part in predict_descriptors(matrix_descriptors(graph.nodes[0], ctx), arch))


def test_first_layers_take_the_cycles_that_packing_leaves_them() -> None:
    assert _active(_mobilenet_start(), ARCH) == 96 * 96 // 8 * 3 == 3456
    assert _active(_keywords_start(), ARCH) == 25 * 5 * 4 * 4 == 2000
    assert _active(_keywords_start(), PRESETS["8x8"]) == 25 * 5 * 8 * 5 == 5000


def test_eight_channels_share_sixteen_columns() -> None:
    assert choose_layouts(_mobilenet_start(), ARCH)["t1"] == Layout(48, 48, 8, 8)
    assert choose_layouts(_mobilenet_start(), PRESETS["8x8"])["t1"] == Layout(48, 48, 8, 8)


def test_what_gains_nothing_stays_plain() -> None:
    graph = resnet8()
    assert choose_layouts(graph, ARCH) == plan_layouts(graph, ARCH)
    wide = PRESETS["32x32"]
    changed = {
        name for name, layout in choose_layouts(graph, wide).items() if layout != plan_layouts(graph, wide)[name]
    }
    assert changed == {"t1", "t2", "t3"}


def _chosen(net: NetworkBuilder, *outputs: str) -> tuple[dict[str, Layout], dict[str, Layout]]:
    graph = net.graph("g", *outputs)
    return choose_layouts(graph, ARCH), dict(plan_layouts(graph, ARCH))


def test_sums_and_operands_change_together() -> None:
    net = _net()
    x = net.layer(net.input(3, 16, 16), 8, pad=SAME)
    y = net.layer(x, 8, pad=SAME, residual=x)
    z = net.layer(y, 8, pad=SAME, residual=y)
    chosen, _ = _chosen(net, net.layer(z, 16, (1, 1)))
    assert {chosen[name] for name in (x, y, z)} == {Layout(16, 16, 8, 8)}


def test_a_stand_alone_add_keeps_its_operand_plain() -> None:
    net = _net()
    x = net.layer(net.input(3, 16, 16), 8, pad=SAME)
    y = net.layer(x, 8, pad=SAME)
    chosen, plain = _chosen(net, net.add(y, x))
    assert chosen[x] == plain[x]
    assert chosen[y] == Layout(16, 16, 8, 8)


def test_an_input_of_two_readers_stays_plain() -> None:
    net = _net()
    x = net.input(1, 49, 10)
    for _ in range(2):
        y = net.layer(x, 64, (10, 4), stride=2, pad=(4, 1, 5, 1))
    chosen, plain = _chosen(net, y)
    assert chosen[x] == plain[x]


@pytest.mark.parametrize("reader", ["pool", "depthwise", "requant"])
def test_an_input_of_another_reader_stays_plain(reader: str) -> None:
    net = _net()
    x = net.input(2, 20, 20)
    made = {
        "pool": lambda: net.pool(x),
        "depthwise": lambda: net.layer(x, 2, group=2),
        "requant": lambda: net.requant(x),
    }
    chosen, plain = _chosen(net, made[reader]())
    assert chosen[x] == plain[x]


def test_what_a_view_shows_stays_plain() -> None:
    net = _net()
    y = net.layer(net.input(3, 1, 4), 8, (1, 3))
    graph = net.graph("g", y)
    view = Node("View", "view", (y,), ("view",))
    graph = graph.with_(nodes=(*graph.nodes, view), tensors={**graph.tensors, "view": Tensor("view", (1, 8, 1, 2))})
    assert choose_layouts(graph, ARCH)[y] == plan_layouts(graph, ARCH)[y]
    assert choose_layouts(net.graph("g", y), ARCH)[y] != plan_layouts(graph, ARCH)[y]


def test_no_choice_is_slower_than_the_plain_layouts() -> None:
    for seed in range(6):
        net = NetworkBuilder(rng=np.random.default_rng(seed))
        x = net.input(2, 13, 11)
        y = net.conv(net.conv(net.conv(x, 3), 5), 20)
        graph = net.graph("g", y)
        for arch in (PRESETS["4x4"], ARCH):
            bases = dict.fromkeys(graph.tensors, 0)
            cycles = []
            for layouts in (choose_layouts(graph, arch), plan_layouts(graph, arch)):
                ctx = Context(graph, arch, layouts, bases)
                made = [one for node in graph.nodes for one in matrix_descriptors(node, ctx)]
                cycles.append(sum(part[Counter.CYCLES] for part in predict_descriptors(made, arch)))
            assert cycles[0] <= cycles[1]


def test_the_zero_point_does_not_matter() -> None:
    graph = _keywords_start()
    qparams = graph.tensors["x0"].qparams
    assert qparams is not None
    shifted = replace(graph.tensors["x0"], qparams=replace(qparams, zero_point=qparams.zero_point + 11))
    assert choose_layouts(graph.with_(tensors={**graph.tensors, "x0": shifted}), ARCH) == choose_layouts(graph, ARCH)
