# SPDX-License-Identifier: Apache-2.0
import numpy as np

from systolith.compiler.ir import Graph
from systolith.compiler.passes.drop_identities import drop_identities
from tests.support.float_models import ModelBuilder, assert_same_result, read


def changed(builder: ModelBuilder, *outputs: str) -> Graph:
    before = read(builder, *outputs)
    after = drop_identities(before)
    assert after.outputs == before.outputs
    assert_same_result(before, after)
    return after


def test_identity_between_nodes() -> None:
    builder = ModelBuilder((1, 3))
    after = changed(builder, builder.add("Relu", builder.add("Identity", builder.add("Relu", "input"))))
    assert [node.op for node in after.nodes] == ["Relu", "Relu"]


def test_identity_behind_the_input() -> None:
    builder = ModelBuilder((1, 3))
    after = changed(builder, builder.add("Relu", builder.add("Dropout", "input")))
    assert [node.inputs for node in after.nodes] == [("input",)]


def test_identity_that_makes_the_output_keeps_its_name() -> None:
    builder = ModelBuilder((1, 3))
    after = changed(builder, builder.add("Identity", builder.add("Identity", builder.add("Relu", "input"))))
    assert [(node.op, node.outputs) for node in after.nodes] == [("Relu", ("identity2_out",))]


def test_reshape_to_its_own_shape() -> None:
    builder = ModelBuilder((1, 3))
    same = builder.add("Reshape", "input", builder.constant([0, 3], np.int64))
    assert [node.op for node in changed(builder, builder.add("Relu", same)).nodes] == ["Relu"]


def test_other_reshapes_stay() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    after = changed(builder, builder.add("Flatten", "input"))
    assert [node.op for node in after.nodes] == ["Reshape"]


def test_identity_from_input_to_output_stays() -> None:
    builder = ModelBuilder((1, 3))
    assert [node.op for node in changed(builder, builder.add("Identity", "input")).nodes] == ["Identity"]


def test_second_name_of_an_output_stays() -> None:
    builder = ModelBuilder((1, 3))
    first = builder.add("Relu", "input")
    assert len(changed(builder, first, builder.add("Identity", first)).nodes) == 2
