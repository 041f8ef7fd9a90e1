# SPDX-License-Identifier: Apache-2.0
from typing import get_args

import numpy as np
import pytest

from systolith.compiler.calibrate import calibrate
from systolith.compiler.errors import CalibrationError
from systolith.compiler.float_ops import conv
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph
from systolith.compiler.observe import BINS, CHUNK
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quantise_config import Method, QuantiseConfig
from tests.support.float_models import ModelBuilder, random_feeds, read


def network() -> Graph:
    builder = ModelBuilder((1, 4, 6, 6))
    out = builder.add("Relu", builder.conv("input", 6, 2, 3, 3, group=2, pads=[1, 0, 1, 0], strides=[2, 1]))
    out = builder.add("Flatten", builder.add("GlobalAveragePool", out))
    return prepare_float(read(builder, builder.add("MatMul", out, builder.weights(6, 3))))


def relu() -> Graph:
    builder = ModelBuilder((1, 1000))
    return prepare_float(read(builder, builder.add("Relu", "input")))


def test_min_max_is_what_was_seen() -> None:
    graph = relu()
    feeds = random_feeds(graph, 2 * CHUNK + 3)
    found = calibrate(graph, feeds, QuantiseConfig(method="min-max"))
    x = feeds["input"]
    assert found.samples == 2 * CHUNK + 3
    assert found.method == "min-max"
    assert found.ranges == {"input": (x.min(), x.max()), "relu0_out": (0.0, x.max())}


@pytest.mark.parametrize("method", get_args(Method))
def test_zero_is_always_inside(method: Method) -> None:
    graph = relu()
    found = calibrate(graph, {"input": np.full((3, 1000), 7.0)}, QuantiseConfig(method=method))
    assert found.ranges["input"] == (0.0, 7.0)
    assert found.ranges["relu0_out"][0] == 0.0
    assert found.ranges["relu0_out"][1] == pytest.approx(7.0, rel=1e-3)


@pytest.mark.parametrize("method", get_args(Method))
def test_dead_tensor_has_an_empty_range(method: Method) -> None:
    found = calibrate(relu(), {"input": np.full((3, 1000), -7.0)}, QuantiseConfig(method=method))
    assert found.ranges["relu0_out"] == pytest.approx((0.0, 0.0), abs=1e-6)


def test_percentile_leaves_the_tails_out() -> None:
    graph = relu()
    data = np.tile(np.linspace(-1, 1, 1000), (4, 1))
    found = calibrate(graph, {"input": data}, QuantiseConfig(method="percentile", percentile=90.0))
    # Half of the Relu's values are zero: the upper tenth of all begins at 0.8.
    assert found.ranges["relu0_out"] == pytest.approx((0.0, 0.8), abs=2 / 1000 + 2 / BINS)
    assert found.ranges["input"] == (-1.0, 1.0)


def test_mse_clips_an_outlier_but_not_a_uniform_range() -> None:
    graph = relu()
    rng = np.random.default_rng(0)
    uniform = rng.uniform(0, 1, (8, 1000))
    outlier = uniform.copy()
    outlier[0, 0] = 3.0
    config = QuantiseConfig(method="mse", act_bits=4)
    assert calibrate(graph, {"input": uniform}, config).ranges["relu0_out"][1] > 0.95
    assert calibrate(graph, {"input": outlier}, config).ranges["relu0_out"][1] < 1.5


def test_mean_inputs_predict_the_mean_output() -> None:
    """By linearity the mean output of a layer is the weights times the mean inputs: what bias correction relies on."""
    graph = network()
    feeds = random_feeds(graph, CHUNK + 5)
    means = calibrate(graph, feeds, QuantiseConfig()).means
    layer = graph.nodes[0]
    weight = graph.constant(layer.inputs[1]).astype(np.float64)
    given = {key: layer.attributes[key] for key in ("strides", "pads", "dilations", "group")}
    expected = conv(feeds["input"].astype(np.float64), weight, None, **given).mean(axis=(0, 2, 3))
    by_output = np.repeat(means[layer.name].reshape(2, 2, 3, 3), 3, axis=0)
    np.testing.assert_allclose((by_output * weight).sum(axis=(1, 2, 3)), expected, rtol=1e-5, atol=1e-7)
    gemm = graph.nodes[-1]
    operand = run_float(graph, feeds, [gemm.inputs[0]], np.float64)[gemm.inputs[0]]
    np.testing.assert_allclose(means[gemm.name], operand.mean(axis=0).reshape(6, 1, 1), rtol=1e-5)


@pytest.mark.parametrize("data", [{}, {"input": np.zeros((0, 1000))}])
def test_refuses_no_samples(data: dict[str, np.ndarray]) -> None:
    with pytest.raises(CalibrationError, match="calibration needs the same number of samples, at least 1"):
        calibrate(relu(), data, QuantiseConfig())


@pytest.mark.filterwarnings("ignore:overflow")
def test_refuses_values_that_are_not_finite() -> None:
    builder = ModelBuilder((1, 2))
    graph = prepare_float(read(builder, builder.add("MatMul", "input", builder.constant(np.full((2, 2), 1e30)))))
    with pytest.raises(CalibrationError, match="tensor 'matmul0_out' is inf..inf on the calibration data"):
        calibrate(graph, {"input": np.full((1, 2), 1e30)}, QuantiseConfig())


def test_a_transposed_convolution_meets_its_channels_means() -> None:
    builder = ModelBuilder((1, 4, 5, 3))
    graph = read(builder, builder.add("ConvTranspose", "input", builder.weights(4, 2, 3, 3)))
    feeds = random_feeds(graph, 6)
    means = calibrate(graph, feeds, QuantiseConfig()).means[graph.nodes[0].name]
    np.testing.assert_allclose(means.ravel(), feeds["input"].mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-6)
