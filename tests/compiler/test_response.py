# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler import calibrate
from systolith.compiler.borders import dequantise, quantise
from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import QParams
from systolith.compiler.passes.fuse_chain import fuse_chain
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.pipeline import quantise_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.response import error_through, response
from tests.support.float_models import ModelBuilder, random_feeds, read


def test_the_only_reader_is_the_response() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    x = builder.conv("input", 4, 3, 1, 1)
    scaled = builder.add("Mul", builder.add("Mul", x, builder.add("Sigmoid", x)), builder.constant(2.0))
    graph = fuse_chain(read(builder, scaled))
    function = response(graph, x)
    assert function is not None
    assert function(np.array([0.0, 1.0])) == pytest.approx([0.0, 2 / (1 + np.exp(-1.0))])


def test_other_readers_are_none() -> None:
    builder = ModelBuilder((1, 3))
    curve = builder.add("Tanh", "input")
    graph = read(builder, curve, builder.add("Relu", curve))
    assert response(graph, curve) is None
    graph = read(builder, builder.add("Relu", "input"), curve)
    assert response(graph, "input") is None
    assert response(read(builder, builder.add("Relu", curve)), curve) is None


def test_error_of_the_identity_is_that_of_rounding() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(0, 1, 50), np.full(50, 1 / 50)
    highs = np.array([1.0, 2.0, 3.0])
    got = error_through(lambda x: x, values, weights, -1.0, highs, 256)
    for high, error in zip(highs, got, strict=True):
        step = (high + 1) / 255
        zero = np.rint(1 / step)
        near = (np.clip(np.rint(values / step) + zero, 0, 255) - zero) * step
        assert error == pytest.approx(((near - values) ** 2).mean())


def test_a_flat_end_may_be_cut_off() -> None:
    values = np.linspace(-30, 30, 601)
    errors = error_through(np.tanh, values, np.full(601, 1 / 601), -4.0, np.array([4.0, 30.0]), 256)
    assert errors[0] < errors[1]


def test_no_value_is_no_good() -> None:
    values, highs = np.array([0.1, 3.0]), np.array([3.0])
    with np.errstate(divide="ignore"):
        assert np.isinf(error_through(np.log, values, np.full(2, 0.5), 0.0, highs, 4))


def error_of(op: str, config: QuantiseConfig, spread: float) -> float:
    """The mean squared error of a function of a convolution's result."""
    builder = ModelBuilder((1, 3, 8, 8))
    weight = builder.constant(builder.rng.normal(0, spread, (8, 3, 3, 3)))
    out = builder.add(op, builder.add("Conv", "input", weight))
    graph = read(builder, out)
    network = quantise_network(prepare_float(graph), random_feeds(graph, 40), config)
    feeds = random_feeds(graph, 40, seed=9)
    params = {name: network.tensors[name].qparams or QParams(1.0) for name in ("input", out)}
    codes = run_integer(network, {"input": quantise(feeds["input"], params["input"])})[out]
    difference = dequantise(codes, params[out]) - run_float(graph, feeds)[out]
    return float((difference**2).mean())


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh"])
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_calibration_heeds_the_function(op: str, spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    config = QuantiseConfig(tables=8, method="mse")
    heeded = error_of(op, config, spread)
    monkeypatch.setattr(calibrate, "response", lambda graph, name: None)
    assert heeded < 0.95 * error_of(op, config, spread)
