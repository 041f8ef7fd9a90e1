# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.calibrate import calibrate
from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.quantise import quantise
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.quantise_product import centre_ranges
from systolith.spec.arch import PRESETS
from tests.support.lsb import params_of

CONFIG = QuantiseConfig.for_arch(PRESETS["8x8"], method="min-max")


def graph(*, turned: bool = False, shared: bool = False) -> Graph:
    """``relu(a) @ b``; ``shared``: the Relu's result is an output too."""
    shapes = {"a": (1, 7, 5), "r": (1, 7, 5), "b": (1, 7, 4) if turned else (1, 5, 4), "y": (1, 5 if turned else 7, 4)}
    nodes = (
        Node("Relu", "relu", ("a",), ("r",), {}, ("Relu",)),
        Node("MatMul", "product", ("r", "b"), ("y",), {"transA": turned}, ("MatMul",)),
    )
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    return Graph("g", ("a", "b"), ("y", "r") if shared else ("y",), nodes, tensors)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_products_are_within_their_rounding(turned: bool, shared: bool) -> None:
    source, rng = graph(turned=turned, shared=shared), np.random.default_rng(0)
    data = {name: rng.normal(0.3, 1, (32, *source.tensors[name].shape[1:])).astype(np.float32) for name in ("a", "b")}
    network = quantise(source, calibrate(source, data, CONFIG), CONFIG)
    product = next(node for node in network.nodes if node.op == "QMatMul")
    assert [params_of(network, name).zero_point for name in product.inputs] == [0, 0]
    assert product.attributes.get("transposed", False) == turned
    params = {name: params_of(network, name) for name in ("a", "b", "y")}
    codes, exact = {}, {}
    for name in ("a", "b"):
        one = params[name]
        codes[name] = np.clip(np.rint(data[name] / one.scale) + one.zero_point, one.low, one.high).astype(np.int64)
        exact[name] = ((codes[name] - one.zero_point) * one.scale).astype(np.float32)
    y = params["y"]
    got = (run_integer(network, codes)["y"] - y.zero_point) * y.scale
    assert np.abs(got - run_float(source, exact)["y"]).max() < 2 * y.scale


def test_what_only_products_read_is_centred_at_its_origin() -> None:
    """127 of 128 steps below zero reach as far as those above."""
    ranges = {"a": (-1.0, 3.0), "r": (0.0, 2.0), "b": (-4.0, 1.0), "y": (0.0, 1.0)}
    centred = centre_ranges(graph(), ranges, 8)
    assert centred == {**ranges, "r": (-2.0 * 128 / 127, 2.0), "b": (-4.0 * 128 / 127, 4.0)}
    assert centre_ranges(graph(shared=True), ranges, 8) == {**centred, "r": (0.0, 2.0)}


def test_moved_operands_are_centred_where_their_scale_begins() -> None:
    base = graph()
    moved = Node("Transpose", "turn", ("b",), ("t",), {"perm": (0, 2, 1)}, ("Transpose",))
    nodes = (base.nodes[0], moved, replace(base.nodes[1], inputs=("t", "r")))
    tensors = {**base.tensors, "t": Tensor("t", (1, 4, 5)), "r": Tensor("r", (1, 5, 7)), "a": Tensor("a", (1, 5, 7))}
    whole = base.with_(nodes=nodes, tensors={**tensors, "y": Tensor("y", (1, 4, 7))})
    ranges = {"a": (-1.0, 3.0), "r": (0.0, 2.0), "b": (-4.0, 1.0), "t": (-4.0, 1.0), "y": (0.0, 1.0)}
    assert centre_ranges(whole, ranges, 8)["b"] == (-4.0 * 128 / 127, 4.0)
