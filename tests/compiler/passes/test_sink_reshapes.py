# SPDX-License-Identifier: Apache-2.0
import numpy as np

from systolith.compiler.ir import Graph
from systolith.compiler.passes.sink_reshapes import sink_reshapes
from tests.support.float_models import ModelBuilder, assert_same_result, read


def changed(builder: ModelBuilder, *outputs: str) -> Graph:
    before = read(builder, *outputs)
    after = sink_reshapes(before)
    assert_same_result(before, after)
    return after


def test_activation_moves_in_front() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    after = changed(builder, builder.add("Relu", builder.add("Flatten", "input")))
    assert [node.op for node in after.nodes] == ["Relu", "Reshape"]
    assert after.tensors[after.nodes[0].outputs[0]].shape == (1, 3, 2, 2)


def test_several_in_a_row() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    flat = builder.add("Relu", builder.add("Flatten", "input"))
    clipped = builder.add("Clip", builder.add("Reshape", flat, builder.constant([1, 2, 6], np.int64)))
    after = changed(builder, builder.add("Reshape", clipped, builder.constant([1, 12], np.int64)))
    assert [node.op for node in after.nodes] == ["Relu", "Clip", "Reshape"]
    assert after.nodes[-1].attributes["shape"] == (1, 12)


def test_reshape_with_other_readers_stays() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    flat = builder.add("Flatten", "input")
    before = read(builder, builder.add("Relu", flat), builder.add("Relu", flat))
    assert sink_reshapes(before) == before


def test_reshape_behind_the_activation_stays() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    before = read(builder, builder.add("Flatten", builder.add("Relu", "input")))
    assert sink_reshapes(before) == before
