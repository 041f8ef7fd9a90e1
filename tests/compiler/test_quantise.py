# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.borders import dequantise, engine_inputs
from systolith.compiler.calibrate import calibrate
from systolith.compiler.calibration_data import load_samples
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend import load_model
from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quantise import quantise
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.verify import is_integer_level, verify
from systolith.spec.fixed import LaneWidths, make_add_multiplier, make_scaler
from tests.support.float_models import ModelBuilder, random_feeds, read

ZOO = os.environ.get("SYSTOLITH_ZOO", "")
needs_zoo = pytest.mark.skipif(not ZOO, reason="SYSTOLITH_ZOO is not set")
PLAIN = QuantiseConfig()
Floats = NDArray[np.float32]


def network(seed: int) -> Graph:
    """A random network with every operator that quantisation takes."""
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(2, 9))
    builder = ModelBuilder((1, 3, 12, 11), seed=seed)
    x = builder.add("Relu", builder.conv("input", channels, 3, 3, 3, pads=[1, 1, 1, 1]))
    branch = builder.conv(x, channels, 1, 3, 3, pads=[1, 1, 1, 1], group=channels)
    x = builder.add("Clip", builder.add("Add", branch, x), builder.constant(-2.0), builder.constant(6.0))
    x = builder.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = builder.add("AveragePool", x, kernel_shape=[2, 3], pads=[0, 0, 1, 1])
    if rng.integers(2):
        x = builder.add("GlobalAveragePool", x)
    out = read(builder, x).tensors[x].shape
    flat = builder.add("Relu", builder.add("Flatten", x))
    hidden = builder.add("Relu", builder.add("MatMul", flat, builder.weights(int(np.prod(out)), 6)))
    logits = builder.add("Gemm", hidden, builder.weights(5, 6), builder.weights(5), transB=1)
    return prepare_float(read(builder, builder.add("Softmax", logits)))


def results(graph: Graph, feeds: dict[str, Floats], config: QuantiseConfig) -> NDArray[np.float32]:
    """The integer network's first output as real numbers."""
    name = graph.outputs[0]
    codes = run_integer(graph, engine_inputs(graph, feeds), acc_bits=config.acc_bits, keep=[name])[name]
    params = graph.tensors[name].qparams
    assert params is not None
    return dequantise(codes, params)


def noise_ratio(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Signal to noise in decibel."""
    return float(10 * np.log10((expected**2).sum() / ((got - expected) ** 2).sum()))


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_stay_close_to_float(seed: int) -> None:
    graph = network(seed)
    feeds = random_feeds(graph, 40, seed)
    integer = quantise(graph, calibrate(graph, feeds, PLAIN), PLAIN)
    expected = run_float(graph, feeds)[graph.outputs[0]]
    assert noise_ratio(results(integer, feeds, PLAIN), expected) > 25


@pytest.mark.parametrize(
    ("config", "least"),
    [
        (QuantiseConfig(weight_bits=4), 9.0),
        (QuantiseConfig(act_bits=4), 6.0),
        (QuantiseConfig(act_bits=16, weight_bits=16, acc_bits=48), 65.0),
    ],
)
def test_other_widths(config: QuantiseConfig, least: float) -> None:
    graph = network(1)
    feeds = random_feeds(graph, 40)
    integer = quantise(graph, calibrate(graph, feeds, config), config)
    bits = {tensor.qparams.bits for tensor in integer.tensors.values() if tensor.qparams is not None}
    assert bits == {config.act_bits}
    assert noise_ratio(results(integer, feeds, config), run_float(graph, feeds)[graph.outputs[0]]) > least


@pytest.mark.parametrize("seed", range(6))
def test_every_factor_is_representable(seed: int) -> None:
    config = QuantiseConfig(act_bits=4, acc_bits=24)
    graph = network(seed)
    integer = quantise(graph, calibrate(graph, random_feeds(graph, 4, seed), config), config)
    widths = LaneWidths(config.act_bits, config.acc_bits)
    for node in integer.nodes:
        factor = node.attributes.get("factor", 1.0)
        for value in integer.constant(factor) if isinstance(factor, str) else [factor]:
            make_scaler(float(value), widths)
        if "add" in node.attributes:
            make_add_multiplier(node.attributes["add"].m_own, widths)
            make_add_multiplier(node.attributes["add"].m_res, widths)


def test_names_and_interface_survive() -> None:
    graph = network(0)
    integer = quantise(graph, calibrate(graph, random_feeds(graph, 4), PLAIN), PLAIN)
    assert is_integer_level(integer)
    verify(integer)
    assert (integer.name, integer.inputs, integer.outputs) == (graph.name, graph.inputs, graph.outputs)
    assert integer.host_tail == {integer.outputs[0]: ("Softmax",)}
    assert set(integer.tensors) <= set(graph.tensors)
    assert {node.name for node in integer.nodes} <= {node.name for node in graph.nodes}


def test_same_data_give_the_same_network() -> None:
    graph = network(0)
    first, second = (quantise(graph, calibrate(graph, random_feeds(graph, 4), PLAIN), PLAIN) for _ in range(2))
    assert first.nodes == second.nodes
    assert first.tensors == second.tensors
    for name, value in first.constants.items():
        np.testing.assert_array_equal(second.constant(name), value)


def test_refuses_a_network_that_was_not_prepared() -> None:
    builder = ModelBuilder((1, 3))
    graph = read(builder, builder.add("Identity", "input", name="nothing"))
    with pytest.raises(UnsupportedModel, match=r"node 'nothing' \(Identity\): operator Identity has no integer form"):
        quantise(graph, calibrate(graph, random_feeds(graph, 2), PLAIN), PLAIN)


# ---------------------------------------------------------------------- trained networks


def zoo_network(name: str) -> Graph:
    return prepare_float(load_model(Path(ZOO) / "float" / f"{name}.onnx"))


@pytest.mark.slow
@pytest.mark.zoo
@needs_zoo
def test_resnet8_keeps_its_accuracy() -> None:
    """Gate: 88.2 % of 500 test images; float has 89.0 %."""
    data = Path(ZOO) / "data"
    graph = zoo_network("resnet8")
    integer = quantise(graph, calibrate(graph, load_samples(data / "cifar10_calib.npz", graph), PLAIN), PLAIN)
    feeds = load_samples(data / "cifar10_eval_lossless.npz", graph)
    with np.load(data / "cifar10_eval_lossless.npz") as content:
        labels = content["y"]
    got = results(integer, feeds, PLAIN)
    expected = run_float(graph, feeds)[graph.outputs[0]]
    assert (got.argmax(axis=1) == labels).mean() >= 0.886
    assert (got.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.98
    assert noise_ratio(got, expected) > 33


@pytest.mark.zoo
@needs_zoo
def test_autoencoder_keeps_its_reconstruction_error() -> None:
    graph = zoo_network("ad_autoencoder")
    rng = np.random.default_rng(0)
    feeds = {"input": rng.uniform(-67, 2, (200, 640)).astype(np.float32)}
    integer = quantise(graph, calibrate(graph, {"input": feeds["input"][:100]}, PLAIN), PLAIN)
    got, expected = results(integer, feeds, PLAIN), run_float(graph, feeds)["output"]
    errors = [((feeds["input"] - result) ** 2).mean() for result in (got, expected)]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)
    assert noise_ratio(got, expected) > 35
