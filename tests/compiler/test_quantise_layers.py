# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.borders import dequantise, engine_inputs
from systolith.compiler.calibrate import calibrate
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quantise import quantise
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.verify_integer import FACTOR_LIMIT
from tests.support.float_models import ModelBuilder, random_feeds, read


def quantised(builder: ModelBuilder, out: str) -> Graph:
    graph = prepare_float(read(builder, out))
    config = QuantiseConfig()
    return quantise(graph, calibrate(graph, random_feeds(graph, 8), config), config)


def test_conv_keeps_its_geometry() -> None:
    builder = ModelBuilder((1, 4, 9, 9))
    geometry = {"strides": (2, 1), "pads": (1, 0, 2, 1), "dilations": (1, 2), "group": 2}
    graph = quantised(builder, builder.conv("input", 6, 2, 3, 3, **geometry))
    (node,) = graph.nodes
    assert node.op == "QConv"
    assert {key: node.attributes[key] for key in geometry} == geometry
    assert node.attributes["kernel"] == (3, 3)
    assert graph.constant(node.attributes["weight"]).shape == (6, 2, 3, 3)


def test_factor_is_the_ratio_of_the_scales() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    weight = np.zeros((2, 4, 1, 1))
    weight[0], weight[1] = 1.0, 0.25
    out = builder.add("Conv", "input", builder.constant(weight))
    graph = quantised(builder, out)
    source, result = graph.tensors["input"].qparams, graph.tensors[out].qparams
    assert source is not None
    assert result is not None
    factor = graph.constant(graph.nodes[0].attributes["factor"])
    steps = graph.constant(graph.nodes[0].attributes["weight"])[:, 0, 0, 0]
    np.testing.assert_allclose(factor * result.scale / source.scale, [1.0, 0.25] / steps, rtol=1e-9)


def test_bias_correction_knows_the_groups() -> None:
    """With coarse weights and inputs far from zero, the mean of each output stays where it was."""
    builder = ModelBuilder((1, 4, 6, 6))
    out = builder.conv("input", 8, 1, 3, 3, group=4)
    graph = prepare_float(read(builder, out))
    offsets = np.array([-8.0, -1.0, 2.0, 9.0]).reshape(1, 4, 1, 1)
    feeds = {"input": (random_feeds(graph, 16)["input"] + offsets).astype(np.float32)}
    config = QuantiseConfig(weight_bits=4)
    integer = quantise(graph, calibrate(graph, feeds, config), config)
    result = integer.tensors[out].qparams
    assert result is not None
    codes = run_integer(integer, engine_inputs(integer, feeds), keep=[out])[out]
    got = dequantise(codes, result).mean(axis=(0, 2, 3))
    expected = run_float(graph, feeds)[out].mean(axis=(0, 2, 3))
    np.testing.assert_allclose(got, expected, atol=0.5 * result.scale)


def test_gemm_is_a_conv_of_one_pixel() -> None:
    builder = ModelBuilder((1, 6))
    graph = quantised(builder, builder.add("Gemm", "input", builder.weights(6, 3)))
    assert [(node.op, node.attributes["kernel"]) for node in graph.nodes] == [("QConv", (1, 1))]


def test_gemm_of_a_map_has_a_kernel_that_covers_it() -> None:
    builder = ModelBuilder((1, 4, 2, 3))
    stored = builder.rng.permutation(24 * 5).reshape(24, 5) - 60.0
    out = builder.add("MatMul", builder.add("Flatten", "input"), builder.constant(stored))
    graph = quantised(builder, out)
    (node,) = graph.nodes
    assert (node.inputs, node.attributes["kernel"]) == (("input",), (2, 3))
    weight = graph.constant(node.attributes["weight"])
    order = np.corrcoef(weight.reshape(5, -1).ravel(), stored.T.ravel())[0, 1]
    assert order > 0.999


def test_relu_bounds_the_requantisation() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    graph = quantised(builder, builder.add("Relu", builder.conv("input", 3, 4, 3, 3)))
    (node,) = graph.nodes
    assert (node.attributes["lo"], node.attributes["hi"], node.origin) == (0, 255, ("Conv", "Relu"))


def test_small_results_of_large_products_widen_the_output() -> None:
    """Two large terms that cancel: the calibrated range alone would need a factor the lanes do not have."""
    builder = ModelBuilder((1, 1))
    first = builder.add("Gemm", "input", builder.constant(np.full((1, 2), 1000.0)))
    out = builder.add("Gemm", first, builder.constant(np.array([[1000.0], [-1000.0]])), name="cancel")
    graph = quantised(builder, out)
    factor = graph.constant(graph.nodes[-1].attributes["factor"])
    assert 0.9 * FACTOR_LIMIT < factor.max() < FACTOR_LIMIT


def test_refuses_computed_weights() -> None:
    builder = ModelBuilder((1, 2, 3, 3))
    out = builder.add("Conv", "input", builder.add("Relu", "kernel"), name="dynamic")
    builder.inputs.append(ModelBuilder((1, 2, 1, 1)).inputs[0])
    builder.inputs[1].name = "kernel"
    with pytest.raises(UnsupportedModel, match=r"node 'dynamic' \(Conv\): operand 'relu0_out' is computed"):
        quantised(builder, out)
