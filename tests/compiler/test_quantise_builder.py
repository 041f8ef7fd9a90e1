# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from systolith.compiler.calibrate import Calibration
from systolith.compiler.ir import Graph, Node, QParams, Tensor
from systolith.compiler.quantise_builder import Builder
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.verify_integer import ADD_LIMIT, FACTOR_LIMIT


def builder(bits: int = 8, **ranges: tuple[float, float]) -> Builder:
    names = ("x", *ranges)
    graph = Graph("g", ("x",), (names[-1],), (), {name: Tensor(name, (1, 4)) for name in names})
    calibration = Calibration({"x": (-1.0, 1.0), **ranges}, {"n": np.ones((1, 1, 1))}, 1, "mse")
    return Builder(graph, calibration, QuantiseConfig(act_bits=bits))


def node(op: str = "Conv", lower: float = -math.inf, upper: float = math.inf) -> Node:
    return Node(op, "n", ("x",), ("y",), {"lower": lower, "upper": upper}, ("Gemm",))


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_integers_cover_the_range(bits: int) -> None:
    params = builder(bits, y=(-1.0, 3.0)).define("y")
    assert params.bits == bits
    assert params.scale == pytest.approx(4 / (2**bits - 1))
    assert params.scale * (params.low - params.zero_point) == pytest.approx(-1.0, abs=params.scale)
    assert params.scale * (params.high - params.zero_point) == pytest.approx(3.0, abs=params.scale)


def test_bytes_keep_their_values() -> None:
    assert builder(y=(0.0, 255.0)).define("y") == QParams(1.0, -128)


def test_dead_tensor_still_has_a_scale() -> None:
    params = builder(y=(0.0, 0.0)).define("y")
    assert params.scale > 0
    assert params.low <= params.zero_point <= params.high


def test_least_scale_widens() -> None:
    params = builder(y=(0.0, 1.0)).define("y", 10.0)
    assert (params.scale, params.zero_point) == (10.0, -128)


def test_least_scales_hold_the_limits() -> None:
    assert 7.0 / Builder.factor_scale(7.0) < FACTOR_LIMIT
    assert 7.0 / Builder.add_scale(7.0) < ADD_LIMIT


def test_inner_tensors_and_their_nodes_are_named_after_the_node() -> None:
    made, layer = builder(y=(0.0, 1.0)), node()
    params = made.define("y")
    name = made.inner(layer, "part", (1, 2), params)
    made.emit(layer, "QConv", ("x",), {}, name)
    made.emit(layer, "QMove", (name,), {})
    first, last = made.finish().nodes
    assert (name, first.name, first.outputs, first.origin) == ("n:part", "n:part", ("n:part",), ("Gemm",))
    assert (last.name, last.outputs) == ("n", ("y",))
    assert made.source(name).shape == (1, 2)


def test_inputs_are_defined_from_the_start() -> None:
    assert builder().params("x").scale == pytest.approx(2 / 255)


def test_means_are_the_calibrations() -> None:
    assert builder().means(node()).shape == (1, 1, 1)


def test_bounds_without_activation_saturate() -> None:
    build = builder(y=(-1.0, 3.0))
    params = build.define("y")
    assert build.bounds(node(), params) == (params.low - params.zero_point, params.high - params.zero_point)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [((0.0, math.inf), (0, 127)), ((0.0, 6.0), (0, 60)), ((-0.5, 0.5), (-5, 5)), ((20.0, 30.0), (127, 127))],
)
def test_bounds_of_activations(bounds: tuple[float, float], expected: tuple[int, int]) -> None:
    assert builder().bounds(node("Conv", *bounds), QParams(0.1, 0)) == expected


def test_bounds_of_a_lone_relu() -> None:
    assert builder().bounds(Node("Relu", "n", ("x",), ("y",)), QParams(0.1, -128)) == (0, 255)


def test_alias_stands_for_its_source() -> None:
    build = builder(y=(0.0, 1.0))
    build.alias("y", build.source("x"))
    assert build.source("y").name == "x"
    assert build.params("y") == build.params("x")


def test_finish_collects() -> None:
    build = builder(y=(0.0, 1.0))
    build.define("y")
    name = build.constant(node(), "weight", np.zeros(3))
    build.emit(node(), "QRequant", ("x",), {"factor": 1.0})
    graph = build.finish()
    assert name == "n:q_weight"
    assert set(graph.constants) == {name}
    assert [(item.op, item.name, item.origin) for item in graph.nodes] == [("QRequant", "n", ("Gemm",))]
    assert set(graph.tensors) == {"x", "y"}


def test_refusal_has_the_models_operator() -> None:
    error = builder().refuse(node(), "p", "a")
    assert str(error) == "node 'n' (Gemm): p; accepted: a"
