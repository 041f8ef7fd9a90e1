# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from systolith.compiler.float_ops import conv
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph
from systolith.compiler.observe import BINS, CHUNK, bin_range, observe
from systolith.compiler.passes.prepare import prepare_float
from tests.support.float_models import ModelBuilder, random_feeds, read


def network() -> Graph:
    builder = ModelBuilder((1, 4, 6, 6))
    out = builder.add("Relu", builder.conv("input", 6, 2, 3, 3, group=2, pads=[1, 0, 1, 0], strides=[2, 1]))
    out = builder.add("Flatten", builder.add("GlobalAveragePool", out))
    return prepare_float(read(builder, builder.add("MatMul", out, builder.weights(6, 3))))


def test_extremes_peaks_and_histograms_are_those_of_the_tensors() -> None:
    graph = network()
    feeds = random_feeds(graph, CHUNK + 3)
    seen = observe(graph, feeds)
    tensors = run_float(graph, feeds, graph.tensors)
    assert seen.samples == CHUNK + 3
    assert set(seen.extremes) == set(seen.peaks) == set(seen.counts) == set(graph.tensors)
    for name, values in tensors.items():
        assert seen.extremes[name] == (float(values.min()), float(values.max()))
        rest = tuple(axis for axis in range(values.ndim) if axis != 1)
        np.testing.assert_array_equal(seen.peaks[name], np.abs(values).max(axis=rest))
        assert seen.counts[name].sum() == values.size
        expected = np.histogram(values, BINS, bin_range(*seen.extremes[name]))[0]
        np.testing.assert_array_equal(seen.counts[name], expected)


def test_covariances_predict_the_power_of_any_weights() -> None:
    """For weights w the variance of the output is w C w: what reconstruction relies on."""
    graph = network()
    feeds = random_feeds(graph, CHUNK + 5)
    layer, gemm = graph.nodes[0], graph.nodes[-1]
    seen = observe(graph, feeds, [layer.name, gemm.name])
    weight = np.random.default_rng(3).normal(0, 1, (6, 2, 3, 3))
    given = {key: layer.attributes[key] for key in ("strides", "pads", "dilations", "group")}
    outputs = conv(feeds["input"].astype(np.float64), weight, None, **given)
    rows = weight.reshape(2, 3, 18)
    expected = np.einsum("goi,gij,goj->go", rows, seen.covariances[layer.name], rows).reshape(-1)
    np.testing.assert_allclose(outputs.var(axis=(0, 2, 3)), expected, rtol=1e-6)
    assert seen.covariances[gemm.name].shape == (1, 6, 6)


def test_covariances_are_only_taken_where_asked_for() -> None:
    graph = network()
    assert observe(graph, random_feeds(graph, 2)).covariances == {}
