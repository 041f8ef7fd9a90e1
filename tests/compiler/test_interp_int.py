# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.interp_int import AccumulatorOverflow, run_integer
from systolith.compiler.ir import Graph, Node, QParams, Tensor
from systolith.compiler.passes.fuse_table import fuse_table
from systolith.spec import fixed
from systolith.spec.fixed import LaneWidths
from tests.support.graph_builder import Limits
from tests.support.random_graphs import (
    random_add_graph,
    random_conv_graph,
    random_feeds,
    random_matmul_graph,
    random_move_graph,
    random_network,
    random_pool_graph,
    random_requant_graph,
    random_table_graph,
)

Ints = NDArray[np.int64]
WIDTHS = [(4, 4, 24), (8, 8, 32), (8, 4, 32), (16, 8, 48), (16, 16, 64)]


def zero(graph: Graph, name: str) -> int:
    qparams = graph.tensors[name].qparams
    assert qparams is not None
    return qparams.zero_point


def expected(graph: Graph, node: Node, inputs: list[Ints], acc_bits: int) -> Ints:
    """One element after the other, from the definitions in ir.py and spec/fixed.py, on Python integers."""
    y = graph.tensors[node.outputs[0]]
    assert y.qparams is not None
    widths = LaneWidths(y.qparams.bits, acc_bits)
    relative = [(value - zero(graph, name)) for value, name in zip(inputs, node.inputs, strict=True)]
    result = np.zeros((1, *y.shape[1:], 1, 1)[:4], dtype=np.int64)
    for _, o, oy, ox in np.ndindex(*result.shape):
        point = (o, oy, ox)
        if node.op == "QTable":
            x = graph.tensors[node.inputs[0]].qparams
            assert x is not None
            result[0][point] = graph.constant(node.attributes["table"])[int(inputs[0][0][point]) + (1 << (x.bits - 1))]
            continue
        if node.op == "QTranspose":
            value = int(relative[0][0].reshape(len(relative[0][0]), -1)[oy * result.shape[3] + ox, o])
        elif node.op == "QMove":
            value = moved(node, [part[0] for part in relative], point, widths)
        elif node.op == "QMatMul":
            left, right = relative[0][0], relative[1][0].reshape(len(relative[1][0]), -1)
            right = right.T if node.attributes.get("transposed") else right
            acc = sum(int(a) * int(b) for a, b in zip(left[:, oy, ox], right[o], strict=True))
            scaler = fixed.make_scaler(node.attributes["factor"], widths)
            value = fixed.requantise(acc, scaler, node.attributes["lo"], node.attributes["hi"], widths)
        elif node.op == "QAdd":
            value = add(node, int(relative[0][0][point]), operand(relative[1], point), widths)
        elif node.op == "QMul":
            value = multiply(node, int(relative[0][0][point]), operand(relative[1], point), widths)
        else:
            acc, factor = reduce(graph, node, relative[0][0], point)
            scaler = fixed.make_scaler(factor, widths)
            value = fixed.requantise(acc, scaler, node.attributes["lo"], node.attributes["hi"], widths)
        if node.op == "QConv" and "add" in node.attributes:
            value = add(node, value, int(relative[1][0][point]), widths)
        if "table" in node.attributes:
            index = value + node.attributes["inner"].zero_point + (1 << (node.attributes["inner"].bits - 1))
            result[0][point] = graph.constant(node.attributes["table"])[index]
        else:
            result[0][point] = value + y.qparams.zero_point
    return result.reshape(y.shape)


def moved(node: Node, inputs: list[Ints], point: tuple[int, int, int], widths: LaneWidths) -> int:
    """The element that some move brings to a point; the fill if none does."""
    a = node.attributes
    for move in a["moves"]:
        runs = (move.channels, move.rows, move.columns)
        steps = [divmod(place - run.target, run.target_step) for run, place in zip(runs, point, strict=True)]
        if all(rest == 0 and 0 <= step < run.count for run, (step, rest) in zip(runs, steps, strict=True)):
            c, y, x = (run.source + step * run.source_step for run, (step, _) in zip(runs, steps, strict=True))
            value = int(inputs[move.input][(c, x, y) if move.transposed else (c, y, x)])
            scaler = fixed.make_scaler(a["factors"][move.input], widths)
            return fixed.requantise(value, scaler, a["lo"], a["hi"], widths)
    return int(a["fill"])


def operand(value: Ints, point: tuple[int, int, int]) -> int:
    """The second operand's element at a point; a single pixel's is the same everywhere."""
    channel, *place = point
    pixels = value[0, channel]
    return int(pixels.item() if pixels.size == 1 else pixels[tuple(place)])


def multiply(node: Node, first: int, other: int, widths: LaneWidths) -> int:
    limit = 1 << (widths.own - 1)
    scaler = fixed.make_scaler(node.attributes["factor"] / 4, widths)
    own = fixed.requantise(first, scaler, -limit, limit - 1, widths, fixed.FINER)
    return fixed.residual_multiply(own, other, node.attributes["lo"], node.attributes["hi"], widths)


def add(node: Node, own: int, other: int, widths: LaneWidths) -> int:
    a = node.attributes["add"]
    m_own, m_res = (fixed.make_add_multiplier(real, widths) for real in (a.m_own, a.m_res))
    return fixed.residual_add(own, other, m_own, m_res, a.lo, a.hi, widths)


def reduce(graph: Graph, node: Node, x: Ints, point: tuple[int, int, int]) -> tuple[int, float]:
    """Accumulator and factor of one output element."""
    a = node.attributes
    if node.op == "QRequant":
        return int(x[point]), a["factor"]
    if node.op == "QPool":
        values = [int(x[point[0], row, col]) for _, _, row, col in taps(a, x.shape, point)]
        if a["mode"] == "max":
            return max(values), a["factor"]
        count = a["kernel"][0] * a["kernel"][1] if a["count_include_pad"] else len(values)
        return sum(values), a["factor"] / count
    weight, bias, factor = (graph.constant(a[key]) for key in ("weight", "bias", "factor"))
    depth = weight.shape[1]
    first = point[0] // (len(weight) // a["group"]) * depth
    acc = int(bias[point[0]])
    for ky, kx, row, col in taps(a, x.shape, point):
        acc += sum(int(weight[point[0], c, ky, kx]) * int(x[first + c, row, col]) for c in range(depth))
    return acc, float(factor[point[0]])


def taps(a: Any, shape: tuple[int, ...], point: tuple[int, int, int]) -> list[tuple[int, int, int, int]]:
    """The taps inside the tensor: kernel row and column, row and column."""
    inside = []
    (dy, dx), (top, left, _, _) = a.get("dilations", (1, 1)), a["pads"]
    for ky, kx in np.ndindex(*a["kernel"]):
        row, col = point[1] * a["strides"][0] + dy * ky - top, point[2] * a["strides"][1] + dx * kx - left
        if 0 <= row < shape[1] and 0 <= col < shape[2]:
            inside.append((ky, kx, row, col))
    return inside


def check(graph: Graph, seed: int, acc_bits: int) -> None:
    """Every node of ``graph`` equals the literal definition."""
    feeds = random_feeds(graph, seed)
    got = run_integer(graph, feeds, acc_bits=acc_bits)
    for node in graph.nodes:
        maps = [got[name].reshape((*got[name].shape, 1, 1)[:4]) for name in node.inputs]
        want = expected(graph, node, maps, acc_bits)
        assert np.array_equal(got[node.outputs[0]], want), f"seed {seed}, {node.op} {node.name}"


@pytest.mark.parametrize(("act_bits", "weight_bits", "acc_bits"), WIDTHS)
@pytest.mark.parametrize(
    "make",
    [
        random_conv_graph,
        random_pool_graph,
        random_add_graph,
        random_requant_graph,
        random_move_graph,
        random_table_graph,
        random_matmul_graph,
    ],
)
def test_every_operator_equals_its_definition(make: Any, act_bits: int, weight_bits: int, acc_bits: int) -> None:
    limits = Limits(act_bits=act_bits, weight_bits=weight_bits, grouped=True, size=6, channels=4, kernel=3)
    for seed in range(6):
        check(make(seed, limits), seed, acc_bits)


@pytest.mark.parametrize("seed", range(6))
def test_networks_equal_their_definition(seed: int) -> None:
    check(random_network(seed, Limits(size=6, channels=4, kernel=3)), seed, 32)


@pytest.mark.parametrize("seed", range(6))
def test_tables_of_their_own_and_at_the_end_of_nodes_equal_their_definition(seed: int) -> None:
    graph = random_network(seed, Limits(size=6, channels=4, kernel=3, tables=True), depth=6)
    check(graph, seed, 32)
    check(fuse_table(graph), seed, 32)


@pytest.mark.parametrize(("seed", "batch"), [*((seed, 3) for seed in range(8)), (0, 35)])
def test_a_batch_is_its_images_one_by_one(seed: int, batch: int) -> None:
    graph = random_network(seed)
    feeds = random_feeds(graph, seed, batch=batch)
    together = run_integer(graph, feeds)
    for image in range(batch):
        alone = run_integer(graph, {name: value[image : image + 1] for name, value in feeds.items()})
        for name, value in alone.items():
            assert np.array_equal(value[0], together[name][image])


def test_feeds_of_different_batches_are_refused() -> None:
    graph = random_add_graph(1)
    feeds = random_feeds(graph, 0, batch=2)
    with pytest.raises(ValueError, match=r"feeds must have one batch size, got \[1, 2\]"):
        run_integer(graph, {"x0": feeds["x0"][:1], "x1": feeds["x1"]})


def test_keep_returns_only_what_is_asked_for() -> None:
    graph = random_network(5)
    feeds = random_feeds(graph, 5)
    everything = run_integer(graph, feeds)
    names = (graph.outputs[0], graph.nodes[0].outputs[0])
    kept = run_integer(graph, feeds, keep=names)
    assert sorted(kept) == sorted(names)
    for name in names:
        assert np.array_equal(kept[name], everything[name])


def test_wider_lanes_on_narrow_tensors() -> None:
    graph = random_conv_graph(0, Limits(size=6, channels=4), residual=False)
    feeds = random_feeds(graph, 0)
    narrow, wide = (run_integer(graph, feeds, acc_bits=48, act_bits=bits)[graph.outputs[0]] for bits in (8, 16))
    assert np.abs(narrow - wide).max() <= 1


def test_sums_beyond_float64_stay_exact() -> None:
    # partial sums go far beyond 2**53 and back; the odd first product would be lost on the way
    weight = np.full((1, 9000, 1, 1), 1 << 34)
    weight[:, 4500:] *= -1
    weight[0, 0] += 1
    window = {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    names = {"weight": "w", "bias": "b", "factor": "f"}
    node = Node("QConv", "c", ("x",), ("y",), {**window, **names, "lo": -32768, "hi": 32767})
    tensors = {"x": Tensor("x", (1, 9000), QParams(1.0, 0, 16)), "y": Tensor("y", (1, 1), QParams(1.0, 0, 16))}
    constants = {"w": weight, "b": np.array([0]), "f": np.array([1.0])}
    graph = Graph("long", ("x",), ("y",), (node,), tensors, constants)
    assert run_integer(graph, {"x": np.full((1, 9000), 16383)}, acc_bits=64)["y"].item() == 16383


def test_padding_never_wins_a_maximum() -> None:
    window = {"kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "count_include_pad": False}
    node = Node("QPool", "p", ("x",), ("y",), {"mode": "max", **window, "factor": 1.0, "lo": -228, "hi": 27})
    tensors = {name: Tensor(name, (1, 1, 2, 2), QParams(0.5, 100)) for name in "xy"}
    graph = Graph("p", ("x",), ("y",), (node,), tensors)
    got = run_integer(graph, {"x": np.array([[[[-128, -7], [3, -20]]]])})["y"]
    assert got.tolist() == [[[[3, 3], [3, 3]]]]


def test_a_view_keeps_the_elements() -> None:
    qparams = QParams(0.5, 3)
    tensors = {"x": Tensor("x", (1, 4, 1, 1), qparams), "y": Tensor("y", (1, 4), qparams)}
    graph = Graph("v", ("x",), ("y",), (Node("View", "v", ("x",), ("y",)),), tensors)
    assert run_integer(graph, {"x": np.arange(8).reshape(2, 4, 1, 1)})["y"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_an_overflow_names_the_node() -> None:
    graph = random_conv_graph(3, Limits(weight_bits=16))
    with pytest.raises(AccumulatorOverflow, match=r"node 'qconv0' \(QConv\): a sum of .* overflows 16 bits"):
        run_integer(graph, random_feeds(graph, 0), acc_bits=16)


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({"y": np.zeros((1, 2), dtype=np.int64)}, r"feeds must be \['x0'\], got \['y'\]"),
        ({"x0": np.zeros((1, 99), dtype=np.int64)}, r"input 'x0': shape must be \(N, .*\), got \(1, 99\)"),
    ],
)
def test_wrong_feeds_are_refused(feed: dict[str, Ints], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_integer(random_requant_graph(1), feed)


def test_values_out_of_range_or_not_whole_are_refused() -> None:
    graph = random_requant_graph(1)
    feeds = random_feeds(graph, 0)
    with pytest.raises(ValueError, match=r"input 'x0': must be in -128..127, got 128..128"):
        run_integer(graph, {"x0": np.full_like(feeds["x0"], 128)})
    with pytest.raises(ValueError, match="input 'x0': must be integers, got float64"):
        run_integer(graph, {"x0": feeds["x0"] * 1.0})  # type: ignore[dict-item]
