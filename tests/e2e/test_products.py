# SPDX-License-Identifier: Apache-2.0
"""Matrix products of sequences and of two computed tensors: from a float network to the ISA model, and to the RTL."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.api.network import engine_feeds
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.interp_int import run_integer
from systolith.compiler.model import predict
from systolith.compiler.pipeline import Compiled, compile_network
from systolith.spec.arch import PRESETS
from systolith.testbench.runner.backend import RtlSimulator
from tests.support.float_models import ModelBuilder
from tests.support.levels import COUNT, agree_on_every_level
from tests.support.simulators import needs

Built = tuple[ModelBuilder, list[str]]


def _tokens(net: ModelBuilder, channels: int = 6) -> str:
    """A map of 4 x 5 pixels as a sequence of 20."""
    image = net.add("Relu", net.conv("input", channels, 3, 3, 3, pads=[1] * 4))
    flat = net.add("Reshape", image, net.constant([1, channels, 20], np.int64))
    return net.add("Transpose", flat, perm=[0, 2, 1])


def _image() -> ModelBuilder:
    return ModelBuilder((1, 3, 4, 5))


def _dense(net: ModelBuilder, x: str, inputs: int, outputs: int) -> str:
    return net.add("Add", net.add("MatMul", x, net.weights(inputs, outputs)), net.weights(outputs))


def tokens_through_dense_layers() -> Built:
    net = _image()
    hidden = net.add("Relu", _dense(net, _tokens(net), 6, 12))
    return net, [_dense(net, hidden, 12, 5)]


def tokens_back_to_a_map() -> Built:
    net = _image()
    turned = net.add("Transpose", _dense(net, _tokens(net), 6, 4), perm=[0, 2, 1])
    image = net.add("Reshape", turned, net.constant([1, 4, 4, 5], np.int64))
    return net, [net.conv(image, 3, 4, 3, 3, pads=[1] * 4)]


def a_gram_matrix_of_channels() -> Built:
    net = _image()
    x = net.add("Reshape", net.conv("input", 6, 3, 3, 3, pads=[1] * 4), net.constant([1, 6, 20], np.int64))
    return net, [net.add("MatMul", x, net.add("Transpose", x, perm=[0, 2, 1]))]


def a_gram_matrix_of_tokens() -> Built:
    net = _image()
    x = _tokens(net)
    return net, [net.add("MatMul", x, net.add("Transpose", x, perm=[0, 2, 1]))]


def attention_without_softmax() -> Built:
    net = _image()
    x = _tokens(net)
    query, key, value = (_dense(net, x, 6, 8) for _ in range(3))
    scores = net.add("MatMul", query, net.add("Transpose", key, perm=[0, 2, 1]))
    weights = net.add("Relu", net.add("Mul", scores, net.constant(8**-0.5)))
    return net, [_dense(net, net.add("MatMul", weights, value), 8, 6)]


def scores_alone() -> Built:
    net = _image()
    x = _tokens(net)
    query, key = (_dense(net, x, 6, 8) for _ in range(2))
    return net, [net.add("MatMul", query, net.add("Transpose", key, perm=[0, 2, 1]))]


def a_constant_on_the_left() -> Built:
    net = _image()
    return net, [net.add("MatMul", net.weights(7, 20), _tokens(net))]


def matrices_of_rank_four() -> Built:
    net = _image()
    x = net.add("Reshape", net.conv("input", 6, 3, 3, 3, pads=[1] * 4), net.constant([1, 1, 6, 20], np.int64))
    hidden = net.add("Relu", _dense(net, x, 20, 9))
    product = net.add("MatMul", hidden, net.add("Transpose", hidden, perm=[0, 1, 3, 2]))
    return net, [net.add("Reshape", product, net.constant([1, 6, 6], np.int64))]


def two_inputs() -> Built:
    net = ModelBuilder((1, 7, 5))
    return net, [net.add("MatMul", "input", net.input("other", 1, 5, 9))]


CASES: dict[Callable[[], Built], tuple[float, dict[str, int]]] = {
    tokens_through_dense_layers: (3.0, {"QTranspose": 1}),
    tokens_back_to_a_map: (3.0, {}),
    a_gram_matrix_of_channels: (2.5, {"QMatMul": 1, "QTranspose": 1}),
    a_gram_matrix_of_tokens: (2.5, {"QMatMul": 1}),
    attention_without_softmax: (6.0, {"QMatMul": 2, "QTranspose": 1, "QRequant": 1}),
    scores_alone: (3.5, {"QMatMul": 1}),
    a_constant_on_the_left: (2.5, {"QTranspose": 1}),
    matrices_of_rank_four: (5.0, {"QMatMul": 1, "QTranspose": 1}),
    two_inputs: (1.5, {"QMatMul": 1}),
}
"""Networks, how many steps of their 8-bit outputs their integers may be from float, and what they become, convolutions
apart.
"""


def _compiled(case: Callable[[], Built], folder: Path) -> tuple[Compiled, dict[str, NDArray[np.float32]]]:
    net, outputs = case()
    feeds = _feeds(net)
    return agree_on_every_level(net.save(folder / "net.onnx", *outputs), feeds, CASES[case][0]), feeds


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_level_agrees(case: Callable[[], Built], tmp_path: Path) -> None:
    compiled, _ = _compiled(case, tmp_path)
    made = Tally(node.op for node in compiled.network.nodes)
    assert {op: count for op, count in made.items() if op in ("QMatMul", "QTranspose", "QRequant")} == CASES[case][1]


@pytest.mark.sim
@needs("verilator")
def test_the_hardware_computes_attention(tmp_path: Path) -> None:
    compiled, feeds = _compiled(attention_without_softmax, tmp_path)
    program, single = compiled.program, engine_feeds(compiled.network, feeds)[:1]
    (result,) = RtlSimulator(program.arch, simulator="verilator").run(program, single)
    reference = run_integer(compiled.network, single[0])
    for name in compiled.network.outputs:
        np.testing.assert_array_equal(result.outputs[name], reference[name])
    assert result.counters == predict(program).total


def _feeds(net: ModelBuilder) -> dict[str, NDArray[np.float32]]:
    """Normally distributed samples of every input."""
    rng = np.random.default_rng(2)
    shapes = {one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim][1:] for one in net.inputs}
    return {name: rng.normal(0, 1, (COUNT, *shape)).astype(np.float32) for name, shape in shapes.items()}


def _refused(net: ModelBuilder, out: str, folder: Path, match: str, arch: str = "8x8") -> None:
    path = net.save(folder / "net.onnx", out)
    with pytest.raises(UnsupportedModel, match=match):
        compile_network(path, PRESETS[arch], lambda graph: _feeds(net))


def test_batches_of_matrices_are_refused(tmp_path: Path) -> None:
    net = ModelBuilder((1, 2, 6, 4))
    out = net.add("MatMul", "input", net.add("Transpose", "input", perm=[0, 1, 3, 2]))
    _refused(
        net, out, tmp_path, r"it multiplies \[1, 2, 6, 4\] times \[1, 2, 4, 6\]; .*single matrices.*split the heads"
    )


def test_engines_without_the_hardware_are_refused(tmp_path: Path) -> None:
    net, (out,) = two_inputs()
    _refused(net, out, tmp_path, r"\(MatMul\): it multiplies two computed tensors, for which arch 'up5k'", "up5k")


def test_a_softmax_inside_is_refused(tmp_path: Path) -> None:
    net = ModelBuilder((1, 7, 5))
    scores = net.add("Softmax", net.add("MatMul", "input", net.input("other", 1, 5, 9)), axis=-1)
    out = net.add("MatMul", scores, net.input("third", 1, 9, 4))
    _refused(net, out, tmp_path, r"\(Softmax\)")
