# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.compiler.errors import VerifyError
from systolith.compiler.ir import Graph
from systolith.compiler.passes import prepare
from systolith.compiler.passes.prepare import FLOAT_PASSES, prepare_float
from tests.support.float_models import ModelBuilder, assert_same_result, read


def network() -> Graph:
    builder = ModelBuilder((1, 3, 8, 8))
    x = builder.conv("input", 4, 3, 3, 3, pads=[1, 1, 1, 1])
    x = builder.add("BatchNormalization", x, *(builder.constant(builder.rng.uniform(0.5, 1, 4)) for _ in range(4)))
    x = builder.add("Relu", builder.add("Add", x, builder.weights(4, 1, 1)))
    x = builder.add("Relu", builder.add("Add", builder.conv(x, 4, 4, 1, 1), x))
    x = builder.add("Flatten", builder.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
    x = builder.add("Relu", builder.add("Dropout", x))
    x = builder.add("Add", builder.add("MatMul", x, builder.weights(64, 5)), builder.weights(5))
    return read(builder, builder.add("Identity", x))


def test_everything_fuses() -> None:
    before = network()
    after = prepare_float(before)
    assert [node.op for node in after.nodes] == ["Conv", "Conv", "Add", "MaxPool", "Reshape", "Gemm"]
    assert after.nodes[0].origin == ("Conv", "BatchNormalization", "Add", "Relu")
    assert after.outputs == before.outputs
    assert_same_result(before, after)


def test_is_idempotent() -> None:
    once = prepare_float(network())
    assert [node.op for node in prepare_float(once).nodes] == [node.op for node in once.nodes]


def test_every_pass_keeps_the_result() -> None:
    graph = network()
    for step in FLOAT_PASSES:
        after = step(graph)
        assert_same_result(graph, after)
        graph = after


def test_a_broken_pass_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget_everything(graph: Graph) -> Graph:
        return graph.with_(nodes=())

    monkeypatch.setattr(prepare, "FLOAT_PASSES", (forget_everything,))
    with pytest.raises(VerifyError, match="pass forget_everything, graph 'test': "):
        prepare_float(network())
