# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors: against the integer reference, and what their programs look like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import CapacityError, QuantisationError, UnsupportedModel
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph, Node, QParams, Tensor
from systolith.compiler.lower import lower
from systolith.compiler.passes.fuse_table import fuse_table
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode_program
from systolith.spec.image import Program
from systolith.spec.isa import Descriptor, Op
from systolith.spec.link import Space
from systolith.testbench.isa_model import IsaModel
from tests.support.graph_builder import GraphBuilder, Limits
from tests.support.random_graphs import random_feeds, random_matmul_graph

_ROOM: dict[str, Any] = {"weight_lines": 1 << 14, "param_lines": 256, "act_lines": 4096}
ARCHS = [
    PRESETS["tiny"],
    PRESETS["4x4"].with_(**_ROOM),
    PRESETS["8x8"],
    PRESETS["16x16"],
    Arch(name="16x4", rows=16, cols=4, lane_cycles=2, acc_depth=9, dynamic_weights=True, **_ROOM),
    Arch(name="4x8", rows=4, cols=8, acc_depth=9, weight_rows=4, dynamic_weights=True, **_ROOM),
]


def product(terms: int, size: tuple[int, int], rows: tuple[int, int], outputs: int, **changes: Any) -> Graph:
    """``x`` of ``terms`` channels and ``size``, ``w`` of ``outputs`` channels and ``rows`` of pixels, or transposed."""
    channels, outputs = (terms, rows[0] * rows[1]) if changes.get("transposed") else (outputs, outputs)
    shapes = {"x": (1, terms, *size), "w": (1, channels, *rows), "y": (1, outputs, *size)}
    tensors = {name: Tensor(name, shape, QParams(0.1, 0)) for name, shape in shapes.items()}
    attributes = {"factor": 1 / 1024, "lo": -128, "hi": 127, **changes}
    node = Node("QMatMul", "product", ("x", "w"), ("y",), attributes, ("MatMul",))
    return Graph("g", ("x", "w"), ("y",), (node,), tensors)


def descriptors(program: Program) -> list[Descriptor]:
    return decode_program(program.segments[Space.PROGRAM], program.arch)


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_programs_compute_the_product(arch: Arch) -> None:
    for seed in range(16):
        limits = Limits(channels=40 if seed % 5 == 0 else 9, tables=bool(arch.tables), narrow=arch.narrow_weights)
        graph = random_matmul_graph(seed, limits)
        graph = fuse_table(graph) if seed % 2 else graph
        model = IsaModel(lower(graph, arch))
        for turn in range(2):
            feeds = random_feeds(graph, seed + turn)
            expected, got = run_integer(graph, feeds), model.run(feeds)
            for name in graph.outputs:
                np.testing.assert_array_equal(got[name], expected[name], f"{graph.name}, inference {turn}")


def test_a_pixel_of_the_second_operand_is_a_row() -> None:
    """10 pixels of 20 channels: 2 passes of 8 rows for each of 3 blocks, of which 10 rows are stored."""
    program = lower(product(10, (3, 5), (2, 5), 20), PRESETS["8x8"])
    store, use = descriptors(program)
    assert (store.op, store.to_weights, use.op, use.fresh) == (Op.VECTOR, True, Op.MATRIX, True)
    assert (store.out.base, store.out.x, store.out.y, store.out.block) == (0, 1, 1, 16 - 10 + 1)
    assert [use.loops[level].count for level in (0, 1, 2, 5)] == [5, 3, 2, 3]
    assert len(program.segments[Space.WEIGHTS]) * 4 == 3 * 2 * 8 * 8
    assert not any(program.segments[Space.WEIGHTS])
    layer = program.layers[0]
    assert (layer.kind, layer.macs, layer.weight_bits) == ("MatMul", 10 * 15 * 20, 8)


def test_every_tile_fetches_its_weights_anew() -> None:
    arch = ARCHS[4]
    made = descriptors(lower(product(20, (4, 5), (4, 5), 4), arch))
    assert [one.fresh for one in made] == [False] + [True] * 4
    assert len({one.weights_next for one in made[1:]}) == 1


@pytest.mark.parametrize("change", ["dynamic_weights", "pool"])
def test_an_engine_without_the_hardware_is_named_with_those_that_have_it(change: str) -> None:
    arch = PRESETS["8x8"].with_(**{change: False})
    with pytest.raises(
        UnsupportedModel, match=r"'product' \(MatMul\): it multiplies two .*; presets with both: tiny, "
    ):
        lower(product(4, (2, 2), (2, 2), 4), arch)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        CapacityError, match=r"'product' \(QMatMul\): its second operand has 1 x 40 rows .* counts to 16"
    ):
        lower(product(40, (2, 2), (1, 40), 4), PRESETS["8x8"].with_(dim_bits=4))
    with pytest.raises(QuantisationError, match=r"'product' \(QMatMul\).*: the sum can need 21 bits.*acc_bits=21"):
        lower(product(40, (2, 2), (8, 5), 4), PRESETS["8x8"].with_(acc_bits=20))


@pytest.mark.parametrize(("transposed", "last"), [(False, 4608 + 64), (True, 4608 + 64 + 64)])
def test_rows_that_results_do_not_reach_are_refused(transposed: bool, last: int) -> None:
    """64 x 64 x 9 weights lie before, and what exchanges 8 pixels: 4608 rows of 8, and 64; addresses count to 2048."""
    builder = GraphBuilder(rng=np.random.default_rng(0), limits=Limits(channels=64))
    weight = np.full((64, 64, 3, 3), 100, dtype=np.int64)
    builder.constants |= {"w": weight, "b": np.zeros(64, dtype=np.int64), "f": np.full(64, 0.1)}
    window = {"kernel": (3, 3), "strides": (1, 1), "pads": (1,) * 4, "dilations": (1, 1), "group": 1}
    x = builder.centred(builder.input(64, 2, 2))
    names = {"weight": "w", "bias": "b", "factor": "f"}
    y = builder.centred(builder.given("QConv", (x,), (64, 2, 2), **window, **names, lo=0, hi=0))
    right = builder.centred(builder.input(*((64, 1, 8) if transposed else (8, 8, 8))))
    graph = builder.graph("deep", builder.matmul(y, right, transposed=transposed))
    message = rf"its weights end in row {last - 1} of the weight memory, results .* row 2047;"
    with pytest.raises(CapacityError, match=message):
        lower(graph, PRESETS["8x8"].with_(act_lines=256))


def test_bounds_and_zero_points_of_the_result_hold() -> None:
    graph = product(6, (2, 2), (2, 3), 5, lo=-20, hi=50, factor=1 / 64)
    graph = graph.with_(tensors={**graph.tensors, "y": replace(graph.tensors["y"], qparams=QParams(0.1, 3))})
    feeds = random_feeds(graph, 0)
    got = IsaModel(lower(graph, PRESETS["tiny"])).run(feeds)["y"]
    assert (got.min(), got.max()) == (-17, 53)
    np.testing.assert_array_equal(got, run_integer(graph, feeds)["y"])
