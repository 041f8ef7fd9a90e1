# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from systolith.compiler.calibrate import choose_ranges
from systolith.compiler.ir import Graph
from systolith.compiler.match_outputs import OutputMatcher
from systolith.compiler.observe import observe
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quality import Judge
from systolith.compiler.quantise import quantise
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, random_feeds, read

NARROW = QuantiseConfig(method="mse", equalise="off", default_bits=3)


def network(*, end: str = "") -> Graph:
    builder = ModelBuilder((1, 16))
    x = "input"
    for sizes in ((16, 24), (24, 24), (24, 24)):
        x = builder.add("Relu", builder.add("MatMul", x, builder.weights(*sizes)))
    x = builder.add("MatMul", x, builder.weights(24, 5))
    return prepare_float(read(builder, builder.add(end, x) if end else x))


def quantised(graph: Graph, data: dict[str, Any], config: QuantiseConfig = NARROW) -> Graph:
    layers = [node.name for node in graph.nodes]
    return quantise(graph, choose_ranges(graph, observe(graph, data, layers), config), config)


def scaled(made: Graph, gain: float, shift: int) -> Graph:
    """A network whose last layer is off by a factor and a bias."""
    given = made.nodes[-1].attributes
    factor, bias = (made.constant(given[role]) for role in ("factor", "bias"))
    return made.with_(constants={**made.constants, given["factor"]: factor * gain, given["bias"]: bias + shift})


def test_lowers_the_error_on_other_samples() -> None:
    graph = network()
    known, others = random_feeds(graph, 60), {name: -values for name, values in random_feeds(graph, 300).items()}
    config = NARROW.with_(default_bits=2)
    made, judge = quantised(graph, known, config), Judge(graph, others)
    matched = OutputMatcher(graph, known).match(made, config)
    verify(matched, "matched")
    errors = [judge.quality(each, config).error for each in (made, matched)]
    assert errors[1] < 0.98 * errors[0]


def test_takes_back_a_factor_and_a_shift() -> None:
    graph = network()
    data = random_feeds(graph, 60)
    made, matcher, judge = quantised(graph, data), OutputMatcher(graph, data), Judge(graph, data)
    errors = [judge.quality(matcher.match(each, NARROW), NARROW).error for each in (made, scaled(made, 0.8, 40))]
    assert errors[1] == pytest.approx(errors[0], rel=0.05)
    assert judge.quality(scaled(made, 0.8, 40), NARROW).error > 1.5 * errors[0]


def test_a_factor_serves_all_channels_of_a_layer() -> None:
    graph = network()
    data = random_feeds(graph, 20)
    made = quantised(graph, data)
    name = made.nodes[-1].attributes["factor"]
    ratio = OutputMatcher(graph, data).match(made, NARROW).constant(name) / made.constant(name)
    assert ratio == pytest.approx(np.full(5, ratio[0]))
    assert ratio[0] != 1.0


@pytest.mark.parametrize(
    ("end", "config", "count"),
    [
        ("Relu", NARROW, 20),
        ("", QuantiseConfig(method="mse"), 20),
        ("", NARROW.with_(rounding="nearest"), 20),
        ("", NARROW, 3),
    ],
    ids=["an activation", "wide weights", "rounding to nearest", "few samples"],
)
def test_is_left_alone(end: str, config: QuantiseConfig, count: int) -> None:
    graph = network(end=end)
    data = random_feeds(graph, count)
    made = quantised(graph, data, config)
    matched = OutputMatcher(graph, data).match(made, config)
    assert matched.nodes == made.nodes
    for name, value in made.constants.items():
        assert (matched.constant(name) == value).all(), name


def test_outputs_that_have_nothing_in_common_are_left_alone() -> None:
    graph = network()
    data = random_feeds(graph, 20)
    made, opposite = quantised(graph, data), {name: -values for name, values in data.items()}
    name = made.nodes[-1].attributes["weight"]
    turned = made.with_(constants={**made.constants, name: -made.constant(name)})
    assert OutputMatcher(graph, opposite).match(turned, NARROW).constants == turned.constants


@pytest.mark.parametrize(("operand", "value"), [(2, 1e6), (1, 1e5)], ids=["accumulator", "lanes"])
def test_a_layer_that_could_not_hold_the_fit_is_left_alone(operand: int, value: float) -> None:
    graph = network()
    data = random_feeds(graph, 20)
    config = NARROW.with_(acc_bits=16)
    made = quantised(graph, data, config)
    name = graph.nodes[-1].inputs[operand]
    changed = graph.constant(name) * value if operand == 1 else np.full(5, value, np.float32)
    far = graph.with_(constants={**graph.constants, name: changed})
    matched = OutputMatcher(far, data).match(made, config)
    verify(matched)
    assert all(np.array_equal(matched.constant(key), made.constant(key)) for key in made.constants)
