# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.calibrate import calibrate
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph
from systolith.compiler.observe import CHUNK
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quality import Judge, decibel, float_outputs, integer_outputs, relative_error
from systolith.compiler.quantise import quantise
from systolith.compiler.quantise_config import QuantiseConfig
from tests.support.float_models import ModelBuilder, random_feeds, read

PLAIN = QuantiseConfig(method="mse")


def network() -> Graph:
    builder = ModelBuilder((1, 6))
    hidden = builder.add("Relu", builder.add("MatMul", "input", builder.weights(6, 8)))
    return prepare_float(read(builder, builder.add("Softmax", builder.add("MatMul", hidden, builder.weights(8, 4)))))


def test_errors_and_decibels() -> None:
    assert relative_error(np.array([1.1, 2.0]), np.array([1.0, 2.0])) == pytest.approx(0.01 / 5)
    assert relative_error(np.zeros(3), np.zeros(3)) == 0
    assert relative_error(np.ones(3), np.zeros(3)) == np.inf
    assert decibel(0.001) == pytest.approx(30)
    assert (decibel(0.0), decibel(np.inf)) == (200, -200)


def test_outputs_of_many_samples_are_those_of_few() -> None:
    graph = network()
    feeds = random_feeds(graph, 2 * CHUNK + 1)
    expected = run_float(graph, feeds)
    for name, values in float_outputs(graph, feeds).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5)


def test_an_integer_network_is_judged_by_its_own_outputs() -> None:
    graph = network()
    feeds = random_feeds(graph, 200)
    labels = float_outputs(graph, feeds)[graph.outputs[0]].argmax(axis=1)
    labels[:20] = (labels[:20] + 1) % 4
    integers = quantise(graph, calibrate(graph, feeds, PLAIN), PLAIN)
    judge = Judge(graph, feeds, labels)
    quality = judge.quality(integers, PLAIN)
    got, expected = integer_outputs(integers, feeds, PLAIN)[graph.outputs[0]], judge.expected[graph.outputs[0]]
    assert judge.correct == 0.9
    assert quality.error == pytest.approx(((got - expected) ** 2).sum() / (expected**2).sum(), rel=1e-4)
    assert quality.agreement == (got.argmax(axis=1) == expected.argmax(axis=1)).mean()
    assert quality.correct == (got.argmax(axis=1) == labels).mean()
    assert quality.snr > 25


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1, 0.5])
def test_the_expected_loss_is_that_of_many_samples(noise: float) -> None:
    """From 200 samples, what 4,000 others lose."""
    graph = network()
    feeds = random_feeds(graph, 4200)
    scores = float_outputs(graph, feeds)[graph.outputs[0]]
    noisy = scores + np.random.default_rng(5).normal(0, noise, scores.shape) * scores.std(axis=1, keepdims=True)
    judge = Judge(graph, {"input": feeds["input"][:200]})
    lost = judge.compare({graph.outputs[0]: noisy[:200]}).lost
    others = 1 - (noisy[200:].argmax(axis=1) == scores[200:].argmax(axis=1)).mean()
    assert lost == pytest.approx(others, abs=0.02)


def test_a_single_output_never_changes_its_class() -> None:
    builder = ModelBuilder((1, 6))
    graph = prepare_float(read(builder, builder.add("MatMul", "input", builder.weights(6, 1))))
    judge = Judge(graph, random_feeds(graph, 5))
    quality = judge.compare({graph.outputs[0]: np.zeros((5, 1))})
    assert (quality.agreement, quality.lost, quality.error) == (1.0, 0.0, 1.0)


def test_scores_that_shrink_lose_no_class() -> None:
    graph = network()
    feeds = random_feeds(graph, 200)
    scores = float_outputs(graph, feeds)[graph.outputs[0]]
    assert Judge(graph, feeds).compare({graph.outputs[0]: 0.8 * scores}).lost == pytest.approx(0, abs=1e-6)
